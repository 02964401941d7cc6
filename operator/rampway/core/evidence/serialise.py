"""A process as JSON and back: what a checkpoint keeps of it (B32)."""

from typing import Any

from rampway.core.evidence import harmless
from rampway.core.evidence.dispersion import MOST_PER_LOOK, Dispersion
from rampway.core.evidence.mixture import RHOS, Stake
from rampway.core.evidence.process import FACTS, NOTHING, Countdown, EProcess
from rampway.core.evidence.totals import Odds, Segment

VERSION = 4
"""Changes when the meaning of a field does, the mixture's grid included."""
_NANO = 9
"""Decimals kept: a billionth of a nat is far below anything that decides."""
_MILLI = 3
"""For what only delays a pass."""
_FIGURES = 6
"""Significant ones, of the sums behind the rates."""


def to_json(process: EProcess) -> dict[str, Any]:
    """Return the process as JSON; the same again after `from_json`."""
    spread = process.dispersion
    data = {
        "v": VERSION,
        "w": _stake(process.stake),
        "d": _dispersed(spread),
        "s": [_totals(segment) for segment in process.segments],
    }
    # What an earlier version did not write may be missing, and is not known to one that reads it.
    if process.past is not None:
        data |= {"p": _dispersed(process.past), "c": round(process.cap, _NANO)}
    for key, won in (("r", process.recent), ("l", process.lately), ("h", process.ruled)):
        if any(won):
            data[key] = [round(gain, _MILLI) for gain in won]
    told = process.countdown
    if told is not None:
        data["m"] = [told.more, told.since_n, *told.reckoned_from]
    return data


def _part(events: float) -> float:
    """Return events, which may be parts of one, as a whole number where they are."""
    return int(events) if events == int(events) else round(events, _NANO)


def _figures(x: float) -> float:
    """Return x to the significant figures that are kept, as a whole number where it is one."""
    rounded = float(f"{x:.{_FIGURES}g}")
    return int(rounded) if rounded == int(rounded) else rounded


def _totals(seen: Segment) -> list[Any]:
    counts = [seen.candidate_n, _part(seen.candidate_events), seen.stable_n]
    counts += [_part(seen.stable_events), seen.looks]
    sums = (seen.weight, seen.candidate_weighed, seen.stable_weighed)
    odds = [
        [one.octave, _part(one.events), _figures(one.weighed), _figures(one.inverse)]
        for one in seen.odds
    ]
    return [*counts, *map(_figures, sums), *odds]


def _segment(numbers: list[Any]) -> Segment:
    n_c, e_c, n_s, e_s, looks, weight, mine, other, *odds = numbers
    events = _part(float(e_c)), _part(float(e_s))
    sums = float(weight), float(mine), float(other)
    seen = tuple([Odds(int(o), _part(float(e)), float(w), float(i)) for o, e, w, i in odds])
    return Segment(int(n_c), events[0], int(n_s), events[1], int(looks), *sums, seen)


def _dispersed(spread: Dispersion) -> list[float]:
    return [round(spread.surprise, _NANO), round(spread.variance, _NANO), spread.looks]


def _dispersion(numbers: list[Any]) -> Dispersion:
    surprise, variance, looks = numbers
    return Dispersion(float(surprise), float(variance), int(looks))


def _countdown(numbers: list[Any] | None) -> Countdown | None:
    if numbers is None:
        return None
    more, since_n, *steps = numbers
    if len(steps) != FACTS:
        raise ValueError(f"a countdown from {len(steps)} facts; expected {FACTS}: begin anew")
    return Countdown(None if more is None else int(more), int(since_n), tuple(map(int, steps)))


def _stake(stake: Stake) -> list[float]:
    return [round(x, _NANO) for x in (*stake.log_w, stake.log_cash)]


def _won(numbers: list[Any] | None, nothing: tuple[float, ...] = NOTHING) -> tuple[float, ...]:
    won = tuple(map(float, numbers or nothing))
    if len(won) != len(nothing):
        found = f"evidence with {len(won)} late components"
        raise ValueError(f"{found}; expected {len(nothing)}: begin anew")
    return won


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
    segments = tuple(_segment(numbers) for numbers in data["s"])
    if not segments:
        raise ValueError("evidence without a segment; expected at least one: begin anew")
    past = data.get("p")
    return EProcess(
        stake=_staked(data["w"]),
        recent=_won(data.get("r")),
        lately=_won(data.get("l")),
        ruled=_won(data.get("h"), harmless.NOTHING),
        dispersion=_dispersion(data["d"]),
        past=_dispersion(past) if past else None,
        cap=float(data["c"]) if past else MOST_PER_LOOK,
        segments=segments,
        countdown=_countdown(data.get("m")),
    )
