"""The process of evidence for thousands of runs at once, and the traffic that is hard for it.

An independent formulation in numpy, held against the package by test_process.py; figures.py prints
what docs/reference/evidence.md says of it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Traffic = Callable[[np.random.Generator, int, int], tuple[Floats, Floats]]
"""(random source, runs, look) -> events of the candidate and of stable, one per run."""

RHOS = np.array([1.2, 1.5, 2, 3, 5, 10, 30, 100])
KEPT = 0.1
WEIGHTS = np.array([0.03, 0.14, 0.15, 0.06, 0.10, 0.34, 0.12, 0.06])


@dataclass(frozen=True)
class Runs:
    """What became of the runs.

    Attributes:
        crossed: Look of the first crossing, -1 for never; one per run.
        events: Events of both sides up to the crossing, nan for never.
        log_e: log E after the last look.
    """

    crossed: NDArray[np.int64]
    events: Floats
    log_e: Floats

    @property
    def alarms(self) -> float:
        """Share of the runs that ever crossed."""
        return float((self.crossed >= 0).mean())


@dataclass
class _Capital:
    """The mixture of all runs; mutable, for speed."""

    log_w: Floats
    cash: float = 0.1

    def bet(self, log_factors: Floats) -> None:
        self.log_w = np.logaddexp(self.log_w, np.log(0.003 * self.cash * WEIGHTS)) + log_factors
        self.cash *= 0.997

    def log_e(self) -> Floats:
        whole: Floats = np.logaddexp(np.logaddexp.reduce(self.log_w, axis=1), math.log(self.cash))
        return whole


@dataclass
class _Guard:
    """phi of all runs.

    Attributes:
        prior: What phi two looks before the first have shown, as it were.
        cap: The most that a component gains in a look.
    """

    squares: Floats
    variance: Floats
    looks: Floats
    candidate: Floats
    stable: Floats
    prior: Floats
    cap: Floats
    candidate_n: float = 0
    stable_n: float = 0

    @classmethod
    def of(cls, runs: int, past: "Past | None", alpha: float) -> Self:
        squares, variance, looks, candidate, stable = np.zeros((5, runs))
        prior, cap = np.full(runs, 2.0), np.full(runs, math.log(3))
        made = cls(squares, variance, looks, candidate, stable, prior, cap)
        if past is not None:
            made.knows(past, alpha)
        return made

    def limited(self, factors: Floats) -> Floats:
        found: Floats = np.minimum(factors / self.phi()[:, None], self.cap[:, None])
        return found

    def knows(self, past: "Past", alpha: float) -> None:
        """Begin with what stable showed before."""
        prior = np.where(past.looks > 0, 5.0, 2.0)
        self.squares, self.variance, self.looks = past.squares, past.variance, past.looks
        self.prior = prior
        measured = self.phi() <= 16
        self.squares = np.minimum(past.squares, 16 * past.variance)
        self.variance, self.looks = past.variance.copy(), past.looks.copy()
        self.cap = np.where(measured, max(math.log(3), -math.log(alpha)), math.log(3))

    def phi(self) -> Floats:
        mean = np.where(self.looks > 0, self.variance / np.maximum(self.looks, 1), 1.0)
        phi: Floats = np.maximum(
            1, (self.squares + 2 * self.prior * mean) / (self.variance + 2 * mean)
        )
        return phi

    def see(self, mine: Floats, other: Floats, n_c: float, n_s: float) -> None:
        self.candidate_n += n_c
        self.stable_n += n_s
        self.candidate += mine
        self.stable += other
        expected = n_c * (self.candidate + 0.5) / (self.candidate_n + 1)
        theta = expected / (expected + n_s * (self.stable + 0.5) / (self.stable_n + 1))
        events = mine + other
        self.squares += np.where(events > 0, (mine - theta * events) ** 2, 0)
        self.variance += events * theta * (1 - theta)
        self.looks += events > 0


@dataclass(frozen=True)
class Past:
    """What half of stable's pods against the other half showed before the rollout, in each run."""

    squares: Floats
    variance: Floats
    looks: Floats

    @classmethod
    def of(cls, rng: np.random.Generator, runs: int, halves: Traffic, intervals: int) -> Self:
        """Draw so many intervals; `halves` are the events of both, of like size."""
        found = np.zeros((3, runs))
        for look in range(intervals):
            mine, other = halves(rng, runs, look)
            events = mine + other
            found += ((mine - events / 2) ** 2, events / 4, events > 0)
        return cls(*found)


