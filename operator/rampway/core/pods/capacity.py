"""How many pods a weight needs, and how much weight ready pods can carry (B6, B24)."""

import math

from rampway.api.policy import Policy
from rampway.core.rollout import stages

SURGE_FACTOR = 1.5
"""A pod of stable may briefly carry so much more than its share at rest (B24)."""


def replicas_for(weight_pct: int, replicas: int) -> int:
    """Return the pods that a candidate needs for its weight: at least one, unless all are none.

    A revision with all its `replicas` carries 100 %, so each pod carries an equal part of it.
    """
    return max(min(1, replicas), math.ceil(weight_pct * replicas / 100))


def weight_for(ready: int, replicas: int) -> int:
    """Return the largest weight in percent that so many ready pods carry without overload."""
    return min(100, math.floor(100 * ready / replicas)) if replicas else 0


def left_for(weight_pct: int, replicas: int) -> int:
    """Return the pods that stable needs for what a candidate's weight leaves it: at least one.

    Weights are whole percentages, so a pod's part may be rounded down by one: that is forgiven.
    """
    if not weight_pct:
        return replicas
    return max(min(1, replicas), math.ceil((99 - weight_pct) * replicas / 100))


def returnable_pct(stable_ready: int, replicas: int) -> int:
    """Return how much of the traffic stable can take at once, in percent.

    Its pods carried 1/replicas each before the rollout; half as much again is asked of them.
    """
    return min(100, math.floor(100 * SURGE_FACTOR * stable_ready / replicas))


def objection(policy: Policy, replicas: int, surge: int | None) -> str:
    """Return why a policy cannot be gone by with so few pods beside stable's, empty if it can.

    Args:
        policy: What was asked for.
        replicas: Pods of a revision that carries everything.
        surge: Pods that there may be beside them; None: as many again.
    """
    if surge is None:
        return ""
    beside = {
        f"step {stage.name}": replicas_for(stage.size_pct, replicas)
        for stage in stages.of(policy)
        if stage.size_pct > stage.weight_pct
    }
    if policy.watch is not None and policy.watch.holdback_pct:
        beside["the watch's holdback"] = replicas_for(policy.watch.holdback_pct, replicas)
    what = max(beside, key=lambda name: beside[name], default="")
    if not what or beside[what] <= surge:
        return ""
    return (
        f"{what} needs {beside[what]} pods beside the {replicas} of stable, and spec.capacity "
        f"allows {surge}: raise its maxSurge, set fallback: Full, or take another policy"
    )
