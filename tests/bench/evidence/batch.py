"""The shipped process of evidence for thousands of runs at once, in numpy.

It has no figures of its own: grid, weights, reserve and guard are the package's. That both come to
the same e-values is tested (unit/core/evidence/test_batch.py).
"""

import math
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rampway.core.evidence import dispersion, mixture
from rampway.core.evidence.process import FOR_A_SEGMENT

Floats = NDArray[np.float64]
RHOS = np.array(mixture.RHOS)
WEIGHTS = np.array(mixture.WEIGHTS)


@dataclass(frozen=True, slots=True)
class Past:
    """What half of stable's pods against the other half showed before, one value a run.

    Attributes:
        surprise: Sums of (e_a - e / 2)^2.
        variance: Sums of e / 4.
        looks: Intervals with events.
    """

    surprise: Floats
    variance: Floats
    looks: Floats


@dataclass(slots=True)
class Guard:
    """`evidence.dispersion` of all runs: phi so far, and the most that a look may gain."""

    surprise: Floats
    variance: Floats
    looks: Floats
    events: Floats
    requests: Floats
    prior_looks: Floats
    prior_phi: Floats
    cap: Floats
    told: NDArray[np.bool_]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, runs: int, past: Past | None, alpha: float) -> Self:
        """Return the guard before the first look."""
        guard = cls(
            surprise=np.zeros(runs),
            variance=np.zeros(runs),
            looks=np.zeros(runs),
            events=np.zeros((2, runs)),
            requests=np.zeros((2, runs)),
            prior_looks=np.full(runs, dispersion.PRIOR_LOOKS),
            prior_phi=np.full(runs, dispersion.PRIOR_PHI),
            cap=np.full(runs, dispersion.MOST_PER_LOOK),
            told=np.zeros(runs, dtype=bool),
            known=np.zeros(runs, dtype=bool),
        )
        if past is not None:
            guard._knows(past, -math.log(alpha))
        return guard

    def _knows(self, past: Past, log_bound: float) -> None:
        self.told = past.looks > 0
        fading = np.maximum(0, 1 - past.looks / dispersion.KNOWN_LOOKS)
        self.prior_looks = np.where(
            self.told, dispersion.PRIOR_LOOKS * fading, dispersion.PRIOR_LOOKS
        )
        self.prior_phi = np.where(self.told, dispersion.FEW_PHI, dispersion.PRIOR_PHI)
        self.surprise, self.variance = past.surprise.copy(), past.variance.copy()
        self.looks = past.looks.copy()
        measured = self._raw_phi() <= dispersion.MOST_PHI
        self.surprise = np.minimum(past.surprise, dispersion.MOST_PHI * past.variance)
        self.cap = np.where(measured, np.maximum(self.cap, log_bound), self.cap)
        self.known = past.looks >= dispersion.KNOWN_LOOKS

    def _raw_phi(self) -> Floats:
        weight = self.prior_looks * self.variance / np.maximum(self.looks, 1)
        whole = self.variance + weight
        phi = (self.surprise + self.prior_phi * weight) / np.where(whole > 0, whole, 1)
        return np.maximum(1, np.where(whole > 0, phi, self.prior_phi))

    def phi(self) -> Floats:
        """Return what the next look's log factors are divided by."""
        phi = self._raw_phi()
        error = np.sqrt(2 / np.maximum(self.looks, 1))
        told = np.where(self.known & (phi <= 1 + error), 1.0, phi * (1 + error / 2))
        return np.where(self.told, told, phi)

    def see(self, requests: Floats, events: Floats) -> None:
        """Take in a look: requests and events of (candidate, stable)."""
        self.requests += requests
        self.events += events
        rates = (self.events + 0.5) / (self.requests + 1)
        expected = requests * rates
        theta = expected[0] / expected.sum(axis=0)
        both = events.sum(axis=0)
        self.surprise += np.where(both > 0, (events[0] - theta * both) ** 2, 0)
        self.variance += both * theta * (1 - theta)
        self.looks += both > 0


