"""A process over its looks: guard, segments, checkpoint."""

import json
import math
from dataclasses import replace
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest

from rampway.core.evidence import (
    MOST_PER_LOOK,
    Dispersion,
    EProcess,
    PairCount,
    Segment,
    Tolerance,
    bet,
    from_json,
    log_e,
    ratio,
    start,
    to_json,
    update,
)
from rampway.core.evidence.mixture import CASH, FIRST_INVESTED, RHOS, staked
from rampway.core.evidence.process import FOR_A_SEGMENT, MOST_SEGMENTS, NOTHING

TOLERANCE = Tolerance(1.1, 0.01)


def looks(seed: int, number: int = 60) -> list[PairCount]:
    source = np.random.default_rng(seed)
    counts = []
    for _ in range(number):
        n_c, n_s = int(source.integers(1, 60)), int(source.integers(1, 300))
        mine, other = int(source.binomial(n_c, 0.06)), int(source.binomial(n_s, 0.02))
        counts.append(PairCount(n_c, mine, n_s, other))
    return counts


def after(counts: list[PairCount], process: EProcess | None = None) -> EProcess:
    return reduce(lambda p, c: update(p, c, TOLERANCE), counts, process or start())


def test_start_has_an_e_value_of_one() -> None:
    """Nothing seen is no evidence."""
    assert log_e(start()) == pytest.approx(0, abs=1e-12)
    assert ratio(start()) is None


def test_b19_phi_comes_from_past_looks_only() -> None:
    """A look is bet with the phi of before, whatever the look itself shows."""
    before = after(looks(1))
    phis = []
    for events in (0, 2, 25):
        counts = PairCount(50, events, 200, 1)
        done = update(before, counts, TOLERANCE)
        expected = bet(before.stake, counts, TOLERANCE, phi=before.phi, cap=MOST_PER_LOOK)
        assert done.stake == expected
        phis.append(done.phi)
    assert phis[2] > phis[1] > 0
    assert phis[2] > before.phi


def test_one_look_gains_at_most_log_3() -> None:
    """However many events one look brings, no component more than triples."""
    process = update(start(), PairCount(1000, 1000, 1000, 0), TOLERANCE)
    kept = CASH * (1 - FIRST_INVESTED)
    assert log_e(process) == pytest.approx(math.log(3 * (1 - kept) + kept), rel=1e-9)


def test_phi_of_a_steady_difference_stays_near_one() -> None:
    """A candidate that always fails five times as often is harm and not a burst."""
    source = np.random.default_rng(7)
    process = start()
    for _ in range(300):
        mine = int(source.binomial(50, 0.10))
        other = int(source.binomial(50, 0.02))
        process = update(process, PairCount(50, mine, 50, other), TOLERANCE)
    assert process.phi < 1.15


def test_phi_of_retries_is_their_number() -> None:
    """Where each failure is counted three times, phi comes to about three."""
    source = np.random.default_rng(8)
    process = start()
    for _ in range(2000):
        mine = 3 * int(source.binomial(50, 0.02))
        other = 3 * int(source.binomial(50, 0.02))
        process = update(process, PairCount(200, mine, 200, other), TOLERANCE)
    assert process.phi == pytest.approx(3, abs=0.3)


def test_phi_before_the_first_event_is_the_prior() -> None:
    """Without events phi is 2, and one calm look moves it down by the weight of two looks."""
    assert start().phi == after([PairCount(9, 0, 9, 0)]).phi == 2
    one, many = Dispersion(0.25, 0.25, 1), Dispersion(0.0, 100.0, 100)
    assert EProcess(dispersion=one).phi == pytest.approx((1 + 4) / 3)
    assert EProcess(dispersion=many).phi == 1


def test_look_with_one_side_only_is_not_counted() -> None:
    """Requests of one side alone are no comparison: neither evidence nor exposure."""
    process = after(looks(2))
    for counts in (PairCount(0, 0, 50, 9), PairCount(50, 9, 0, 0)):
        assert update(process, counts, TOLERANCE) == process


