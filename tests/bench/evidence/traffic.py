"""Traffic for simulated runs: what is easy, what is hard, and what was before a rollout."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from bench.evidence.batch import Floats, Past
from numpy.typing import NDArray

Traffic = Callable[[np.random.Generator, int, int], tuple[Floats, Floats]]
"""(random source, runs, look) -> events of the candidate and of stable, one per run."""


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
        return _geometric_bursts(rng, mean, runs, size).astype(float)

    return _both(one, candidate, stable)


def _geometric_bursts(
    rng: np.random.Generator, mean: float, runs: int, size: float
) -> NDArray[np.int64]:
    """Return so many events in the mean, in bursts of a geometric size of this mean."""
    number = rng.poisson(mean / size, runs)
    more = rng.negative_binomial(np.maximum(number, 1), 1 / size)
    return np.where(number > 0, number + more, 0)


def unsteady(candidate: float, stable: float, shape: float) -> Traffic:
    """Each revision's rate is multiplied by a gamma variable of mean 1 at each look."""

    def one(rng: np.random.Generator, mean: float, runs: int) -> Floats:
        return rng.poisson(mean * rng.gamma(shape, 1 / shape, runs)).astype(float)

    return _both(one, candidate, stable)


def together(candidate: float, stable: float, shape: float = 2) -> Traffic:
    """The rate of both is multiplied by the same gamma variable of mean 1 at each look."""

    def draw(rng: np.random.Generator, runs: int, look: int) -> tuple[Floats, Floats]:  # noqa: ARG001
        rate = rng.gamma(shape, 1 / shape, runs)
        mine, other = rng.poisson(candidate * rate), rng.poisson(stable * rate)
        return mine.astype(float), other.astype(float)

    return draw


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
        found = np.zeros((3, runs))
        for look in range(self.intervals):
            mine, other = self.halves(rng, runs, look)
            events = mine + other
            found += ((mine - events / 2) ** 2, events / 4, events > 0)
        return Past(*found)


def heavy_users(share: float, events: float, size: float = 20) -> Traffic:
    """A few users bring failures in bursts, and each of their requests is routed by itself."""

    def draw(rng: np.random.Generator, runs: int, look: int) -> tuple[Floats, Floats]:  # noqa: ARG001
        whole = _geometric_bursts(rng, events, runs, size)
        mine = rng.binomial(whole, share, runs)
        return mine.astype(float), (whole - mine).astype(float)

    return draw


def drifting(candidate: float, stable: float) -> Traffic:
    """The rate both share walks at random between a third and three times its mean."""
    level: dict[str, Floats] = {}

    def draw(rng: np.random.Generator, runs: int, look: int) -> tuple[Floats, Floats]:
        before = np.zeros(runs) if look == 0 else level["log"]
        level["log"] = np.clip(before + rng.normal(0, 0.1, runs), -1.1, 1.1)
        rate = np.exp(level["log"])
        mine, other = rng.poisson(candidate * rate), rng.poisson(stable * rate)
        return mine.astype(float), other.astype(float)

    return draw


def outages(candidate: float, stable: float) -> Traffic:
    """In one look of fifty something that both depend on fails: thirty times as many events."""

    def draw(rng: np.random.Generator, runs: int, look: int) -> tuple[Floats, Floats]:
        rate = 30.0 if look % 50 == 49 else 0.4
        mine, other = rng.poisson(candidate * rate, runs), rng.poisson(stable * rate, runs)
        return mine.astype(float), other.astype(float)

    return draw
