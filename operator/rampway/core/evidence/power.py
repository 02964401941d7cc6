"""How surely harm would have been seen by now: what a pass for lack of harm rests on (B18)."""

import math
from dataclasses import replace

from rampway.core.evidence.forecast import Forecast, exposures, normal_cdf
from rampway.core.evidence.mixture import Tolerance
from rampway.core.evidence.process import EProcess

TARGET = 0.8
_NODES = ((-math.sqrt(3), 1 / 6), (0.0, 2 / 3), (math.sqrt(3), 1 / 6))
"""Gauss-Hermite: three values of a normal variable, with their weights."""
_FARTHEST_SD = 5.0
_HALVINGS = 9
_MOST_TIMES = 2.0**20
"""Traffic this many times as long as the present segment's is called out of reach."""


def harm_rate(process: EProcess, tolerance: Tolerance, detect: float) -> tuple[float, float]:
    """Return stable's event rate and the candidate's under the harm to detect.

    The harm is `detect` times stable's rate, or `detect` times the floor where stable has fewer
    events than that: smaller harm is what the floor tolerates. Stable's rate is its observed
    one, smoothed by half an event.
    """
    total = process.total
    stable = (total.stable_events + 0.5) / (total.stable_n + 1)
    return stable, min(1.0, detect * max(stable, tolerance.floor))


def power(process: EProcess, tolerance: Tolerance, detect: float, log_bound: float) -> float:
    """Return the chance that the harm to detect would by now be called.

    Computed from the exposures and stable's rate, never from the candidate's events, so that
    looking at it gives nothing away. Counts of events vary as binomial for the candidate and as
    normal, in three points, for stable, both wider by phi; the guard's phi and its cap are taken
    into account in the mean (see `forecast`). That the e-value can cross the bound and fall back
    again is left out, which makes the figure a little too low.

    Args:
        process: What was seen.
        tolerance: What is not called harm.
        detect: Ratio to stable's rate (or to the floor) that must not be missed, above 1.
        log_bound: log(1/alpha) of this process, its share of the budget included.
    """
    forecast = _forecast(process, tolerance, detect)
    return _power(forecast, log_bound) if forecast.exposures else 0.0


def requests_missing(
    process: EProcess,
    tolerance: Tolerance,
    detect: float,
    log_bound: float,
    target: float = TARGET,
) -> int | None:
    """Return about how many more candidate requests at the present split reach the target.

    0 when it is reached. None when no number of requests is known to do: the present segment has
    no traffic on one side yet, or the harm to detect is (nearly) within the tolerance.
    """
    forecast = _forecast(process, tolerance, detect)
    if not process.segments[-1].looks:
        done = forecast.exposures and _power(forecast, log_bound) >= target
        return 0 if done else None

    *older, newest = forecast.exposures

    def reached(times: float) -> bool:
        longer = replace(forecast, exposures=(*older, newest.times(times)))
        return _power(longer, log_bound) >= target

    if reached(1.0):
        return 0
    low, high = 1.0, 2.0
    while not reached(high):
        low, high = high, 2 * high
        if high > _MOST_TIMES:
            return None
    for _ in range(4):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return max(1, math.ceil(newest.candidate_n * (high - 1)))


def _forecast(process: EProcess, tolerance: Tolerance, detect: float) -> Forecast:
    stable, harm = harm_rate(process, tolerance, detect)
    phi = process.dispersion.phi_from(1.0)
    return Forecast(exposures(process.segments), tolerance, harm, stable, phi)


def _power(forecast: Forecast, log_bound: float) -> float:
    """Return P(log E >= bound), summed over what stable's events may be."""
    mean = forecast.stable_n * forecast.stable_rate
    sd = math.sqrt(mean * (1 - forecast.stable_rate) * forecast.phi)
    return sum(
        weight * _chance(forecast, max(0.0, mean + z * sd), log_bound) for z, weight in _NODES
    )


def _chance(forecast: Forecast, stable_events: float, log_bound: float) -> float:
    """Return P(log E >= bound) given stable's events, by the least events that suffice."""
    n, rate = forecast.candidate_n, forecast.candidate_rate
    mean = n * rate
    reach = _FARTHEST_SD * math.sqrt(mean * forecast.phi) + 5 * forecast.phi
    low, high = max(0.0, mean - reach), min(n, mean + reach)
    if forecast.log_e(high, stable_events) < log_bound:
        return 0.0
    if forecast.log_e(low, stable_events) >= log_bound:
        return 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if forecast.log_e(middle, stable_events) >= log_bound:
            high = middle
        else:
            low = middle
    return at_least(high / forecast.phi, n / forecast.phi, rate)


def at_least(x: float, n: float, rate: float) -> float:
    """Return about P(Binomial(n, rate) >= x) for any real 0 < x <= n, without steps.

    Camp and Paulson's approximation (Johnson, Kemp & Kotz, Univariate Discrete Distributions,
    2005, eq. 3.38): the binomial tail as a tail of F, cube roots of which are nearly normal.
    Within .01 where the variance is above 1.
    """
    if x <= 0:
        return 1.0
    if rate >= 1:
        return 1.0 if x <= n else 0.0
    a, b = 1 / (9 * (n - x + 1)), 1 / (9 * x)
    odds = x * (1 - rate) / ((n - x + 1) * rate)
    root = odds ** (1 / 3)
    return normal_cdf(-((1 - b) * root - (1 - a)) / math.sqrt(b * root * root + a))
