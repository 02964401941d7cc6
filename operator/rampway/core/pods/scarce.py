"""Running on less than two full sizes: who has how many pods, and when (spec.capacity, B6).

All revisions together have no more pods than the full size and `maxSurge`. The share follows the
candidate's ready pods, stable's pods follow the share, and what they leave the candidate may take:
so a step is taken in as many parts as it needs, and a rollback likewise, the other way round.
"""

import math

from rampway.api.conditions import RolloutPhase
from rampway.core.instants import brief
from rampway.core.observation import Observation
from rampway.core.pods import capacity
from rampway.core.pods.sizes import is_scarce
from rampway.core.rollout import stages
from rampway.core.rollout.course import Course, Outcome
from rampway.core.traffic.split import Split

_RETURNING = frozenset(
    {RolloutPhase.ROLLING_BACK, RolloutPhase.ROLLED_BACK, RolloutPhase.SUPERSEDED,
     RolloutPhase.ABORTED}
)  # fmt: skip


def stable_size(course: Course, outcome: Outcome) -> int | None:
    """Return the pods that stable needs for what it carries; None: its full size.

    They follow a share only once the gateway has accepted it.
    """
    if not is_scarce(course.obs) or outcome.status.phase in _RETURNING:
        return None
    full = course.replicas
    need = capacity.left_for(min(course.weight_pct, outcome.weight_pct), full)
    return need if course.obs.route.accepted else max(need, min(course.stable.replicas, full))


def to_begin(course: Course, need: int) -> int:
    """Return the pods with which a stage may begin that needs so many in the end."""
    surge = course.obs.deployment.spec.capacity.surge
    return need if surge is None else min(need, surge)


def leaving_size(course: Course, target: Split) -> int | None:
    """Return the pods that a candidate keeps that is given less and less; None: all it has."""
    mine, surge = course.candidate, course.obs.deployment.spec.capacity.surge
    if surge is None or not course.obs.route.accepted:
        return None
    held_pct = max(target.weight_pct, course.weight_pct)
    need = capacity.replicas_for(held_pct, course.replicas)
    return min(mine.replicas, need if held_pct else surge)


def told(obs: Observation) -> str:
    """Return how much of the traffic can return at once, and how long the rest takes (B6)."""
    active = obs.active
    mine = obs.revision(active.spec.stable.revision) if active else None
    full, surge = obs.deployment.spec.replicas, obs.deployment.spec.capacity.surge
    if surge is None or active is None or mine is None or not full:
        return ""
    pct = capacity.returnable_pct(mine.ready, full)
    if pct >= stages.FULL_PCT:
        return "all of the traffic can return at once"
    enough = math.ceil(full / capacity.SURGE_FACTOR)
    rounds = math.ceil((enough - mine.ready) / surge)
    starts_s = max(
        (p.ready_since_s - p.created_s for r in obs.revisions for p in r.pods if p.ready),
        default=0.0,
    )
    rest = f", the rest in about {brief(rounds * starts_s)}" if starts_s > 0 else ""
    return f"{pct} % of the traffic can return at once{rest}"
