"""From the API server's JSON to what the core may see: pods, revisions, Services."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rampway.api import labels
from rampway.api.base import amount
from rampway.core.instants import from_wire
from rampway.core.observation import Crash, Pod, Revision, StableService
from rampway.core.pods.autoscaler import Autoscaler
from rampway.kube.slices import ready_behind

_STUCK = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Reasons of a waiting container that the kubelet explains itself."""
_ENDED = frozenset({"Failed", "Succeeded"})
"""Phases of a pod whose containers have all ended for good."""


def pod(obj: Mapping[str, Any]) -> Pod:
    """Read one pod."""
    meta, status = obj["metadata"], obj.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    containers = status.get("containerStatuses") or []
    leaving = (
        "deletionTimestamp" in meta
        or conditions.get("DisruptionTarget", {}).get("status") == "True"
        or status.get("reason") in {"NodeLost", "Evicted", "Preempting"}
        or _unreachable(conditions, containers)
    )
    scheduled = conditions.get("PodScheduled", {})
    unscheduled = scheduled.get("status") == "False" and scheduled.get("reason") in {
        "Unschedulable",
        "SchedulingGated",
    }
    return Pod(
        name=meta["name"],
        created_s=from_wire(meta.get("creationTimestamp", "")) or 0.0,
        ready=conditions.get("Ready", {}).get("status") == "True" and not leaving,
        leaving=leaving,
        unschedulable=_words(scheduled, "Unschedulable") if unscheduled else "",
        trouble=_trouble(containers) or _mount_trouble(status, conditions),
        crashes=tuple(_crashes(containers)),
        # What has ended has its address no longer: another pod may have it by now.
        address="" if status.get("phase") in _ENDED else status.get("podIP", ""),
        ready_since_s=from_wire(conditions.get("Ready", {}).get("lastTransitionTime", "")) or 0.0,
    )


