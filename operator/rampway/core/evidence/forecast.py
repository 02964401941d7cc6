"""What the e-value of a comparison would be for given events: the model behind `power`.

The real process adds min(cap, log factor / phi) at each look. With n requests in L like looks of
one segment, the candidate's events are Poisson per look to a good approximation; so a
component's mean gain is L * E[min(cap, (a K - b) / phi)], K ~ Poisson(events / L), and phi
follows the guard's formula along the looks, its noise left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rampway.core.evidence.dispersion import Dispersion, prior_of
from rampway.core.evidence.mixture import RHOS, Stake, Tolerance, log_sum
from rampway.core.evidence.totals import Segment

_MANY = 10.0
"""Events a look from which they are taken as normal, those of stable with them; of fewer, the
candidate's are Poisson and stable's their mean."""
_LEAST_VARIANCE = 0.25
"""As little as one event, where stable has none: what the looks show then weighs little."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Requests under one split of traffic, in looks of like size; fractions are fine."""

    candidate_n: float
    stable_n: float
    looks: float

    def times(self, factor: float) -> "Exposure":
        """Return so many times as much of the same."""
        return Exposure(self.candidate_n * factor, self.stable_n * factor, self.looks * factor)


@dataclass(frozen=True, slots=True)
class Plan:
    """An imagined comparison: exposures, and the rates on both sides.

    Attributes:
        candidate_rate: Events per request of the harmful candidate.
        stable_rate: Events per request of stable.
        phi: Over-dispersion that the looks will go on to show, at least 1.
        cap: The most that a component may gain in one look, in nats.
        past: What is known of stable's own bursts from before, if anything.
    """

    exposures: tuple[Exposure, ...]
    tolerance: Tolerance
    candidate_rate: float
    stable_rate: float
    phi: float
    cap: float
    past: Dispersion | None = None

    @property
    def candidate_n(self) -> float:
        """Requests of the candidate."""
        return sum(e.candidate_n for e in self.exposures)

    @property
    def stable_n(self) -> float:
        """Requests of stable."""
        return sum(e.stable_n for e in self.exposures)


@dataclass(frozen=True, slots=True)
class _Term:
    """What one segment does to one component: (slope K - cost) / phi a look, with a cap."""

    looks: float
    candidate_n: float
    stable_n: float
    slope: float
    stable_slope: float
    floor_cost: float
    phi: float
    cap: float

    def gain(self, mine: float, other: float) -> float:
        """Return the mean gain of all looks at both sides' event rates, in nats."""
        mean, stable_mean = self.candidate_n * mine, self.stable_n * other
        cost = stable_mean * self.stable_slope + self.floor_cost
        limit = cost + self.phi * self.cap
        if mean > _MANY:
            variance = self.slope**2 * mean + self.stable_slope**2 * stable_mean
            lost = normal_excess(self.slope * mean - limit, math.sqrt(variance))
        else:
            lost = _poisson_excess(self.slope, limit, mean)
        return self.looks * (self.slope * mean - cost - lost) / self.phi


@dataclass(frozen=True, slots=True)
class Forecast:
    """log E as a function of the events on both sides, `terms` by component and segment."""

    candidate_n: float
    stable_n: float
    terms: tuple[tuple[_Term, ...], ...]

    def log_e(self, candidate_events: float, stable_events: float) -> float:
        """Return log E for these events, spread over the looks by requests.

        Cash is left out: what it adds is small, and leaving it out errs on the careful side.
        """
        mine, other = candidate_events / self.candidate_n, stable_events / self.stable_n
        return log_sum(
            [
                start + sum(term.gain(mine, other) for term in terms)
                for start, terms in zip(Stake().log_w, self.terms, strict=True)
            ]
        )


