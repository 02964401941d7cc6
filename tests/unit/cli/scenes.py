"""ModelDeployments in the states that a reader meets."""

from typing import Any

from unit.cli.objects import (
    NAME,
    NOW_S,
    SPACE,
    V1,
    V2,
    Obj,
    Scene,
    ago,
    conditions,
    decided,
    digest,
    evidence,
    pod,
    put,
    rollout,
    route,
    spec,
    status,
    workload,
)
from unit.cli.starting import crash_looping
from unit.cli.waiting import V3, queued_behind

from rampway.api import labels

__all__ = [
    "NAME",
    "NOW_S",
    "PEOPLE",
    "SCENES",
    "SPACE",
    "V1",
    "V2",
    "V3",
    "Scene",
    "ago",
    "conditions",
    "crash_looping",
    "decided",
    "digest",
    "evidence",
    "pod",
    "put",
    "rollout",
    "route",
    "spec",
    "status",
    "workload",
]

STABLE = workload("1", 3, promoted_s=7200)
STABLE_PODS = tuple(pod(V1, n) for n in range(3))
CALM = "0 of 412 requests failed on the candidate, 1 of 1240 on stable: 0.0 times as often"
SLOW = "3 of 412 requests took longer than 42 ms on the candidate, 11 of 1240 longer than 35 ms"
STEPS = (
    decided(300, "StepStarted", "StepRunning", "step 1/3 tenth: 10%"),
    decided(95, "StepStarted", "StepRunning", "step 2/3 quarter: 25%"),
)
AT_STEP_2 = {"index": 1, "name": "quarter", "total": 3, "inForceSince": ago(90), "notCountedS": 5}

first_apply = Scene(
    spec=spec("1"),
    status=status(
        "Pending",
        "FirstRevision",
        "first revision: 0 of 3 pods ready: ErrImagePull: model-server:9 was not found",
        "Unknown",
        stable=None,
        Ready=(
            "False",
            "FirstRevision",
            "first revision: 0 of 3 pods ready: ErrImagePull: model-server:9 was not found",
        ),
    ),
    workloads=(workload("1", 3),),
    pods=(pod(V1, 0, waiting=("ErrImagePull", "model-server:9 was not found")),),
    route=route(refusal="backend digits has no endpoints"),
)

healthy = Scene(
    spec=spec("1"),
    status=status("Healthy", "AtRest", "3 of 3 pods ready", "True"),
    workloads=(STABLE, workload("0", 0, promoted_s=9000)),
    pods=STABLE_PODS,
    route=route(),
)

mid_rollout = Scene(
    spec=spec("2"),
    generation=2,
    status=status(
        "Progressing",
        "EvidenceWaiting",
        f"step quarter: slow: {SLOW}; about 380 more requests on the candidate, 2 min at the "
        "present rate",
        "Unknown",
        generation=2,
        candidate={"revision": V2, "version": "2", "readyReplicas": 1},
        step="2/3",
        weightPct=25,
    ),
    rollouts=(
        rollout(
            phase="Stepping",
            reason="EvidenceWaiting",
            step=AT_STEP_2,
            weightPct=25,
            trafficSince=ago(290),
            checks=[
                {"name": "errors", "state": "Pass", "message": CALM},
                {
                    "name": "slow",
                    "state": "Waiting",
                    "message": f"{SLOW}; about 380 more requests on the candidate, 2 min at the "
                    "present rate",
                },
            ],
            checkedAt=ago(3),
            decisions=STEPS,
            evidence=evidence(4, 1, 143),
        ),
    ),
    workloads=(STABLE, workload("2", 1)),
    pods=(*STABLE_PODS, pod(V2, 0)),
    route=route(V2, 25),
)

_BLIND = "Prometheus cannot be reached: connection refused"
holding = mid_rollout.but(
    status=status(
        "Holding",
        "EvidenceUnknown",
        f"holding without evidence: errors: {_BLIND}",
        "Unknown",
        generation=2,
        candidate={"revision": V2, "version": "2", "readyReplicas": 1},
        step="2/3",
        weightPct=25,
        stalled="True",
    ),
    rollouts=(
        rollout(
            phase="Stepping",
            reason="EvidenceUnknown",
            step=AT_STEP_2,
            weightPct=25,
            trafficSince=ago(290),
            unknownSince=ago(40),
            checks=[
                {"name": "errors", "state": "Unknown", "message": _BLIND},
                {"name": "slow", "state": "Unknown", "message": _BLIND},
            ],
            checkedAt=ago(2),
            decisions=STEPS,
            evidence=evidence(45, 1, 143),
        ),
    ),
    route=route(V2, 25, refusal="listener http is gone"),
)