@dataclass(slots=True)
class Batch:
    """So many processes of evidence side by side; mutable, for speed.

    Attributes:
        w: Capital of each run's components, (runs, alternatives).
        cash: What is not invested yet.
        guard: None: a plain mixture, as nothing shipped is.
        bound: 1/alpha.
    """

    w: Floats
    cash: Floats
    guard: Guard | None
    bound: float
    ratio: float
    floor: float

    @classmethod
    def of(
        cls,
        runs: int,
        alpha: float,
        *,
        past: Past | None = None,
        guarded: bool = True,
        ratio: float = 1.0,
        floor: float = 0.0,
    ) -> Self:
        """Return processes that have seen nothing but what is known of stable's past.

        Args:
            runs: Independent runs.
            alpha: False-alarm rate; the bound is 1/alpha.
            past: What stable showed before, if that is known.
            guarded: With the guard against bursts, else a plain mixture.
            ratio: Tolerated ratio.
            floor: Tolerated on top.
        """
        w = np.tile((1 - mixture.CASH) * WEIGHTS, (runs, 1))
        guard = Guard.of(runs, past, alpha) if guarded else None
        return cls(w, np.full(runs, mixture.CASH), guard, 1 / alpha, ratio, floor)

    def e_values(self) -> Floats:
        """Return E of each run."""
        whole: Floats = self.w.sum(axis=1) + self.cash
        return whole

    def new_segment(self) -> None:
        """The traffic's split changes with the next look."""
        self._invest(np.full_like(self.cash, FOR_A_SEGMENT))

    def look(self, n_c: Floats | float, mine: Floats, n_s: Floats | float, other: Floats) -> Floats:
        """Take in a look of all runs; return E of each.

        Args:
            n_c: Requests of the candidate, above 0; one value or one a run.
            mine: Events of the candidate, one value a run.
            n_s: Requests of stable, above 0.
            other: Events of stable.
        """
        requests = np.stack([np.broadcast_to(n, mine.shape) for n in (n_c, n_s)])
        self._invest(mixture.FIRST_INVESTED * self.cash / mixture.CASH)
        phi = self.guard.phi() if self.guard else np.ones(len(mine))
        cap = self.guard.cap if self.guard else np.full(len(mine), np.inf)
        calm = self.w * self._factors(requests, mine, other, phi, cap)
        boost = self._boost(requests, (mine == 0) & (other == 1), calm, phi, cap)
        self.w = calm * boost[:, None]
        self.cash *= boost
        if self.guard:
            self.guard.see(requests, np.stack([mine, other]))
        return self.e_values()

    def _invest(self, share: Floats) -> None:
        self.w += (share * self.cash)[:, None] * WEIGHTS
        self.cash = self.cash * (1 - share)

    def _factors(
        self, requests: Floats, mine: Floats, other: Floats, phi: Floats, cap: Floats
    ) -> Floats:
        exposure = requests[0] * self.ratio
        theta0 = exposure / (exposure + requests[1])
        c = 1 + theta0[:, None] * (RHOS - 1)
        gains = mine[:, None] * np.log(RHOS) - (mine + other)[:, None] * np.log(c)
        if self.floor:
            gains -= (requests[0] * self.floor)[:, None] * (RHOS / c - 1)
        factors: Floats = np.exp(np.minimum(gains / phi[:, None], cap[:, None]))
        return factors

    def _boost(
        self, requests: Floats, single: NDArray[np.bool_], calm: Floats, phi: Floats, cap: Floats
    ) -> Floats:
        """`evidence.overshoot`, where the one event of a look was stable's."""
        boost = np.ones(len(calm))
        rows = np.flatnonzero(single)
        if not len(rows):
            return boost
        one, none = np.ones(len(rows)), np.zeros(len(rows))
        factors = self._factors(requests[:, rows], one, none, phi[rows], cap[rows])
        harmed = (self.w[rows] * factors).sum(axis=1) + self.cash[rows]
        after = calm[rows].sum(axis=1) + self.cash[rows]
        odds = requests[0, rows] * self.ratio / requests[1, rows]
        b = np.minimum(1 + odds * (harmed - self.bound) / after, self.bound * (1 - 1e-9) / after)
        boost[rows] = np.where((harmed > self.bound) & (after < self.bound), b, 1.0)
        return boost

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Go on with some of the runs only."""
        self.w, self.cash = self.w[rows], self.cash[rows]
        for field in fields(self.guard) if self.guard else ():
            setattr(self.guard, field.name, getattr(self.guard, field.name)[..., rows])

    def rows(self, rows: NDArray[np.int64]) -> "Batch":
        """Return some of the runs; `take` puts them back."""
        guard = self.guard and Guard(
            *(getattr(self.guard, field.name)[..., rows] for field in fields(Guard))
        )
        return replace(self, w=self.w[rows], cash=self.cash[rows], guard=guard)

    def take(self, rows: NDArray[np.int64], part: "Batch") -> None:
        """Put runs back that `rows` has given."""
        self.w[rows], self.cash[rows] = part.w, part.cash
        for field in fields(Guard) if self.guard else ():
            getattr(self.guard, field.name)[..., rows] = getattr(part.guard, field.name)
