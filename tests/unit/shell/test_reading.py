"""From the API server's JSON to pods and revisions: states, the kubelet's words, silent nodes."""

from typing import Any

import pytest

from rampway.api import labels
from rampway.core.instants import from_wire
from rampway.core.observation import Pod
from rampway.kube.slices import ready_behind
from rampway.shell.reading import autoscaler, pod, revision, stable_service

Obj = dict[str, Any]
AT = "2026-01-02T03:04:05Z"
READY = {"type": "Ready", "status": "True"}
UNREADY = {"type": "Ready", "status": "False"}


def container(*, ready: bool = False, last: Obj | None = None, **state: Obj) -> Obj:
    """Return the status of the server's container."""
    known: Obj = {"name": "server", "ready": ready, "state": state}
    return known | ({"lastState": {"terminated": last}} if last else {})


def read(*conditions: Obj, containers: tuple[Obj, ...] = (), **more: Any) -> Pod:
    """Return a pod with this status."""
    status = {"conditions": list(conditions), "containerStatuses": list(containers)}
    meta: Obj = {"name": "p", "creationTimestamp": AT} | more.pop("meta", {})
    return pod({"metadata": meta, "status": status | more})


def ended(code: int = 1, **more: Any) -> Obj:
    """Return the end of a container."""
    known = {"exitCode": code, "reason": "Error", "containerID": "c1", "finishedAt": AT}
    return known | more


def waiting(reason: str, **more: str) -> Obj:
    """Return a container that waits for this reason."""
    return container(waiting={"reason": reason} | more)


def test_a_pod_that_was_only_just_made() -> None:
    """Without any status it is neither ready nor in trouble."""
    assert pod({"metadata": {"name": "p", "creationTimestamp": AT}}) == Pod("p", from_wire(AT) or 0)
    assert pod({"metadata": {"name": "p"}}).created_s == 0


WORDS: dict[str, tuple[Obj, str]] = {
    "an image that cannot be pulled": (
        waiting("ErrImagePull", message="no such image"), "ErrImagePull: no such image",
    ),
    "and again": (waiting("ImagePullBackOff", message="Back-off"), "ImagePullBackOff: Back-off"),
    "a Secret that is missing": (
        waiting("CreateContainerConfigError", message='secret "s" not found'),
        'CreateContainerConfigError: secret "s" not found',
    ),
    "a reason without words": (waiting("InvalidImageName"), "InvalidImageName: no message"),
    "a container that is only being made": (waiting("ContainerCreating", message="x"), ""),
    "the server's own words": (
        container(waiting={"reason": "CrashLoopBackOff", "message": "back-off 10s"},
                  last=ended(message=" wrong digest \n")),
        "wrong digest",
    ),
    "a server that ended without words": (
        container(terminated=ended(3)), "Error: the server ended with exit code 3",
    ),
    "a server that ended in order": (container(terminated=ended(0)), ""),
    "a container that is ready again": (container(ready=True, running={}, last=ended()), ""),
}  # fmt: skip


@pytest.mark.parametrize(("found", "words"), WORDS.values(), ids=WORDS.keys())
def test_b28_what_keeps_a_pod_from_running(found: Obj, words: str) -> None:
    """B28: in the kubelet's or the server's words."""
    assert read(UNREADY, containers=(found,)).trouble == words


def test_b28_the_first_container_in_trouble_speaks() -> None:
    """B28: a container that is ready has nothing to say, the next one has."""
    both = (container(ready=True, running={}), waiting("ErrImagePull", message="x"))
    assert read(containers=both).trouble == "ErrImagePull: x"


@pytest.mark.parametrize(
    ("phase", "address"), [("Running", "10.0.0.7"), ("Failed", ""), ("Succeeded", "")]
)
def test_b20_a_pod_that_has_ended_has_no_address(phase: str, address: str) -> None:
    """B20: whoever has it now would be counted twice, by two names."""
    assert read(phase=phase, podIP="10.0.0.7").address == address


def test_b28_a_pod_that_failed_as_a_whole() -> None:
    """B28: eviction for disk or memory, and volumes that cannot be mounted."""
    full = read(phase="Failed", reason="Evicted", message="low on ephemeral-storage")
    assert (full.trouble, full.leaving) == ("Evicted: low on ephemeral-storage", True)
    unmounted = {"type": "PodReadyToStartContainers", "status": "False", "reason": "Mount"}
    assert read(unmounted | {"message": "no such claim"}).trouble == "Mount: no such claim"
    assert read(unmounted).trouble == ""
    assert read(phase="Failed").trouble == "Failed: no message"


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"status": "False", "reason": "Unschedulable", "message": "0/3 nodes"},
         "Unschedulable: 0/3 nodes"),
        ({"status": "False", "reason": "SchedulingGated"}, "SchedulingGated: no message"),
        ({"status": "False", "reason": "SchedulerError", "message": "x"}, ""),
        ({"status": "True"}, ""),
    ],
)  # fmt: skip
def test_b25_the_schedulers_words(condition: Obj, words: str) -> None:
    """B25, B28: no node takes the pod, or nobody lets it be tried."""
    assert read({"type": "PodScheduled"} | condition).unschedulable == words


