"""Each pod's first requests are left out of a check of latency (B18, B20, B32)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.core.builders import rollout

from rampway.api.policy import Policy
from rampway.core.checks import history, kinds
from rampway.core.checks.counters import Scrape
from rampway.core.checks.deltas import (
    Delta,
    Ledger,
    advance,
    from_json,
    start_ledger,
    to_json,
)
from rampway.core.checks.judged import EvidenceState
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import UNTOLD, BoundPair, EProcess, Histogram, PairCount
from rampway.core.observation import Look

T0_S = 1_760_000_000.0
INF = float("inf")
FIRST = 50
REVISION = "digits-2"
SLOW = {"name": "slow", "latency": {"detect": "5x", "warmUp": {"requests": FIRST}}}


def policy(*checks: dict[str, Any]) -> Policy:
    """Return a policy with these checks; by default latency with a warm-up."""
    return rollout(checks=list(checks or (SLOW,))).spec.policy


def scrape(after_s: float, number: int, slow: int = 0, **more: Any) -> Scrape:
    """Return a scrape with so many requests, of which `slow` took longer than 0.1 s."""
    known: dict[str, Any] = {
        "namespace": "ml",
        "revision": REVISION,
        "pod": "a",
        "at_s": T0_S + after_s,
        "started_at_s": T0_S + 2,
        "outcomes": {"ok": number},
        "buckets": Histogram.of({0.1: number - slow, INF: number}),
    }
    return Scrape(**known | more)


def counted(*scrapes: Scrape, ledger: Ledger | None = None) -> Delta:
    """Return what counts of these scrapes, of a rollout that began at T0."""
    _, deltas = advance(ledger or start_ledger(T0_S), scrapes, {FIRST})
    return deltas.get(REVISION, Delta())


def warm(delta: Delta) -> int:
    """Return how many requests are compared."""
    return delta.warm.get(FIRST, UNTOLD).total


def test_b20_a_pods_first_requests_are_left_out() -> None:
    """B20: to the first scrape with so many, by whole scrapes; all else is counted as ever."""
    cold = scrape(5, 49, slow=49), scrape(10, 80, slow=60)
    assert warm(counted(*cold)) == 0
    found = counted(*cold, scrape(15, 100, slow=61))
    assert found.warm[FIRST] == Histogram.of({0.1: 19, INF: 20})
    assert (found.requests, found.buckets) == (100, Histogram.of({0.1: 39, INF: 100}))
    assert warm(counted(scrape(5, 50), scrape(10, 51))) == 1, "the fiftieth was the last"


def test_b20_each_pod_and_each_process_warms_up() -> None:
    """B20: a pod that is warm lends nothing to another, nor to its own process after a restart."""
    old = scrape(5, 60), scrape(10, 90)
    other = scrape(6, 40, pod="b"), scrape(11, 45, pod="b")
    assert warm(counted(*old, *other)) == 30
    again = scrape(20, 70, started_at_s=T0_S + 15), scrape(25, 75, started_at_s=T0_S + 15)
    assert warm(counted(*old, again[0])) == 30
    assert warm(counted(*old, *again)) == 35


def test_b20_a_stable_that_has_long_been_warm_loses_nothing() -> None:
    """B20: its first scrape is its baseline, as it is without a warm-up."""
    long_ago: dict[str, Any] = {"started_at_s": T0_S - 9000}
    found = counted(scrape(5, 7000, **long_ago), scrape(10, 7100, slow=9, **long_ago))
    assert found.warm[FIRST] == found.buckets == Histogram.of({0.1: 91, INF: 100})


def test_b20_a_scrape_without_durations_warms_nobody_up() -> None:
    """B20: durations are read by turns: the next histogram counts from the last one."""
    turns = scrape(5, 40), scrape(10, 60, buckets=UNTOLD), scrape(15, 90), scrape(20, 95)
    assert warm(counted(*turns[:3])) == 0
    assert warm(counted(*turns)) == 5


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.integers(0, 20))
def test_b32_a_restart_leaves_out_the_same(steps: list[int], at: int) -> None:
    """B32: nothing is remembered but the last scrape of each pod, which a checkpoint has."""
    total, scrapes = 0, []
    for index, more in enumerate(steps):
        total += more
        scrapes.append(scrape(5.0 + index, total))
    whole = warm(counted(*scrapes))
    ledger, before = advance(start_ledger(T0_S), scrapes[:at], {FIRST})
    back = from_json(json.loads(json.dumps(to_json(ledger))))
    after = counted(*scrapes, ledger=back)
    assert warm(before.get(REVISION, Delta())) + warm(after) == whole
    reached = next((s.timed for s in scrapes if s.timed >= FIRST), total)
    assert whole == total - reached


def test_b18_both_sides_are_compared_warm() -> None:
    """B18: while the candidate is cold nothing is compared, so that it cannot pass on that."""
    kind = kinds.of(policy().checks[0])
    state = PairedState((EProcess(),), (BoundPair(1.0, 0.1, 0.1),))
    cold, ready = counted(scrape(5, 40)), counted(scrape(5, 60), scrape(10, 80, slow=2))
    assert kind.counts(state, cold, ready) == [PairCount(0, 0, 20, 2)]
    assert kind.counts(state, ready, ready) == [PairCount(20, 2, 20, 2)]
    assert "on stable, without each pod's first 50 requests" in kind.counted(state, 0)


@pytest.mark.parametrize("check", [SLOW, {"name": "slow", "latency": {}}])
def test_b19_stables_past_is_known_with_and_without_a_warm_up(check: dict[str, Any]) -> None:
    """B19: its pods were warm long ago, so their bursts are known all the same."""
    long_ago: dict[str, Any] = {"started_at_s": T0_S - 9000, "revision": "digits-1"}

    def told(n: int, pod: str) -> Scrape:
        number, late = 9000 + 100 * n, 10 * n
        buckets = Histogram.of(
            {0.01: number - late, 0.1: number - late // 5, 0.2: number, INF: number}
        )
        return scrape(30 * n, number, pod=pod, buckets=buckets, **long_ago)

    past = tuple(told(n, pod) for n in range(140) for pod in "ab")
    begun = EvidenceState(T0_S, start_ledger(T0_S))
    look = Look(T0_S + 5000, (), past=past)
    found = history.learn(policy(check), begun, look, "digits-1")
    assert found.history is not None
    assert not found.history.lacking
    (process, *_) = found.paired["slow"].processes
    assert process.past is not None
    assert process.past.looks > 100
