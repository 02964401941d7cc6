"""Stable's past: what is asked for, its intervals, and what becomes of it in the evidence."""

from dataclasses import replace
from typing import Any

import pytest
from unit.core.builders import NOW_S, rollout, stable

from rampway.api.policy import Policy
from rampway.core.checks.checkpoint import from_text, to_text
from rampway.core.checks.counters import Scrape
from rampway.core.checks.history import (
    FEWEST,
    MOST_PODS,
    MOST_STEPS,
    PAST_S,
    intervals,
    learn,
    wanted,
)
from rampway.core.checks.judged import Contest, EvidenceState, History
from rampway.core.checks.judging import judge
from rampway.core.evidence import MOST_PER_LOOK, Histogram
from rampway.core.observation import Look, Pod, Revision

INF = float("inf")
ERRORS = {"name": "errors", "errorRate": {"detect": "5x"}}
SLOW = {"name": "slow", "latency": {"detect": "5x"}}
ORDERS = {"name": "orders", "threshold": {"query": "x", "min": "1"}}
BEFORE = Contest("digits-2", "digits-1", None, None, 0)
LEANING = 10
"""Requests of the candidate that fail in one look: two such looks speak for harm, no more."""
UNDER = Contest("digits-2", "digits-1", NOW_S, NOW_S, 0)


def policy(*checks: dict[str, Any]) -> Policy:
    """Return a policy with these checks; by default that of errors."""
    return rollout(checks=list(checks or (ERRORS,))).spec.policy


