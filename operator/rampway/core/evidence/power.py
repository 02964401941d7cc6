"""How surely harm would have been seen by now: what a pass for lack of harm rests on (B18)."""

import math

from rampway.core.evidence.mixture import INVESTED_PER_LOOK, RHOS, Stake, Tolerance, log_sum
from rampway.core.evidence.process import EProcess, Segment

TARGET = 0.8
_LONGEST_SEARCH = 40
"""Doublings and halvings in the search for the requests that are missing."""


def harm_rate(process: EProcess, tolerance: Tolerance, detect: float) -> tuple[float, float]:
    """Return stable's event rate and the candidate's under the harm to detect.

    The harm is `detect` times stable's rate, or `detect` times the floor where stable has fewer
    events than that: smaller harm is what the floor tolerates.
    """
    total = process.total
    stable = total.stable_events / total.stable_n if total.stable_n else 0.0
    return stable, min(1.0, detect * max(stable, tolerance.floor))


def power(
    process: EProcess,
    tolerance: Tolerance,
    detect: float,
    log_bound: float,
    *,
    more: float = 1.0,
) -> float:
    """Return the chance that the harm to detect would have been called by now.

    Computed from the exposures, not from the candidate's events: with its events drawn as
    binomial at the rate of the harm, the chance that the e-value of the totals is over the bound.
    The dispersion guard is applied as it stands; crossing earlier and falling back is not
    counted, which makes the figure a little too low.

    Args:
        process: What was seen.
        tolerance: What is not called harm.
        detect: Ratio to stable's rate (or to the floor) that must not be missed, above 1.
        log_bound: log(1/alpha) of this process, its share of the budget included.
        more: Multiplies the newest segment's exposure: what if the step went on.
    """
    total = _scaled(process, more)
    n_c = sum(s.candidate_n for s in total)
    if not n_c or not any(s.candidate_n and s.stable_n for s in total):
        return 0.0
    stable, harm = harm_rate(process, tolerance, detect)
    least = _least_events(total, tolerance, stable, log_bound, process, n_c)
    if least is None:
        return 0.0
    return _at_least(least, n_c, harm)


def requests_missing(
    process: EProcess, tolerance: Tolerance, detect: float, log_bound: float
) -> int | None:
    """Return about how many more candidate requests at the present split reach TARGET.

    0 when it is reached; None when that cannot be told: no traffic yet, or out of reach.
    """
    if power(process, tolerance, detect, log_bound) >= TARGET:
        return 0
    newest = process.segments[-1].candidate_n
    if not newest:
        return None
    low, high = 1.0, 2.0
    for _ in range(_LONGEST_SEARCH // 2):
        if power(process, tolerance, detect, log_bound, more=high) >= TARGET:
            break
        low, high = high, 2 * high
    else:
        return None
    for _ in range(_LONGEST_SEARCH // 4):
        middle = (low + high) / 2
        if power(process, tolerance, detect, log_bound, more=middle) >= TARGET:
            high = middle
        else:
            low = middle
    return max(1, math.ceil(newest * (high - 1)))


def _scaled(process: EProcess, more: float) -> list[Segment]:
    *older, last = process.segments
    scaled = Segment(
        round(last.candidate_n * more),
        last.candidate_events,
        round(last.stable_n * more),
        last.stable_events,
    )
    return [*older, scaled]


def _least_events(
    segments: list[Segment],
    tolerance: Tolerance,
    stable: float,
    log_bound: float,
    process: EProcess,
    n_c: int,
) -> int | None:
    """Return the fewest events of the candidate that carry the e-value over the bound."""
    low, high = 0, n_c
    if _log_e(segments, tolerance, stable, high, process, n_c) < log_bound:
        return None
    while low < high:
        middle = (low + high) // 2
        if _log_e(segments, tolerance, stable, middle, process, n_c) >= log_bound:
            high = middle
        else:
            low = middle + 1
    return low


def _log_e(
    segments: list[Segment],
    tolerance: Tolerance,
    stable: float,
    events: int,
    process: EProcess,
    n_c: int,
) -> float:
    """Return log E of the totals with so many candidate events, spread by exposure."""
    start = Stake()
    logs = [math.log(start.cash * (1 - INVESTED_PER_LOOK))]
    for rho, old in zip(RHOS, start.log_w, strict=True):
        gained = 0.0
        for s in segments:
            if not s.candidate_n or not s.stable_n:
                continue
            exposure = s.candidate_n * tolerance.ratio
            c = 1 + exposure / (exposure + s.stable_n) * (rho - 1)
            mine = events * s.candidate_n / n_c
            both = mine + stable * s.stable_n
            gained += mine * math.log(rho) - both * math.log(c)
            gained -= s.candidate_n * tolerance.floor * (rho / c - 1)
        logs.append(old + gained / process.phi)
    return log_sum(logs)


def _at_least(least: int, n: int, rate: float) -> float:
    """Return P(Binomial(n, rate) >= least), summed from the side with fewer terms."""
    if least <= 0:
        return 1.0
    if rate >= 1:
        return 1.0 if least <= n else 0.0
    if least > n:
        return 0.0
    below = [_log_pmf(k, n, rate) for k in _around(0, least - 1, n * rate, n)]
    return max(0.0, 1.0 - math.exp(log_sum(below))) if below else 1.0


def _around(low: int, high: int, mean: float, n: int) -> range:
    """Return the part of [low, high] that matters: within 12 standard deviations of the mean."""
    reach = 12 * math.sqrt(max(1.0, mean * (1 - min(1.0, mean / n)))) + 12
    return range(max(low, int(mean - reach)), min(high, int(mean + reach)) + 1)


def _log_pmf(k: int, n: int, rate: float) -> float:
    choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return choose + k * math.log(rate) + (n - k) * math.log1p(-rate)
