"""What controllers write into status: pure functions from private state to the API's JSON."""

from collections.abc import Sequence
from typing import Any

from rampway.api import labels
from rampway.core.instants import to_wire
from rampway.kube.base import Obj
from rampway.sim.pods import Ending, Endpoint, SimPod, Stage

_RUN = {Stage.RUNNING, Stage.ENDED, Stage.BACKING_OFF}


def wire(at_s: float) -> str:
    """Return an instant as kubelets write it: to the second, cut off."""
    return f"{to_wire(at_s)[:19]}Z"


def condition(kind: str, status: str, at_s: float, why: tuple[str, str] = ("", "")) -> Obj:
    """Return a condition; `why` is its reason and message."""
    found: Obj = {"type": kind, "status": status, "lastTransitionTime": wire(at_s)}
    reason, message = why
    return (
        found | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})
    )


def pod_status(pod: SimPod, now_s: float) -> Obj:
    """Return a pod's whole status."""
    status: Obj = {
        "phase": "Running" if pod.stage in _RUN else "Pending",
        "conditions": [
            condition(kind, state, _since(pod, kind, state, now_s), why)
            for kind, state, why in _conditions(pod)
        ],
        "qosClass": "Burstable",
    }
    if pod.stage is Stage.UNSCHEDULED:
        return status
    status |= {
        "hostIP": "10.0.0.1",
        "startTime": wire(pod.scheduled_s),
        "containerStatuses": [_container(pod)],
    }
    if pod.stage is not Stage.CREATING:
        status |= {"podIP": pod.ip, "podIPs": [{"ip": pod.ip}]}
    if pod.declared_lost and pod.ends_at_s is not None:
        status |= {
            "reason": "NodeLost",
            "message": f"Node {pod.node} which was running pod {pod.name} is unresponsive",
        }
    return status


def _conditions(pod: SimPod) -> list[tuple[str, str, tuple[str, str]]]:
    none = ("", "")
    if pod.stage is Stage.UNSCHEDULED:
        return [("PodScheduled", "False", ("Unschedulable", pod.words[1]))]
    unready = (
        "ContainersNotReady",
        f"containers with unready status: [{labels.SERVER_CONTAINER}]",
    )
    ready = pod.ready and not pod.declared_lost
    sandbox = "False" if pod.stage is Stage.CREATING else "True"
    found = [
        ("PodReadyToStartContainers", sandbox, none),
        ("Initialized", "True", none),
        # The node controller writes Ready alone; the kubelet it speaks for is silent.
        ("Ready", str(ready), none if pod.ready else unready),
        ("ContainersReady", str(pod.ready), none if pod.ready else unready),
        ("PodScheduled", "True", none),
    ]
    return found + ([("DisruptionTarget", "True", pod.disruption)] if pod.disruption else [])


def _since(pod: SimPod, kind: str, status: str, now_s: float) -> float:
    old = pod.changed_s.get(kind)
    if old is None or old[0] != status:
        pod.changed_s[kind] = (status, now_s)
    return pod.changed_s[kind][1]


def _container(pod: SimPod) -> Obj:
    last = pod.last if pod.stage is not Stage.ENDED else None
    found: Obj = {
        "name": labels.SERVER_CONTAINER,
        "image": pod.origin.image,
        "imageID": "",
        "ready": pod.ready,
        "started": pod.stage is Stage.RUNNING,
        "restartCount": pod.restarts,
        "state": _state(pod),
        "lastState": {"terminated": _terminated(last)} if last else {},
    }
    if pod.stage in _RUN:
        ended = pod.last if pod.stage is not Stage.RUNNING else None
        found["containerID"] = ended.container_id if ended else pod.container_id
    return found


