"""Simulate rollouts systematically, count how they ended, and name each breach of a promise.

PYTHONPATH=tests python -m simulation.systematic                 at least 10 000 of them
PYTHONPATH=tests python -m simulation.systematic --all           every pair of events
PYTHONPATH=tests python -m simulation.systematic --only hooked   those of one strategy
PYTHONPATH=tests python -m simulation.systematic --replay bad api-409@write:3
"""

# ruff: noqa: T201 - a command prints

import argparse
import json
import logging
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import structlog
from simulation.systematic.events import EVENTS, Event
from simulation.systematic.explore import CASES, Explorer, outcome, replayed
from simulation.systematic.run import Case, Point, Run

LEAST = 10_000
SHOWN = 100
PROGRESS_S = 20.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Which rollouts one of several workers simulates.

    Of the events at boundaries, of those at writes, and of the pairs at boundaries: shares by the
    seed's dice.
    """

    seed: int
    pairs: float
    singles: float
    boundaries: float
    worker: int
    workers: int

    def __call__(self, run: Run, point: Point) -> Iterator[Event]:
        """Yield what is to happen at this point."""
        if len(run.history) == 0:
            yield from (e for e, dice in self._thrown(run, point) if self._mine(point, dice))
        elif len(run.history) == 1:
            (first, _), *_ = run.history
            if first.kind == point.kind == "boundary":
                yield from (e for e, dice in self._thrown(run, point) if dice < self.pairs)

    def _mine(self, point: Point, dice: float) -> bool:
        chosen = dice < (self.boundaries if point.kind == "boundary" else self.singles)
        return chosen and int(dice * 2**48) % self.workers == self.worker

    def _thrown(self, run: Run, point: Point) -> Iterator[tuple[Event, float]]:
        """Yield each event with a number in [0, 1) that follows from the seed and the story."""
        here = blake2b(f"{self.seed} {run.story()} {point} ".encode(), digest_size=6)
        for event in EVENTS.values():
            if event.strategy not in {"", run.case.strategy}:
                continue
            dice = here.copy()
            dice.update(event.name.encode())
            yield event, int.from_bytes(dice.digest()) / 2**48


def quiet() -> None:
    """Let the operator's log be."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def work(sample: Sample, results: Path, only: list[str]) -> None:
    """Simulate one worker's rollouts, of all strategies unless some are named."""
    quiet()
    Explorer(sample, results).explore([c for c in CASES if not only or c.strategy in only])


def _sample(options: argparse.Namespace, worker: int) -> Sample:
    if options.all:
        return Sample(options.seed, 1.0, 1.0, 1.0, worker, options.workers)
    shares = (options.pairs, options.singles, options.boundaries)
    return Sample(options.seed, *shares, worker, options.workers)


def simulate(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Simulate all that was asked for; return each rollout's result."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{n}.jsonl" for n in range(options.workers)]
        jobs = [
            multiprocessing.Process(
                target=work,
                args=(_sample(options, n), file, options.only),
            )
            for n, file in enumerate(files)
        ]
        for job in jobs:
            job.start()
        while alive := [job for job in jobs if job.is_alive()]:
            alive[0].join(PROGRESS_S)
            told = sum(file.read_bytes().count(b"\n") for file in files if file.exists())
            print(f"{told} rollouts", file=sys.stderr, flush=True)
        lines = [line for file in files for line in file.read_text().splitlines()]
    stories = {}
    for line in lines:
        found = json.loads(line)
        stories[found["story"]] = found
    return list(stories.values())


def cpu_s() -> float:
    """Return the CPU time that all workers have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(found: list[dict[str, Any]], took_s: float, options: argparse.Namespace) -> int:
    """Print the tables; return 1 if a promise was broken, or too little was simulated."""
    ends = Counter(r["end"] for r in found if r["end"])
    states = {state for r in found for state in r["states"]}
    broken = [r for r in found if r["problem"]]
    print(f"{'ended as (v2 rollout, stable, phase)':44} good cand.  bad cand.")
    for end, _ in ends.most_common():
        by = Counter(r["bad"] for r in found if r["end"] == end)
        print(f"{end:44} {by[False]:10} {by[True]:10}")
    for r in broken[:SHOWN]:
        print(f"BROKEN {r['story']}\n    {r['problem']}")
    by_strategy = Counter(r["strategy"] for r in found)
    print(", ".join(f"{name}: {number}" for name, number in by_strategy.items()))
    pairs = sum(len(r["events"]) > 1 for r in found)
    writes, hours = sum(r["writes"] for r in found), sum(r["simulated_s"] for r in found) / 3600
    print(
        f"{len(found)} rollouts ({pairs} with two events), {writes} writes each followed by all "
        f"invariants, {len(states)} states, {hours:.0f} simulated hours, in {took_s:.0f} s "
        f"({1000 * cpu_s() / max(1, len(found)):.0f} ms of CPU each); "
        f"seed {options.seed}; {len(broken)} broke a promise"
    )
    few = len(found) < options.least and not options.only
    if few:
        print(f"fewer than the {options.least} wanted: raise --pairs (now {options.pairs})")
    return 1 if broken or few else 0


def main() -> int:
    """Simulate, or replay one rollout."""
    parser = argparse.ArgumentParser(description="Simulate rollouts systematically.")
    parser.add_argument("--seed", type=int, default=1, help="of the sample of pairs")
    parser.add_argument("--pairs", type=float, default=0.0006, help="share of the pairs of events")
    parser.add_argument("--singles", type=float, default=0.012, help="share of events at writes")
    parser.add_argument("--boundaries", type=float, default=1.0, help="of those at boundaries")
    strategies = list(dict.fromkeys(case.strategy for case in CASES))
    parser.add_argument("--only", nargs="+", default=[], choices=strategies, help="of these only")
    parser.add_argument("--all", action="store_true", help="every pair of events")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--least", type=int, default=LEAST, help="fail with fewer rollouts")
    parser.add_argument("--replay", nargs="+", metavar=("good|bad[:STRATEGY]", "EVENT@POINT"))
    options = parser.parse_args()
    quiet()
    if options.replay:
        case, *plan = options.replay
        how, _, strategy = case.partition(":")
        result = outcome(replayed(Case(how == "bad", strategy or "canary"), *plan))
        print(json.dumps({k: v for k, v in result.items() if k != "states"}, indent=1))
        return 1 if result["problem"] else 0
    began_s = time.monotonic()
    found = simulate(options)
    return report(found, time.monotonic() - began_s, options)


if __name__ == "__main__":
    sys.exit(main())
