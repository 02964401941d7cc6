"""Shares given by numbers of pods, where no gateway splits requests (`traffic.type: Replicas`).

All pods behind one Service get about the same, so a candidate's share is its part of the pods.
Stable keeps all of its pods (B6): with s of them c candidates have c / (c + s), half at most. More
is only all of it, once the Service selects the candidate alone.
"""

from dataclasses import replace
from functools import lru_cache

from rampway.api.policy import Policy
from rampway.api.traffic import Traffic, TrafficType
from rampway.core.rollout import stages
from rampway.core.rollout.stages import FULL_PCT, Stage


def applies(traffic: Traffic) -> bool:
    """Whether shares are given by numbers of pods."""
    return traffic.type is TrafficType.REPLICAS


def share_pct(candidate: int, stable: int) -> int:
    """Return the share of so many candidates beside so many pods of stable; some is never none."""
    if not candidate:
        return 0
    return max(1, FULL_PCT * candidate // (candidate + stable)) if stable else FULL_PCT


def pods_for(weight_pct: int, stable: int, most: int) -> int:
    """Return the largest number of candidates, `most` at most, that have no more than a share."""
    if weight_pct >= FULL_PCT:
        return most
    return max((n for n in range(most + 1) if share_pct(n, stable) <= weight_pct), default=0)


def within(weight_pct: int, candidate: int, stable: int) -> int:
    """Return what so many candidates get if the Service selects both, 0 if it is too much."""
    found = share_pct(candidate, stable)
    return found if found <= weight_pct else 0


def of(policy: Policy, traffic: Traffic, stable: int, replicas: int) -> tuple[Stage, ...]:
    """Return a policy's stages; without a gateway each weight is rounded down to what pods give.

    Args:
        policy: What was asked for.
        traffic: How requests reach the model.
        stable: Pods of stable.
        replicas: Pods of a revision that carries everything.
    """
    if applies(traffic) and replicas:
        return by_pods(policy, stable, replicas)
    return stages.of(policy)


def by_pods(policy: Policy, stable: int, replicas: int) -> tuple[Stage, ...]:
    """Return a policy's stages with what so many pods can give."""
    return _given(stages.of(policy), stable, replicas)


@lru_cache(maxsize=4096)
def _given(found: tuple[Stage, ...], stable: int, replicas: int) -> tuple[Stage, ...]:
    return tuple(_by_pods(stage, stable, replicas) for stage in found)


def _by_pods(stage: Stage, stable: int, replicas: int) -> Stage:
    if not stage.weight_pct:
        return replace(stage, pods=max(1, -(-stage.size_pct * replicas // FULL_PCT)))
    pods = pods_for(stage.weight_pct, stable, replicas)
    given = FULL_PCT if stage.weight_pct == FULL_PCT else share_pct(pods, stable)
    return replace(stage, weight_pct=given, asked_pct=stage.weight_pct, pods=max(1, pods))


def objection(policy: Policy, replicas: int) -> str:
    """Return why a policy cannot be gone by without a gateway, empty if it can."""
    return unfit(policy, replicas)[1]


def unfit(policy: Policy, replicas: int) -> tuple[str, str]:
    """Return the first step that numbers of pods cannot give, and why; both empty without one.

    A share that is too small for one pod is not rounded down to none: a step that sends the
    candidate nothing would pass without evidence.
    """
    found = stages.of(policy)
    chosen = [s.name for s in found if s.mirror_pct or s.headers]
    if chosen:
        return chosen[0], (
            f"step {chosen[0]} copies or chooses requests, which takes a gateway: with "
            "traffic.type Replicas steps have a weight or an approval"
        )
    small = [s for s in found if replicas and 0 < s.weight_pct < share_pct(1, replicas)]
    if not small:
        return "", ""
    least = small[0].weight_pct
    enough = next(n for n in range(replicas, FULL_PCT * FULL_PCT) if share_pct(1, n) <= least)
    return small[0].name, (
        f"step {small[0].name} asks for {least} %, and 1 candidate pod beside {replicas} of stable "
        f"gets {share_pct(1, replicas)} %: give the step that weight, or {enough} replicas, or use "
        "a gateway"
    )
