"""A ModelDeployment of the bench: its manifest, its two revisions, what of its status is read."""

from dataclasses import dataclass

from bench.scale.api import Obj
from bench.scale.gateway import NAME as GATEWAY_NAME
from bench.scale.gateway import Key
from bench.scale.place import pod_template

from rampway.api.labels import revision_name
from rampway.api.parse import parse_deployment
from rampway.core.model.revision import revision_hash
from rampway.kube.kinds import MODEL_DEPLOYMENT

REPLICAS = 2
"""Pods of stable; the candidate has one at 20 %."""
RATE_PER_S = 25.0
"""Requests to one model: 20 to stable and 5 to the candidate."""
WEIGHT_PCT = 20
QUERY = (
    'sum(rate(rampway_requests_total{namespace="{{ namespace }}",revision="{{ candidate }}"}[1m]))'
)
POLICY = {
    "steps": [{"name": "fifth", "weight": f"{WEIGHT_PCT}%", "hold": "12h"}],
    "checks": [
        {"name": "errors", "errorRate": {"ignoreBelow": "1%", "detect": "5x"}},
        {"name": "latency", "latency": {}},
        {"name": "served", "threshold": {"query": QUERY, "min": "0.1", "sustained": "10m"}},
    ],
    "onUnknown": {"after": "6h"},
    "rollback": {"keepCandidate": "0s"},
}
RESOURCES = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}


def model(version: str) -> Obj:
    """Return a model of that version; nobody ever loads it."""
    return {"uri": f"http://nowhere.invalid/{version}.skops", "sha256": version * 64}


STABLE, CANDIDATE = "a", "b"
"""Versions; the digests of their models have no other digit."""


def manifest(key: Key, gateway_namespace: str, replicas: int) -> Obj:
    """Return a ModelDeployment with its first revision."""
    route = {
        "parentRefs": [{"name": GATEWAY_NAME, "namespace": gateway_namespace}],
        "pathPrefix": f"/v2/models/{key[1]}",
    }
    return {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": MODEL_DEPLOYMENT.kind,
        "metadata": {"name": key[1], "namespace": key[0]},
        "spec": {
            "model": model(STABLE),
            "info": {"version": STABLE},
            "server": {"resources": RESOURCES, "podTemplatePatch": pod_template()},
            "replicas": replicas,
            "traffic": {"type": "OwnedRoute", "ownedRoute": route},
            "metrics": {"directLook": {"enabled": False}},
            "rollout": {"policy": POLICY, "progressDeadline": "12h"},
        },
    }


def changed() -> Obj:
    """Return the merge patch that begins a rollout."""
    return {"spec": {"model": model(CANDIDATE), "info": {"version": CANDIDATE}}}


@dataclass(frozen=True, slots=True)
class Member:
    """One ModelDeployment, with the names of its two revisions."""

    key: Key
    stable: str
    candidate: str

    @classmethod
    def of(cls, raw: Obj) -> "Member":
        """Return what is known of a ModelDeployment that was just made."""
        first = parse_deployment(raw)
        second = parse_deployment({**raw, "spec": {**raw["spec"], **changed()["spec"]}})
        names = [revision_name(one.name, revision_hash(one.spec)) for one in (first, second)]
        return cls((first.namespace, first.name), names[0], names[1])


def kept_deployment(obj: Obj) -> Obj:
    """Return what of a ModelDeployment is looked at."""
    status = obj.get("status") or {}
    promoted = any(
        c["type"] == "Promoted" and c["status"] == "True" for c in status.get("conditions") or []
    )
    seen = status.get("observedGeneration") == obj["metadata"]["generation"]
    return {
        "promoted": promoted and seen,
        "phase": status.get("phase", ""),
        "message": status.get("message", ""),
    }


def kept_rollout(obj: Obj) -> Obj:
    """Return what of a ModelRollout is looked at."""
    status = obj.get("status") or {}
    running = status.get("phase") == "Stepping" and status.get("weightPct") == WEIGHT_PCT
    return {
        "deployment": obj["spec"]["deployment"],
        "phase": status.get("phase", ""),
        "message": status.get("message", ""),
        "active": running and bool((status.get("step") or {}).get("inForceSince")),
        "checks": [
            {"name": c["name"], "state": c["state"], "message": c.get("message", "")}
            for c in status.get("checks") or []
        ],
    }
