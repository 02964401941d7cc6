"""Builders of a ModelDeployment and what belongs to it, as the API server would give them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rampway.api import labels
from rampway.api.deployment import ModelDeploymentSpec
from rampway.cli.assemble import assemble
from rampway.cli.cluster import read
from rampway.cli.facts import Facts
from rampway.core.checks.checkpoint import to_text
from rampway.core.checks.deltas import start_ledger
from rampway.core.checks.judged import EvidenceState
from rampway.core.instants import to_wire
from rampway.core.model.revision import content, revision_hash
from rampway.core.traffic.split import Split
from rampway.kube import kinds
from rampway.kube.kinds import Kind
from rampway.routers import rules
from rampway.sim.apiserver import MemoryApi, Store

Obj = dict[str, Any]
NAME, SPACE = "digits", "ml"
NOW_S = datetime(2026, 3, 4, 2, 30, tzinfo=UTC).timestamp()


def spec(version: str, **changes: Any) -> Obj:
    """Return the spec of a version of the model."""
    policy = {
        "steps": [
            {"name": "tenth", "weight": "10%", "hold": "1m"},
            {"name": "quarter", "weight": "25%", "hold": "2m", "minRequests": 200},
            {"name": "half", "weight": "50%", "hold": "2m"},
        ]
    }
    wanted = {
        "model": {"uri": f"http://store/digits/{version}"},
        "info": {"version": version},
        "replicas": 3,
        "traffic": {"ownedRoute": {"parentRefs": [{"name": "eg"}]}},
        "rollout": {"policy": policy},
    }
    return wanted | changes


def digest(version: str) -> str:
    """Return the hash of a version's revision."""
    return revision_hash(ModelDeploymentSpec.model_validate(spec(version)))


V1, V2 = digest("1"), digest("2")


def ago(age_s: float) -> str:
    """Return the instant so many seconds before NOW_S, as on the wire."""
    return to_wire(NOW_S - age_s)


def conditions(generation: int, **said: tuple[str, str, str]) -> list[Obj]:
    """Return conditions: type=(status, reason, message)."""
    return [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
            "lastTransitionTime": ago(60),
        }
        for kind, (status, reason, message) in said.items()
    ]


ACCEPTED = ("True", "Valid", "the spec can be acted upon")
READY = ("True", "Serving", f"stable {NAME}-{V1} serves")


def status(
    phase: str, reason: str, message: str, promoted: str, *, generation: int = 1, **more: Any
) -> Obj:
    """Return a ModelDeployment's status with its conditions; more=fields or conditions."""
    about = (reason, message)
    given: dict[str, tuple[str, str, str]] = {
        "Accepted": more.pop("Accepted", ACCEPTED),
        "Ready": more.pop("Ready", READY),
        "Promoted": (promoted, *about),
        "Stalled": (more.pop("stalled", "False"), *about),
    }
    return {
        "observedGeneration": generation,
        "phase": phase,
        "reason": reason,
        "message": message,
        "stable": {"revision": V1, "version": "1", "readyReplicas": 3, "automation": "Full"},
        "conditions": conditions(generation, **given),
    } | more


def pod(revision: str, number: int, **state: Any) -> Obj:
    """Return a pod: ready unless `waiting` or `crashed` says why not."""
    ready = not state
    container: Obj = {"name": "server", "ready": ready, "restartCount": 0, "state": {}}
    if "waiting" in state:
        reason, message = state["waiting"]
        container["state"] = {"waiting": {"reason": reason, "message": message}}
    if "crashed" in state:
        ended = {
            "exitCode": 137,
            "reason": "OOMKilled",
            "containerID": f"containerd://{number}",
            "finishedAt": ago(20),
            "message": state["crashed"],
        }
        container |= {"restartCount": 2, "lastState": {"terminated": ended}}
    return {
        "metadata": meta(f"{NAME}-{revision}-{number}", revision),
        "spec": {"containers": [{"name": "server", "image": "model-server"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [container],
        },
    }


def meta(name: str, revision: str = "") -> Obj:
    """Return the metadata of an object that belongs to the ModelDeployment."""
    found = {labels.DEPLOYMENT: NAME}
    return {
        "name": name,
        "namespace": SPACE,
        "labels": found | ({labels.REVISION: revision} if revision else {}),
    }


def workload(version: str, replicas: int, promoted_s: float | None = None) -> Obj:
    """Return a revision's Deployment, promoted so many seconds ago."""
    revision = digest(version)
    made = ModelDeploymentSpec.model_validate(spec(version))
    notes = {labels.VERSION: version, labels.CONTENT: content(made.model, made.server)}
    if promoted_s is not None:
        notes[labels.PROMOTED_AT] = ago(promoted_s)
    selector = {labels.DEPLOYMENT: NAME, labels.REVISION: revision}
    return {
        "metadata": meta(f"{NAME}-{revision}", revision) | {"annotations": notes},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": selector},
                "spec": {"containers": [{"name": "server", "image": "model-server"}]},
            },
        },
    }