def _unreachable(
    conditions: Mapping[str, Mapping[str, Any]], containers: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether the pod's node is silent: the pod was set unready for it, its containers were not.

    A container that is not ready is told by the kubelet itself; here the node's controller spoke.
    """
    unready = conditions.get("Ready", {}).get("status") in {"False", "Unknown"}
    return unready and bool(containers) and all(c.get("ready") for c in containers)


def _words(found: Mapping[str, Any], reason: str) -> str:
    return f"{found.get('reason', reason)}: {found.get('message', 'no message')}"


def _trouble(containers: Sequence[Mapping[str, Any]]) -> str:
    """Return what keeps a container from running, in the kubelet's or the server's words (B28)."""
    for container in containers:
        if container.get("ready"):
            continue
        state, last = container.get("state", {}), container.get("lastState", {})
        waiting = state.get("waiting", {})
        if waiting.get("reason") in _STUCK:
            return _words(waiting, "Waiting")
        ended = state.get("terminated") or last.get("terminated")
        if ended and ended.get("exitCode", 0) != 0:
            said = (ended.get("message") or "").strip()
            reason = ended.get("reason", "Error")
            return said or f"{reason}: the server ended with exit code {ended['exitCode']}"
    return ""


def _mount_trouble(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the words of a pod that failed as a whole (disk pressure, preemption)."""
    if status.get("phase") == "Failed":
        return f"{status.get('reason', 'Failed')}: {status.get('message', 'no message')}"
    resize = conditions.get("PodReadyToStartContainers", {})
    return _words(resize, "NotReady") if resize.get("message") else ""


def _crashes(containers: Iterable[Mapping[str, Any]]) -> Iterable[Crash]:
    for container in containers:
        for where in ("lastState", "state"):
            ended = (container.get(where) or {}).get("terminated")
            if ended:
                yield Crash(
                    container_id=ended.get("containerID", ""),
                    reason=ended.get("reason", ""),
                    exit_code=ended.get("exitCode", 0),
                    finished_at_s=from_wire(ended.get("finishedAt") or "") or 0.0,
                )


def revision(
    obj: Mapping[str, Any],
    pods: Sequence[Mapping[str, Any]],
    *,
    services: frozenset[str],
    digests: Mapping[str, str],
    told: Mapping[str, str],
    reported_sha256: str,
) -> Revision:
    """Read one revision from its Deployment, its pods, and the names of all Services.

    `told` is what the ConfigMap says that its pods follow, empty if there is none.
    """
    meta = obj["metadata"]
    notes = meta.get("annotations") or {}
    digest = meta["labels"][labels.REVISION]
    return Revision(
        hash=digest,
        name=meta["name"],
        uid=meta["uid"],
        created_s=from_wire(meta.get("creationTimestamp", "")) or 0.0,
        replicas=obj["spec"].get("replicas", 1),
        promoted_at_s=from_wire(notes.get(labels.PROMOTED_AT, "")),
        verdict=notes.get(labels.VERDICT, ""),
        version=notes.get(labels.VERSION, ""),
        pods=tuple(pod(p) for p in pods),
        failure=_replica_failure(obj),
        has_service=meta["name"] in services,
        recorded_sha256=known_sha256(obj, digests),
        automation=told.get(labels.AUTOMATION_KEY, ""),
        lineage=told.get(labels.LINEAGE_KEY, ""),
        reported_sha256=reported_sha256,
    )


def known_sha256(obj: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    """Return the digest that a revision's pods must load, empty if nobody has said any yet (B3).

    The user's, by which every pod checks what it loads, else what was recorded of the first pod.
    """
    template = obj["spec"].get("template") or {}
    given = [
        variable.get("value", "")
        for container in (template.get("spec") or {}).get("containers") or []
        if container["name"] == labels.SERVER_CONTAINER
        for variable in container.get("env") or []
        if variable["name"] == labels.SHA256_VARIABLE
    ]
    return next(filter(None, given), "") or digests.get(obj["metadata"]["name"], "")


def _replica_failure(obj: Mapping[str, Any]) -> str:
    for condition in obj.get("status", {}).get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return _words(condition, "ReplicaFailure")
    return ""


def stable_service(
    services: Iterable[Mapping[str, Any]], slices: Iterable[Mapping[str, Any]], name: str
) -> StableService:
    """Read the Service `<name>` and the ready pods behind it."""
    selects = selected(services, name)
    return StableService(selects, ready_behind(slices, name)) if selects else StableService()


def selected(services: Iterable[Mapping[str, Any]], name: str) -> str:
    """Read the hash of the revision that a Service selects, empty without the Service."""
    found = (s["spec"].get("selector") or {} for s in services if s["metadata"]["name"] == name)
    return str(next(found, {}).get(labels.REVISION, ""))


def autoscaler(
    objects: Iterable[Mapping[str, Any]], name: str, refusal: str = ""
) -> Autoscaler | None:
    """Read the autoscaler of this name, if there is one, or why the API server refused it."""
    obj = next((o for o in objects if o["metadata"]["name"] == name), None)
    if obj is None:
        return Autoscaler(0, 0, trouble=refusal) if refusal else None
    spec, status = obj["spec"], obj.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    active = conditions.get("ScalingActive", {})
    measures = active.get("status") == "True"
    # At zero pods it is switched off, which is nothing to be told of.
    silent = not active or measures or active.get("reason") == "ScalingDisabled"
    return Autoscaler(
        least=spec.get("minReplicas", 1),
        most=spec["maxReplicas"],
        plan=(obj["metadata"].get("annotations") or {}).get(labels.AUTOSCALING, ""),
        pods=status.get("currentReplicas", 0),
        load=_load(spec, status) if measures else None,
        trouble=refusal or ("" if silent else _words(active, "Inactive")),
    )


def _load(spec: Mapping[str, Any], status: Mapping[str, Any]) -> float | None:
    """Return the largest of what was measured of a pod, its target being 1; None for nothing."""
    ratios = []
    wanted, found = spec.get("metrics") or [], status.get("currentMetrics") or []
    for target, current in zip(wanted, found, strict=False):
        kind = target["type"].lower()
        goal, seen = target[kind]["target"], (current.get(kind) or {}).get("current") or {}
        if "averageUtilization" in goal and "averageUtilization" in seen:
            ratios.append(seen["averageUtilization"] / goal["averageUtilization"])
        elif "averageValue" in goal and "averageValue" in seen:
            ratios.append(amount(seen["averageValue"]) / amount(goal["averageValue"]))
    return max(ratios, default=None)
