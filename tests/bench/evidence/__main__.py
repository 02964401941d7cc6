"""How good the evidence is, by simulation: `make bench-evidence`.

How soon harm is called against the theoretical bound, how often a harmless candidate is rolled
back under traffic that is hard, what others' rules do with the same, and what an update costs.
Seeds are fixed. Fails if false alarms exceed alpha, or false passes what B18 leaves them, by more
than three Monte Carlo errors.
"""

# ruff: noqa: T201 - a bench prints

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, TypeVar

from bench.evidence import clearance, cost, harmless, power, proof, reference, rivals
from bench.evidence.harmless import Alarms, Size
from bench.evidence.power import Found

T = TypeVar("T")
FIRST_SEED = 60_001
AIMS = {
    "min_share_of_bound": 0.68,
    "mean_share_of_bound": 0.78,
    "max_late_onset_over_bound": 5.0,
}
GUARD_ALPHA = 0.05
RIVALS_SHARE, RIVALS_ALPHA = 0.2, 0.05


@dataclass
class Desk:
    """Runs the cells and says on stderr what is done, each with its seed; no two share one."""

    workers: int
    begun_s: float = field(default_factory=time.monotonic)
    seeds: Iterator[int] = field(default_factory=lambda: count(FIRST_SEED))

    def run(self, cells: Sequence[Callable[[int], T]], told: Callable[[T], str]) -> list[T]:
        """Return what the cells come to, in their order; each takes a seed."""
        seeds = [next(self.seeds) for _ in cells]
        found = []
        with ExitStack() as stack:
            done: Iterable[T]
            if self.workers > 1:
                pool = stack.enter_context(ProcessPoolExecutor(self.workers))
                done = pool.map(_call, cells, seeds)
            else:
                done = map(_call, cells, seeds)
            for seed, result in zip(seeds, done, strict=True):
                found.append(result)
                self.say(f"seed {seed}  {told(result)}")
        return found

    def say(self, text: str) -> None:
        """Print a line of progress."""
        took_s = time.monotonic() - self.begun_s
        print(f"{took_s:5.0f} s  {text}", file=sys.stderr, flush=True)


