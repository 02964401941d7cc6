"""Latency by the same primitive: requests slower than a bound are events.

"Slower by q": the candidate exceeds b' >= (1 + q) * b more often than stable exceeds b.
"""

import math
from dataclasses import dataclass

from rampway.core.evidence.buckets import Histogram
from rampway.core.evidence.mixture import PairCount

ENOUGH = 100
"""Requests of stable's that a choice of bounds needs."""
FEWEST_BEYOND = 5
"""A tail that fewer of stable's requests should lie in is not looked at: it is guesswork."""
ROUNDING = 0.005
"""Bounds in steps of 20 % are written with three digits, so a step can be 19.5 %."""
_FLOAT = 1e-6
_TAILS = ((0.5, 1.0), (0.25, 2.0), (0.1, 3.0), (0.05, 2.0), (0.01, 1.0))
"""Shares of stable's requests beyond a bound, with the interest in each."""


@dataclass(frozen=True, slots=True)
class BoundPair:
    """Two bucket bounds that are compared.

    Attributes:
        weight: Share of the check's budget; the weights of a check sum to 1.
        stable_bound_s: Seconds; stable's requests beyond it are events.
        candidate_bound_s: Seconds, at least (1 + q) times as long, for the candidate.
    """

    weight: float
    stable_bound_s: float
    candidate_bound_s: float


def choose_bounds(
    stable: Histogram, slowdown: float, quantile: float | None
) -> tuple[BoundPair, ...]:
    """Choose the bounds to compare, from stable's histogram before the rollout.

    Chosen once, before the candidate's counts are seen, so the choice costs no validity. A
    quantile gives one pair: each further one would cost the others evidence.

    Args:
        stable: Stable's cumulative histogram.
        slowdown: Tolerated relative increase, 0.2 for 20 %.
        quantile: In (0, 1), the part of the distribution to judge; None: all of it.

    Returns:
        The pairs, the most interesting one first; empty while stable has too few requests, or
        where no two bounds are as far apart as the slowdown.
    """
    total = stable.total
    if total < ENOUGH:
        return ()
    wanted = (
        [(tail, weight) for tail, weight in _TAILS if tail * total >= FEWEST_BEYOND]
        if quantile is None
        else [(1 - quantile, 1.0)]
    )
    interest: dict[tuple[float, float], float] = {}
    for tail, weight in wanted:
        pair = _pair(stable, slowdown, tail * total)
        if pair is not None:
            interest[pair] = max(weight, interest.get(pair, 0.0))
    whole = sum(interest.values())
    pairs = [BoundPair(w / whole, *bounds) for bounds, w in interest.items()]
    return tuple(sorted(pairs, key=lambda p: -p.weight))


def has_bounds(buckets: Histogram, slowdown: float) -> bool:
    """Return whether two finite bounds are as far apart as the slowdown."""
    return _pair(buckets, slowdown, math.inf) is not None


def first_bound_s(buckets: Histogram, least_s: float) -> float | None:
    """Return the shortest finite bound from so many seconds on, as bounds are rounded; or None."""
    least_s *= 1 - ROUNDING
    return next((bound for bound in buckets.bounds[:-1] if bound >= least_s), None)


def tail_counts(pair: BoundPair, candidate: Histogram, stable: Histogram) -> PairCount:
    """Return requests and slow requests of both in one interval, from its histograms.

    A histogram that lacks the bound cannot say what is slow: it counts as no requests at all,
    never as no slow ones, so that what was not measured cannot pass (B18).
    """
    return PairCount(
        *_beyond(candidate, pair.candidate_bound_s), *_beyond(stable, pair.stable_bound_s)
    )


def _pair(stable: Histogram, slowdown: float, most_beyond: float) -> tuple[float, float] | None:
    """Return the smallest bound that so few of stable's requests exceed, and the candidate's.

    Where that bound is too near the end to have a finite one for the candidate, the last one
    that has.
    """
    finite = stable.bounds[:-1]
    found: tuple[float, float] | None = None
    for bound, count in zip(finite, stable.counts, strict=False):
        least = (1 + slowdown) * bound * (1 - ROUNDING)
        limit = next((b for b in finite if b > bound and b >= least), None)
        if limit is None:
            break
        found = (bound, limit)
        if stable.total - count <= most_beyond + _FLOAT:
            break
    return found


def _beyond(buckets: Histogram, bound_s: float) -> tuple[int, int]:
    within = buckets.up_to(bound_s)
    return (0, 0) if within is None else (buckets.total, buckets.total - within)