def scrape(pod: str, at_s: float, good: int, bad: int = 0, **more: Any) -> Scrape:
    """Return what one of stable's pods had counted, `at_s` after NOW_S - PAST_S."""
    known: dict[str, Any] = {
        "namespace": "ml",
        "revision": "digits-1",
        "pod": pod,
        "at_s": NOW_S - PAST_S + at_s,
        "started_at_s": NOW_S - 2 * PAST_S,
        "outcomes": {"ok": good, "model_error": bad},
        "buckets": Histogram.of({0.01: good // 2, 0.1: good, INF: good + bad}),
    }
    return Scrape(**known | more)


def steady(number: int, pods: str = "ab", bad: dict[int, int] | None = None) -> list[Scrape]:
    """Return a past in which each pod answers 100 in each interval of 30 s.

    Args:
        number: Intervals.
        pods: One letter each.
        bad: Failed answers of the first pod, by interval.
    """
    found, failed = [], 0
    for n in range(number + 1):
        failed += (bad or {}).get(n, 0)
        found += [scrape(pod, 30 * n, 100 * n, failed if pod == pods[0] else 0) for pod in pods]
    return found


def known(past: list[Scrape] | None, *checks: dict[str, Any]) -> EvidenceState:
    """Return the evidence after one look that brings this past."""
    look = Look(NOW_S, (), past=None if past is None else tuple(past))
    state = judge(policy(*checks), None, look, BEFORE, NOW_S).state
    assert state is not None
    return state


def stable_of(*ages_s: float, **more: Any) -> Revision:
    """Return stable with ready pods of these ages."""
    pods = tuple(Pod(f"p{n}", NOW_S - age_s, ready=True) for n, age_s in enumerate(ages_s))
    return replace(stable(), pods=pods, **more)


def test_the_oldest_pods_are_asked_for() -> None:
    """A few of those that serve, from the time when both halves lived, in bounded samples."""
    asked = wanted(policy(), "ml", stable_of(50, 7000, 1200, 90, 6000, 80), None, NOW_S)
    assert asked is not None
    assert asked.pods == ("p1", "p4", "p2", "p3")
    assert len(asked.pods) == MOST_PODS
    assert asked.since_s == NOW_S - 6000
    assert asked.step_s == 6000 / MOST_STEPS
    assert (asked.namespace, asked.revision, asked.buckets) == ("ml", stable().name, False)


def test_a_past_is_bounded_both_ways() -> None:
    """No older than two and a half hours, and no finer than five seconds."""
    old = wanted(policy(SLOW), "ml", stable_of(10**6, 10**6), None, NOW_S)
    assert old is not None
    assert (old.since_s, old.buckets) == (NOW_S - PAST_S, True)
    assert PAST_S / old.step_s <= MOST_STEPS
    young = wanted(policy(), "ml", stable_of(60, 60), None, NOW_S)
    assert young is not None
    assert (young.since_s, young.step_s) == (NOW_S - 60, 5)


def test_who_serves_is_asked() -> None:
    """Pods that leave or are not ready are left out; with one pod there is nothing to compare."""
    gone = replace(stable_of(100, 100), pods=(
        Pod("a", 1.0, ready=True), Pod("b", 1.0), Pod("c", 1.0, ready=True, leaving=True),
    ))  # fmt: skip
    asked = wanted(policy(), "ml", gone, None, NOW_S)
    assert asked is not None
    assert asked.pods == ()


def test_b32_a_known_past_is_not_asked_for_again() -> None:
    """B32: nor is one where nothing is compared."""
    state = known(steady(FEWEST))
    assert wanted(policy(), "ml", stable_of(100, 100), state, NOW_S) is None
    assert wanted(policy(ORDERS), "ml", stable_of(100, 100), None, NOW_S) is None
    untold = known(None)
    assert wanted(policy(), "ml", stable_of(100, 100), untold, NOW_S) is not None


def test_intervals_are_what_both_halves_counted() -> None:
    """Two pods, two halves: as many intervals as there are scrapes after the first."""
    pairs, ledger = intervals(steady(5, bad={3: 7}))
    assert [(a.requests, b.requests) for a, b in pairs] == [
        (100, 100), (100, 100), (107, 100), (100, 100), (100, 100)
    ]  # fmt: skip
    assert pairs[2][0].outcomes["model_error"] == 7
    assert ledger.total("digits-1").buckets == Histogram.of({0.01: 500, 0.1: 1000, INF: 1007})


def test_four_pods_make_two_halves() -> None:
    """They take turns."""
    pairs, _ = intervals(steady(3, pods="abcd", bad={1: 3, 2: 1}))
    assert [(a.requests, b.requests) for a, b in pairs] == [(203, 200), (201, 200), (200, 200)]


def test_an_interval_ends_when_both_halves_had_requests() -> None:
    """Whether one counts depends on requests only, never on events; nothing is lost."""
    found = [*steady(6, pods="a", bad={2: 5}), *steady(6, pods="b")]
    late = [s for s in found if s.pod == "a" or (s.at_s - NOW_S + PAST_S) % 90 == 0]
    pairs, _ = intervals(late)
    assert [(a.requests, b.requests) for a, b in pairs] == [(305, 300), (300, 300)]


def test_scrapes_within_a_second_are_no_intervals_of_their_own() -> None:
    """Pods that are scraped at different moments make one interval together; repeats add none."""
    apart = [scrape("a", 10 * n, 50 * n) for n in range(7)]
    apart += [scrape("b", 10 * n + 0.4, 70 * n) for n in range(7)]
    twice = [replace(s, at_s=s.at_s + 0.2) for s in apart]
    assert len(intervals([*apart, *twice])[0]) == 6
    assert len(intervals(apart[:7])[0]) == 0


def test_b20_a_reset_in_the_past_counts_from_zero() -> None:
    """B20: a later start is a new process; a decrease without one is not believed."""
    born_s = NOW_S - PAST_S + 75
    found = [s for s in steady(6) if s.pod == "b" or s.at_s < born_s]
    found += [scrape("a", 30 * n, 100 * (n - 2) - 50, started_at_s=born_s) for n in (3, 4, 5, 6)]
    found += [scrape("a", 121, 3, started_at_s=born_s)]
    pairs, _ = intervals(found)
    assert [a.requests for a, _ in pairs] == [100, 100, 50, 100, 100, 100]


def test_a_past_is_learnt_for_all_comparisons() -> None:
    """Errors and durations know stable's bursts; the bounds are chosen from its past."""
    state = known(steady(FEWEST, bad={40: 30, 80: 30}), ERRORS, SLOW, ORDERS)
    assert state.history == History(FEWEST)
    assert set(state.paired) == {"errors", "slow"}
    server, client = state.paired["errors"].processes
    assert server.phi > 10
    assert client.phi == 2
    assert state.paired["slow"].bounds
    for process in state.paired["slow"].processes:
        assert process.past is not None
        assert process.past.looks == FEWEST  # half of all answers are slower than the first bound


def test_b19_bursts_of_stables_make_each_failure_weigh_less() -> None:
    """B19: what stable's pods did together raises phi; single failures lower it."""
    singles = known(steady(FEWEST, bad=dict.fromkeys(range(1, 61), 1)))
    burst = known(steady(FEWEST, bad={10: 20, 50: 20, 90: 20}))
    calm = known(steady(FEWEST))
    phis = [s.paired["errors"].processes[0].phi for s in (singles, calm, burst)]
    assert phis[0] < 1.3
    assert phis[1] == 2
    assert phis[2] > 10


@pytest.mark.parametrize(("past", "why"), [
    ([], "stable had no two pods to compare"),
    (steady(500, pods="a"), "stable had no two pods to compare"),
    (steady(FEWEST - 1), f"stable's past has {FEWEST - 1} intervals of {FEWEST}"),
])  # fmt: skip
def test_a_past_that_is_no_history_changes_nothing(past: list[Scrape], why: str) -> None:
    """With one pod, or too few intervals, it is judged as ever, and said so."""
    state = known(past)
    assert state.history is not None
    assert state.history.lacking == why
    assert all(p.cap == MOST_PER_LOOK for p in state.paired["errors"].processes)
    assert f"judged more slowly without a history of stable ({why})" in said(state)


def test_without_an_answer_it_says_so() -> None:
    """Prometheus gave none before the first step; a bursty stable and a known one say theirs."""
    assert "Prometheus did not tell it before the first step" in said(known(None))
    assert "slowly" not in said(known(steady(FEWEST)))
    wild = known(steady(FEWEST, bad={60: 500}))
    assert "judged more slowly, as stable itself had bursts of them" in said(wild)
    assert "slowly" not in said(known(None), bad=0)


def under(at_s: float, *, bad: int = 0) -> Look:
    """Return a look at both revisions under traffic, so many seconds after NOW_S."""
    mine = scrape("c", PAST_S + at_s, round(20 * at_s), bad, revision="digits-2")
    return Look(NOW_S + at_s, (mine, scrape("a", PAST_S + at_s, round(50000 + 80 * at_s))))


def said(state: EvidenceState, bad: int = LEANING) -> str:
    """Return what the check of errors says when so many requests fail in each of two looks."""
    for at_s in (1.0, 6.0, 11.0, 16.0):
        look = under(at_s, bad=bad * max(0, round(at_s - 1) // 5 - 1))
        judged = judge(policy(), state, look, UNDER, NOW_S + at_s)
        assert judged.state is not None
        state = judged.state
    return judged.results[0].message


def test_b32_a_past_is_learnt_once() -> None:
    """B32: neither the same look again nor another one, nor a new operator, learns it twice."""
    look = Look(NOW_S, (), past=tuple(steady(FEWEST, bad={5: 4})))
    other = Look(NOW_S + 5, (), past=tuple(steady(FEWEST + 9, bad={5: 4, 9: 4})))
    once = judge(policy(), None, look, BEFORE, NOW_S).state
    assert once is not None
    kept = from_text(to_text(once))
    assert kept is not None
    for state in (once, kept):
        again = judge(policy(), state, other, BEFORE, NOW_S + 5).state
        assert again is not None
        assert again.history == once.history
        for mine, before in zip(
            again.paired["errors"].processes, once.paired["errors"].processes, strict=True
        ):
            assert mine.phi == pytest.approx(before.phi)


def test_what_is_judged_already_learns_no_past() -> None:
    """A past that comes late changes nothing that the candidate was judged by."""
    look = Look(NOW_S + 20, (), past=tuple(steady(FEWEST)))
    begun = known(None)
    for at_s in (1.0, 6.0, 11.0):
        found = judge(policy(), begun, under(at_s), UNDER, NOW_S + at_s)
        assert found.state is not None
        begun = found.state
    assert learn(policy(), begun, look, "digits-1").paired == begun.paired


def test_b32_a_checkpoint_of_before_histories_is_read() -> None:
    """B32: evidence of an operator that knew none goes on without one."""
    text = to_text(known(None)).replace(',"history":null', "")
    assert "history" not in text
    found = from_text(text)
    assert found is not None
    assert found.history is None
