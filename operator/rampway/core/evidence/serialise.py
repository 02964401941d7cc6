"""A process as JSON and back: what a checkpoint keeps of it (B32)."""

from typing import Any

from rampway.core.evidence.dispersion import Dispersion
from rampway.core.evidence.mixture import RHOS, Stake
from rampway.core.evidence.process import EProcess, Segment

VERSION = 1
"""Changes when the meaning of a field does, the mixture's grid included."""
_NANO = 9
"""Decimals kept: a billionth of a nat is far below anything that decides."""


def to_json(process: EProcess) -> dict[str, Any]:
    """Return the process as JSON; the same again after `from_json`."""
    spread = process.dispersion
    return {
        "v": VERSION,
        "w": [round(x, _NANO) for x in process.stake.log_w],
        "cash": round(process.stake.log_cash, _NANO),
        "d": [round(spread.surprise, _NANO), round(spread.variance, _NANO), spread.looks],
        "s": [
            [s.candidate_n, s.candidate_events, s.stable_n, s.stable_events, s.looks]
            for s in process.segments
        ],
    }


def from_json(data: Any) -> EProcess:
    """Return the process of a checkpoint.

    Raises:
        KeyError, TypeError, ValueError: it is not what `to_json` of this version wrote.
    """
    if data["v"] != VERSION:
        raise ValueError(f"evidence of version {data['v']}; expected {VERSION}: begin anew")
    log_w = tuple(float(x) for x in data["w"])
    segments = tuple(Segment(*map(int, numbers)) for numbers in data["s"])
    if len(log_w) != len(RHOS) or not segments:
        raise ValueError(
            f"evidence with {len(log_w)} components in {len(segments)} segments; "
            f"expected {len(RHOS)} components and at least one segment: begin anew"
        )
    surprise, variance, looks = data["d"]
    return EProcess(
        Stake(log_w, float(data["cash"])),
        Dispersion(float(surprise), float(variance), int(looks)),
        segments,
    )