_HARM = (
    "31 of 412 requests failed on the candidate, 1 of 1240 on stable: 93.3 times as often; a "
    "false alarm at this point has a chance under 1 %"
)
rolled_back_by_check = Scene(
    spec=spec("2"),
    generation=2,
    status=status(
        "RolledBack",
        "CheckFailed",
        f"{NAME}-{V2} was rolled back: check errors: {_HARM}. {NAME}-{V1} serves. Not tried again "
        "until the spec changes",
        "False",
        generation=2,
        candidate={"revision": V2, "version": "2", "readyReplicas": 1},
        rollout=labels.rollout_name(NAME, V2, 1),
        stalled="True",
    ),
    rollouts=(
        rollout(
            phase="RolledBack",
            reason="CheckFailed",
            message=f"check errors: {_HARM}",
            endedAt=ago(30),
            step=AT_STEP_2,
            checks=[
                {"name": "errors", "state": "Fail", "message": _HARM},
                {"name": "slow", "state": "Waiting", "message": SLOW},
            ],
            checkedAt=ago(31),
            decisions=[
                *STEPS,
                decided(31, "RollingBack", "CheckFailed", f"check errors: {_HARM}"),
            ],
            evidence=evidence(32, 1, 412),
        ),
    ),
    workloads=(STABLE, workload("2", 1)),
    pods=(*STABLE_PODS, pod(V2, 0)),
    route=route(),
)

_CRASH = (
    f"containers of the candidate {NAME}-{V2} crashed 2 times under traffic: OOMKilled: the server "
    "ended with exit code 137"
)
rolled_back_by_crash = rolled_back_by_check.but(
    status=status(
        "RolledBack",
        "CandidateCrashed",
        f"{NAME}-{V2} was rolled back: {_CRASH}. {NAME}-{V1} serves. Not tried again until the "
        "spec changes",
        "False",
        generation=2,
        candidate={"revision": V2, "version": "2", "readyReplicas": 0},
        rollout=labels.rollout_name(NAME, V2, 1),
        stalled="True",
    ),
    rollouts=(
        rollout(
            phase="RolledBack",
            reason="CandidateCrashed",
            message=_CRASH,
            endedAt=ago(15),
            step=AT_STEP_2,
            decisions=[*STEPS, decided(15, "RollingBack", "CandidateCrashed", _CRASH)],
        ),
    ),
    pods=(*STABLE_PODS, pod(V2, 0, crashed="")),
)

BY_BOB = {"by": "bob", "at": ago(200)[:19] + "Z", "told": "Stamp"}
BY_ALICE = {"by": "alice", "at": ago(301)[:19] + "Z", "told": "Stamp"}
paused = mid_rollout.but(
    spec=spec("2", paused=True),
    status=status(
        "Paused",
        "Paused",
        f"the step is over; paused by bob at {BY_BOB['at']} (spec.paused)",
        "Unknown",
        pausedBy=BY_BOB,
        changedBy=BY_ALICE,
        generation=2,
        candidate={"revision": V2, "version": "2", "readyReplicas": 1},
        step="1/3",
        weightPct=10,
    ),
    rollouts=(
        rollout(
            released_by=BY_ALICE,
            phase="Stepping",
            reason="Paused",
            step={"index": 0, "name": "tenth", "total": 3, "inForceSince": ago(290)},
            weightPct=10,
            trafficSince=ago(290),
            checks=[{"name": "errors", "state": "Pass", "message": CALM}],
            checkedAt=ago(3),
            decisions=[
                *STEPS[:1],
                decided(199, "Paused", "Paused", f"paused by bob at {BY_BOB['at']}")
                | {"actor": "bob"},
            ],
            evidence=evidence(4, 0, 412),
        ),
    ),
    route=route(V2, 10),
)

