"""What happens to a rollout while Prometheus or the operator is away (B17, B29, B34)."""

import time
from collections import Counter

import pytest
from cluster.bench import REPLICAS
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.recorder import Recorder
from cluster.subject import (
    Subject,
    backends,
    condition,
    evidence,
    identities,
    share,
    step,
    turns,
)

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

OURS = "deployments,services,configmaps,httproutes,modelrollouts,pods,replicasets"


def test_b17_prometheus_away(subject: Subject, calling: Calling) -> None:
    """B17: without Prometheus the step holds, says so, rolls nothing back, and later goes on."""
    policy = evidence(step(50, "6s"))
    subject.start("v1", policy)
    with calling() as caller:
        subject.apply("v2", policy)
        subject.in_force(50)
        subject.bench.scale("prometheus", 0)
        try:
            subject.until(lambda: subject.status().get("phase") == "Holding", "phase Holding")
            told = subject.status()
            time.sleep(8)  # longer than the step's hold: it does not count
            later = subject.status()
        finally:
            subject.bench.scale("prometheus", 1)
        assert told["reason"] == later["reason"] == "EvidenceUnknown"
        assert "prometheus" in told["message"].lower()
        assert condition(later, "Promoted")["status"] == "Unknown"
        assert later["phase"] == "Holding"
        assert share(subject.route()) == later["weightPct"] == 50
        subject.promoted(90)
    (rollout,) = subject.rollouts()
    assert rollout["status"]["phase"] == "Promoted"
    actions = [decision["action"] for decision in rollout["status"]["decisions"]]
    assert actions == ["StepStarted", "Promoting", "Promoted"]
    assert not caller.failed()


def test_b29_operator_killed_in_mid_rollout(subject: Subject, recorded: Recorder) -> None:
    """B29: killed while the candidate starts, steps and is promoted: promoted, nothing twice."""
    policy = {"steps": [step(50, "6s")], "checks": [], "rollback": {"keepCandidate": "30s"}}
    first = subject.start("a", policy, replicas=2)
    subject.apply("b", policy, replicas=2)
    subject.until(subject.rollouts, "a rollout")
    subject.bench.kill_operator()
    subject.in_force(50)
    candidate = subject.status()["candidate"]["revision"]
    running = identities(subject.pods(candidate))
    subject.bench.replace_operator()
    # It takes the second pod's start, so that it can be seen.
    subject.until(lambda: subject.last().get("phase") == "Promoting", "phase Promoting")
    subject.bench.replace_operator()
    subject.promoted()
    _nothing_twice(subject, recorded, pods=4)
    assert running < identities(subject.pods(candidate))
    assert subject.stable() == candidate != first
    assert subject.last()["phase"] == "Promoted"
    assert backends(subject.route()) == {subject.name: 1}
    assert turns(share(c.object) for c in recorded.changes("HTTPRoute")) == [0, 50, 100, 0]


def _nothing_twice(subject: Subject, recorded: Recorder, pods: int) -> None:
    """Assert one rollout, one decision of each kind, and no object beyond those wanted."""
    (rollout,) = subject.rollouts()
    actions = Counter(d["action"] for d in rollout["status"]["decisions"])
    assert set(actions.values()) == {1}, actions
    kube, space = subject.bench.kube, subject.namespace
    revisions = {d["metadata"]["name"] for d in kube.items("deployments", space)}
    services = {s["metadata"]["name"] for s in kube.items("services", space)}
    assert len(revisions) == 2
    assert services == revisions | {subject.name}
    assert len({c.object["metadata"]["uid"] for c in recorded.changes("Pod")}) == pods


@pytest.mark.faults
def test_b29_operator_killed_as_the_candidate_turns_bad(
    subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B29, B23: killed at the first bad answer, the next operator rolls back by that evidence."""
    policy = evidence(step(50, "1m"))
    first = subject.start("v2", policy)
    with calling() as caller:
        subject.apply("v3", policy)
        subject.until(caller.failed, "a first bad answer")
        subject.bench.kill_operator()
        status = subject.rolled_back()
        after_s = settle()
        settle()
    assert status["reason"] == "CheckFailed"
    assert status["stable"]["revision"] == first
    assert caller.revisions(after_s) == {f"{subject.name}-{first}"}
    assert not caller.failed(after_s)
    _nothing_twice(subject, recorded, pods=2)


@pytest.mark.faults
def test_b34_deleted_without_an_operator(subject: Subject) -> None:
    """B34: deleted in mid-rollout while no operator runs, all that belongs to it goes with it."""
    policy = {"steps": [step(50, "2m")], "checks": []}
    subject.start("a", policy)
    subject.apply("b", policy)
    subject.in_force(50)
    assert "finalizers" not in subject.object()["metadata"]
    kube, space = subject.bench.kube, subject.namespace
    subject.bench.scale("rampway-operator", 0)
    try:
        kube("delete", "modeldeployment", subject.name, "-n", space, "--timeout=240s")
        subject.until(
            lambda: not kube.items(OURS, space, subject.label()), "everything of it is gone", 60
        )
    finally:
        subject.bench.scale("rampway-operator", REPLICAS)
    left = {one["metadata"]["name"] for one in kube.items(OURS, space)}
    assert left <= {"kube-root-ca.crt"}
