"""How many pods each revision has, with an autoscaler or without (B6, B12).

The bounds of an autoscaler are the operator's, the number between them is the autoscaler's own. A
step needs a certain number of pods before they have any load, and what is measured of a revision
is for a minute that of the share it had before: both are what the lower bound is for.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

from rampway.api.capacity import Autoscaling, Fallback
from rampway.api.conditions import RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.rollout import ModelRolloutStatus
from rampway.core.actions import Action, Autoscale, Delete, Scale
from rampway.core.instants import from_wire
from rampway.core.observation import Observation, Revision
from rampway.core.pods import capacity
from rampway.core.pods.autoscaler import digest, manifest
from rampway.core.rollout import stages

MEASURED_S = 60.0
"""Pods are measured by averages of about a minute: what was before shows for so long."""
SETTLE_S = 120.0
"""So long after its share has changed, stable's own measurements do not make it smaller: that
minute, and an autoscaler's time to look."""
TOLERANCE = 1.1
"""Autoscalers change nothing within 10 % of their target; neither does the size."""


def full(obs: Observation) -> int:
    """Return the pods of a revision that carries everything; none where none are to serve.

    With an autoscaler: those that stable has, and in a rollout as many as the load of both needs.
    """
    spec = obs.deployment.spec
    if spec.autoscaling is None or not spec.replicas:
        return spec.replicas
    now = obs.stable.replicas if obs.stable else 0
    return spec.autoscaling.within(max(now, _for_the_load_of_both(obs, now)))


def is_scarce(obs: Observation) -> bool:
    """Whether pods for two full sizes are not to be had (spec.capacity)."""
    return obs.deployment.spec.capacity.surge is not None


def room(obs: Observation, mine: str = "") -> float:
    """Return how many pods a revision may have beside what the others hold.

    Pods that leave, its own too, hold what they have until they are gone.
    """
    spec = obs.deployment.spec
    if spec.capacity.surge is None:
        return math.inf
    held = 0
    for known in obs.revisions:
        leaving = sum(pod.leaving for pod in known.pods)
        stay = max(known.replicas, len(known.pods) - leaving)
        held += leaving + (0 if known.hash == mine else stay)
    return spec.replicas + spec.capacity.surge - held


def after(obs: Observation, actions: Iterable[Action]) -> Observation:
    """Return what is there with the pods that these actions ask for: room is given away once."""
    asked = {a.revision: a.replicas for a in actions if isinstance(a, Scale)}
    if not asked or not is_scarce(obs):
        return obs
    grown = (replace(r, replicas=max(r.replicas, asked.get(r.name, 0))) for r in obs.revisions)
    return replace(obs, revisions=tuple(grown))


def first_pod(obs: Observation) -> int:
    """Return the pods that a candidate is made with: one, unless there is no place yet."""
    return min(1, obs.deployment.spec.replicas) if room(obs) >= 1 else 0


def stable_least(obs: Observation) -> int:
    """Return the fewest pods that stable may have now.

    In a rollout, and until its own load is measured again after one, it never gets smaller: with
    half the load elsewhere its autoscaler would take its pods, and the load may return at once.
    """
    plan = obs.deployment.spec.autoscaling
    wanted = full(obs)
    return wanted if plan is None or not wanted or settles_in_s(obs) else plan.min_replicas


def most(obs: Observation) -> int:
    """Return the most pods that a revision may have that carries everything."""
    plan = obs.deployment.spec.autoscaling
    return plan.max_replicas if plan else obs.deployment.spec.replicas


def again_in_s(obs: Observation) -> float:
    """Return in how many seconds stable may get smaller; infinite if nothing changes by itself."""
    plan = obs.deployment.spec.autoscaling
    return (settles_in_s(obs) if plan else 0.0) or math.inf


def settles_in_s(obs: Observation) -> float:
    """Return for how long stable may not get smaller; infinite in a rollout."""
    active, last = obs.active, obs.last
    if active is not None and active.status.phase != RolloutPhase.WATCHING:
        return math.inf
    ended_s = from_wire(last.status.ended_at) if last else None
    promoted_s = obs.stable.promoted_at_s if obs.stable else None
    moved_s = max(ended_s or 0.0, promoted_s or 0.0)
    return max(0.0, moved_s + SETTLE_S - obs.now_s)


