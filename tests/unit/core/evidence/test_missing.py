"""How many requests are missing is counted down, and only told by that (B18)."""

import json
import math
from random import Random
from statistics import median

import pytest

from rampway.core.evidence import (
    EProcess,
    PairCount,
    Tolerance,
    counting_down,
    from_json,
    missing,
    requests_missing,
    start,
    to_json,
    update,
)
from rampway.core.evidence.forecast import Plan

TOLERANCE, DETECT, LOG_BOUND = Tolerance(1.1, 0.01), 3.0, math.log(200)


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list to which each search for the number adds where it begins."""
    found: list[float] = []
    really = missing._searched

    def searched(plan: Plan, log_bound: float, guess: float) -> int | None:
        found.append(guess)
        return really(plan, log_bound, guess)

    monkeypatch.setattr(missing, "_searched", searched)
    return found


def looked(process: EProcess, dice: Random, stable_rate: float = 0.005) -> EProcess:
    """Return the process after a look at about 5 requests beside 95, counted down."""
    n_c, n_s = dice.randint(4, 6), dice.randint(90, 100)
    events = sum(dice.random() < stable_rate for _ in range(n_s))
    after = update(process, PairCount(n_c, 0, n_s, events), TOLERANCE)
    return counting_down(after, TOLERANCE, DETECT, LOG_BOUND)


def told(process: EProcess) -> int | None:
    """Return how many requests are missing."""
    return requests_missing(process, TOLERANCE, DETECT, LOG_BOUND)


def begun(looks: int, seed: int = 1) -> tuple[EProcess, Random]:
    """Return a process after so many looks, and its dice."""
    dice = Random(seed)  # noqa: S311 - nothing secret
    process = start()
    for _ in range(looks):
        process = looked(process, dice)
    return process, dice


def without(process: EProcess) -> EProcess:
    """Return the process as it would be if nothing had ever been told."""
    return from_json({name: of for name, of in to_json(process).items() if name != "m"})


def test_b18_what_is_missing_is_counted_down(searches: list[float]) -> None:
    """A look's requests are taken off; few looks of a thousand search for the number."""
    process, dice = begun(40)
    del searches[:]
    counted = 0
    for _ in range(60):
        before, number = told(process), len(searches)
        n = process.total.candidate_n
        process = looked(process, dice)
        if before and len(searches) == number:
            assert told(process) == before - (process.total.candidate_n - n)
            counted += 1
    assert counted > 50
    assert len(searches) < 10


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stable_rate", [0.0, 0.005, 0.05])
@pytest.mark.no_cover
def test_b18_a_countdown_decides_nothing(seed: int, stable_rate: float) -> None:
    """Whether requests are missing is the same at each look without it."""
    process, dice = begun(0, seed)
    answers = set()
    for _ in range(500):
        process = looked(process, dice, stable_rate)
        with_it, without_it = told(process), told(without(process))
        assert (with_it == 0) == (without_it == 0)
        assert (with_it is None) == (without_it is None)
        assert with_it is None or with_it >= 0
        answers.add(with_it == 0)
    assert True in answers


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.no_cover
def test_b18_a_countdown_is_about_what_a_search_finds(seed: int) -> None:
    """It is never off by more than two fifths of all that is needed, mostly by under a tenth."""
    process, dice = begun(5, seed)
    off = []
    for _ in range(150):
        process = looked(process, dice)
        now, anew = told(process), told(without(process))
        assert now is not None
        assert anew is not None
        off.append(abs(now - anew) / (process.total.candidate_n + anew))
    assert max(off) < 0.4
    assert median(off) < 0.1


def test_b18_other_rates_are_reckoned_with(searches: list[float]) -> None:
    """A stable that fails more often needs a new search at once, and so does another share."""
    process, _ = begun(60)
    before = len(searches)
    worse = update(process, PairCount(5, 0, 95, 40), TOLERANCE)
    anew = told(without(worse))
    assert told(counting_down(worse, TOLERANCE, DETECT, LOG_BOUND)) == pytest.approx(anew, rel=0.1)
    moved = update(process, PairCount(50, 0, 50, 0), TOLERANCE, new_segment=True)
    assert moved.countdown is None
    assert told(counting_down(moved, TOLERANCE, DETECT, LOG_BOUND)) == told(without(moved))
    assert len(searches) > before


def test_b32_a_countdown_survives_a_restart(searches: list[float]) -> None:
    """What was told goes on to be counted down, to the same number."""
    process, _ = begun(60)
    assert process.countdown
    del searches[:]
    back = from_json(json.loads(json.dumps(to_json(process))))
    assert back.countdown == process.countdown
    later = [looked(one, begun(0)[1]) for one in (back, process)]
    assert told(later[0]) == told(later[1])
    assert not searches
    with pytest.raises(ValueError, match="expected 6: begin anew"):
        from_json(to_json(process) | {"m": [300, 10, 1, 2]})