BY_PATCH = {"by": "kubectl-patch", "at": ago(200)[:19] + "Z", "told": "Manager"}
paused_at_rest = healthy.but(
    spec=spec("2", paused=True),
    status=status(
        "Paused",
        "Paused",
        f"revision {V2} is recorded; its rollout starts when the pause ends: paused by somebody "
        f"with kubectl-patch, which wrote last at {BY_PATCH['at']} (spec.paused; no names are "
        "stamped here)",
        "Unknown",
        generation=2,
        pausedBy=BY_PATCH,
        changedBy=BY_PATCH | {"by": "argocd-controller"},
    ),
)

_TAKEN = (
    "host and path are already taken on this Gateway by ModelDeployment letters; give this one "
    "another hostname, pathPrefix or Gateway"
)
refused = Scene(
    spec=spec("1"),
    status=status(
        "Refused",
        "RouteConflict",
        _TAKEN,
        "False",
        stable=None,
        stalled="True",
        Accepted=("False", "RouteConflict", _TAKEN),
        Ready=("False", "FirstRevision", _TAKEN),
    ),
)

promoted = healthy.but(
    spec=spec("2"),
    status=status(
        "Healthy",
        "AtRest",
        "3 of 3 pods ready",
        "True",
        stable={"revision": V2, "version": "2", "readyReplicas": 3},
    ),
    rollouts=(
        rollout(
            phase="Promoted",
            reason="Promoted",
            message=f"{NAME}-{V2} is stable: all steps passed",
            endedAt=ago(3600),
            weightPct=100,
            step=AT_STEP_2 | {"index": 2, "name": "half"},
            checks=[{"name": "errors", "state": "Pass", "message": CALM}],
            decisions=[
                decided(3660, "Promoting", "Promoting", "all steps passed"),
                decided(3600, "Promoted", "Promoted", f"{NAME}-{V2} is stable: all steps passed"),
            ],
        ),
    ),
    workloads=(workload("1", 0, promoted_s=7200), workload("2", 3, promoted_s=3600)),
    pods=tuple(pod(V2, n) for n in range(3)),
)

just_applied = healthy.but(spec=spec("2"), generation=2)

PEOPLE: Obj = {
    "steps": [
        {
            "name": "shadow",
            "mirror": "50%",
            "hold": "5m",
            "minRequests": 100,
            "automation": {"level": "Off"},
        },
        {"name": "five", "weight": "5%", "hold": "2m", "automation": {"level": "Full"}},
        {"name": "look", "approval": {"message": "Look at the minority classes"}},
        {"name": "half", "weight": "50%", "hold": "2m"},
    ],
    "checks": [{"name": "errors", "errorRate": {}, "onFailure": "Pause"}],
    "watch": {"hold": "1h", "holdback": "1%"},
}
"""A policy in which people have a say."""
SHADOWED = (decided(1900, "StepStarted", "StepRunning", "step 1/4 shadow: mirror 50%"),)
_CANDIDATE = {"revision": V2, "version": "2", "readyReplicas": 1, "automation": "Full"}


def with_people(
    phase: str, reason: str, message: str, promoted: str = "Unknown", **about: Any
) -> Scene:
    """Return a scene of the policy with people; about=fields of the rollout's status."""
    said = {"phase": about.pop("said", "Holding"), "stalled": about.pop("stalled", "False")}
    step = about.get("step") or {}
    requests = about.pop("requests", None)
    attempt = about.pop("attempt", 1)
    done = promoted == "True"
    degree = {"automation": about.pop("automation", "Full")}
    told = {} if done else {"candidate": _CANDIDATE | degree}
    stable = {"revision": V2, "version": "2", "readyReplicas": 3} if done else None
    if stable:
        told = {"stable": stable}
    mirror, weight = about.get("mirrorPct", 0), about.get("weightPct", 0)
    old = workload("1", 3, promoted_s=7200)
    new = workload("2", 3 if done else 2, promoted_s=1100 if done else None)
    return Scene(
        spec=spec("2", rollout={"policy": PEOPLE}),
        generation=2,
        status=status(
            said.pop("phase"), reason, message, promoted, generation=2,
            step=f"{step.get('index', 3) + 1}/4" if phase == "Stepping" else "4/4",
            weightPct=weight, **said, **told,
        ),
        rollouts=(
            rollout(
                attempt, PEOPLE, requests, phase=phase, reason=reason, message=message,
                startedAt=ago(2000), trafficSince=ago(1900), decisions=SHADOWED,
                **about,
            ),
        ),
        workloads=(old, new),
        pods=(*STABLE_PODS, *(pod(V2, n) for n in range(3 if done else 2))),
        route=route(V1 if done else V2, 100 - weight if done else weight, mirror=mirror),
    )  # fmt: skip


