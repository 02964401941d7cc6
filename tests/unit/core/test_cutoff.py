"""What belongs to the present weight, and what to another one (B6, B19)."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.core.builders import NOW_S
from unit.core.test_judging import BOTH, failed_check, grown, looked, scrape, state_of

from rampway.core.checks import cutoff
from rampway.core.checks.checkpoint import from_text, to_text
from rampway.core.checks.counters import Scrape
from rampway.core.checks.cutoff import Given
from rampway.core.checks.deltas import Ledger
from rampway.core.checks.judged import Contest

PART = replace(BOTH, weight_since_s=None, given=Given(weight_pct=33, settled=True))
"""A step that has a part of its weight, as one candidate pod of three is ready."""


def test_b06_b17_a_part_of_a_steps_weight_is_judged() -> None:
    """B6, B17: what the candidate answers with a part of the weight is users' too: harm fails."""
    judged = looked(grown(0.3), contest=PART)
    assert failed_check(judged) is not None
    assert judged.requests == 0  # minRequests are of the whole weight


@pytest.mark.parametrize("given", [Given(), Given(settled=True)])
def test_what_a_candidate_that_is_given_nothing_answers_is_no_evidence(given: Given) -> None:
    """Its warm-up, or whoever calls its pods, counts for nothing and against nothing."""
    judged = looked(grown(0.3), contest=replace(PART, given=given))
    assert failed_check(judged) is None
    assert not state_of(judged).paired["errors"].processes[0].total.candidate_n


def test_a_change_that_no_gateway_accepts_stops_the_evidence_for_half_a_minute() -> None:
    """Until then it is not known which weight was in force; after it what is given stays given."""
    pending = replace(PART, given=replace(PART.given, settled=False))
    looks = grown(0.3, looks=20)
    failed_s = [at_s for n, (at_s, _) in enumerate(looks)
                if failed_check(looked(looks[: n + 1], contest=pending))]  # fmt: skip
    assert failed_s
    assert failed_s[0] > looks[0][0] + cutoff.PENDING_S
    accepted = looked(looks[:3], contest=pending)
    later = looked(looks[3:], contest=PART, state=accepted.state)
    assert failed_check(later) is not None
    assert state_of(later).cutoff_s == NOW_S + looks[3][0] + cutoff.SETTLE_S


@pytest.mark.parametrize(
    "following",
    [replace(PART, given=Given(weight_pct=66, settled=True)), replace(PART, step_index=1)],
    ids=["another part", "another step"],
)
def test_b19_another_part_of_the_weight_begins_anew(following: Contest) -> None:
    """B19: what straddles the change is left out; what was known of harm stays."""
    first = looked(grown(0.0, looks=4), contest=PART)
    assert looked(grown(0.0, looks=4)[-1:], contest=PART, state=first.state).state == first.state
    later = looked(grown(0.0, looks=6)[4:], contest=following, state=first.state)
    before, after = (state_of(one).paired["errors"].processes[0] for one in (first, later))
    assert after.total.candidate_n == before.total.candidate_n  # its first scrape straddles


def test_b32_since_when_a_part_is_given_survives_a_restart() -> None:
    """B32: an operator that comes back judges what was counted while it was away."""
    looks = grown(0.0, looks=4)
    known = looked(looks, contest=PART).state
    assert known is not None
    back = from_text(to_text(known))
    assert back is not None
    assert back.given == cutoff.Since(PART.given, 0, NOW_S + looks[0][0])


def split(ledger: Mapping[str, float], *times_s: float, cutoff_s: float = 10) -> list[float]:
    """Return which of a pod's scrapes count, its last one before them being in the ledger."""
    last = {("ml", pod, ""): scrape("2", at_s) for pod, at_s in ledger.items() for scrape in (at,)}
    stale, counted = cutoff.split(
        Ledger(0.0, last), [at("2", t) for t in times_s], NOW_S + cutoff_s
    )
    assert len(stale) + len(counted) == len(times_s)
    return [s.at_s - NOW_S for s in counted]


def at(role: str, at_s: float) -> Scrape:
    """Return a scrape at this time."""
    return scrape(role, at_s, 1)


SPLITS = {
    "all after the cutoff, pod unknown": ({}, (11, 13), [11, 13]),
    "all before": ({}, (7, 9), []),
    "the first one after an earlier one straddles": ({}, (9, 11, 13), [13]),
    "so does the first one after the ledger's": ({"pod-2": 9}, (11, 13), [13]),
    "a ledger that is newer leaves all": ({"pod-2": 10}, (11, 13), [11, 13]),
    "the cutoff itself is after it": ({}, (10, 12), [10, 12]),
    "any order": ({}, (13, 9, 11), [13]),
    "another pod's past means nothing": ({"pod-1": 9}, (11, 13), [11, 13]),
}


@pytest.mark.parametrize(("ledger", "times_s", "counted"), SPLITS.values(), ids=SPLITS.keys())
def test_b19_what_straddles_a_change_of_weight_is_left_out(
    ledger: dict[str, float], times_s: tuple[float, ...], counted: list[float]
) -> None:
    """B19: an interval that belongs to two weights counts for neither."""
    assert split(ledger, *times_s) == counted


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("12"), st.integers(0, 30)), unique=True), st.integers(0, 30)
)
def test_splitting_loses_nothing(found: list[tuple[str, int]], cutoff_s: int) -> None:
    """Every scrape is on one side; per pod what counts follows all that does not."""
    scrapes = [at(role, at_s) for role, at_s in found]
    stale, counted = cutoff.split(Ledger(0.0), scrapes, NOW_S + cutoff_s)
    assert sorted(map(repr, stale + counted)) == sorted(map(repr, scrapes))
    assert all(s.at_s >= NOW_S + cutoff_s for s in counted)
    for role in "12":
        mine = [s.at_s for s in counted if s.pod == f"pod-{role}"]
        other = [s.at_s for s in stale if s.pod == f"pod-{role}"]
        assert not mine or not other or min(mine) > max(other)


def test_a_weight_settles_before_it_counts() -> None:
    """What was counted in the second after a change of weight belongs to the old one."""
    changed = replace(BOTH, weight_since_s=NOW_S + 10)
    soon = (scrape("2", 10 + cutoff.SETTLE_S / 2, 50), scrape("1", 10 + cutoff.SETTLE_S / 2, 5000))
    assert looked([(12, soon)], None, changed).requests == 0