def forecast(plan: Plan) -> Forecast:
    """Return log E under a plan; it needs at least one exposure."""
    looks = list(zip(plan.exposures, _mean_phis(plan), strict=True))
    terms = tuple(tuple(_term(rho, exposure, phi, plan) for exposure, phi in looks) for rho in RHOS)
    return Forecast(plan.candidate_n, plan.stable_n, terms)


def exposures(segments: Sequence[Segment]) -> tuple[Exposure, ...]:
    """Return the exposures of the segments that had any."""
    return tuple(Exposure(s.candidate_n, s.stable_n, s.looks) for s in segments if s.looks)


def _term(rho: float, exposure: Exposure, phi: float, plan: Plan) -> _Term:
    tolerance = plan.tolerance
    look = exposure.times(1 / exposure.looks)
    exposed = look.candidate_n * tolerance.ratio
    c = 1 + exposed / (exposed + look.stable_n) * (rho - 1)
    floor_cost = look.candidate_n * tolerance.floor * (rho / c - 1)
    return _Term(
        looks=exposure.looks,
        candidate_n=look.candidate_n,
        stable_n=look.stable_n,
        slope=math.log(rho / c),
        stable_slope=math.log(c),
        floor_cost=floor_cost,
        phi=phi,
        cap=plan.cap,
    )


def _mean_phis(plan: Plan) -> list[float]:
    """Return the guard's mean phi of each segment (harmonic: it divides).

    After k looks with events the guard divides by (k phi + known) / (k + before) in the mean: the
    prior's looks and what its phi makes of them, and those of the past likewise, counted in looks
    of the same variance. The inverse is integrated over the segment's looks.
    """
    phis: list[float] = []
    k = 0.0
    weight = _past_looks(plan)
    prior = prior_of(plan.past)
    before = prior.looks + weight
    known = prior.looks * prior.phi
    if plan.past and weight:
        known += weight * plan.past.surprise / plan.past.variance
    offset = max(_LEAST_VARIANCE, known) / plan.phi
    for e in plan.exposures:
        more = _looks_with_events(plan, e)
        log = math.log1p(more / (k + offset))
        inverse = (1 + (before - offset) * log / more) / plan.phi
        phis.append(max(1.0, 1 / inverse))
        k += more
    return phis


def _looks_with_events(plan: Plan, e: Exposure) -> float:
    events = e.candidate_n * plan.candidate_rate + e.stable_n * plan.stable_rate
    return max(1e-9, e.looks * -math.expm1(-events / e.looks))


def _past_looks(plan: Plan) -> float:
    """Return how many looks of the plan the past weighs as much as, by their variance."""
    if plan.past is None or not plan.past.variance:
        return 0.0
    variance = looks = 0.0
    for e in plan.exposures:
        mine, other = e.candidate_n * plan.candidate_rate, e.stable_n * plan.stable_rate
        variance += mine * other / (mine + other) if mine else 0.0
        looks += _looks_with_events(plan, e)
    return plan.past.variance * looks / max(variance, _LEAST_VARIANCE)


def _poisson_excess(slope: float, limit: float, mean: float) -> float:
    """Return E[max(0, slope * K - limit)] for K ~ Poisson(mean).

    By E[K 1(K >= k)] = mean * P(K >= k - 1).
    """
    first = math.floor(limit / slope) + 1
    if first > mean + 8 * math.sqrt(mean) + 8:
        return 0.0
    term = math.exp(-mean)
    below = 0.0
    for k in range(first - 1):
        below += term
        term *= mean / (k + 1)
    at_least_first = 1 - below - term
    return max(0.0, slope * mean * (1 - below) - limit * at_least_first)


def normal_cdf(z: float) -> float:
    """Return the standard normal distribution function."""
    return math.erfc(-z / math.sqrt(2)) / 2


def normal_excess(mean: float, sd: float) -> float:
    """Return E[max(0, X)] of a normal X."""
    z = mean / sd
    return sd * (z * normal_cdf(z) + math.exp(-z * z / 2) / math.sqrt(2 * math.pi))
