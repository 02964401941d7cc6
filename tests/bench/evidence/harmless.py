"""How often a candidate that does no harm is rolled back, whatever the traffic is like."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from bench.evidence.batch import Batch, Floats
from bench.evidence.runs import simulate
from bench.evidence.traffic import (
    HARD,
    Before,
    Traffic,
    binomial,
    drifting,
    heavy_users,
    one_event,
    outages,
    poisson,
)

STEPS = ((50.0, 950.0), (200.0, 800.0), (500.0, 500.0))
MOST_WAITED = 30
"""An adversary who chooses the moments of looking has to look after so many events."""


@dataclass(frozen=True)
class Alarms:
    """What one condition came to.

    Attributes:
        rate: Share of the harmless runs in which harm was ever called.
        error: Monte Carlo error of a rate of alpha.
    """

    name: str
    alpha: float
    rate: float
    error: float

    @property
    def too_often(self) -> bool:
        """Whether alpha is exceeded by more than three errors."""
        return self.rate > self.alpha + 3 * self.error


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    runs: int
    events: int


Condition = Callable[[np.random.Generator, Size, float], float]
"""(random source, size, alpha) -> share of the runs that ever called harm."""


def alarms(number: int, seed: int, size: Size, alpha: float, *, hard: bool) -> Alarms:
    """Return what a condition comes to, by its number in `conditions` or `hard_conditions`."""
    name, condition = list(hard_conditions() if hard else conditions())[number]
    rate = condition(np.random.default_rng(seed), size, alpha)
    return Alarms(name, alpha, rate, math.sqrt(alpha * (1 - alpha) / size.runs))


def _steady(share: float, per_look: float, traffic: Traffic, halves: Traffic) -> Condition:
    """Return a condition of one split; `halves` is what stable's two halves do."""

    def run(rng: np.random.Generator, size: Size, alpha: float) -> float:
        schedule = [(1000 * share, 1000 * (1 - share))] * math.ceil(size.events / per_look)
        past = Before(halves).drawn(rng, size.runs)
        return simulate(rng, size.runs, traffic, schedule, alpha=alpha, past=past).alarms

    return run


def _stepped(rng: np.random.Generator, size: Size, alpha: float) -> float:
    """The split goes from 5 to 20 to 50 %, a third of the events at each, four events a look."""
    looks = math.ceil(size.events / 4 / len(STEPS))
    schedule = [split for split in STEPS for _ in range(looks)]

    def traffic(rng: np.random.Generator, runs: int, look: int) -> tuple[Floats, Floats]:
        n_c, n_s = schedule[look]
        return poisson(n_c / 250, n_s / 250)(rng, runs, look)

    past = Before(poisson(2, 2)).drawn(rng, size.runs)
    return simulate(rng, size.runs, traffic, schedule, alpha=alpha, past=past).alarms


def _frequent(rng: np.random.Generator, size: Size, alpha: float) -> float:
    """Three of ten requests are events, ten requests a look, at the edge of what is tolerated."""
    schedule = [(5.0, 5.0)] * math.ceil(size.events / 3.2)
    traffic = binomial(lambda _: (1.1 * 0.3, 0.3), schedule)
    past = Before(binomial(lambda _: (0.3, 0.3), [(5.0, 5.0)] * 120)).drawn(rng, size.runs)
    return simulate(rng, size.runs, traffic, schedule, alpha=alpha, ratio=1.1, past=past).alarms


def _at_the_floor(rng: np.random.Generator, size: Size, alpha: float) -> float:
    """Stable nearly free of events, the candidate at the floor: 1 % of a hundred a look."""
    schedule = [(100.0, 400.0)] * math.ceil(size.events / 1.2)
    traffic = binomial(lambda _: (0.0104, 0.0004), schedule)
    past = Before(poisson(0.1, 0.1)).drawn(rng, size.runs)
    return simulate(rng, size.runs, traffic, schedule, alpha=alpha, floor=0.01, past=past).alarms


def _adversary(*, surplus: bool) -> Condition:
    """Return a condition in which the moments of looking are chosen from the events themselves.

    With `surplus` as soon as the candidate has more of them since the last look than its share,
    else as soon as it has fewer; after MOST_WAITED events in any case.
    """

    def run(rng: np.random.Generator, size: Size, alpha: float) -> float:
        share = 0.2
        past = Before(one_event(0.5, 1)).drawn(rng, size.runs)
        batch = Batch.of(size.runs, alpha, past=past)
        waiting = np.zeros((2, size.runs))
        alarmed = np.zeros(size.runs, dtype=bool)
        for _ in range(size.events):
            mine = (rng.random(size.runs) < share).astype(float)
            waiting += (mine, 1 - mine)
            whole = waiting.sum(axis=0)
            ahead = waiting[0] > share * whole
            now = (ahead == surplus) | (whole >= MOST_WAITED)
            alarmed |= _look_at(batch, now, waiting, share)
            waiting[:, now] = 0
        return float(alarmed.mean())

    return run


def _look_at(batch: Batch, now: np.ndarray, waiting: Floats, share: float) -> np.ndarray:
    """Look at some of the runs only; return which of all call harm."""
    found = np.zeros(len(now), dtype=bool)
    rows = np.flatnonzero(now)
    if len(rows):
        mine, other = waiting[:, rows]
        whole = 1000 * (mine + other)
        part = batch.rows(rows)
        found[rows] = part.look(whole * share, mine, whole * (1 - share), other) >= batch.bound
        batch.take(rows, part)
    return found


def conditions() -> Iterator[tuple[str, Condition]]:
    """Yield the conditions without bursts: here the bound is a theorem."""
    for share in (0.5, 0.05):
        name = f"constant rate, one event a look, {share:.0%}"
        yield name, _steady(share, 1, one_event(share, 1), one_event(0.5, 1))
    yield "constant rate, ten events a look, 20%", _steady(0.2, 10, poisson(2, 8), poisson(5, 5))
    yield (
        "drifting rate, four events a look, 20%",
        _steady(0.2, 4, drifting(0.8, 3.2), drifting(2, 2)),
    )
    yield "shared outages, 20%", _steady(0.2, 4, outages(0.8, 3.2), outages(2, 2))
    yield "exposures that change by steps, 5 to 50%", _stepped
    yield "frequent events, .3 of the requests", _frequent
    yield "at the floor, stable nearly free of events", _at_the_floor
    yield "an adversary looks when the candidate has more", _adversary(surplus=True)
    yield "an adversary looks when the candidate has fewer", _adversary(surplus=False)


def hard_conditions() -> Iterator[tuple[str, Condition]]:
    """Yield the conditions with bursts: here the guard is measured."""
    for share in (0.5, 0.2, 0.05):
        for events in (1.0, 10.0):
            where = f"{events:.0f} events a look, {share:.0%}"
            for name, hard in HARD.items():
                traffic = hard(share * events, (1 - share) * events)
                halves = hard(events / 2, events / 2)
                yield f"{name}, {where}", _steady(share, events, traffic, halves)
            traffic = heavy_users(share, events)
            yield f"heavy users, {where}", _steady(share, events, traffic, heavy_users(0.5, events))
