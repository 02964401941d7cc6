"""A process that knows stable's own bursts from before: guard, cap, checkpoint."""

import json
import math
from dataclasses import replace

import pytest
from bench.evidence.runs import events_needed, false_alarms
from bench.evidence.traffic import HARD, Before, bursts, poisson, slow, unsteady

from rampway.core.evidence import (
    MOST_PER_LOOK,
    Dispersion,
    EProcess,
    PairCount,
    Tolerance,
    from_json,
    log_e,
    start,
    to_json,
    update,
    with_past,
)

TOLERANCE = Tolerance(1.1, 0.01)
LOG_BOUND = math.log(100)
ALPHA = 0.05
MONTE_CARLO = 3 * (ALPHA * (1 - ALPHA) / 5000) ** 0.5
CLEAN = Dispersion()
SINGLE = Dispersion(25.0, 25.0, 100)
"""A hundred failures of stable's, no two of them together."""
BURSTY = Dispersion(9 * 25.0, 25.0, 20)
INCIDENT = Dispersion(100 * 25.0, 25.0, 20)
ALL_FAIL = PairCount(10, 10, 40, 0)
CALM = PairCount(10, 0, 40, 0)


def knowing(past: Dispersion, log_bound: float = LOG_BOUND) -> EProcess:
    """Return a process that has seen nothing but stable's past."""
    return with_past(start(), past, log_bound)


def test_phi_comes_from_the_past() -> None:
    """Before the first look phi is what stable showed; few failures alone are suspected."""
    assert knowing(CLEAN).phi == 2
    one = Dispersion(0.25, 0.25, 1)
    weight = 2 * 119 / 120 * 0.25
    first = (0.25 + 5 * weight) / (0.25 + weight)
    assert knowing(one).phi == pytest.approx(first * (1 + math.sqrt(2) / 2))
    assert knowing(BURSTY).phi == pytest.approx(9 * (1 + math.sqrt(2 / 20) / 2), abs=0.9)


def test_a_long_past_without_bursts_is_believed() -> None:
    """With failures in 120 intervals what is within its own error of 1 is 1, and no more."""
    calm = [Dispersion(30.0 * (1 + over), 30.0, 120) for over in (0.12, 0.14)]
    assert knowing(calm[0]).phi == 1
    assert knowing(calm[1]).phi == pytest.approx(1.14 * (1 + math.sqrt(2 / 120) / 2))
    assert knowing(replace(calm[0], looks=119)).phi > 1


def test_an_incident_of_stables_counts_for_so_much_only() -> None:
    """Where stable's bursts are beyond measure phi is bounded and the cap as ever."""
    process = knowing(INCIDENT)
    assert 12 < process.phi <= 16 * (1 + math.sqrt(2 / 20) / 2)
    assert process.cap == MOST_PER_LOOK
    assert knowing(BURSTY).cap == LOG_BOUND


def test_b19_no_look_alone_calls_harm() -> None:
    """However many fail in one look, a fresh process is below 1/alpha; a second look decides."""
    huge = PairCount(10**6, 10**6, 10**6, 0)
    for past in (CLEAN, SINGLE):
        process = update(knowing(past), huge, TOLERANCE)
        assert log_e(process) < LOG_BOUND
        assert log_e(update(process, huge, TOLERANCE)) > LOG_BOUND


def test_a_past_is_known_before_the_first_look_only() -> None:
    """What is judged already goes on as it began; a loose bound narrows no cap."""
    begun = update(start(), CALM, TOLERANCE)
    assert with_past(begun, SINGLE, LOG_BOUND) == begun
    assert knowing(SINGLE, math.log(2)).cap == MOST_PER_LOOK


def looks_to_call(process: EProcess, most: int = 60) -> int:
    """Return after how many looks of total failure harm is called at 1/alpha."""
    for number in range(1, most):
        process = update(process, ALL_FAIL, TOLERANCE)
        if log_e(process) >= LOG_BOUND:
            return number
    raise AssertionError(f"not within {most} looks")


def test_total_failure_needs_two_looks() -> None:
    """All ten requests of each look fail: two looks with a past, six after an hour of calm."""
    for calm, with_one, without in ((0, 2, 6), (12, 2, 7), (600, 4, 13), (3600, 6, 22)):
        known, unknown = knowing(SINGLE), start()
        for _ in range(calm):
            known, unknown = (update(p, CALM, TOLERANCE) for p in (known, unknown))
        assert looks_to_call(known) <= with_one
        assert with_one < looks_to_call(unknown) <= without


