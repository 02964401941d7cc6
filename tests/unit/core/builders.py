"""Builders of what decisions see; each has defaults that make a quiet, healthy scene."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rampway.api.deployment import ModelDeploymentSpec
from rampway.api.parse import ModelDeployment, ModelRollout, parse_deployment, parse_rollout
from rampway.core.checks.deltas import start_ledger
from rampway.core.checks.judged import CheckResult, CheckState, EvidenceState, Judged
from rampway.core.instants import to_wire
from rampway.core.model import revision as revisions
from rampway.core.observation import (
    Crash,
    Defaults,
    Look,
    Observation,
    Pod,
    Revision,
    StableService,
)
from rampway.core.rollout.course import Course
from rampway.core.traffic.route import Route
from rampway.core.traffic.split import Split

NOW_S = 1_800_000_000.0
NAME, SPACE = "digits", "ml"
IMAGE = "server:1"
JUST_LOOKED = Look(NOW_S - 1)
Obj = dict[str, Any]


def ago(age_s: float) -> str:
    """Return the instant so many seconds before NOW_S, as on the wire."""
    return to_wire(NOW_S - age_s)


def spec(number: int = 1, **changes: Any) -> Obj:
    """Return the spec of the model's version of this number."""
    return {
        "model": {"uri": f"http://models/digits/{number}"},
        "replicas": 4,
        "traffic": {"ownedRoute": {"parentRefs": [{"name": "eg"}]}},
    } | changes


def hash_of(number: int) -> str:
    """Return the hash of that version's revision."""
    return revisions.revision_hash(ModelDeploymentSpec.model_validate(spec(number)))


V1, V2, V3 = hash_of(1), hash_of(2), hash_of(3)


def deployment(
    number: int = 1,
    *,
    meta: Mapping[str, Any] | None = None,
    status: Obj | None = None,
    **more: Any,
) -> ModelDeployment:
    """Return a ModelDeployment whose spec names this version."""
    found: Obj = {
        "name": NAME,
        "namespace": SPACE,
        "uid": "u1",
        "generation": 3,
        "resourceVersion": "9",
    }
    obj = {"metadata": found | dict(meta or {}), "spec": spec(number, **more)}
    return parse_deployment(obj | ({"status": status} if status else {}))


def pods(ready: int = 0, unready: int = 0, **more: Any) -> tuple[Pod, ...]:
    """Return so many pods; `more` describes those that are not ready."""
    made_s = NOW_S - 900
    return (
        *(Pod(f"ready-{n}", made_s, ready=True) for n in range(ready)),
        *(replace(Pod(f"unready-{n}", made_s), **more) for n in range(unready)),
    )


def crash(number: int = 1, *, age_s: float = 1.0, reason: str = "Error", code: int = 1) -> Crash:
    """Return the end of a container, so many seconds ago."""
    return Crash(f"containerd://{number}", reason, code, NOW_S - age_s)


def revision(digest: str, ready: int = 4, **more: Any) -> Revision:
    """Return a revision with so many ready pods, all that it asks for, all reached."""
    known: Obj = {
        "hash": digest,
        "name": f"{NAME}-{digest}",
        "uid": f"uid-{digest}",
        "created_s": NOW_S - 1000,
        "replicas": ready,
        "pods": pods(ready),
        "has_service": True,
        "has_budget": True,
        "recorded_sha256": "ab" * 32,
    } | more
    reached = frozenset(p.name for p in known["pods"] if p.ready)
    known.setdefault("reachable", reached)
    return Revision(**known)


def stable(ready: int = 4, **more: Any) -> Revision:
    """Return V1, promoted long ago, asking for four pods."""
    return revision(V1, ready, **({"replicas": 4, "promoted_at_s": NOW_S - 9000} | more))


STEPS = (
    {"name": "ten", "weight": "10%", "hold": "60s"},
    {"name": "most", "weight": "80%", "hold": "60s", "minRequests": 100},
)
CHECKS = ({"name": "errors", "errorRate": {}},)


def policy(**changes: Any) -> Obj:
    """Return a policy of two steps and one check."""
    return {"steps": list(STEPS), "checks": list(CHECKS)} | changes


def rollout(
    number: int = 2, *, attempt: int = 1, status: Obj | None = None, **changes: Any
) -> ModelRollout:
    """Return a rollout of that version against V1; `changes` are of its policy."""
    found = hash_of(number)
    name = f"{NAME}-{found}-{attempt}"
    wanted = {
        "deployment": NAME,
        "attempt": attempt,
        "candidate": {"revision": found},
        "stable": {"revision": V1},
        "policy": policy(**changes),
        "progressDeadline": "10m",
    }
    meta = {"name": name, "namespace": SPACE, "uid": f"uid-{name}", "resourceVersion": "5"}
    return parse_rollout({"metadata": meta, "spec": wanted, "status": status or {}})


def stepping(index: int = 0, *, held_s: float = 0.0, **more: Any) -> Obj:
    """Return the status of a rollout whose step has been in force for so long."""
    at_step = {"index": index, "total": 2, "inForceSince": ago(held_s) if held_s else ""}
    traffic = {"trafficSince": ago(300), "startedAt": ago(400)}
    return {"phase": "Stepping", "step": at_step} | traffic | more


def result(state: CheckState = CheckState.PASS, **more: Any) -> CheckResult:
    """Return the answer of the check of errors."""
    return CheckResult("errors", state, f"it says {state}", **more)


def observation(number: int = 2, **more: Any) -> Observation:
    """Return the observation of a spec that names this version, V1 being stable and at rest."""
    wanted = more.pop("deployment", None) or deployment(number)
    first = more.get("revisions", (stable(),))[:1]
    known: Obj = {
        "now_s": NOW_S,
        "deployment": wanted,
        "defaults": Defaults(IMAGE),
        "revisions": (stable(),),
        "route": Route(exists=True, in_shape=True, at_rest=True, accepted=True),
        "service": StableService(V1, frozenset(p.name for r in first for p in r.pods if p.ready)),
    }
    return Observation(**known | more)


def route(weight_pct: int, candidate: str = V2, **more: Any) -> Route:
    """Return a route in force that gives the candidate this share."""
    known: Obj = {
        "exists": True,
        "in_shape": True,
        "at_rest": not weight_pct,
        "split": Split(f"{NAME}-{candidate}", weight_pct).or_rest(),
        "accepted": True,
    }
    return Route(**known | more)


def course(
    status: Obj | None = None,
    *,
    weight_pct: int = 0,
    candidate: Revision | None = None,
    other: Revision | None = None,
    results: tuple[CheckResult, ...] | None = None,
    accepted: bool = True,
    look: Look | None = JUST_LOOKED,
    paused: bool = False,
    **changes: Any,
) -> Course:
    """Return a pass over the rollout of V2; `changes` are of its policy."""
    attempt = rollout(status=status, **changes)
    mine, base = candidate or revision(V2), other or stable()
    obs = observation(
        deployment=deployment(2, paused=paused),
        revisions=(base, mine),
        rollouts=(attempt,),
        route=route(weight_pct, accepted=accepted),
        look=look,
    )
    seen = EvidenceState(NOW_S, start_ledger(0.0), step_requests=1)
    judged = Judged(seen, (result(),) if results is None else results)
    return Course(obs, attempt, mine, base, judged)


def later(found: Course, after_s: float, **changes: Any) -> Course:
    """Return the same pass later, with other parts."""
    obs = replace(found.obs, now_s=found.obs.now_s + after_s)
    return replace(found, **({"obs": obs} | changes))