mirroring = with_people(
    "Stepping",
    "StepRunning",
    "step shadow holds for 3 min more",
    said="Progressing",
    automation="Off",
    mirrorPct=50,
    step={"index": 0, "name": "shadow", "total": 4, "inForceSince": ago(120)},
)
waiting_for_approval = with_people(
    "Stepping",
    "WaitingForApproval",
    "step look waits for a person's approval: Look at the minority classes",
    stalled="True",
    weightPct=5,
    step={"index": 2, "name": "look", "total": 4, "inForceSince": ago(600)},
)
_HARMED = "31 of 412 requests failed on the candidate, 1 of 1240 on stable"
stopped_by_check = with_people(
    "Stepping",
    "StoppedByCheck",
    f"stopped: check errors: {_HARMED}. Approve step half to go on all the same, or abort",
    stalled="True",
    attempt=2,
    weightPct=50,
    step={"index": 3, "name": "half", "total": 4, "inForceSince": ago(70)},
    checks=[{"name": "errors", "state": "Fail", "message": _HARMED}],
    checkedAt=ago(2),
    requests={"approve": [{"step": "look", "by": "bob", "message": "all classes are fine"}]},
)
hook_failed = with_people(
    "Stepping",
    "HookFailed",
    "hook smoke.half failed: exit code 3. Approve step half to go on, or abort",
    stalled="True",
    weightPct=5,
    step={"index": 2, "name": "look", "total": 4, "inForceSince": ago(600)},
    hooks=[
        {"key": "smoke.five", "state": "Succeeded", "since": ago(900)},
        {"key": "smoke.half", "state": "Failed", "since": ago(60), "message": "exit code 3"},
    ],
    requests={"approve": [{"step": "look", "by": "bob"}]},
)
promoting = with_people(
    "Promoting",
    "EvidenceUnknown",
    "holding without evidence: errors: Prometheus cannot be reached",
    stalled="True",
    weightPct=50,
    step={"index": 3, "name": "half", "total": 4},
    checks=[{"name": "errors", "state": "Unknown", "message": "Prometheus cannot be reached"}],
    checkedAt=ago(2),
)
rolling_back = with_people(
    "RollingBack",
    "AbortedByPerson",
    "aborted by bob: too slow; stable's ready pods carry 75 %, the rest follows",
    "False",
    said="RollingBack",
    weightPct=25,
    step={"index": 3, "name": "half", "total": 4},
    requests={"abort": {"by": "bob", "message": "too slow"}},
)
watching = with_people(
    "Watching",
    "Watching",
    f"{NAME}-{V2} is stable; watched for 42 min more, 1 % stay on {NAME}-{V1}",
    "True",
    said="Watching",
    weightPct=99,
    watchedSince=ago(1080),
    step={"index": 4, "total": 4, "inForceSince": ago(1000)},
)

queued = queued_behind(waiting_for_approval, PEOPLE)
queued_in_watch = queued_behind(watching, PEOPLE)

SCENES = {
    "mirroring": mirroring,
    "waiting_for_approval": waiting_for_approval,
    "stopped_by_check": stopped_by_check,
    "hook_failed": hook_failed,
    "promoting": promoting,
    "rolling_back": rolling_back,
    "watching": watching,
    "queued": queued,
    "queued_in_watch": queued_in_watch,
    "first_apply": first_apply,
    "healthy": healthy,
    "mid_rollout": mid_rollout,
    "crash_looping": crash_looping,
    "holding": holding,
    "rolled_back_by_check": rolled_back_by_check,
    "rolled_back_by_crash": rolled_back_by_crash,
    "paused": paused,
    "paused_at_rest": paused_at_rest,
    "refused": refused,
    "promoted": promoted,
    "just_applied": just_applied,
}
