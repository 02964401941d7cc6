"""From the objects, as they were read, to the facts that are shown: pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from rampway.api import labels
from rampway.api.conditions import Phase, RolloutPhase
from rampway.api.deployment import RevisionStatus
from rampway.api.parse import ModelDeployment, ModelRollout
from rampway.cli.facts import Facts, Found, RevisionFacts, Role, ended, full_size
from rampway.core.checks import checkpoint
from rampway.core.observation import Revision
from rampway.core.traffic.route import Route
from rampway.shell import reading

Obj = Mapping[str, Any]
_MAIN = frozenset({Role.STABLE, Role.FIRST})
"""Roles that the Service `<name>` sends to."""


def assemble(found: Found) -> Facts:
    """Return the facts that follow from the objects."""
    rollout = _chosen(found.rollouts)
    running = rollout if rollout and not ended(rollout) else None
    evidence = checkpoint.from_text(rollout.status.evidence) if rollout else None
    shown, idle = _revisions(found, running)
    requests = None
    if running and evidence and evidence.step_index == running.status.step.index:
        requests = evidence.step_requests
    return Facts(
        deployment=found.deployment,
        rollout=rollout,
        revisions=tuple(sorted(shown, key=lambda r: (list(Role).index(r.role), r.revision))),
        idle=idle,
        route=found.route,
        evidence_s=(evidence.seen_s or None) if evidence else None,
        step_requests=requests,
        notes=found.notes,
        read_at_s=found.read_at_s,
    )


def _chosen(rollouts: Sequence[ModelRollout]) -> ModelRollout | None:
    """Return the rollout that runs, else the latest one."""
    ordered = sorted(rollouts, key=lambda r: r.spec.attempt)
    running = [r for r in ordered if not ended(r)]
    return next(reversed(running or ordered), None)


def _revisions(found: Found, running: ModelRollout | None) -> tuple[list[RevisionFacts], int]:
    """Return the revisions to show, and the number of those without pods or a role."""
    if found.workloads is None:
        return _by_status(found, running), 0
    pods: dict[str, list[Obj]] = {}
    for pod in found.pods or ():
        pods.setdefault(_revision_of(pod), []).append(pod)
    known = [
        (_read(obj, mine), _restarts(mine))
        for obj in found.workloads
        for mine in [pods.get(_revision_of(obj), [])]
        if _revision_of(obj)
    ]
    promoted = {r.hash: r.promoted_at_s for r, _ in known if r.promoted_at_s is not None}
    stable = max(promoted, key=lambda revision: promoted[revision], default="")
    roles = _roles(found.deployment, running, stable)
    shown = [_facts(found, running, roles, *pair) for pair in known]
    idle = [r.role is Role.OLD and not r.wanted and r.revision not in pods for r in shown]
    return [r for r, rests in zip(shown, idle, strict=True) if not rests], sum(idle)


def _facts(
    found: Found,
    running: ModelRollout | None,
    roles: Mapping[str, Role],
    revision: Revision,
    restarts: int,
) -> RevisionFacts:
    serves = Role.STABLE in roles.values()
    role = roles.get(revision.hash, Role.OLD if serves else Role.FIRST)
    said = _in_status(found.deployment, revision.hash)
    return RevisionFacts(
        revision=revision.hash,
        role=role,
        version=revision.version,
        ready=revision.ready if found.pods is not None or not said else said.ready_replicas,
        wanted=revision.replicas,
        restarts=restarts,
        set_pct=_set_pct(revision.hash, role, running),
        observed_pct=_observed_pct(found.route, revision.name, role),
        trouble=revision.trouble,
        automation=said.automation if said else "",
        **_beside_weight(found.route, revision.hash, revision.name, running),
    )


def _beside_weight(
    route: Route | None, revision: str, name: str, running: ModelRollout | None
) -> dict[str, Any]:
    """Return which requests a candidate gets other than by weight: copies, or by what they bear."""
    found: dict[str, Any] = {}
    if running is not None and running.spec.candidate.revision == revision:
        found["set_mirror_pct"] = running.status.mirror_pct
        found["set_matched"] = running.status.matched
    if route is not None and route.split.candidate == name:
        found["observed_mirror_pct"] = route.split.mirror_pct
        found["observed_matched"] = bool(route.split.headers)
    return found


def _by_status(found: Found, running: ModelRollout | None) -> list[RevisionFacts]:
    """Return the revisions as the status names them: the Deployments may not be read."""
    status = found.deployment.status
    roles = _roles(found.deployment, running, status.stable.revision if status.stable else "")
    shown: dict[str, RevisionFacts] = {}
    for said in (status.stable, status.candidate):
        if said is None or said.revision in shown:
            continue
        role = roles.get(said.revision, Role.FIRST)
        name = labels.revision_name(found.deployment.name, said.revision)
        shown[said.revision] = RevisionFacts(
            revision=said.revision,
            role=role,
            version=said.version,
            ready=said.ready_replicas,
            wanted=full_size(found.deployment),
            restarts=0,
            set_pct=_set_pct(said.revision, role, running),
            observed_pct=_observed_pct(found.route, name, role),
            automation=said.automation,
            **_beside_weight(found.route, said.revision, name, running),
        )
    return list(shown.values())


def _in_status(deployment: ModelDeployment, revision: str) -> RevisionStatus | None:
    named = (deployment.status.stable, deployment.status.candidate)
    return next((said for said in named if said and said.revision == revision), None)


def _revision_of(obj: Obj) -> str:
    return str((obj["metadata"].get("labels") or {}).get(labels.REVISION, ""))


def _read(obj: Obj, pods: Sequence[Obj]) -> Revision:
    nothing: dict[str, str] = {}
    return reading.revision(
        obj, pods, services=frozenset(), digests=nothing, told=nothing, reported_sha256=""
    )


def _restarts(pods: Sequence[Obj]) -> int:
    """Return how often containers of these pods were started again."""
    return sum(
        container.get("restartCount", 0)
        for pod in pods
        for container in (pod.get("status") or {}).get("containerStatuses") or []
    )


def _roles(
    deployment: ModelDeployment, running: ModelRollout | None, stable: str
) -> dict[str, Role]:
    """Return the roles by hash."""
    roles = {stable: Role.STABLE} if stable else {}
    if running is not None:
        roles.setdefault(running.spec.candidate.revision, Role.CANDIDATE)
        if running.status.phase == RolloutPhase.WATCHING:
            roles.setdefault(running.spec.stable.revision, Role.PREVIOUS)
    elif deployment.status.candidate is not None:
        refused = deployment.status.phase == Phase.ROLLED_BACK
        waits = Role.CANDIDATE if stable else Role.FIRST
        role = Role.ROLLED_BACK if refused else waits  # refused also beside others (B16)
        roles.setdefault(deployment.status.candidate.revision, role)
    return roles


def _set_pct(revision: str, role: Role, running: ModelRollout | None) -> int:
    """Return the share that the rollout's status gives; the main revision has all the rest.

    In a watch the status gives the share of the new stable, and the previous one has the rest.
    """
    if running is not None and running.status.phase == RolloutPhase.WATCHING:
        shares = {Role.STABLE: running.status.weight_pct, Role.PREVIOUS: 0}
        shares[Role.PREVIOUS] = 100 - shares[Role.STABLE]
        return shares.get(role, 0)
    if running is None or running.spec.candidate.revision == revision:
        given = running.status.weight_pct if running else 0
        return 100 if role in _MAIN else given
    return 100 - running.status.weight_pct if role in _MAIN else 0


def _observed_pct(route: Route | None, name: str, role: Role) -> int | None:
    """Return the share of a revision's own backend, or for the main one that of `<name>`."""
    if route is None or not (route.at_rest or route.split.candidate):
        return None
    if route.split.candidate == name:
        return route.split.weight_pct
    return 100 - route.split.weight_pct if role in _MAIN else 0
