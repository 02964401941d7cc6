"""What users count of their own, in a trial: events of so many exposures, or values with a mean."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from rampway.sim.traffic import binomial

_FEW = 24
"""Up to so many values are drawn one by one; the sum of more is taken as normal."""


@dataclass(frozen=True, slots=True)
class Values:
    """How values are spread around their mean: a beta distribution between two bounds.

    Attributes:
        sd: Standard deviation; at most what the bounds allow.
    """

    sd: float
    low: float
    high: float

    def total(self, rng: Random, n: int, mean: float) -> float:
        """Draw the sum of n values."""
        x = (mean - self.low) / (self.high - self.low)
        sd = min(self.sd, 0.999 * math.sqrt((mean - self.low) * (self.high - mean)))
        if sd <= 0:
            return n * mean
        if n > _FEW:
            drawn = rng.gauss(n * mean, sd * math.sqrt(n))
            return min(n * self.high, max(n * self.low, drawn))
        narrow = x * (1 - x) * ((self.high - self.low) / sd) ** 2 - 1
        drawn = sum(rng.betavariate(x * narrow, (1 - x) * narrow) for _ in range(n))
        return n * self.low + (self.high - self.low) * drawn


@dataclass(frozen=True, slots=True)
class Counting:
    """Two counters of users' own, and what they come to.

    Attributes:
        exposures: Name of the counter of exposures, or of the number of values.
        events: Name of the counter of events, or of the sum of the values.
        per_request: Exposures, or values, for each request.
        mean: Events for each exposure, or the mean of the values.
        values: How the values are spread; None: events, that happen or not.
    """

    exposures: str
    events: str
    per_request: float
    mean: float
    values: Values | None = None

    def exposed(self, rng: Random, requests: int) -> int:
        """Draw how many exposures come with so many requests."""
        whole, part = divmod(self.per_request, 1)
        return requests * int(whole) + binomial(rng, requests, part)

    def total(self, rng: Random, exposures: int) -> float:
        """Draw how many events, or which sum of values, come of so many exposures."""
        if self.values is None:
            return binomial(rng, exposures, self.mean)
        return self.values.total(rng, exposures, self.mean)


def counted(rng: Random, requests: int, what: Iterable[Counting]) -> dict[str, float]:
    """Draw what comes with so many requests, by counter; one that several name is drawn once."""
    exposures: dict[str, int] = {}
    totals: dict[str, float] = {}
    for one in what:
        if one.exposures not in exposures:
            exposures[one.exposures] = one.exposed(rng, requests)
        if one.events not in totals:
            totals[one.events] = one.total(rng, exposures[one.exposures])
    return totals | exposures