def test_new_segment_keeps_the_evidence() -> None:
    """A change of the split opens a segment; what was seen before goes on."""
    plain, cut = start(), start()
    for index, counts in enumerate(looks(3)):
        plain = update(plain, counts, TOLERANCE)
        cut = update(cut, counts, TOLERANCE, new_segment=index in (0, 20, 40))
    assert cut.dispersion == plain.dispersion
    assert cut.total.rates == pytest.approx(plain.total.rates)
    sums = [(one.total.candidate_n, one.total.stable_events) for one in (cut, plain)]
    assert sums[0] == sums[1]
    assert [s.looks for s in cut.segments] == [20, 20, 20]


def test_splits_without_end_are_told_as_so_many() -> None:
    """A pod that comes and goes makes a segment each time; none of their counts is lost."""
    seen = looks(3, MOST_SEGMENTS + 30)
    cut = reduce(lambda p, c: update(p, c, TOLERANCE, new_segment=True), seen, start())
    assert len(cut.segments) == MOST_SEGMENTS
    assert cut.segments[0].looks == 31
    assert cut.total.candidate_n == sum(counts.candidate_n for counts in seen)
    assert cut.total.rates == pytest.approx(after(seen).total.rates)


def test_a_segment_is_a_new_chance() -> None:
    """A part of the cash is staked with each segment, and what is won in it is counted apart."""
    calm, bad = PairCount(50, 0, 50, 2), PairCount(50, 9, 50, 2)
    first = update(start(), calm, TOLERANCE, new_segment=True)
    assert first.stake == update(start(), calm, TOLERANCE).stake  # nothing before: no second one
    assert first.log_recent() == 0
    second = update(first, bad, TOLERANCE, new_segment=True)
    only = update(first, bad, TOLERANCE)
    assert second.stake.log_cash < only.stake.log_cash + math.log(1 - FOR_A_SEGMENT / 2)
    assert second.log_recent() > 0
    again = update(second, PairCount(0, 0, 0, 0), TOLERANCE, new_segment=True)
    assert again.recent == NOTHING
    idle = again
    for _ in range(50):
        idle = update(idle, PairCount(0, 0, 0, 0), TOLERANCE, new_segment=True)
    assert idle == again  # an empty segment is none


def test_cash_is_left_after_hours() -> None:
    """After a day of looks a second there is still something to stake on harm that begins."""
    process = start()
    for _ in range(10_000):
        process = replace(process, stake=staked(process.stake, NOTHING))
    expected = CASH / (1 + 10_000 * FIRST_INVESTED)
    assert math.exp(process.stake.log_cash) == pytest.approx(expected, rel=0.01)


def test_b19_moving_what_is_kept_wins_nothing() -> None:
    """B19: a change of segment by itself leaves the e-value as it is."""
    process = after(looks(9))
    for counts in looks(10, 20):
        before = log_e(process)
        process = update(process, PairCount(0, 0, 0, 0), TOLERANCE, new_segment=True)
        assert log_e(process) == pytest.approx(before, rel=1e-12)
        process = update(process, counts, TOLERANCE)


def test_harm_that_begins_in_a_later_segment_is_found_soon() -> None:
    """After a long harmless step the next one's harm needs few looks more than a fresh start's."""
    calm = start()
    for _ in range(400):
        calm = update(calm, PairCount(20, 0, 180, 1), TOLERANCE)
    bad = PairCount(100, 30, 100, 1)

    def needed(process: EProcess, new_segment: bool) -> int:
        for number in range(1, 200):
            process = update(process, bad, TOLERANCE, new_segment=new_segment and number == 1)
            if log_e(process) >= math.log(100):
                return number
        raise AssertionError("never")

    assert needed(calm, new_segment=True) <= 2 * needed(start(), new_segment=False) + 1
    assert needed(calm, new_segment=False) > needed(calm, new_segment=True)


def test_new_segment_survives_a_look_without_requests() -> None:
    """The split changed although this look has nothing to compare: the next one is apart."""
    process = update(after(looks(4)), PairCount(0, 0, 0, 0), TOLERANCE, new_segment=True)
    process = update(process, PairCount(5, 0, 5, 0), TOLERANCE)
    assert [s.looks for s in process.segments] == [60, 1]


