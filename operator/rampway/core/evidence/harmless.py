"""Proof that harm is ruled out: the primitive's test, mirrored (non-inferiority).

H0: p_c >= ratio * p_s + floor. The factor is that of `mixture` with alternatives rho < 1: the
candidate's rate is 1, .7, .4 or .1 times stable's. Its mean under H0 is at most 1 as there, since
rho / c < 1 makes it fall with the candidate's events, so the mixture's chance of ever reaching
1/beta is at most beta. Most of the weight lies on "as often as stable", where a harmless candidate
is; the others are for a stable that has next to no events, where the floor is what is ruled out.

Bursts take proof away: by chance few of them come in the first looks, and the next ones are late.
So what all looks have won is divided by the phi of now, not each look by the phi of then. As phi is
at least 1, E^(1/phi) reaches 1/beta only where E does: the bound above holds whatever phi is. And
nobody is taken for free of bursts before many looks have shown it, if no past has (PRIOR).
"""

import math
from bisect import bisect_left

from rampway.core.evidence.dispersion import KNOWN_LOOKS, Dispersion, Prior, over_dispersion
from rampway.core.evidence.mixture import PairCount, Tolerance, log_factor, log_sum

TIMES = (1.0, 0.7, 0.4, 0.1)
"""How many times as often as in stable the event happens in a harmless candidate."""
WEIGHTS = (0.6, 0.15, 0.15, 0.1)
NOTHING = (0.0,) * len(TIMES)
MISTAKEN = 0.05
"""Chance that harm of at least what is tolerated is ever called ruled out."""
LOG_BAR = -math.log(MISTAKEN)
PRIOR = Prior(20.0, 9.0)
"""Before much is seen: as if 20 looks had shown bursts of 5 failures in the mean (geometric)."""
HALVES = 2.0
"""Where a rate itself varies, phi - 1 grows with the events: stable has those of both halves."""
_LEAST_GAIN = 1e-12


def phi_of(past: Dispersion | None, since: Dispersion) -> float:
    """Return the over-dispersion that proof is divided by, at least 1.

    Args:
        past: Half of stable's pods against the other half, before; None: not known.
        since: What the looks have shown.
    """
    known = past.looks if past else 0
    fading = max(0.0, 1 - known / KNOWN_LOOKS)
    whole = past.plus(since) if past else since
    careful = whole.phi_from(Prior(PRIOR.looks * fading, PRIOR.phi))
    measured = over_dispersion(past, since)
    return max(careful, 1 + HALVES * (measured - 1) if known else measured)


def ruling_out(counts: PairCount, tolerance: Tolerance) -> tuple[float, ...]:
    """Return what one look adds to each alternative, in nats, bursts left out of account.

    Args:
        counts: What the look added; requests on both sides.
        tolerance: What is not called harm.
    """
    return tuple([log_factor(t / tolerance.ratio, counts, tolerance) for t in TIMES])


def log_ruled_out(won: tuple[float, ...], phi: float) -> float:
    """Return log E of the mixture, in nats; harm beyond the tolerance is ruled out at LOG_BAR.

    Tested is H0: p_c >= ratio * p_s + floor at every look; under it, and the assumptions of
    `update`, LOG_BAR is ever reached with a chance of at most MISTAKEN.

    Args:
        won: What the alternatives have won in all looks, in nats.
        phi: Over-dispersion as it is known now, at least 1.
    """
    parts = zip(WEIGHTS, won, strict=True)
    return log_sum([math.log(weight) + gain / phi for weight, gain in parts])


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
    if log_ruled_out(won, phi) >= LOG_BAR:
        return 0
    gains = [_gain(times, rates, others, tolerance) for times in TIMES]
    if max(gains) <= _LEAST_GAIN:
        return None

    def proved(more: int) -> float:
        return log_ruled_out(tuple(map(lambda w, g: w + more * g, won, gains)), phi)

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
