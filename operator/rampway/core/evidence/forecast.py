"""What the e-value of a comparison would be for given events: the model behind `power`.

The real process adds min(cap, log factor / phi) at each look. With n requests in L like looks of
one segment, the candidate's events are Poisson per look to a good approximation; so a
component's mean gain is L * E[min(cap, (a K - b) / phi)], K ~ Poisson(events / L), and phi
follows the guard's formula along the looks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rampway.core.evidence.dispersion import MOST_PER_LOOK, PRIOR_LOOKS, PRIOR_PHI
from rampway.core.evidence.mixture import RHOS, Stake, Tolerance, log_sum
from rampway.core.evidence.process import Segment

_MANY = 50.0
"""Mean from which a Poisson law is near enough to a normal one here."""


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
class Forecast:
    """An imagined comparison: exposures, and the rates on both sides.

    Attributes:
        candidate_rate: Events per request of the harmful candidate.
        stable_rate: Events per request of stable.
        phi: Over-dispersion that the looks will go on to show, at least 1.
    """

    exposures: tuple[Exposure, ...]
    tolerance: Tolerance
    candidate_rate: float
    stable_rate: float
    phi: float

    @property
    def candidate_n(self) -> float:
        """Requests of the candidate."""
        return sum(e.candidate_n for e in self.exposures)

    @property
    def stable_n(self) -> float:
        """Requests of stable."""
        return sum(e.stable_n for e in self.exposures)

    def log_e(self, candidate_events: float, stable_events: float) -> float:
        """Return log E for these events, spread over the looks by requests.

        Cash is left out: what it adds is small, and leaving it out errs on the careful side.
        """
        mine, other = candidate_events / self.candidate_n, stable_events / self.stable_n
        logs = list(Stake().log_w)
        for exposure, phi in zip(self.exposures, self._phis(), strict=True):
            per_look = exposure.times(1 / exposure.looks)
            for j, rho in enumerate(RHOS):
                gain = _gain(rho, per_look, self.tolerance, (mine, other), phi)
                logs[j] += exposure.looks * gain
        return log_sum(logs)

    def _phis(self) -> list[float]:
        """Return the guard's mean phi of each segment (harmonic: it divides).

        After k looks with events the guard divides by (k phi + 4) / (k + 2) in the mean; the
        inverse is integrated over the segment's looks.
        """
        phis: list[float] = []
        k = 0.0
        offset = PRIOR_LOOKS * PRIOR_PHI / self.phi
        for e in self.exposures:
            events = e.candidate_n * self.candidate_rate + e.stable_n * self.stable_rate
            more = max(1e-9, e.looks * -math.expm1(-events / e.looks))
            log = math.log((k + more + offset) / (k + offset))
            inverse = (1 + (PRIOR_LOOKS - offset) * log / more) / self.phi
            phis.append(1 / inverse)
            k += more
        return phis


def exposures(segments: Sequence[Segment]) -> tuple[Exposure, ...]:
    """Return the exposures of the segments that had any."""
    return tuple(Exposure(s.candidate_n, s.stable_n, s.looks) for s in segments if s.looks)


def _gain(
    rho: float, look: Exposure, tolerance: Tolerance, rates: tuple[float, float], phi: float
) -> float:
    """Return the mean of min(cap, log factor / phi) of one look, at both sides' event rates."""
    mine, other = rates
    exposed = look.candidate_n * tolerance.ratio
    c = 1 + exposed / (exposed + look.stable_n) * (rho - 1)
    per_event = math.log(rho / c)
    cost = look.stable_n * other * math.log(c)
    cost += look.candidate_n * tolerance.floor * (rho / c - 1)
    mean = look.candidate_n * mine
    lost = _excess(per_event, cost + phi * MOST_PER_LOOK, mean)
    return (per_event * mean - cost - lost) / phi


def _excess(slope: float, limit: float, mean: float) -> float:
    """Return E[max(0, slope * K - limit)] for K ~ Poisson(mean).

    By E[K 1(K >= k)] = mean * P(K >= k - 1); the normal loss function for large means.
    """
    first = math.floor(limit / slope) + 1
    if first > mean + 8 * math.sqrt(mean) + 8:
        return 0.0
    if mean > _MANY:
        sd = slope * math.sqrt(mean)
        z = (slope * mean - limit) / sd
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return sd * (z * normal_cdf(z) + density)
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
