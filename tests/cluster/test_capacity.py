"""Scaling in the middle of a rollout under traffic, zero, and drains (B12, B38)."""

import json

import pytest
from cluster.bench import Obj
from cluster.conftest import Calling
from cluster.subject import Subject, condition, ready, step

pytestmark = pytest.mark.cluster

LONG = {"steps": [step(50, "20s")], "checks": [], "rollback": {"keepCandidate": "1m"}}


def scale(subject: Subject, replicas: int) -> None:
    """Scale it as people and autoscalers do."""
    subject.bench.kube(
        "scale", f"modeldeployment/{subject.name}", f"--replicas={replicas}",
        "-n", subject.namespace,
    )  # fmt: skip


def scaled(subject: Subject) -> Obj:
    """Return what `/scale` says."""
    path = f"/apis/rampway.dev/v1alpha1/namespaces/{subject.namespace}/modeldeployments"
    found: Obj = json.loads(subject.bench.kube("get", "--raw", f"{path}/{subject.name}/scale"))
    return found


def ready_pods(subject: Subject, revision: str) -> int:
    """Return how many pods of a revision are ready."""
    return sum(map(ready, subject.pods(revision)))


def evict(subject: Subject, pod: Obj) -> str:
    """Evict a pod as a drain does; return what the API server said."""
    name = pod["metadata"]["name"]
    meta = {"name": name, "namespace": subject.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
    path = f"/api/v1/namespaces/{subject.namespace}/pods/{name}/eviction"
    said = subject.bench.kube.run(
        "kubectl", "create", "--raw", path, "-f", "-", given=json.dumps(body)
    )
    return said.stdout + said.stderr


def test_b12_scaled_in_mid_rollout_under_traffic(subject: Subject, calling: Calling) -> None:
    """B12: `kubectl scale` reaches both revisions, its selector finds both, and none fails."""
    first = subject.start("a", LONG, replicas=2)
    with calling() as caller:
        subject.apply("b", LONG, replicas=2)
        subject.in_force(50)
        second = subject.status()["candidate"]["revision"]
        found = scaled(subject)["status"]
        chosen = subject.bench.kube.items("pods", subject.namespace, found["selector"])
        revisions = {pod["metadata"]["labels"]["rampway.dev/revision"] for pod in chosen}
        assert (found["replicas"], revisions) == (2, {first, second})
        scale(subject, 4)
        subject.until(lambda: ready_pods(subject, first) == 4, "stable with four pods")
        subject.until(lambda: ready_pods(subject, second) >= 2, "the candidate with half of them")
        subject.promoted(120)
        subject.until(lambda: scaled(subject)["status"]["replicas"] == 4, "four replicas")
    assert subject.stable() == second
    assert not caller.failed()


@pytest.mark.faults
def test_b06_a_rollout_within_one_pod_more(subject: Subject, calling: Calling) -> None:
    """B6: scarce pods are swapped one for the other under traffic, there and back; none fails."""
    policy = {"steps": [step(50, "10s")], "checks": [], "watch": {"hold": "10m", "holdback": "0%"}}
    tight = {"replicas": 2, "capacity": {"fallback": "Proportional", "maxSurge": 1}}
    first = subject.start("a", policy, **tight)
    subject.until(lambda: ready_pods(subject, first) == 2, "two pods")
    most: list[int] = []

    def stable_is(revision: str, pods: int) -> bool:
        found = subject.bench.kube.items("pods", subject.namespace, subject.label())
        most.append(len(found))  # those that leave too
        return subject.stable() == revision and ready_pods(subject, revision) == pods

    with calling() as caller:
        generation = subject.apply("b", policy, **tight)
        subject.until(
            lambda: subject.status().get("phase") == "Watching", f"generation {generation} watched",
            180,
        )  # fmt: skip
        second = subject.stable()
        subject.until(lambda: stable_is(second, 2), "the new one with both pods")
        subject.until(lambda: ready_pods(subject, first) == 1, "one warm pod", 90)
        subject.apply("a", policy, **tight)
        subject.until(lambda: stable_is(first, 2), "the old one with both pods again", 180)
        subject.until(lambda: not ready_pods(subject, second), "the other one's pods gone", 90)
    assert max(most) <= 3
    assert not caller.failed()


def test_b38_zero_and_back(subject: Subject) -> None:
    """B38: at zero nothing serves and it says so; back from zero it serves, with no rollout."""
    first = subject.start("a")
    scale(subject, 0)
    subject.until(lambda: not subject.pods(), "no pods")
    told = subject.until(
        lambda: condition(subject.status(), "Ready").get("reason") == "ScaledToZero",
        "Ready says that it is scaled to zero",
    )
    assert told
    assert subject.status()["phase"] == "ScaledToZero"
    scale(subject, 1)
    subject.until(
        lambda: condition(subject.status(), "Ready").get("status") == "True", "it serves again"
    )
    assert subject.stable() == first
    assert subject.rollouts() == []


def test_b38_a_budget_lets_pods_go_one_at_a_time(subject: Subject) -> None:
    """B38: of two ready pods the second is not evicted before the first has a successor."""
    first = subject.start("a", replicas=2)
    budgets = "poddisruptionbudgets"
    subject.until(
        lambda: [
            budget["status"].get("disruptionsAllowed")
            for budget in subject.bench.kube.items(budgets, subject.namespace, subject.label())
        ] == [1],
        "one pod may be evicted",
    )  # fmt: skip
    one, other = subject.pods(first)
    assert "Success" in evict(subject, one)
    assert "disruption budget" in evict(subject, other)
    subject.until(
        lambda: (
            ready_pods(subject, first) == 2
            and one["metadata"]["uid"] not in {p["metadata"]["uid"] for p in subject.pods(first)}
        ),
        "the successor is ready",
    )


def test_b38_a_single_pod_holds_up_no_drain(subject: Subject) -> None:
    """B38: the only pod may be evicted."""
    first = subject.start("a")
    subject.until(
        lambda: subject.bench.kube.items("poddisruptionbudgets", subject.namespace)[0][
            "status"
        ].get("disruptionsAllowed"),
        "it may be evicted",
    )
    (pod,) = subject.pods(first)
    assert "Success" in evict(subject, pod)