@dataclass
class _Process:
    """The mixture of all runs, and what guards it; mutable, for speed."""

    capital: _Capital
    guard: _Guard | None
    ratio: float
    floor: float

    def look(self, events: tuple[Floats, Floats], requests: tuple[float, float]) -> None:
        (mine, other), (n_c, n_s) = events, requests
        theta0 = n_c * self.ratio / (n_c * self.ratio + n_s)
        c = 1 + theta0 * (RHOS - 1)
        factors = np.multiply.outer(mine, np.log(RHOS / c)) - np.multiply.outer(other, np.log(c))
        factors -= n_c * self.floor * (RHOS / c - 1)
        if self.guard is not None:
            factors = self.guard.limited(factors)
            self.guard.see(mine, other, n_c, n_s)
        self.capital.bet(factors)


@dataclass
class _Crossings:
    """Which runs have crossed the bound since the look `begin`; mutable, for speed."""

    bound: float
    begin: int
    at_look: NDArray[np.int64]
    events: Floats
    events_at: Floats

    @classmethod
    def of(cls, runs: int, alpha: float, begin: int) -> Self:
        # E = (1 - KEPT) * capital + KEPT in a first segment: what is kept for later is unstaked.
        bound = math.log((1 / alpha - KEPT) / (1 - KEPT))
        return cls(bound, begin, np.full(runs, -1), np.zeros(runs), np.full(runs, np.nan))

    def see(self, look: int, events: Floats, log_e: Floats) -> None:
        if look < self.begin:
            return
        self.events += events
        now = (log_e >= self.bound) & (self.at_look < 0)
        self.at_look[now] = look
        self.events_at[now] = self.events[now]

    def complete(self) -> bool:
        return bool((self.at_look >= 0).all())


def simulate(
    rng: np.random.Generator,
    runs: int,
    traffic: Traffic,
    schedule: Sequence[tuple[float, float]],
    *,
    alpha: float,
    ratio: float = 1.0,
    floor: float = 0.0,
    guarded: bool = True,
    past: Past | None = None,
    begin: int = 0,
    patient: bool = False,
) -> Runs:
    """Run the process over a schedule of (candidate's, stable's) requests per look.

    Args:
        rng: Random source; never the same seed in two cells.
        runs: Independent runs.
        traffic: Draws the events.
        schedule: Requests of one look each.
        alpha: False-alarm rate; the bound is 1/alpha.
        ratio: Tolerated ratio.
        floor: Tolerated on top.
        guarded: With the dispersion guard, else the plain mixture.
        past: What stable showed before; the guard knows nothing of it without.
        begin: Crossings and events before this look do not count (harm begins here).
        patient: Go on to the last look when all runs have crossed.
    """
    capital = _Capital(np.tile(np.log(0.9 * WEIGHTS), (runs, 1)))
    process = _Process(capital, _Guard.of(runs, past, alpha) if guarded else None, ratio, floor)
    crossings = _Crossings.of(runs, alpha, begin)
    for look, requests in enumerate(schedule):
        events = traffic(rng, runs, look)
        process.look(events, requests)
        crossings.see(look, events[0] + events[1], capital.log_e())
        if crossings.complete() and not patient:
            break
    return Runs(crossings.at_look, crossings.events_at, capital.log_e())


def binomial(
    rates: Callable[[int], tuple[float, float]], schedule: Sequence[tuple[float, float]]
) -> Traffic:
    """Independent requests; `rates(look)` of candidate and stable."""

    def draw(rng: np.random.Generator, runs: int, look: int) -> tuple[Floats, Floats]:
        (n_c, n_s), (p_c, p_s) = schedule[look], rates(look)
        mine = rng.binomial(round(n_c), p_c, runs).astype(float)
        return mine, rng.binomial(round(n_s), p_s, runs).astype(float)

    return draw


def _both(one: Callable[[np.random.Generator, float, int], Floats], c: float, s: float) -> Traffic:
    return lambda rng, runs, _: (one(rng, c, runs), one(rng, s, runs))


def poisson(candidate: float, stable: float) -> Traffic:
    """Independent events, so many per look in the mean."""
    return _both(lambda rng, mean, runs: rng.poisson(mean, runs).astype(float), candidate, stable)


def retries(candidate: float, stable: float, times: int = 3) -> Traffic:
    """Each failure is counted `times` times."""

    def one(rng: np.random.Generator, mean: float, runs: int) -> Floats:
        return times * rng.poisson(mean / times, runs).astype(float)

    return _both(one, candidate, stable)


