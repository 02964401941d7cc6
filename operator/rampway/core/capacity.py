"""How many pods a weight needs, and how much weight ready pods can carry (B6, B24)."""

import math

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


def returnable_pct(stable_ready: int, replicas: int) -> int:
    """Return how much of the traffic stable can take at once, in percent.

    Its pods carried 1/replicas each before the rollout; half as much again is asked of them.
    """
    return min(100, math.floor(100 * SURGE_FACTOR * stable_ready / replicas))
