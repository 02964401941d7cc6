"""The operator's leader killed, frozen and replaced in mid-rollout (B29, B31, B33)."""

import random
import secrets
import signal
import time
from pathlib import Path

import pytest
from cluster.bench import OPERATOR, Bench, Obj
from cluster.between import Between, await_rolled, before_api
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.recorder import Recorder
from cluster.subject import Subject, backends, evidence, share, step, terms, turns

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

TAKEOVER_S = 15.0
"""B31: the first action comes within so long after the old leader is gone."""
PLAIN = {"steps": [step(50, "8s")], "checks": [], "rollback": {"keepCandidate": "30s"}}
KILLS = 10


def _restarts(bench: Bench, name: str) -> int:
    """Return how often the container of an operator's pod was started again."""
    pod = bench.kube.json("get", "pod", name, "-n", "rampway-system")
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def _in_order(found: list[int]) -> None:
    """Assert that no leader wrote after a later one had (B31)."""
    assert found == sorted(found), f"terms of the route's writes: {found}"


@pytest.mark.faults
def test_b31_takeover_as_the_candidate_turns_bad(
    subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B31, B23: the leader is gone for good as v3 turns bad; the other one acts in time."""
    policy = evidence(step(50, "1m"))
    first = subject.start("v2", policy)
    with calling() as caller:
        subject.apply("v3", policy)
        subject.in_force(50, 30)
        gone = subject.bench.leader()
        assert gone is not None
        subject.bench.replace_operator(gone)
        killed_s = time.time()
        subject.weighs(0, TAKEOVER_S + 5)
        took_s = time.time() - killed_s
        subject.rolled_back()
        after_s = settle()
        settle()
    assert took_s <= TAKEOVER_S + 1.0, f"the weight was 0 after {took_s:.1f} s"
    assert caller.revisions(after_s) == {f"{subject.name}-{first}"}
    assert not caller.failed(after_s)
    _in_order(terms(recorded.changes("HTTPRoute")))


@pytest.mark.faults
def test_b29_leader_killed_at_random_moments(
    subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B29: killed at ten random moments of ten rollouts: each is promoted once, none fails."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - to try the same moments again
    chance = random.Random(seed)  # noqa: S311 - no secret
    subject.start("a", PLAIN)
    with calling() as caller:
        for turn in range(KILLS):
            subject.apply("ba"[turn % 2], PLAIN)
            time.sleep(chance.uniform(0.0, 14.0))
            killed = subject.bench.kill_operator()
            subject.promoted(90)
            # A new pod has no back-off, so that each kill meets two that can lead.
            subject.bench.replace_operator(killed)
            await_rolled(subject.bench)
    assert not caller.failed(), f"seed {seed}"
    phases = [one["status"]["phase"] for one in subject.rollouts()]
    assert set(phases) == {"Promoted"}, f"seed {seed}: {phases}"
    weights = turns(share(c.object) for c in recorded.changes("HTTPRoute"))
    assert weights == [0, *[50, 100, 0] * KILLS], f"seed {seed}"
    _in_order(terms(recorded.changes("HTTPRoute")))
    assert backends(subject.route()) == {subject.name: 1}


def test_b31_leader_frozen_in_mid_write_and_thawed(
    subject: Subject, calling: Calling, recorded: Recorder, tmp_path: Path
) -> None:
    """B31: frozen while it raises the weight; once another leads, neither write nor it come back.

    The write is on its way all the time: it reaches the API server after the spec went back.
    """
    bench = subject.bench
    first = subject.start("a", PLAIN)
    with before_api(bench, tmp_path) as between, calling() as caller:
        frozen = bench.await_leader()
        name = frozen["metadata"]["name"]
        before = _restarts(bench, name)
        between.plan(fault="hold")
        subject.apply("b", PLAIN)
        subject.until(lambda: _held(between), "a change of weight on its way")
        assert bench.signal_operator(frozen, signal.SIGSTOP), "no process of the leader is here"
        try:
            began_s = time.time()
            bench.await_leader(name, TAKEOVER_S + 5)
            subject.in_force(50, 30)
            took_s = time.time() - began_s
            subject.apply("a", PLAIN)
            subject.promoted()
            between.plan()
            held = subject.until(lambda: between.met("hold"), "an answer to the late write")
        finally:
            bench.signal_operator(frozen, signal.SIGCONT)
        subject.until(lambda: _restarts(bench, name) > before, "the thawed one has ended")
        after_s = settle()
        time.sleep(3)
        assert share(subject.route()) == 0
        assert bench.await_leader()["metadata"]["name"] != name
    assert [one["status"] for one in held] == [422]
    assert took_s < TAKEOVER_S + 5
    assert caller.revisions(after_s) == {f"{subject.name}-{first}"}
    assert not caller.failed()
    assert turns(share(c.object) for c in recorded.changes("HTTPRoute")) == [0, 50, 0]
    _in_order(terms(recorded.changes("HTTPRoute")))


def _held(between: Between) -> list[Obj]:
    return [one for one in between.seen() if "holding" in one]


@pytest.mark.faults
def test_b33_rolling_update_of_the_operator(
    subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B33, B31: the operator replaced in mid-rollout: always one leads, and it is promoted."""
    bench = subject.bench
    policy = {**PLAIN, "steps": [step(20, "8s"), step(50, "8s"), step(80, "8s")]}
    subject.start("a", policy, replicas=2)
    term = int(bench.lease()["leaseTransitions"])
    holders: list[tuple[float, str, int]] = []
    with calling() as caller:
        subject.apply("b", policy, replicas=2)
        subject.until(lambda: subject.last().get("phase") == "Stepping", "phase Stepping")
        bench.kube("rollout", "restart", *OPERATOR)
        until_s = time.monotonic() + 30
        while time.monotonic() < until_s:
            lease = bench.lease()
            holder, number = str(lease.get("holderIdentity")), int(lease["leaseTransitions"])
            holders.append((time.monotonic(), holder, number))
            time.sleep(0.1)
        await_rolled(bench)
        subject.promoted(90)
    assert not caller.failed()
    assert subject.last()["phase"] == "Promoted"
    numbers = [number for _, _, number in holders]
    assert numbers == sorted(numbers)
    assert numbers[-1] > term, "the leader was not replaced"
    assert _vacant_s(holders) < 3.0
    _in_order(terms(recorded.changes("HTTPRoute")))
    actions = [decision["action"] for decision in subject.last()["decisions"]]
    assert actions == [*["StepStarted"] * 3, "Promoting", "Promoted"]


def _vacant_s(holders: list[tuple[float, str, int]]) -> float:
    """Return the longest time for which nobody held the Lease."""
    longest_s, since_s = 0.0, None
    for at_s, holder, _ in holders:
        if holder:
            since_s = None
            continue
        since_s = at_s if since_s is None else since_s
        longest_s = max(longest_s, at_s - since_s)
    return longest_s