def bursts(candidate: float, stable: float, size: float = 5) -> Traffic:
    """Failures in bursts of geometric size."""

    def one(rng: np.random.Generator, mean: float, runs: int) -> Floats:
        number = rng.poisson(mean / size, runs)
        more = rng.negative_binomial(np.maximum(number, 1), 1 / size)
        return np.where(number > 0, number + more, 0).astype(float)

    return _both(one, candidate, stable)


def unsteady(candidate: float, stable: float, shape: float) -> Traffic:
    """Each revision's rate is multiplied by a gamma variable of mean 1 at each look."""

    def one(rng: np.random.Generator, mean: float, runs: int) -> Floats:
        return rng.poisson(mean * rng.gamma(shape, 1 / shape, runs)).astype(float)

    return _both(one, candidate, stable)


def slow(candidate: float, stable: float, shape: float = 2, looks: int = 15) -> Traffic:
    """As `unsteady`, but each multiplier stays for so many looks: bursts longer than a look."""
    held: dict[float, Floats] = {}

    def draw(rng: np.random.Generator, runs: int, look: int) -> tuple[Floats, Floats]:
        if look % looks == 0:
            for arm in (0, 1):
                held[arm] = rng.gamma(shape, 1 / shape, runs)
        mine, other = (rng.poisson(m * held[a]) for a, m in ((0, candidate), (1, stable)))
        return mine.astype(float), other.astype(float)

    return draw


HARD: dict[str, Callable[[float, float], Traffic]] = {
    "retries x3": retries,
    "bursts, geometric 5": bursts,
    "rate gamma(2)": lambda c, s: unsteady(c, s, 2),
    "rate gamma(.5)": lambda c, s: unsteady(c, s, 0.5),
}


def one_event(share: float, ratio: float, begin: int = 0) -> Traffic:
    """Exactly one event per look; the candidate does harm of this ratio from a look on."""

    def draw(rng: np.random.Generator, runs: int, look: int) -> tuple[Floats, Floats]:
        r = ratio if look >= begin else 1.0
        mine = (rng.random(runs) < share * r / (share * r + 1 - share)).astype(float)
        return mine, 1 - mine

    return draw


def least_events(share: float, ratio: float, alpha: float) -> float:
    """Return log(1/alpha) / KL: fewer events cannot do in the mean (Wald)."""
    theta = share * ratio / (share * ratio + 1 - share)
    nats = theta * math.log(theta / share) + (1 - theta) * math.log((1 - theta) / (1 - share))
    return -math.log(alpha) / nats


@dataclass(frozen=True)
class Before:
    """What was before the rollout: `halves` of stable's pods, over so many intervals."""

    halves: Traffic
    intervals: int = 120

    def drawn(self, rng: np.random.Generator, runs: int) -> Past:
        """Draw it for so many runs."""
        return Past.of(rng, runs, self.halves, self.intervals)


def false_alarms(
    seed: int,
    traffic: Traffic,
    share: float,
    *,
    guarded: bool = True,
    before: Before | None = None,
    alpha: float = 0.05,
    runs: int = 5000,
    looks: int = 300,
) -> float:
    """Return the share of harmless runs that alarm within so many looks."""
    split = [(2000 * share, 2000 * (1 - share))] * looks
    rng = np.random.default_rng(seed)
    past = before.drawn(rng, runs) if before else None
    return simulate(rng, runs, traffic, split, alpha=alpha, guarded=guarded, past=past).alarms


def events_needed(
    seed: int,
    traffic: Traffic,
    share: float,
    *,
    guarded: bool,
    before: Before | None = None,
    begin: int = 0,
    alpha: float = 0.05,
    runs: int = 2000,
    looks: int = 10_000,
) -> float:
    """Return the mean number of events to the alarm.

    Raises:
        ValueError: not all runs alarmed within `looks`: the mean would be too small.
    """
    split = [(2000 * share, 2000 * (1 - share))] * (begin + looks)
    rng = np.random.default_rng(seed)
    past = before.drawn(rng, runs) if before else None
    done = simulate(rng, runs, traffic, split, alpha=alpha, guarded=guarded, past=past, begin=begin)
    if done.alarms < 1:
        raise ValueError(f"only {done.alarms:.1%} of the runs alarmed within {looks} looks")
    return float(done.events.mean())
