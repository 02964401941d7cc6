"""Overshoot removal: what an e-value would win beyond its bound is paid out before.

Who stops at 1/alpha has no use for 3/alpha. If the one event of a look could have carried the
e-value beyond the bound and was stable's instead, its factor is multiplied by

    b = 1 + theta0 * (F_c - C) / ((1 - theta0) * F_s)

with F_c and F_s what the e-value would be after a candidate's and after a stable's event, and C the
bound (Fischer & Ramdas, arXiv 2410.16076, for looks of one event). Given one event, the candidate's
comes at least theta0 / (1 - theta0) times as often as stable's at H0's limit, for events of any
frequency and with any floor, so the mean of min(E, C) stays what it was or falls; looks with
several events are left as they are, so that moments of looking chosen from the data win nothing.
"""

import math

from rampway.core.evidence.mixture import RHOS, PairCount, Stake, Tolerance, gains, staked

_MOST = math.log(max(RHOS))
"""More no event wins."""
_BELOW = 1e-9
"""An event of stable's brings no e-value to its bound."""


def log_boost(
    stake: Stake,
    counts: PairCount,
    tolerance: Tolerance,
    *,
    phi: float,
    cap: float,
    log_bound: float,
) -> float:
    """Return log b of one look, in nats, 0 or more.

    Args:
        stake: The stake before the look.
        counts: What the look added.
        tolerance: What is not called harm.
        phi: As for `bet`.
        cap: As for `bet`.
        log_bound: log(1/alpha) of this process; infinite: nothing is ever beyond it.
    """
    if counts.candidate_events != 0 or counts.stable_events != 1:
        return 0.0
    if stake.log_total() + min(cap, _MOST / phi) <= log_bound:
        return 0.0  # as nearly always: no event would carry it so far
    other = PairCount(counts.candidate_n, 1, counts.stable_n, 0)
    harmed, calm = (
        staked(stake, gains(c, tolerance, phi=phi, cap=cap)).log_total() for c in (other, counts)
    )
    if harmed <= log_bound or calm >= log_bound:
        return 0.0
    odds = counts.candidate_n * tolerance.ratio / counts.stable_n
    beyond = math.exp(harmed - calm) - math.exp(log_bound - calm)
    return min(math.log1p(odds * beyond), log_bound - _BELOW - calm)
