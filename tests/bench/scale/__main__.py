"""How the control plane fares with many rollouts at once: `make bench-scale`.

Real API server, operator and Prometheus; nodes and pods by KWOK, requests by a synthetic exporter,
gateway by a loop that only answers routes. Cases that are done are kept in build/bench/scale.jsonl,
so that it can be interrupted and goes on; delete that file to begin anew.
"""

# ruff: noqa: T201 - a bench prints

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.scale.controller import Spoiled, TooLate
from bench.scale.figures import REFERENCES, Plan, aims
from bench.scale.fleet import Fleet
from bench.scale.measure import MEASURES, sizes
from bench.scale.place import WORK, say, standing
from bench.scale.show import aims_table, table

RESULTS = WORK.with_suffix(".jsonl")
INTERRUPTED = 130
PER_ROLLOUT_S, PER_RESTING_S = 1.5, 0.8
"""Making one and removing it takes about this long."""
FIXED_S = 750.0
"""Verdicts, rollbacks and restarts of a case take about this long."""
Case = tuple[str, int]
"""What is measured, and how many there are."""


def main() -> int:
    """Run what is missing, print the tables and, as the last line, JSON."""
    args = _arguments()
    plan = Plan(args.window_s, args.settle_s, args.victims, args.scrape_s, args.look_s)
    wanted: list[Case] = [("rollouts", n) for n in args.sizes]
    wanted += [("rest", args.rest)] if args.rest else []
    WORK.mkdir(parents=True, exist_ok=True)
    missing = [case for case in wanted if name_of(case) not in known(plan)]
    status = 0
    try:
        if missing:
            asyncio.run(run(plan, missing))
    except (KeyboardInterrupt, asyncio.CancelledError):
        status = INTERRUPTED
    except (TooLate, Spoiled) as error:
        say(f"FAILED: {error}")
        status = 1
    except BaseExceptionGroup as group:
        if group.split((TooLate, Spoiled))[1]:
            raise
        say(f"FAILED: {'; '.join(map(str, leaves(group)))}")
        status = 1
    done = {name: row for name, row in known(plan).items() if name in map(name_of, wanted)}
    print("\n".join([*table(done), "", *aims_table(aims(done))]))
    print(json.dumps({"cases": done, "aims": aims(done), "reference": REFERENCES}))
    return status


def _arguments() -> argparse.Namespace:
    plan = Plan()
    parser = argparse.ArgumentParser(prog="make bench-scale BENCH=…", description=__doc__)
    text = "rollouts active at once (default %(default)s; '' for none)"
    parser.add_argument("--sizes", type=sizes, default="1,100,300,1000", metavar="N,…", help=text)
    text = "ModelDeployments at rest (default %(default)s; 0: not measured)"
    parser.add_argument("--rest", type=int, default=5000, metavar="N", help=text)
    for name, default, text in (
        ("window-s", plan.window_s, "length of the calm window"),
        ("settle-s", plan.settle_s, "calm before it"),
        ("victims", plan.victims, "candidates that go bad, twice a size"),
        ("scrape-s", plan.scrape_s, "Prometheus's interval"),
        ("look-s", plan.look_s, "the operator's interval"),
    ):
        told = f"{text} (default %(default)s)"
        parser.add_argument(f"--{name}", type=type(default), default=default, help=told)
    return parser.parse_args()


async def run(plan: Plan, missing: Sequence[Case]) -> None:
    """Measure the missing cases, one after the other, each on top of the one before."""
    me = asyncio.current_task()
    if me is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    async with standing(plan) as place:
        fleet = Fleet(place)
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(fleet.run())
            for number, case in enumerate(missing):
                with _progress(missing, number):
                    found = await MEASURES[case[0]](place, fleet, case[1])
                row = {"case": name_of(case), "settings": plan.settings(), **found}
                with RESULTS.open("a") as out:
                    out.write(json.dumps(row) + "\n")
            playing.cancel()


@contextmanager
def _progress(cases: Sequence[Case], number: int) -> Iterator[None]:
    left_min = sum(about_s(case) for case in cases[number:]) / 60
    head = f"[{number + 1}/{len(cases)}] {name_of(cases[number])}"
    say(f"{head}: begins; about {left_min:.0f} min left in all")
    began_s = time.monotonic()
    yield
    say(f"{head}: done after {(time.monotonic() - began_s) / 60:.1f} min")


def name_of(case: Case) -> str:
    """Return a case's name in tables and JSON."""
    return f"{case[0]}_{case[1]}"


def about_s(case: Case) -> float:
    """Return about how long a case takes."""
    each_s = PER_RESTING_S if case[0] == "rest" else PER_ROLLOUT_S
    return FIXED_S + each_s * case[1]


def known(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return the cases that are done under these settings, by name."""
    if not RESULTS.exists():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return {row["case"]: row for row in rows if row["settings"] == plan.settings()}


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Return the exceptions in a group of groups."""
    return [
        leaf
        for one in group.exceptions
        for leaf in (leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]


if __name__ == "__main__":
    sys.exit(main())