def warm(obs: Observation, before: Revision) -> int:
    """Return the pods that the old revision keeps in the watch, to take back what it can.

    With an autoscaler it follows the new one upwards only: the load may be on its way back.
    """
    wanted, plan = full(obs), obs.deployment.spec.autoscaling
    if plan and wanted:
        return plan.within(max(wanted, before.replicas))
    watch = obs.active.spec.policy.watch if obs.active else None
    if not is_scarce(obs) or watch is None:
        return wanted
    held_back = capacity.replicas_for(watch.holdback_pct, wanted)
    proportional = obs.deployment.spec.capacity.fallback is Fallback.PROPORTIONAL
    return held_back if watch.holdback_pct or proportional else 0


def candidate_most(plan: Autoscaling | None, attempt: ModelRollout, now: ModelRolloutStatus) -> int:
    """Return the most pods that a candidate's autoscaler may ask for: its share of all."""
    if plan is None:
        return 0
    if now.phase == RolloutPhase.PROMOTING:
        return plan.max_replicas
    stage = stages.of(attempt.spec.policy)[now.step.index]
    return capacity.replicas_for(stage.size_pct, plan.max_replicas)


def size(obs: Observation, mine: Revision, least: int, most: int) -> list[Action]:
    """Return what brings a revision within these bounds; without an autoscaler to the lower one."""
    plan = obs.deployment.spec.autoscaling
    if plan is None or not least:
        wanted = least
        actions: list[Action] = without_autoscaler(mine)
    else:
        wanted = min(max(mine.replicas, least), max(least, most))
        actions = _bound(obs, plan, mine, least, max(least, most))
    if wanted > mine.replicas:
        wanted = max(mine.replicas, int(min(wanted, room(obs, mine.hash))))
    if mine.replicas != wanted:
        actions.append(Scale(mine.name, wanted))
    return actions


def spare(obs: Observation, old: Revision) -> list[Action]:
    """Return what takes from a revision that is only kept the pods that others need (scarce)."""
    surge = obs.deployment.spec.capacity.surge
    return [Scale(old.name, surge)] if surge is not None and old.replicas > surge else []


def without_autoscaler(mine: Revision) -> list[Action]:
    """Return the end of a revision's autoscaler, if it has one."""
    return [Delete("HorizontalPodAutoscaler", mine.name, "")] if mine.autoscaler else []


def trouble(mine: Revision) -> str:
    """Return why a revision's autoscaler does not scale, in its own words, else empty."""
    words = mine.autoscaler.trouble if mine.autoscaler else ""
    return f"its autoscaler does not scale: {words}" if words else ""


def _bound(
    obs: Observation, plan: Autoscaling, mine: Revision, least: int, most: int
) -> list[Action]:
    has = mine.autoscaler
    if has and (has.least, has.most, has.plan) == (least, most, digest(plan)):
        return []
    return [Autoscale(mine.name, manifest(obs.deployment, plan, mine.hash, least, most))]


def _for_the_load_of_both(obs: Observation, now: int) -> int:
    """Return the pods that one revision would need for the load of stable and candidate together.

    The sum is the same whatever the split, so it is taken only where the split has been the same
    for as long as measurements take. Pods of a candidate that wastes more than its share count as
    many as it may have, so that it does not drive stable to its maximum.
    """
    active, stable = obs.active, obs.stable
    if active is None or stable is None or active.status.phase != RolloutPhase.STEPPING:
        return 0
    candidate = obs.revision(active.spec.candidate.revision)
    since_s = from_wire(active.status.step.in_force_since)
    steady = since_s is not None and obs.now_s - since_s >= MEASURED_S
    if candidate is None or not steady or not obs.route.split.answers:
        return 0
    needs = [_needed(known, obs.now_s) for known in (stable, candidate)]
    if any(math.isnan(pods) for pods in needs):
        return 0
    together = sum(needs)
    return math.ceil(together) if together > now * TOLERANCE else 0


def _needed(mine: Revision, now_s: float) -> float:
    """Return the pods that a revision's load needs, NaN while that is not known.

    An autoscaler counts pods that it could not measure yet; so all have to be measured.
    """
    has = mine.autoscaler
    if has is None or has.load is None or not has.pods == mine.replicas == mine.ready:
        return math.nan
    if any(now_s - pod.ready_since_s < MEASURED_S for pod in mine.pods if pod.ready):
        return math.nan
    return min(has.most, has.pods * has.load)
