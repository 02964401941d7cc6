"""A process as JSON and back: what a checkpoint keeps of it (B32)."""

from typing import Any

from rampway.core.evidence.dispersion import Dispersion
from rampway.core.evidence.mixture import RHOS, Stake
from rampway.core.evidence.process import EProcess, Segment

VERSION = 2
"""Changes when the meaning of a field does, the mixture's grid included."""
_NANO = 9
"""Decimals kept: a billionth of a nat is far below anything that decides."""


def to_json(process: EProcess) -> dict[str, Any]:
    """Return the process as JSON; the same again after `from_json`."""
    spread = process.dispersion
    return {
        "v": VERSION,
        "w": _stake(process.stake),
        "r": [process.recent_share, *_stake(process.recent)] if process.recent_share else [],
        "d": [round(spread.surprise, _NANO), round(spread.variance, _NANO), spread.looks],
        "s": [
            [s.candidate_n, s.candidate_events, s.stable_n, s.stable_events, s.looks]
            for s in process.segments
        ],
    }


def _stake(stake: Stake) -> list[float]:
    return [round(x, _NANO) for x in (*stake.log_w, stake.log_cash)]


def _staked(numbers: list[Any]) -> Stake:
    *log_w, log_cash = map(float, numbers)
    if len(log_w) != len(RHOS):
        found = f"evidence with {len(log_w)} components"
        raise ValueError(f"{found}; expected {len(RHOS)}: begin anew")
    return Stake(tuple(log_w), log_cash)


def from_json(data: Any) -> EProcess:
    """Return the process of a checkpoint.

    Raises:
        KeyError, TypeError, ValueError: it is not what `to_json` of this version wrote.
    """
    if data["v"] != VERSION:
        raise ValueError(f"evidence of version {data['v']}; expected {VERSION}: begin anew")
    segments = tuple(Segment(*map(int, numbers)) for numbers in data["s"])
    if not segments:
        raise ValueError("evidence without a segment; expected at least one: begin anew")
    share, *recent = data["r"] or [0.0]
    surprise, variance, looks = data["d"]
    return EProcess(
        stake=_staked(data["w"]),
        recent=_staked(recent) if recent else Stake(),
        recent_share=float(share),
        dispersion=Dispersion(float(surprise), float(variance), int(looks)),
        segments=segments,
    )