def route(candidate: str = "", weight: int = 0, refusal: str = "", mirror: int = 0) -> Obj:
    """Return the HTTPRoute; accepted by its Gateway unless that says why not."""
    backends = [{"group": "", "kind": "Service", "name": NAME, "port": 80, "weight": 100 - weight}]
    if candidate and weight:
        backends.append(backends[0] | {"name": f"{NAME}-{candidate}", "weight": weight})
    matches = [{"path": {"type": "PathPrefix", "value": "/"}}]
    made = [{"matches": matches, "backendRefs": backends}]
    if mirror:
        made = rules.made(matches, NAME, Split(f"{NAME}-{candidate}", mirror_pct=mirror))
    said = "False" if refusal else "True"
    parent = {
        "parentRef": {"name": "eg"},
        "controllerName": "example.com/gateway",
        "conditions": [
            {
                "type": kind,
                "status": said,
                "reason": kind,
                "message": refusal,
                "observedGeneration": 1,
                "lastTransitionTime": ago(60),
            }
            for kind in ("Accepted", "ResolvedRefs")
        ],
    }
    return {
        "metadata": meta(NAME),
        "spec": {
            "parentRefs": [{"name": "eg"}],
            "rules": made,
        },
        "status": {"parents": [parent]},
    }


def rollout(
    attempt: int = 1,
    policy: Obj | None = None,
    requests: Obj | None = None,
    released_by: Obj | None = None,
    **wanted: Any,
) -> Obj:
    """Return the ModelRollout from version 1 to 2 with this status."""
    asked = {"requests": requests} if requests else {}
    asked |= {"releasedBy": released_by} if released_by else {}
    return {
        "metadata": meta(labels.rollout_name(NAME, V2, attempt), V2),
        "spec": {
            "deployment": NAME,
            "attempt": attempt,
            "candidate": {"revision": V2, "info": {"version": "2"}},
            "stable": {"revision": V1, "info": {"version": "1"}},
            "policy": policy or spec("2")["rollout"]["policy"],
            "progressDeadline": "10m",
            **asked,
        },
        "status": {"startedAt": ago(300), "decisions": []} | wanted,
    }


def evidence(age_s: float, step: int, requests: int) -> str:
    """Return a checkpoint that has seen the metrics until so many seconds ago."""
    at_s = NOW_S - age_s
    state = EvidenceState(at_s, start_ledger(at_s), step_index=step, step_requests=requests)
    return to_text(state)


def decided(age_s: float, action: str, reason: str, message: str) -> Obj:
    """Return one decision of the operator."""
    return {
        "at": ago(age_s),
        "actor": "rampway",
        "action": action,
        "reason": reason,
        "message": message,
    }


@dataclass(frozen=True)
class Scene:
    """The objects of one state."""

    spec: Obj
    status: Obj
    generation: int = 1
    rollouts: tuple[Obj, ...] = ()
    workloads: tuple[Obj, ...] = ()
    pods: tuple[Obj, ...] = ()
    route: Obj | None = None

    def store(self) -> Store:
        """Return an API server that holds the objects."""
        store = Store(lambda: datetime.fromtimestamp(NOW_S, UTC), namespaces=(SPACE,))
        head = {"metadata": {"name": NAME, "namespace": SPACE}, "spec": self.spec}
        put(store, kinds.MODEL_DEPLOYMENT, head | {"status": self.status})
        for generation in range(1, self.generation):
            patch = {"spec": {"rollout": {"progressDeadline": f"{generation}m"}}}
            store.patch(kinds.MODEL_DEPLOYMENT, SPACE, NAME, patch)
        for kind, objects in (
            (kinds.MODEL_ROLLOUT, self.rollouts),
            (kinds.DEPLOYMENT, self.workloads),
            (kinds.POD, self.pods),
            (kinds.HTTP_ROUTE, (self.route,) if self.route else ()),
        ):
            for obj in objects:
                put(store, kind, obj)
        return store

    async def facts(self) -> Facts:
        """Return what is read of it at NOW_S."""
        return assemble(await read(MemoryApi(self.store()), SPACE, NAME, NOW_S))

    def but(self, **changes: Any) -> "Scene":
        """Return another scene."""
        return replace(self, **changes)


def put(store: Store, kind: Kind, obj: Mapping[str, Any]) -> None:
    """Create an object, its status included."""
    given = json.loads(json.dumps(obj)) | {"apiVersion": kind.api_version, "kind": kind.kind}
    said = given.pop("status", None)
    store.create(kind, given)
    if said:
        place = given["metadata"]
        patch = {"status": said}
        store.patch(kind, place["namespace"], place["name"], patch, subresource="status")
