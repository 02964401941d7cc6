"""Proof that harm is ruled out: the primitive's test, mirrored (non-inferiority).

H0: p_c >= ratio * p_s + floor. The factor is that of `mixture` with alternatives rho < 1: the
candidate's rate is 1, .7, .4 or .1 times stable's. Its mean under H0 is at most 1 as there, since
rho / c < 1 makes it fall with the candidate's events, so the mixture's chance of ever reaching
1/beta is at most beta. Most of the weight lies on "as often as stable", where a harmless candidate
is; the others are for a stable that has next to no events, where the floor is what is ruled out.
"""

import math
from bisect import bisect_left

from rampway.core.evidence.mixture import PairCount, Tolerance, log_factor, log_sum

TIMES = (1.0, 0.7, 0.4, 0.1)
"""How many times as often as in stable the event happens in a harmless candidate."""
WEIGHTS = (0.6, 0.15, 0.15, 0.1)
NOTHING = (0.0,) * len(TIMES)
MISTAKEN = 0.05
"""Chance that harm of at least what is tolerated is ever called ruled out."""
LOG_BAR = -math.log(MISTAKEN)
_LEAST_GAIN = 1e-12


def ruling_out(counts: PairCount, tolerance: Tolerance, phi: float) -> tuple[float, ...]:
    """Return what one look adds to each alternative, in nats.

    Args:
        counts: What the look added; requests on both sides.
        tolerance: What is not called harm.
        phi: Over-dispersion known before the look, at least 1.
    """
    return tuple([log_factor(t / tolerance.ratio, counts, tolerance) / phi for t in TIMES])


def log_ruled_out(won: tuple[float, ...]) -> float:
    """Return log E of the mixture; harm beyond the tolerance is ruled out at LOG_BAR."""
    return log_sum([math.log(weight) + gain for weight, gain in zip(WEIGHTS, won, strict=True)])


def requests_left(
    won: tuple[float, ...], rates: tuple[float, float], others: float, tolerance: Tolerance,
    phi: float,
) -> int | None:  # fmt: skip
    """Return about how many more candidate requests rule harm out; None: no number does.

    Args:
        won: What the alternatives have won so far, in nats.
        rates: Events per request of candidate and stable from now on.
        others: Requests of stable to one of the candidate, above 0.
        tolerance: What is not called harm.
        phi: Over-dispersion that the looks will go on to show, at least 1.
    """
    if log_ruled_out(won) >= LOG_BAR:
        return 0
    gains = [_gain(times, rates, others, tolerance) / phi for times in TIMES]
    if max(gains) <= _LEAST_GAIN:
        return None

    def proved(more: int) -> float:
        return log_ruled_out(tuple(map(lambda w, g: w + more * g, won, gains)))

    high = 1
    while proved(high) < LOG_BAR:
        high *= 2
    return bisect_left(range(high), LOG_BAR, lo=high // 2, key=proved)


def _gain(times: float, rates: tuple[float, float], others: float, tolerance: Tolerance) -> float:
    """Return what one request of the candidate adds to an alternative in the mean, in nats."""
    mine, theirs = rates[0], rates[1] * others
    rho = times / tolerance.ratio
    c = 1 + tolerance.ratio / (tolerance.ratio + others) * (rho - 1)
    gained = mine * math.log(rho) - (mine + theirs) * math.log(c)
    return gained - tolerance.floor * (rho / c - 1)
