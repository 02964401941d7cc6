"""Many trials: played side by side, and what they come to."""

import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from random import Random

from rampway.sim.answering import Answering
from rampway.sim.trial import Ended, Trial
from rampway.sim.trial_place import Setting

_SURE = 0.95
"""Of an interval for a chance."""


@dataclass(frozen=True, slots=True)
class Chance:
    """How often something happened, and what that tells of its chance.

    Attributes:
        low: Lower end of the 95 % interval of Clopper and Pearson (1934), and `high` its upper one.
    """

    count: int
    runs: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The estimate."""
        return self.count / self.runs

    @property
    def error(self) -> float:
        """Its standard error."""
        return math.sqrt(self.share * (1 - self.share) / self.runs)


@dataclass(frozen=True, slots=True)
class Range:
    """The middle of some figures, and where 98 % of them lie; nan without figures."""

    low: float
    median: float
    high: float
    mean: float


def play(
    setting: Setting,
    candidates: Sequence[Answering],
    runs: int,
    seed: int,
    *,
    workers: int | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> list[list[Ended]]:
    """Play so many trials of each candidate; the result depends on the seed alone.

    Args:
        setting: What is tried, but for the candidate.
        candidates: How they answer. The trials of one number share their beginning.
        runs: Of each.
        seed: Each trial has dice of its own, made from it.
        workers: Processes; None: as many as there are processors.
        told: Hears of each number of trials that are done.
    """
    job = _Job(setting, tuple(candidates), seed)
    found: list[list[Ended]] = [[] for _ in candidates]
    for ended in _played(job, runs, workers):
        for mine, one in zip(found, ended, strict=True):
            mine.append(one)
        told(len(ended))
    return found


@dataclass(frozen=True, slots=True)
class _Job:
    """What each trial needs to know."""

    setting: Setting
    candidates: tuple[Answering, ...]
    seed: int

    def play(self, number: int) -> list[Ended]:
        """Play the trials of one number."""
        # Seeded by text: no trial of one candidate shares its dice with one of another.
        begun = Trial(self.setting, Random(f"{self.seed}/{number}"))  # noqa: S311
        begun.begin()
        return [
            begun.beside(candidate, Random(f"{self.seed}/{index}/{number}")).run()  # noqa: S311
            for index, candidate in enumerate(self.candidates)
        ]


def _played(job: _Job, runs: int, workers: int | None) -> Iterator[list[Ended]]:
    processes = min(runs, workers or os.cpu_count() or 1)
    if processes <= 1:
        yield from map(job.play, range(runs))
        return
    with ProcessPoolExecutor(processes) as pool:
        todo = [pool.submit(job.play, number) for number in range(runs)]
        try:
            for done in todo:
                yield done.result()
        except BaseException:  # Ctrl-C: nobody waits for what is left
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


def chance(count: int, runs: int) -> Chance:
    """Return what `count` of `runs` tell of a chance."""
    tail = (1 - _SURE) / 2
    low = 0.0 if not count else _solved(lambda p: _at_least(count, runs, p) < tail)
    high = 1.0 if count == runs else _solved(lambda p: 1 - _at_least(count + 1, runs, p) > tail)
    return Chance(count, runs, low, high)


def _solved(below: Callable[[float], bool]) -> float:
    """Return where a predicate that holds for small chances stops to hold."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return low


def _at_least(count: int, runs: int, p: float) -> float:
    """Return P(Binomial(runs, p) >= count)."""
    if p <= 0 or p >= 1:
        return float(p >= 1 or not count)
    log, other = math.log(p), math.log1p(-p)

    def term(k: int) -> float:
        ways = math.lgamma(runs + 1) - math.lgamma(k + 1) - math.lgamma(runs - k + 1)
        return math.exp(ways + k * log + (runs - k) * other)

    return math.fsum(term(k) for k in range(count, runs + 1))


def spread(figures: Sequence[float]) -> Range:
    """Return the middle and the 1 to 99 % range of figures, between them by a straight line."""
    if not figures:
        return Range(math.nan, math.nan, math.nan, math.nan)
    ordered = sorted(figures)

    def at(part: float) -> float:
        place = part * (len(ordered) - 1)
        low = math.floor(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    return Range(at(0.01), at(0.5), at(0.99), math.fsum(ordered) / len(ordered))
