"""Many simulated runs of the process of evidence: when they call harm, and how often wrongly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bench.evidence.batch import Batch, Floats, Past
from bench.evidence.traffic import Before, Traffic
from numpy.typing import NDArray


@dataclass
class Runs:
    """What becomes of the runs.

    Attributes:
        crossed: Look of the first crossing, -1 for never; one per run.
        events: Events of both sides up to the crossing, nan for never.
        log_e: log E after the last look; nan for runs that were left when they had crossed.
    """

    crossed: NDArray[np.int64]
    events: Floats
    log_e: Floats

    @property
    def alarms(self) -> float:
        """Share of the runs that ever crossed."""
        return float((self.crossed >= 0).mean())

    def see(self, over: NDArray[np.int64], look: int, events: Floats) -> None:
        """Write down when, and after how many events, these runs crossed first."""
        now = over[self.crossed[over] < 0]
        self.crossed[now], self.events[now] = look, events[now]


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
    """Run the process over a schedule of (candidate's, stable's) requests, one pair a look.

    Where the split changes a new segment begins. Crossings and events before the look `begin` do
    not count: harm begins there. `patient` goes on to the last look with all runs, also those that
    have crossed. What is not said here is as for `Batch.of`.
    """
    batch = Batch.of(runs, alpha, past=past, guarded=guarded, ratio=ratio, floor=floor)
    found = Runs(np.full(runs, -1), *np.full((2, runs), np.nan))
    events, alive = np.zeros(runs), np.arange(runs)
    for look, (n_c, n_s) in enumerate(schedule):
        mine, other = traffic(rng, runs, look)
        if look and n_c / n_s != np.divide(*schedule[look - 1]):
            batch.new_segment()
        over = batch.look(n_c, mine[alive], n_s, other[alive]) >= batch.bound
        if look < begin:
            continue
        events += mine + other
        found.see(alive[over], look, events)
        if over.any() and not patient:
            batch.keep(~over)
            alive = alive[~over]
        if not len(alive):
            break
    found.log_e[alive] = np.log(batch.e_values())
    return found


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