def test_b32_a_checkpoint_keeps_the_past() -> None:
    """What is read back knows the same past and cap, in few bytes."""
    process = knowing(BURSTY)
    for _ in range(5):
        process = update(process, PairCount(50, 3, 200, 4), TOLERANCE)
    process = update(process, ALL_FAIL, TOLERANCE, new_segment=True)
    text = json.dumps(to_json(process), separators=(",", ":"))
    back = from_json(json.loads(text))
    assert back.past == BURSTY
    assert back.cap == pytest.approx(LOG_BOUND)
    assert back.phi == pytest.approx(process.phi)
    assert back.log_lately() == pytest.approx(process.log_lately(), abs=0.01)
    assert json.dumps(to_json(back), separators=(",", ":")) == text
    assert len(text) < 700


def test_b32_a_checkpoint_of_before_goes_on_without_a_past() -> None:
    """A process that was written by a version without histories is read, and capped as it was."""
    old = to_json(update(knowing(CLEAN), ALL_FAIL, TOLERANCE))
    for later in "pclr":
        old.pop(later, None)
    back = from_json(old)
    assert (back.past, back.cap, back.lately) == (None, MOST_PER_LOOK, (0,) * 8)


def test_lately_begins_anew_and_tells_at_once() -> None:
    """After a long calm the whole is burnt, and what was won lately shows harm in three looks."""
    process, leaning = start(), 0
    for look in range(600):
        process = update(process, PairCount(10, look % 4 == 0, 40, 1), TOLERANCE)
        leaning += process.log_lately() > math.log(10)
    assert leaning == 0
    for _ in range(3):
        process = update(process, ALL_FAIL, TOLERANCE)
    assert log_e(process) < 0
    assert process.log_lately() > math.log(10)


@pytest.mark.parametrize("case", HARD)
@pytest.mark.parametrize(("share", "events"), [(0.5, 1), (0.5, 10), (0.2, 4)])
def test_b19_with_a_past_bursts_stay_under_alpha(case: str, share: float, events: float) -> None:
    """Half of stable against the other half over 120 intervals: all hard cases under alpha."""
    seed = 500 + 20 * list(HARD).index(case) + 2 * round(events) + round(10 * share)
    traffic = HARD[case](events * share, events * (1 - share))
    before = Before(HARD[case](events / 2, events / 2))
    assert false_alarms(seed, traffic, share, before=before) < ALPHA


@pytest.mark.parametrize("events", [1, 4])
def test_b19_a_past_of_longer_intervals_sees_slower_bursts(events: float) -> None:
    """Rates that stay for 15 looks: a past scraped as seldom holds them back, none does not."""
    traffic = slow(events / 2, events / 2)
    before = Before(unsteady(15 * events / 2, 15 * events / 2, 2))
    seed = 600 + 2 * round(events)
    assert false_alarms(seed, traffic, 0.5, before=before, runs=3000) < 0.03
    assert false_alarms(seed + 1, traffic, 0.5, runs=1000) > 0.08


@pytest.mark.parametrize("events", [0.003, 0.03, 0.1])
def test_b19_a_past_of_few_failures_is_not_trusted_far(events: float) -> None:
    """Bursts so rare that half an hour may show none: under alpha in as long a rollout."""
    before = Before(bursts(15 * events / 2, 15 * events / 2, 20))
    traffic = bursts(events / 2, events / 2, 20)
    seed = 650 + round(1000 * events)
    assert false_alarms(seed, traffic, 0.5, before=before, alpha=0.01, runs=3000) < 0.02


@pytest.mark.parametrize(("per_arm", "high"), [(0.5, 92), (2.0, 100), (5.0, 110)])
def test_a_past_saves_events(per_arm: float, high: float) -> None:
    """Events to detect r = 2 at 50 % where all is well: the fewer, the nearer to no guard."""
    seed = 700 + int(10 * per_arm)
    before = Before(poisson(per_arm, per_arm))
    harm = poisson(2 * per_arm, per_arm)
    needed = events_needed(seed, harm, 0.5, guarded=True, before=before, runs=1000)
    assert 70 < needed < high
