"""How soon harm is called, against the fewest events that could do in the mean."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from bench.evidence.runs import simulate
from bench.evidence.traffic import Before, least_events, one_event

ALPHAS = (0.05, 0.01)
SHARES = (0.5, 0.2, 0.1, 0.05)
RATIOS = (1.5, 2.0, 5.0, 20.0)
LATE, LATE_ALPHA = 1000, 0.05
"""Harmless events before late harm begins."""
MOST_LOOKS = 200_000
QUIET = Before(one_event(0.5, 1.0))
"""Stable's past: 120 intervals with one event each, without bursts."""


@dataclass(frozen=True)
class Cell:
    """One case: harm of this ratio at this share of the traffic."""

    alpha: float
    share: float
    ratio: float
    begin: int = 0


@dataclass(frozen=True)
class Found:
    """Events to detection, with the Monte Carlo error of their mean."""

    cell: Cell
    mean: float
    error: float

    @property
    def least(self) -> float:
        """The bound log(1/alpha) / KL."""
        return least_events(self.cell.share, self.cell.ratio, self.cell.alpha)

    @property
    def share_of_bound(self) -> float:
        """The bound over the mean; 1 were perfect."""
        return self.least / self.mean

    @property
    def share_error(self) -> float:
        """Monte Carlo error of `share_of_bound`."""
        return self.share_of_bound * self.error / self.mean

    @property
    def over_bound(self) -> float:
        """The mean over the bound."""
        return self.mean / self.least


def cells() -> Iterator[Cell]:
    """Yield the cases in which harm begins at once."""
    for alpha, share, ratio in product(ALPHAS, SHARES, RATIOS):
        yield Cell(alpha, share, ratio)


def late_cells(begin: int = LATE) -> Iterator[Cell]:
    """Yield the cases in which it begins after so many harmless events."""
    for share, ratio in product(SHARES, RATIOS):
        yield Cell(LATE_ALPHA, share, ratio, begin)


def detected(cell: Cell, seed: int, runs: int, *, known: bool = True) -> Found:
    """Return how many events a cell needs, one event a look.

    Args:
        cell: The case.
        seed: Of the random source.
        runs: Independent runs.
        known: Whether stable's past is known.

    Raises:
        ValueError: a run never called harm: the mean would be too small.
    """
    rng = np.random.default_rng(seed)
    past = QUIET.drawn(rng, runs) if known else None
    split = (1000 * cell.share, 1000 * (1 - cell.share))
    done = simulate(
        rng,
        runs,
        one_event(cell.share, cell.ratio, cell.begin),
        [split] * (cell.begin + MOST_LOOKS),
        alpha=cell.alpha,
        past=past,
        begin=cell.begin,
    )
    if done.alarms < 1:
        raise ValueError(f"{cell}: only {done.alarms:.1%} of the runs called harm")
    error = float(done.events.std()) / math.sqrt(runs)
    return Found(cell, float(done.events.mean()), error)
