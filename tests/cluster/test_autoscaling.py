"""One autoscaler a revision, the real controller, under load (B12, B6)."""

import time
from collections.abc import Iterator

import pytest
from cluster.bench import Bench, Obj
from cluster.conftest import Calling
from cluster.meter import metered
from cluster.meter_server import METRIC
from cluster.subject import Subject, ready, step

pytestmark = pytest.mark.cluster

RATE_PER_S = 40.0
PLAN = {
    "minReplicas": 1,
    "maxReplicas": 6,
    "metrics": [{"metric": METRIC, "averageValue": 22}],
}
"""Two pods for the rate: a third more or fewer is beyond the controller's tolerance."""
POLICY = {"steps": [step(50, "25s"), step(90, "10s")], "checks": []}
LOOK_S = 5.0
"""The local cluster's controller looks so often."""


@pytest.fixture(scope="module")
def _meter(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with metered(bench, tmp_path_factory.mktemp("meter")):
        yield


def sizes(subject: Subject) -> dict[str, int]:
    """Return the pods asked for of each revision."""
    found = subject.bench.kube.items("deployments", subject.namespace, subject.label())
    return {
        one["metadata"]["labels"]["rampway.dev/revision"]: one["spec"]["replicas"] for one in found
    }


def scaler(subject: Subject, revision: str) -> Obj:
    """Return a revision's autoscaler, empty if it has none."""
    found = subject.bench.kube.items(
        "horizontalpodautoscalers", subject.namespace, subject.label(revision)
    )
    return found[0] if found else {}


@pytest.mark.usefixtures("_meter")
def test_b12_an_autoscaler_and_a_rollout_under_load(subject: Subject, calling: Calling) -> None:
    """B12: the real autoscaler finds the size, a rollout keeps it, and no request fails."""
    first = subject.start("a", POLICY, autoscaling=PLAN)
    with calling(RATE_PER_S) as caller:
        subject.until(lambda: sizes(subject)[first] == 2, "two pods for the load", 120)
        subject.until(lambda: sum(map(ready, subject.pods(first))) == 2, "both ready")
        subject.apply("b", POLICY, autoscaling=PLAN)
        subject.in_force(50)
        second = subject.status()["candidate"]["revision"]
        bounds = scaler(subject, second)["spec"]
        assert (bounds["minReplicas"], bounds["maxReplicas"]) == (1, 3)
        seen: set[int] = set()

        def promoted() -> bool:
            seen.add(sizes(subject)[first])
            return subject.condition("Promoted").get("status") == "True"

        subject.until(promoted, "promoted", 240)
        assert seen == {2}, f"stable's pods in the rollout: {seen}"
        asked = scaler(subject, second)["status"]
        assert asked["currentMetrics"], asked
        time.sleep(3 * LOOK_S)
        assert sizes(subject)[second] == 2
        subject.until(lambda: not scaler(subject, first), "the old autoscaler is gone")
    assert subject.stable() == second
    assert caller.revisions() == {f"{subject.name}-{first}", f"{subject.name}-{second}"}
    assert not caller.failed()


def own_autoscaler(subject: Subject) -> Obj:
    """Return an autoscaler of the user's own, that sizes the ModelDeployment."""
    target = {"apiVersion": "rampway.dev/v1alpha1", "kind": "ModelDeployment", "name": subject.name}
    metric = {"metric": {"name": METRIC}, "target": {"type": "AverageValue", "averageValue": "22"}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "own", "namespace": subject.namespace},
        "spec": {
            "scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 6,
            "metrics": [{"type": "Pods", "pods": metric}],
        },
    }  # fmt: skip


@pytest.mark.faults
@pytest.mark.usefixtures("_meter")
def test_b12_the_users_own_autoscaler_sizes_all_that_answers(
    subject: Subject, calling: Calling
) -> None:
    """B12: the user's autoscaler goes through `/scale`, also while two revisions share the load.

    The load doubles in mid-rollout: both revisions grow, and no request fails.
    """

    def put(model: str) -> None:
        made = subject.manifest(model, {"steps": [step(50, "75s")], "checks": []})
        del made["spec"]["replicas"]  # it is the autoscaler's
        subject.put(made)

    put("a")
    subject.promoted()
    first = subject.stable()
    subject.bench.kube.apply(own_autoscaler(subject))
    with calling(RATE_PER_S) as caller:
        subject.until(lambda: sizes(subject)[first] == 2, "two pods for the load", 120)
        subject.until(lambda: sum(map(ready, subject.pods(first))) == 2, "both ready")
        put("b")
        subject.in_force(50)
        second = subject.status()["candidate"]["revision"]
        with calling(RATE_PER_S) as more:
            subject.until(
                lambda: set(sizes(subject).values()) == {4}, "four pods each for twice of it", 70
            )
            subject.promoted(240)
        assert sizes(subject)[second] == subject.object()["spec"]["replicas"] == 4
    assert subject.stable() == second
    assert not caller.failed()
    assert not more.failed()
