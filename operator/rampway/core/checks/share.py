"""Whether the candidate gets the share of the requests that it was given (B13).

Each request is a draw with the chance p. For every p0 the mixture of all likelihood ratios against
it (uniform prior) is a martingale of mean 1, so by Ville's inequality it reaches 1/alpha for the
true p with a chance of at most alpha, however often one looks: the p0 for which it has not are an
anytime-valid interval (Robbins 1970; Howard et al., arXiv 1810.08240).
"""

import math
from enum import StrEnum

ALPHA = 0.001
HALF_TO_DOUBLE = 2.0
POINTS = 0.05
SETTLED_S = 120.0
"""Before that pods have been scraped too differently for their counts to be compared."""


ENOUGH = 20_000
"""Of more requests than this the older count half: what was put right has to show."""


class Share(StrEnum):
    """What is known of the share."""

    CONFIRMED = "Confirmed"  # the interval lies within the bounds
    CONTRADICTED = "Contradicted"  # it lies outside of them
    UNPROVEN = "Unproven"  # neither, or nothing is known yet


def counted(before: tuple[int, int], candidate_n: int, stable_n: int) -> tuple[int, int]:
    """Return the counts with a look's added."""
    after = (before[0] + candidate_n, before[1] + stable_n)
    return (after[0] // 2, after[1] // 2) if sum(after) > ENOUGH else after


def verdict(asked_pct: int, candidate_n: int, stable_n: int) -> Share:
    """Return what the counts say of a share.

    It may be half to double of what was asked for, and 5 points more or less in any case.

    Args:
        asked_pct: The weight, 1 to 99.
        candidate_n: Requests that the candidate answered under this weight.
        stable_n: Likewise stable.
    """
    total = candidate_n + stable_n
    if not total:
        return Share.UNPROVEN
    asked, seen = asked_pct / 100, candidate_n / total
    low = min(asked / HALF_TO_DOUBLE, asked - POINTS)
    high = max(asked * HALF_TO_DOUBLE, asked + POINTS)
    below = low <= 0 or _excluded(low, candidate_n, stable_n)
    above = high >= 1 or _excluded(high, candidate_n, stable_n)
    if low <= seen <= high:
        return Share.CONFIRMED if below and above else Share.UNPROVEN
    beyond = below if seen < low else above
    return Share.CONTRADICTED if beyond else Share.UNPROVEN


def sentence(asked_pct: int, candidate_n: int, stable_n: int) -> str:
    """Return what was seen, what was asked for, and what may explain it."""
    total = candidate_n + stable_n
    seen_pct = f"{100 * candidate_n / total:.1f} %"
    return (
        f"the candidate answered {candidate_n} of {total} requests, {seen_pct}, "
        f"where {asked_pct} % were asked for. Does the gateway split as its route says, and do "
        "all requests come by the route?"
    )


def _excluded(p0: float, hits: int, misses: int) -> bool:
    """Whether p0 is outside the interval; it grows away from hits / (hits + misses) both ways."""
    log_mixture = math.lgamma(1 + hits) + math.lgamma(1 + misses) - math.lgamma(2 + hits + misses)
    log_null = hits * math.log(p0) + misses * math.log1p(-p0)
    return log_mixture - log_null >= math.log(1 / ALPHA)
