"""How surely harm would have been seen by now: what a pass for lack of harm rests on (B18)."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from rampway.core.evidence.dispersion import Prior
from rampway.core.evidence.forecast import Exposure, Forecast, Plan, exposures, forecast, normal_cdf
from rampway.core.evidence.mixture import Tolerance
from rampway.core.evidence.process import EProcess

TARGET = 0.8
_NODES = ((0.0, 2 / 3), (-math.sqrt(3), 1 / 6), (math.sqrt(3), 1 / 6))
"""Gauss-Hermite: three values of a normal variable, with their weights, the heaviest first."""
_FARTHEST_SD = 5.0
_HALVINGS = 9
_GRID, _ROUNDING = 0.025, 1e-9
_MOST_TIMES = 2.0**20
"""Traffic this many times as long as the present segment's is called out of reach."""


def rarer_rate(process: EProcess, detect: float) -> float:
    """Return the event rate of a candidate to which events come so many times as seldom.

    The process has stable where else the candidate is: its observed rate is the one to go by.
    """
    total = process.total
    return (total.candidate_events + 0.5) / (total.candidate_n + 1) / detect


def harm_rate(process: EProcess, tolerance: Tolerance, detect: float) -> float:
    """Return the event rate of a candidate that does the harm to detect.

    It is `detect` times stable's rate, or `detect` times the floor where stable has fewer events
    than that: smaller harm is what the floor tolerates. Stable's rate is its observed one,
    smoothed by half an event.
    """
    total = process.total
    stable = (total.stable_events + 0.5) / (total.stable_n + 1)
    return min(1.0, detect * max(stable, tolerance.floor))


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
    plan = _plan(process, tolerance, detect, fewer=fewer)
    return _power(plan, log_bound) if plan.exposures else 0.0


def requests_missing(
    process: EProcess,
    tolerance: Tolerance,
    detect: float,
    log_bound: float,
    target: float = TARGET,
    *,
    fewer: bool = False,
    foresees: bool = True,
) -> int | None:
    """Return about how many more candidate requests at the present split reach the target.

    `fewer`: rarer events are harm, so the process has stable where else the candidate is.

    0 when it is reached, and when stable is so bad that nothing could be worse than what is
    tolerated. None when no number of requests is known to do: the present segment has no traffic
    on one side yet, or the harm to detect is (nearly) within the tolerance; and unless it
    `foresees`, whenever the target is not reached.
    """
    plan = _coarse(_plan(process, tolerance, detect, fewer=fewer), detect)
    now = process.segments[-1]
    more = _missing(plan, log_bound, target, going_on=foresees and bool(now.looks))
    return math.ceil(more * now.stable_n / now.candidate_n) if fewer and more else more


def is_tellable(
    process: EProcess, tolerance: Tolerance, detect: float, *, fewer: bool = False
) -> bool:
    """Whether the harm to detect is more than what is tolerated, at the rates seen so far.

    Where events are rare the floor tolerates it: then no number of requests shows it.
    """
    plan = _plan(process, tolerance, detect, fewer=fewer)
    return plan.candidate_rate > tolerance.ratio * plan.stable_rate + tolerance.floor


@lru_cache(maxsize=16384)  # a plan changes when its traffic has grown by a fortieth
def _missing(plan: Plan, log_bound: float, target: float, *, going_on: bool) -> int | None:
    tolerance = plan.tolerance
    if plan.exposures and tolerance.ratio * plan.stable_rate + tolerance.floor >= 1:
        return 0
    if not going_on:
        done = plan.exposures and _reaches(plan, log_bound, target)
        return 0 if done else None
    *older, newest = plan.exposures

    def reached(times: float) -> bool:
        longer = replace(plan, exposures=(*older, newest.times(times)))
        return _reaches(longer, log_bound, target)

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


def _plan(process: EProcess, tolerance: Tolerance, detect: float, *, fewer: bool = False) -> Plan:
    total = process.total
    stable = total.stable_events / total.stable_n if total.stable_n else 0.0
    harm = harm_rate(process, tolerance, detect)
    if fewer:
        stable = rarer_rate(process, detect)
        harm = min(1.0, detect * stable)
    known = process.past.plus(process.dispersion) if process.past else process.dispersion
    phi = known.phi_from(Prior(phi=1.0))
    seen = exposures(process.segments)
    return Plan(seen, tolerance, harm, stable, phi, process.cap, process.past)


def _coarse(plan: Plan, detect: float) -> Plan:
    """Return the plan on a grid of 2.5 %, on the careful side: it is asked for at every look."""
    harm, floor = plan.candidate_rate, detect * plan.tolerance.floor
    return replace(
        plan,
        exposures=tuple(
            Exposure(_down(e.candidate_n), _down(e.stable_n), _down(e.looks))
            for e in plan.exposures
        ),
        candidate_rate=harm if harm in {floor, 1.0} else _down(harm),
        stable_rate=_down(plan.stable_rate),
        phi=1 / _down(1 / plan.phi),
    )


def _down(x: float) -> float:
    """Return the largest number of the grid that is not above x, 0 or more."""
    return math.exp(_GRID * math.floor(math.log(x) / _GRID + _ROUNDING)) if x else 0.0


def _power(plan: Plan, log_bound: float) -> float:
    """Return P(log E >= bound), summed over what stable's events may be."""
    return sum(weight * chance for weight, chance in _chances(plan, log_bound))


def _reaches(plan: Plan, log_bound: float, target: float) -> bool:
    """Whether the power is the target; nothing more is reckoned once it cannot be."""
    left = 1 - target
    for weight, chance in _chances(plan, log_bound):
        left -= weight * (1 - chance)
        if left < 0:
            return False
    return True


def _chances(plan: Plan, log_bound: float) -> Iterator[tuple[float, float]]:
    """Yield what stable's events may be, by its weight, with P(log E >= bound) given them."""
    curve = forecast(plan)
    mean = plan.stable_n * plan.stable_rate
    sd = math.sqrt(mean * (1 - plan.stable_rate) * plan.phi)
    for z, weight in _NODES:
        yield weight, _chance(plan, curve, max(0.0, mean + z * sd), log_bound)


def _chance(plan: Plan, curve: Forecast, stable_events: float, log_bound: float) -> float:
    """Return P(log E >= bound) given stable's events, by the least events that suffice."""
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