def _call(cell: Callable[[int], T], seed: int) -> T:
    return cell(seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; print the figures as one JSON object in the last line."""
    args = _arguments(arguments)
    desk = Desk(args.workers)
    figures: dict[str, Any] = {"first_seed": FIRST_SEED, "runs": args.runs}
    figures |= _how_soon(desk, args.runs)
    size = Size(args.runs_harmless, args.events)
    theorem = _alarms(desk, size, power.ALPHAS, hard=False)
    hard = Size(args.runs_harmless, args.events_guard)
    guard = _alarms(desk, hard, (GUARD_ALPHA,), hard=True)
    figures |= _worst("max_false_alarm", theorem, runs=size.runs, events=size.events)
    figures |= _worst("max_false_alarm_guard", guard, runs=hard.runs, events=hard.events)
    compared = partial(rivals.compared, args.runs_rivals, args.looks_rivals, RIVALS_SHARE)
    figures["rivals"] = desk.run([partial(compared, RIVALS_ALPHA)], lambda _: "others' rules")[0]
    length = {"runs": args.runs_harmless, "looks": args.looks_past}
    alone, unpaired = _unpaired(desk, **length)
    figures |= alone
    called = partial(proof.wrongly_proved, runs=args.runs_proof)
    proved = desk.run([partial(called, case) for case in proof.cases()], _told)
    figures |= _worst("max_false_proof", proved, runs=args.runs_proof)
    found = cost.measured(args.repeats)
    figures |= {"update_us": round(found.update_us, 1), "state_bytes": found.state_bytes}
    figures["fleet_look_s"] = round(found.fleet_look_s, 3)
    figures["waiting_us"] = round(found.waiting_us, 1)
    wrong = [alarm for alarm in (*theorem, *guard, *unpaired, *proved) if alarm.too_often]
    for alarm in wrong:
        desk.say(f"FAILED: {_told(alarm)}")
    print(json.dumps(figures))
    return 1 if wrong else 0


def _how_soon(desk: Desk, runs: int) -> dict[str, Any]:
    found = desk.run(_cells(power.cells(), runs), _found)
    late = desk.run(_cells(power.late_cells(), max(2, runs // 2)), _found)
    unknown = desk.run(_cells(power.cells(), max(2, runs // 10), known=False), _found)
    least = min(found, key=lambda f: f.share_of_bound)
    latest = max(late, key=lambda f: f.over_bound)
    met = {
        "min_share_of_bound": least.share_of_bound,
        "mean_share_of_bound": _mean(f.share_of_bound for f in found),
        "max_late_onset_over_bound": latest.over_bound,
    }
    return {
        **{name: round(value, 3) for name, value in met.items()},
        "min_share_of_bound_error": round(least.share_error, 3),
        "max_late_onset_error": round(latest.over_bound * latest.error / latest.mean, 3),
        "without_history_mean_share_of_bound": round(_mean(f.share_of_bound for f in unknown), 3),
        "share_of_bound": {_named(f): round(f.share_of_bound, 3) for f in found},
        "late_onset_over_bound": {_named(f): round(f.over_bound, 2) for f in late},
        "aims": AIMS,
        "aims_met": {name: _met(name, value) for name, value in met.items()},
    }


def _cells(
    cells: Iterable[power.Cell], runs: int, *, known: bool = True
) -> list[Callable[[int], Found]]:
    return [partial(power.detected, cell, runs=runs, known=known) for cell in cells]


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def _met(name: str, value: float) -> bool:
    return value <= AIMS[name] if name.startswith("max") else value >= AIMS[name]


def _found(found: Found) -> str:
    return f"{_named(found)}: {found.mean:.1f} ± {found.error:.1f} events of {found.least:.1f}"


def _named(found: Found) -> str:
    cell = found.cell
    return f"alpha {cell.alpha:g}, share {cell.share:g}, ratio {cell.ratio:g}"


def _alarms(desk: Desk, size: Size, alphas: Iterable[float], *, hard: bool) -> list[Alarms]:
    number = len(list(harmless.hard_conditions() if hard else harmless.conditions()))
    cells: list[Callable[[int], Alarms]] = [
        partial(harmless.alarms, n, size=size, alpha=alpha, hard=hard)
        for alpha in alphas
        for n in range(number)
    ]
    return desk.run(cells, _told)


def _unpaired(desk: Desk, *, runs: int, looks: int) -> tuple[dict[str, Any], list[Alarms]]:
    """Return the figures of what has nobody to compare with, and what must hold of them."""
    called = partial(reference.alarms, runs=runs, looks=looks, alpha=GUARD_ALPHA)
    passed = partial(clearance.alarms, runs=runs, looks=looks)
    steady = desk.run([partial(called, case) for case in reference.cases()], _told)
    changed = desk.run([partial(called, case) for case in reference.changed()], _told)
    missed = desk.run([partial(passed, case) for case in clearance.cases()], _told)
    beyond = desk.run([partial(passed, case) for case in clearance.beyond()], _told)
    figures = {
        **_worst("max_false_alarm_past", steady, runs=runs, looks=looks),
        "false_alarm_past_changed": {a.name: a.rate for a in changed},
        **_worst("max_false_pass", missed, runs=runs, looks=looks),
        "false_pass_beyond": {a.name: a.rate for a in beyond},
    }
    return figures, [*steady, *missed]


def _told(alarm: Alarms) -> str:
    return f"{alarm.name}: {alarm.rate:.4f} ± {alarm.error:.4f} at alpha {alarm.alpha:g}"


def _worst(name: str, found: Sequence[Alarms], **size: int) -> dict[str, Any]:
    """Return the highest rate, measured by what it may be, all of them, and of how much."""
    worst = max(found, key=lambda alarm: (alarm.rate - alarm.alpha) / alarm.error)
    return {
        name: worst.rate,
        f"{name}_alpha": worst.alpha,
        f"{name}_error": round(worst.error, 4),
        f"{name}_case": worst.name,
        **{f"{name}_{of}": number for of, number in size.items()},
        f"{name}_all": {f"{a.name}, alpha {a.alpha:g}": a.rate for a in found},
    }


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-evidence BENCH=…", description=__doc__)
    for name, default, text in (
        ("runs", 5000, "runs a cell of how soon harm is called"),
        ("runs-harmless", 2000, "runs a condition of false alarms"),
        ("events", 20_000, "events in each of these runs, without bursts"),
        ("events-guard", 3000, "events in each of these runs, with bursts"),
        ("runs-rivals", 4000, "runs of each rule"),
        ("looks-rivals", 300, "looks in each of these"),
        ("looks-past", 300, "looks in each run held against stable's past, or a value"),
        ("runs-proof", 500, "runs of a candidate at the limit that is not to be proved harmless"),
        ("workers", 2, "processes side by side"),
        ("repeats", 4000, "looks by which an update is timed"),
    ):
        told = f"{text} (default %(default)s)"
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=told)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
