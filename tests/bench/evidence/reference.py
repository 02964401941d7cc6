"""How often a harmless candidate is called harm by what stable did before (`against: Past`).

The bound holds as far as the limit does, and the limit comes from a past that is finite and has
bursts of its own. Both are drawn here, anew for each run, at a steady rate: the candidate does just
what stable did, or what is tolerated of it. What a rate does that has changed for all is apart.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from bench.evidence.batch import RHOS, WEIGHTS, Floats
from bench.evidence.harmless import Alarms
from bench.evidence.traffic import HARD, Traffic, poisson, together
from numpy.typing import NDArray

from rampway.api.checks import Check
from rampway.core.checks.references import Reference, limit_of
from rampway.core.evidence import Dispersion, start, with_past
from rampway.core.evidence.dispersion import MOST_PER_LOOK

RATE = 0.02
"""Of stable's requests that are events, before and during the rollout."""
PERIOD_LOOKS = 4
BURSTS = {**HARD, "all pods' rate gamma(2)": together}


@dataclass(slots=True)
class Detectors:
    """`evidence.Detector` of many runs side by side, for rollouts that last nobody knows how long.

    Attributes:
        log_r: Of each run and alternative.
        begun: How many periods have begun.
    """

    log_r: Floats
    begun: int = 0

    @classmethod
    def of(cls, runs: int) -> "Detectors":
        """Return detectors that have seen nothing."""
        return cls(np.full((runs, len(RHOS)), -np.inf))

    def look(
        self, n: float, events: Floats, limit: Floats, phi: Floats, *, begun: int, fewer: bool
    ) -> Floats:
        """Take in a look of all runs; return the logarithm of each detector.

        Args:
            n: Requests of the look.
            events: One value a run, at most n.
            limit: The largest rate that is no harm, or the smallest where fewer are; one a run.
            phi: One value a run.
            begun: How many periods have begun, this one included.
            fewer: Whether rarer events are harm.
        """
        if begun > self.begun:
            fresh = 1 / (self.begun + 1) - 1 / (begun + 1)
            self.log_r = np.logaddexp(self.log_r, np.log(fresh * WEIGHTS))
            self.begun = begun
        times = 1 / RHOS if fewer else RHOS
        won = events[:, None] * np.log(times) - n * limit[:, None] * (times - 1)
        self.log_r += np.minimum(won / phi[:, None], MOST_PER_LOOK)
        whole: Floats = np.logaddexp.reduce(self.log_r, axis=1)
        return whole


@dataclass(frozen=True)
class Case:
    """One condition.

    Attributes:
        traffic: A name of BURSTS, or empty: independent events.
        intervals: How long the past is; each of two halves of stable's pods does in one of them
            what the candidate does in a look.
        per_look: Events of the candidate's in a look, in the mean, at stable's rate.
        fewer: Whether rarer events are harm.
        tolerance_pct: What is tolerated of a change, in percent; the candidate is at its edge.
        since: By what all rates have changed since the past, which is no harm of the candidate's.
    """

    traffic: str
    intervals: int
    per_look: float = 10.0
    fewer: bool = False
    tolerance_pct: int = 0
    since: float = 1.0

    @property
    def name(self) -> str:
        """What it is called."""
        told = [self.traffic or "independent", f"a past of {self.intervals} intervals"]
        told += [f"{self.per_look:.0f} events a look"]
        told += ["fewer is harm"] if self.fewer else []
        told += [f"at the edge of {self.tolerance_pct} %"] if self.tolerance_pct else []
        told += [f"all rates {self.since:g} times as large"] if self.since != 1 else []
        return ", ".join(told)

    @property
    def check(self) -> Check:
        """The check that is asked."""
        counts = {
            "events": {"metric": "events"},
            "exposures": {"metric": "exposures"},
            "against": "Past",
            "harmWhen": "Less" if self.fewer else "More",
            "maxChange": f"{self.tolerance_pct}%",
            "ignoreBelow": "0%",
        }
        return Check.model_validate({"name": "reference", "counts": counts})

    @property
    def mean(self) -> float:
        """Events of the candidate's in a look, in the mean."""
        change = self.tolerance_pct / 100
        return self.per_look * self.since * (1 - change if self.fewer else 1 + change)

    def draw(self, one: float, other: float) -> Traffic:
        """Return traffic of so many events a look, in the mean."""
        return BURSTS[self.traffic](one, other) if self.traffic else poisson(one, other)


def cases() -> Iterator[Case]:
    """Yield the conditions in which the rate is steady."""
    for fewer in (False, True):
        for intervals in (6, 240):
            for traffic in ("", *BURSTS):
                yield Case(traffic, intervals, fewer=fewer)
        for traffic in BURSTS:
            yield Case(traffic, 30, 1.0, fewer=fewer)
        yield Case("", 240, fewer=fewer, tolerance_pct=10)


def changed() -> Iterator[Case]:
    """Yield conditions in which it has changed for all: no bound holds there."""
    for since in (1.25, 1.5):
        yield Case("", 240, tolerance_pct=10, since=since)
        yield Case("", 240, fewer=True, tolerance_pct=10, since=1 / since)


def alarms(case: Case, seed: int, *, runs: int, looks: int, alpha: float) -> Alarms:
    """Return how often harm is called within so many looks where the candidate does none."""
    rng = np.random.default_rng(seed)
    limits, phis, _ = held_against(rng, case, runs, alpha)
    called = _called(rng, case, (limits, phis), looks, alpha)
    error = math.sqrt(alpha * (1 - alpha) / runs)
    return Alarms(case.name, alpha, float(called.mean()), error)


def held_against(
    rng: np.random.Generator, case: Case, runs: int, alpha: float
) -> tuple[Floats, Floats, Floats]:
    """Return limit, phi and rate of each run, from a past of its own, as the shipped check does."""
    halves = case.draw(case.per_look, case.per_look)
    surprise, variance, looks, whole = np.zeros((4, runs))
    for first in range(0, case.intervals, 2):
        mine, other = (sum(halves(rng, runs, at)) for at in (first, first + 1))
        both = mine + other
        whole += both
        surprise += (mine - both / 2) ** 2
        variance += both / 4
        looks += both > 0
    requests = round(2 * case.intervals * case.per_look / RATE)
    limits, phis = np.zeros((2, runs))
    for run in range(runs):
        past = Dispersion(surprise[run], variance[run], int(looks[run]))
        phis[run] = with_past(start(), past, -math.log(alpha)).phi
        shown = Reference(requests, min(requests, whole[run]), phis[run])
        limits[run] = limit_of(case.check, shown.rate(fewer=case.fewer))
    return limits, phis, np.minimum(requests, whole) / requests


def _called(
    rng: np.random.Generator, case: Case, held: tuple[Floats, Floats], looks: int, alpha: float
) -> NDArray[np.bool_]:
    """Return which of the runs ever call harm, held against a limit with a phi."""
    traffic = case.draw(case.mean, 0.0)
    runs, n = len(held[0]), case.per_look / RATE
    detectors, called = Detectors.of(runs), np.zeros(runs, dtype=bool)
    for look in range(looks):
        mine, _ = traffic(rng, runs, look)
        begun = 1 + look // PERIOD_LOOKS
        log_e = detectors.look(n, np.minimum(mine, n), *held, begun=begun, fewer=case.fewer)
        called |= log_e >= -math.log(alpha)
    return called