UP = container(ready=True, running={})
LEAVING: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "a ready pod": ({"conditions": (READY,)}, True, False),
    "one being deleted": ({"conditions": (READY,), "meta": {"deletionTimestamp": AT}}, False, True),
    "one being drained": (
        {"conditions": (READY, {"type": "DisruptionTarget", "status": "True"})}, False, True,
    ),
    "one whose drain was called off": (
        {"conditions": (READY, {"type": "DisruptionTarget", "status": "False"})}, True, False,
    ),
    "one on a node that was lost": ({"conditions": (READY,), "reason": "NodeLost"}, False, True),
    "one on a node that is silent": ({"conditions": (UNREADY,), "containers": (UP,)}, False, True),
    "one of a silent node, unknown": (
        {"conditions": ({"type": "Ready", "status": "Unknown"},), "containers": (UP,)}, False, True,
    ),
    "one whose probe fails": (
        {"conditions": (UNREADY,), "containers": (container(running={}),)}, False, False,
    ),
    "one of whose containers one is not ready": (
        {"conditions": (UNREADY,), "containers": (UP, container(running={}))}, False, False,
    ),
    "one without containers yet": ({"conditions": (UNREADY,)}, False, False),
}  # fmt: skip


@pytest.mark.parametrize(("given", "ready", "leaving"), LEAVING.values(), ids=LEAVING.keys())
def test_b25_what_is_not_the_models_fault(
    given: dict[str, Any], ready: bool, leaving: bool
) -> None:
    """B25: deletion, drain, eviction and lost or silent nodes are told from a failing model."""
    known = dict(given)
    found = read(*known.pop("conditions"), **known)
    assert (found.ready, found.leaving) == (ready, leaving)


def test_b25_crashes_of_now_and_before() -> None:
    """B25: the present end and the last one are seen, out of memory told apart."""
    killed = ended(137, reason="OOMKilled", containerID="c2", finishedAt=None)
    found = read(containers=(container(last=ended(), terminated=killed),)).crashes
    assert [(c.container_id, c.exit_code, c.out_of_memory) for c in found] == [
        ("c1", 1, False),
        ("c2", 137, True),
    ]
    assert [c.finished_at_s for c in found] == [from_wire(AT), 0.0]
    assert read(containers=(UP,)).crashes == ()


def workload(**notes: str) -> Obj:
    """Return the Deployment of a revision."""
    meta = {"name": "digits-a", "uid": "u", "labels": {labels.REVISION: "a"}, "annotations": notes}
    return {"metadata": meta, "spec": {"replicas": 3}}


def seen(obj: Obj, **more: Any) -> Any:
    """Return the revision read from it."""
    known: Obj = {"services": frozenset(), "digests": {}, "told": {}, "reported_sha256": ""}
    return revision(obj, [], **known | more)


def test_b01_a_revisions_notes() -> None:
    """B1: promotion, verdict and version are read from the Deployment."""
    notes = {labels.PROMOTED_AT: AT, labels.VERDICT: "Promoted", labels.VERSION: "7"}
    found = seen(workload(**notes), services=frozenset({"digits-a"}), digests={"digits-a": "ab"})
    assert (found.hash, found.replicas, found.has_service) == ("a", 3, True)
    assert (found.promoted_at_s, found.verdict, found.version) == (from_wire(AT), "Promoted", "7")
    assert found.recorded_sha256 == "ab"


def test_b02_what_its_pods_are_told() -> None:
    """B2: degree and lineage; a ConfigMap that somebody has emptied tells neither."""
    found = seen(workload(), told={"automation": "Off", "lineage": "{}"})
    assert (found.automation, found.lineage) == ("Off", "{}")
    assert (seen(workload()).automation, seen(workload()).lineage) == ("", "")


def test_a_revision_without_notes() -> None:
    """What is not there is empty; a note that is no time was never a promotion."""
    bare = workload()
    bare["metadata"]["annotations"] = None
    bare["spec"] = {}
    found = seen(bare)
    assert (found.promoted_at_s, found.verdict, found.version, found.replicas) == (None, "", "", 1)
    assert seen(workload(**{labels.PROMOTED_AT: "soon"})).promoted_at_s is None


