"""What is kept of the past, and for how long: old revisions, old rollouts, digests."""

from rampway.api import labels
from rampway.api.conditions import RolloutPhase
from rampway.api.deployment import Info
from rampway.api.parse import ModelRollout
from rampway.core.actions import Action, Create, Delete
from rampway.core.instants import from_wire
from rampway.core.model import revision
from rampway.core.observation import Observation, Revision, has_ended
from rampway.core.pods import sizes
from rampway.core.traffic import podshare

DRAIN_S = 30.0
"""Stable's predecessor keeps its pods so long: gateways may still send it a few requests."""
REVISIONS_KEPT = 5
"""Old revisions kept without pods, to go back to by content (B4)."""
ROLLOUTS_KEPT = 10


def remove(old: Revision) -> list[Action]:
    """Return the deletion of everything a revision consists of."""
    told = [Delete("ConfigMap", labels.automation_name(old.name), "")] if old.automation else []
    return [
        Delete("Deployment", old.name, old.uid),
        Delete("Service", old.name, ""),
        Delete("ConfigMap", old.name, ""),
        Delete("PodDisruptionBudget", old.name, ""),
        *sizes.without_autoscaler(old),
        *told,
    ]


def record_digest(obs: Observation, mine: Revision) -> list[Action]:
    """Pin the bytes that the first pod loaded, so that later pods refuse others (B3)."""
    if mine.recorded_sha256 or not mine.reported_sha256:
        return []
    manifest = revision.digest_record(obs.deployment, mine.hash, mine.reported_sha256)
    return [Create("ConfigMap", manifest)]


def info_of(known: Revision) -> Info:
    """Return what a revision's Deployment still tells of its info."""
    return Info(version=known.version or None)


def tidy(
    obs: Observation, stable: Revision, active: ModelRollout | None
) -> tuple[list[Action], float | None]:
    """Return what has to go, and in how many seconds the next thing will have to."""
    busy = {stable.hash}
    if active is not None:  # a watch keeps the old revision too, warm (B9)
        busy |= {active.spec.candidate.revision, active.spec.stable.revision}
    actions: list[Action] = []
    waits_s: list[float] = []
    idle: list[Revision] = []
    for old in obs.revisions:
        if old.hash in busy:
            continue
        left_s = _keep_until_s(obs, stable, old) - obs.now_s
        if left_s > 0 and obs.deployment.spec.replicas:
            waits_s.append(left_s)
            actions += sizes.spare(obs, old)
        elif old.replicas:
            actions += sizes.size(obs, old, 0, 0)
        elif not old.pods:
            idle.append(old)
    idle.sort(key=lambda r: r.created_s, reverse=True)
    for old in idle[REVISIONS_KEPT:]:
        actions += remove(old)
    for ended in obs.rollouts[:-ROLLOUTS_KEPT]:
        if has_ended(ended):
            actions.append(Delete("ModelRollout", ended.name, ended.uid))
    return actions, min(waits_s, default=None)


def _lingers(obs: Observation) -> bool:
    """Whether connections to a revision outlast its share: then only its pods' end ends them."""
    return podshare.applies(obs.deployment.spec.traffic)


def _keep_until_s(obs: Observation, stable: Revision, old: Revision) -> float:
    """Return until when an old revision keeps its pods."""
    until_s = (stable.promoted_at_s or 0.0) + DRAIN_S if old.promoted_at_s else 0.0
    for rollout in obs.rollouts:
        ended_s = from_wire(rollout.status.ended_at)
        if ended_s is None:
            continue
        if rollout.spec.stable.revision == old.hash and rollout.status.watched_since:
            until_s = max(until_s, ended_s + DRAIN_S)  # its share went back only now
        if rollout.spec.candidate.revision != old.hash:
            continue
        if rollout.status.phase != RolloutPhase.PROMOTED and not _lingers(obs):
            keep_s = rollout.spec.policy.rollback.keep_candidate_s
            scarce_s = min(keep_s, DRAIN_S)  # others need its place
            until_s = max(until_s, ended_s + (scarce_s if sizes.is_scarce(obs) else keep_s))
    return until_s
