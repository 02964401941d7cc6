"""The operator's own metrics: what a dashboard and an alert would ask for."""

import pytest
from prometheus_client import REGISTRY
from unit.shell.place import NAME, SPACE, Place
from unit.shell.pods import Pods

from rampway.kube.kinds import DEPLOYMENT, MODEL_DEPLOYMENT
from rampway.metrics.memory import MemorySource
from rampway.shell import telemetry
from rampway.shell.looks import Looks
from rampway.shell.reconcile import Reconciler

KEY = (SPACE, NAME)


def value(name: str, **labels: str) -> float:
    """Return a sample's value, 0 if there is none yet."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_calls_to_the_api_server_are_counted() -> None:
    """By verb, kind and what came of them; timed by verb."""
    labels = {"verb": "patch", "kind": "HTTPRoute", "code": "409"}
    before = value("rampway_api_requests_total", **labels)
    timed = value("rampway_api_request_duration_seconds_count", verb="patch")
    telemetry.api_call("patch", "HTTPRoute", "409", 0.1)
    assert value("rampway_api_requests_total", **labels) == before + 1
    assert value("rampway_api_request_duration_seconds_count", verb="patch") == timed + 1


def test_queries_to_prometheus_are_counted() -> None:
    """By what came of them, with seconds and bytes; direct looks beside them."""
    before = value("rampway_metrics_queries_total", result="timeout")
    size = value("rampway_metrics_answer_bytes_total")
    reads = value("rampway_pod_reads_total", result="ok")
    telemetry.query("timeout", 5.0, 100)
    telemetry.pod_read("ok")
    assert value("rampway_metrics_queries_total", result="timeout") == before + 1
    assert value("rampway_metrics_answer_bytes_total") == size + 100
    assert value("rampway_pod_reads_total", result="ok") == reads + 1


async def test_rollouts_are_told_by_phase() -> None:
    """Each rollout that has not ended stands once, in its phase, until it ends or goes."""
    place = Place()
    first = place.workload()["metadata"]["name"]
    note = {"metadata": {"annotations": {"rampway.dev/promoted-at": "2025-12-31T00:00:00Z"}}}
    place.store.patch(DEPLOYMENT, SPACE, first, note)
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"spec": {"model": {"uri": "file:///m2"}}})
    looks = Looks(MemorySource(), Pods(), lambda: 0.0, lambda _: None)
    one = Reconciler(
        place.api, place.gatherer, place.executor, looks, place.fence, lambda: 1_767_225_600.0
    )
    before = value("rampway_rollouts", phase="Starting")
    objects = value("rampway_reconciled_objects")
    for _ in range(6):
        await one.reconcile(KEY)
    assert value("rampway_rollouts", phase="Starting") == before + 1
    assert value("rampway_reconciled_objects") == objects + 1
    place.store.delete(MODEL_DEPLOYMENT, SPACE, NAME)
    one.touch(KEY, "ModelDeployment", NAME, "")
    await one.reconcile(KEY)
    assert value("rampway_rollouts", phase="Starting") == before


@pytest.mark.parametrize(("before", "after"), [("", ""), ("Stepping", "Stepping")])
def test_no_change_of_phase_counts_nothing(before: str, after: str) -> None:
    """Only a change moves a rollout from one phase to another."""
    seen = value("rampway_rollouts", phase="Stepping")
    telemetry.rollout(before, after)
    assert value("rampway_rollouts", phase="Stepping") == seen