@pytest.mark.parametrize(("status", "words"), [("True", "FailedCreate: quota"), ("False", "")])
def test_b28_pods_that_cannot_be_made(status: str, words: str) -> None:
    """B28: quota and admission speak by the Deployment's condition."""
    said = {
        "type": "ReplicaFailure",
        "status": status,
        "reason": "FailedCreate",
        "message": "quota",
    }
    progress = {"type": "Progressing", "status": "True"}
    found = seen(workload() | {"status": {"conditions": [progress, said]}})
    assert found.failure == found.trouble == words


def slices(*endpoints: Obj, service: str = "digits") -> Obj:
    """Return an EndpointSlice."""
    meta = {"labels": {"kubernetes.io/service-name": service}}
    return {"metadata": meta, "endpoints": list(endpoints) or None}


def endpoint(name: str, ready: bool | None = None) -> Obj:
    """Return an endpoint that is a pod."""
    known: Obj = {"targetRef": {"name": name}}
    return known if ready is None else known | {"conditions": {"ready": ready}}


def test_ready_pods_behind_a_service() -> None:
    """Ready, or not known to be otherwise, over all slices of this Service and no other's."""
    found = ready_behind(
        [
            slices(
                endpoint("a", ready=True), endpoint("b", ready=False), {"addresses": ["1.1.1.1"]}
            ),
            slices(endpoint("c")),
            slices(endpoint("d", ready=True), service="digits-a"),
            slices(),
        ],
        "digits",
    )
    assert found == {"a", "c"}


def test_the_service_in_front() -> None:
    """It selects a revision, none, or is not there."""
    front = {"metadata": {"name": "digits"}, "spec": {"selector": {labels.REVISION: "a"}}}
    found = stable_service([front], [slices(endpoint("x", ready=True))], "digits")
    assert (found.selects, found.ready_pods) == ("a", frozenset({"x"}))
    assert stable_service([front | {"spec": {}}], [], "digits").selects == ""
    missing = stable_service([], [slices(endpoint("x", ready=True))], "digits")
    assert (missing.selects, missing.ready_pods) == ("", frozenset())


def scaler(*current: Obj, status: str = "True", reason: str = "ValidMetricFound") -> Obj:
    """Return an autoscaler of CPU, memory and requests that measured this."""
    targets: tuple[Obj, ...] = ({"averageUtilization": 50}, {"averageValue": "1Gi"})
    metrics = [
        {"type": "Resource", "resource": {"name": "cpu", "target": targets[0]}},
        {"type": "Resource", "resource": {"name": "memory", "target": targets[1]}},
        {"type": "Pods", "pods": {"target": {"averageValue": "20"}}},
    ]
    condition = {"type": "ScalingActive", "status": status, "reason": reason, "message": "words"}
    return {
        "metadata": {"name": "a", "annotations": {labels.AUTOSCALING: "digest"}},
        "spec": {"minReplicas": 2, "maxReplicas": 9, "metrics": metrics},
        "status": {
            "currentReplicas": 4,
            "currentMetrics": list(current),
            "conditions": [condition],
        },
    }


def resource(**current: Any) -> Obj:
    """Return what was measured of a resource."""
    return {"type": "Resource", "resource": {"current": current}}


def test_b12_an_autoscalers_load_is_that_of_its_worst_metric() -> None:
    """B12: each metric against its target; the largest counts, a missing one does not."""
    requests = {"type": "Pods", "pods": {"current": {"averageValue": "5500m"}}}
    cpu, memory = resource(averageUtilization=60, averageValue="300m"), resource(averageValue="1Mi")
    found = autoscaler([scaler(cpu, memory, requests)], "a")
    assert found is not None
    assert (found.least, found.most, found.plan, found.pods) == (2, 9, "digest", 4)
    assert found.load == pytest.approx(1.2)
    for few in ([], [{"type": ""}]):
        blind = autoscaler([scaler(*few)], "a")
        assert blind is not None
        assert blind.load is None
    assert autoscaler([scaler()], "b") is None


def test_b12_an_autoscaler_that_cannot_measure_says_why() -> None:
    """B12: its own words, and no load from an earlier day; switched off at zero is no trouble."""
    cpu = resource(averageUtilization=60)
    found = autoscaler([scaler(cpu, status="False", reason="FailedGetResourceMetric")], "a")
    assert found is not None
    assert (found.load, found.trouble) == (None, "FailedGetResourceMetric: words")
    off = autoscaler([scaler(cpu, status="False", reason="ScalingDisabled")], "a")
    assert off is not None
    assert off.trouble == ""
    new = autoscaler([{"metadata": {"name": "a"}, "spec": {"maxReplicas": 3}}], "a")
    assert new is not None
    assert (new.least, new.trouble) == (1, "")