def test_ratio_is_that_of_the_rates() -> None:
    """The point estimate compares rates; without an event of stable's there is none."""
    assert ratio(after([PairCount(50, 3, 200, 4)])) == pytest.approx(3)
    assert ratio(after([PairCount(50, 3, 200, 0)])) is None
    assert ratio(after([PairCount(50, 0, 200, 4)])) == 0


def test_b32_checkpoint_goes_on_as_if_never_stopped() -> None:
    """A process read back from its checkpoint comes to the same e-value with the same looks."""
    whole = looks(5)
    kept = json.loads(json.dumps(to_json(after(whole[:30]))))
    resumed = after(whole[30:], from_json(kept))
    assert log_e(resumed) == pytest.approx(log_e(after(whole)), abs=1e-6)
    told, known = resumed.total, after(whole).total
    assert (told.candidate_n, told.stable_events) == (known.candidate_n, known.stable_events)
    assert told.rates == pytest.approx(known.rates, rel=1e-5)


@pytest.mark.parametrize("process", [start(), after(looks(6))])
def test_b32_checkpoint_is_stable_and_small(process: EProcess) -> None:
    """Writing what was read gives the same text, within 800 bytes, whatever the odds."""
    text = json.dumps(to_json(process), separators=(",", ":"))
    assert json.dumps(to_json(from_json(json.loads(text))), separators=(",", ":")) == text
    assert len(text) < 800


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v": 3}, "version 3; expected 4"),
        ({"w": [0.0, 0.0]}, f"1 components; expected {len(RHOS)}"),
        ({"r": [0.5]}, f"1 late components; expected {len(RHOS)}"),
        ({"s": []}, "expected at least one"),
        ({"d": [1.0, 2.0]}, "not enough values"),
    ],
)
def test_b32_foreign_checkpoint_is_refused(change: dict[str, object], message: str) -> None:
    """What this version did not write is an error that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        from_json(to_json(start()) | change)


def test_segments_add_up() -> None:
    """Totals are the sums of the segments."""
    one = Segment(1, 2, 3, 4, 5)
    assert one.and_all_of(one) == Segment(2, 4, 6, 8, 10)
    more = one.plus(PairCount(9, 1, 9, 1))
    assert replace(more, weight=0, candidate_weighed=0, stable_weighed=0, odds=()) == Segment(
        10, 3, 12, 5, 6
    )


def test_the_ratio_is_that_of_the_same_looks() -> None:
    """An outage that both have at a small share turns no ratio round: Mantel & Haenszel, by hand.

    One table for each look, summed in fractions; a look with other exposures in each segment.
    """
    outage, calm = PairCount(25, 10, 475, 95), PairCount(250, 12, 250, 6)
    process = after([outage] * 8)
    process = update(process, calm, TOLERANCE, new_segment=True)
    process = after([calm] * 7, process)
    above = 8 * (Fraction(10 * 475, 500) + Fraction(12 * 250, 500))
    below = 8 * (Fraction(95 * 25, 500) + Fraction(6 * 250, 500))
    assert ratio(process) == pytest.approx(float(above / below))
    mine, theirs = process.total.pooled_rates
    assert mine < theirs
    assert ratio(process) == pytest.approx(2.0)
    weight = 8 * (Fraction(25 * 475, 500) + Fraction(250 * 250, 500))
    assert process.total.rates[1] == pytest.approx(float(below / weight))


def test_the_ratio_holds_where_the_share_follows_the_rate_within_a_segment() -> None:
    """Many looks with few events each: consistent, whatever the split does."""
    source = np.random.default_rng(12)
    process = start()
    for look in range(4000):
        n_c, rate = (10, 30)[look % 2], (0.05, 0.01)[look % 2]
        mine, other = source.binomial(n_c, 3 * rate), source.binomial(100 - n_c, rate)
        process = update(process, PairCount(n_c, int(mine), 100 - n_c, int(other)), TOLERANCE)
    assert ratio(process) == pytest.approx(3, rel=0.06)
    pooled, theirs = process.total.pooled_rates
    assert pooled / theirs < 2.6


def test_without_events_of_stables_there_is_no_ratio() -> None:
    """Nothing is made up for them; without the candidate's it is 0."""
    assert ratio(after([PairCount(50, 3, 50, 0)])) is None
    assert ratio(after([PairCount(50, 0, 50, 3)])) == 0