def _state(pod: SimPod) -> Obj:
    if pod.stage is Stage.RUNNING:
        return {"running": {"startedAt": wire(pod.started_s)}}
    if pod.stage is Stage.ENDED and pod.last:
        return {"terminated": _terminated(pod.last)}
    reason, message = pod.words if pod.stage is not Stage.CREATING else ("ContainerCreating", "")
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def _terminated(ending: Ending) -> Obj:
    found: Obj = {
        "reason": ending.reason,
        "exitCode": ending.exit_code,
        "startedAt": wire(ending.started_at_s),
        "finishedAt": wire(ending.finished_at_s),
        "containerID": ending.container_id,
    }
    return found | ({"message": ending.message} if ending.message else {})


def deployment_status(deployment: Obj, pods: Sequence[SimPod], quota: str, now_s: float) -> Obj:
    """Return a Deployment's status; `pods` are those not deleted, `quota` why none can be made."""
    wanted = int(deployment["spec"].get("replicas", 1))
    old = deployment.get("status") or {}
    ready = sum(pod.in_endpoints for pod in pods)
    available = ("MinimumReplicasAvailable", "Deployment has minimum availability.")
    lacking = ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    conditions = [
        ("Available", str(ready >= wanted), available if ready >= wanted else lacking),
        ("Progressing", "True", ("NewReplicaSetAvailable", "")),
    ]
    if quota:
        conditions.append(("ReplicaFailure", "True", ("FailedCreate", quota)))
    since = {c["type"]: c for c in old.get("conditions") or []}
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": len(pods),
        "updatedReplicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(0, wanted - ready),
        "conditions": [
            _kept(condition(k, s, now_s, why), since.get(k)) for k, s, why in conditions
        ],
    }


def _kept(new: Obj, old: Obj | None) -> Obj:
    """Keep the time of a condition that has not changed."""
    if old is None or old["status"] != new["status"]:
        return new
    return new | {"lastTransitionTime": old["lastTransitionTime"]}


def endpoint(found: Endpoint, namespace: str) -> Obj:
    """Return a pod's entry in an EndpointSlice."""
    return {
        "addresses": [found.ip],
        "conditions": {
            "ready": found.ready,
            "serving": found.serving,
            "terminating": found.terminating,
        },
        "nodeName": found.node,
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace,
            "name": found.pod,
            "uid": found.uid,
        },
    }


def endpoint_slice(service: Obj, name: str, endpoints: list[Obj]) -> Obj:
    """Return the EndpointSlice that is made for a Service; owned by it, like the real one."""
    meta, ports = service["metadata"], service["spec"].get("ports") or []
    managed = {
        "kubernetes.io/service-name": meta["name"],
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    return {
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            # The real controller copies the Service's labels too.
            "labels": (meta.get("labels") or {}) | managed,
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [
            {"name": p.get("name", ""), "port": p.get("targetPort"), "protocol": "TCP"}
            for p in ports
        ],
    }


def route_parent(ref: Obj, generation: int, accepted: str, unresolved: str, at_s: float) -> Obj:
    """Return one entry of an HTTPRoute's `status.parents`.

    Args:
        ref: The parent reference.
        generation: The route's generation that was looked at.
        accepted: Why the Gateway does not accept the route; empty if it does.
        unresolved: Why a backend cannot be found; empty if all are.
        at_s: Time of the conditions' last transition.
    """
    return {
        "parentRef": ref,
        "controllerName": "gateway.envoyproxy.io/gatewayclass-controller",
        "conditions": [
            _route_condition("Accepted", generation, "NotAllowedByListeners", accepted, at_s),
            _route_condition("ResolvedRefs", generation, "BackendNotFound", unresolved, at_s),
        ],
    }


def _route_condition(kind: str, generation: int, reason: str, words: str, at_s: float) -> Any:
    fine = {"Accepted": "Route is accepted", "ResolvedRefs": "Resolved all the Object references"}
    why = (reason, words) if words else (kind, fine[kind])
    found = condition(kind, "False" if words else "True", at_s, why)
    return found | {"observedGeneration": generation}
