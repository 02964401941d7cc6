"""How surely harm would have been seen by now: what a pass for lack of harm rests on (B18)."""

import math
from collections.abc import Iterator
from statistics import NormalDist

from rampway.core.evidence.dispersion import Prior
from rampway.core.evidence.forecast import Forecast, Plan, exposures, forecast, normal_cdf
from rampway.core.evidence.mixture import Tolerance
from rampway.core.evidence.process import EProcess

TARGET = 0.8
_NODES = ((0.0, 2 / 3), (-math.sqrt(3), 1 / 6), (math.sqrt(3), 1 / 6))
"""Gauss-Hermite: three values of a normal variable, with their weights, the heaviest first."""
_FARTHEST_SD = 5.0
_HALVINGS = 9
_NORMAL = NormalDist()
_CLOSE_SD = 0.1
"""The normal and the binomial distribution differ by about so much where the power is decided."""


def rarer_rate(process: EProcess, detect: float) -> float:
    """Return the event rate of a candidate to which events come so many times as seldom.

    The process has stable where else the candidate is: its observed rate is the one to go by.
    """
    return process.total.smoothed_rates[0] / detect


def harm_rate(process: EProcess, tolerance: Tolerance, detect: float) -> float:
    """Return the event rate of a candidate that does the harm to detect.

    It is `detect` times stable's rate, or `detect` times the floor where stable has fewer events
    than that: smaller harm is what the floor tolerates. Stable's rate is its observed one while
    the candidate had requests too, smoothed by half an event: what stable's many requests showed
    in an outage beside few of the candidate's says little of what those that came later would.
    """
    return min(1.0, detect * max(process.total.smoothed_rates[1], tolerance.floor))


def power(
    process: EProcess,
    tolerance: Tolerance,
    detect: float,
    log_bound: float,
    *,
    fewer: bool = False,
) -> float:
    """Return the chance that the harm to detect would by now be called.

    Computed from the exposures and stable's rate, never from the candidate's share of the
    events, so that a candidate cannot pass by looking good early. Counts vary as binomial for
    the candidate and as normal, in three points, for stable, both wider by phi; the guard's phi
    and its cap are taken into account in the mean (see `forecast`). That the e-value can cross
    the bound and fall back again is left out, which makes the figure a little too low.

    Args:
        process: What was seen.
        tolerance: What is not called harm.
        detect: Ratio to stable's rate (or to the floor) that must not be missed, above 1.
        log_bound: log(1/alpha) of this process, its share of the budget included.
        fewer: Rarer events are harm, so the process has stable where else the candidate is; the
            harm is then a candidate to which they come `detect` times as seldom as to stable.
    """
    plan = plan_of(process, tolerance, detect, fewer=fewer)
    if not plan.exposures:
        return 0.0
    curve, nodes = forecast(plan), _nodes(plan)
    return sum(weight * _chance(plan, curve, events, log_bound) for weight, events in nodes)


def is_tellable(
    process: EProcess, tolerance: Tolerance, detect: float, *, fewer: bool = False
) -> bool:
    """Whether the harm to detect is more than what is tolerated, at the rates seen so far.

    Where events are rare the floor tolerates it: then no number of requests shows it.
    """
    plan = plan_of(process, tolerance, detect, fewer=fewer)
    return plan.candidate_rate > tolerance.ratio * plan.stable_rate + tolerance.floor


def plan_of(process: EProcess, tolerance: Tolerance, detect: float, *, fewer: bool = False) -> Plan:
    """Return the comparison so far, with a candidate that does the harm to detect."""
    stable = process.total.rates[1]
    harm = harm_rate(process, tolerance, detect)
    if fewer:
        stable = rarer_rate(process, detect)
        harm = min(1.0, detect * stable)
    known = process.past.plus(process.dispersion) if process.past else process.dispersion
    phi = known.phi_from(Prior(phi=1.0))
    seen = exposures(process.segments)
    return Plan(seen, tolerance, harm, stable, phi, process.cap, process.past)


def has_power(plan: Plan, log_bound: float) -> bool:
    """Whether the power is TARGET; nothing more is reckoned once that is clear."""
    if not plan.exposures:
        return False
    curve, left = forecast(plan), 1 - TARGET
    for weight, events in _nodes(plan):
        chance = _chance(plan, curve, events, log_bound, enough=1 - left / weight)
        left -= weight * (1 - chance)
        if left < 0:
            return False
    return True


def _nodes(plan: Plan) -> Iterator[tuple[float, float]]:
    """Yield what stable's events may be, each with its weight."""
    mean = plan.stable_n * plan.stable_rate
    sd = math.sqrt(mean * (1 - plan.stable_rate) * plan.phi)
    for z, weight in _NODES:
        yield weight, max(0.0, mean + z * sd)


def _chance(
    plan: Plan, curve: Forecast, stable_events: float, log_bound: float, enough: float = 0.0
) -> float:
    """Return P(log E >= bound) given stable's events, by the least events that suffice.

    Where it is less than `enough`, it may be 0 instead.
    """
    few = _too_few(plan, enough)
    if few and curve.log_e(few, stable_events) < log_bound:
        return 0.0
    n, rate = plan.candidate_n, plan.candidate_rate
    mean = n * rate
    reach = _FARTHEST_SD * math.sqrt(mean * plan.phi) + 5 * plan.phi
    low, high = max(0.0, mean - reach), min(n, mean + reach)
    if curve.log_e(high, stable_events) < log_bound:
        return 0.0
    if curve.log_e(low, stable_events) >= log_bound:
        return 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if curve.log_e(middle, stable_events) >= log_bound:
            high = middle
        else:
            low = middle
    return at_least(high / plan.phi, n / plan.phi, rate)


def _too_few(plan: Plan, enough: float) -> float:
    """Return events so many of which, or more, come with less than a chance; 0: none are known.

    If even they do not suffice, what does has less than that chance too: so it is at nearly every
    look of a check that waits.
    """
    n, rate = plan.candidate_n, plan.candidate_rate
    if not 0 < enough < 1:
        return 0.0
    sd = math.sqrt(n * rate * (1 - rate) * plan.phi)
    few = min(n, n * rate + (_CLOSE_SD - _NORMAL.inv_cdf(enough)) * sd)
    return few if few > 0 and at_least(few / plan.phi, n / plan.phi, rate) < enough else 0.0


def at_least(x: float, n: float, rate: float) -> float:
    """Return about P(Binomial(n, rate) >= x) for any real 0 < x <= n, without steps.

    Camp and Paulson's approximation (Johnson, Kemp & Kotz, Univariate Discrete Distributions,
    2005, section 3.6): the binomial tail as a tail of F, whose cube root is nearly normal.
    """
    if x <= 0:
        return 1.0
    if rate >= 1:
        return 1.0 if x <= n else 0.0
    a, b = 1 / (9 * (n - x + 1)), 1 / (9 * x)
    odds = x * (1 - rate) / ((n - x + 1) * rate)
    root = odds ** (1 / 3)
    return normal_cdf(-((1 - b) * root - (1 - a)) / math.sqrt(b * root * root + a))
