"""Explore: at each point of a rollout one process is forked for each thing that may happen there.

What comes before the point is simulated once and shared. A forked process goes on to the end of
its rollout, and may fork again for what happens second.
"""

import functools
import gc
import json
import os
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from simulation.systematic.allowed import check_end
from simulation.systematic.events import EVENTS, Event
from simulation.systematic.open_defects import known
from simulation.systematic.run import Case, Point, Run

from rampway.api import parse
from rampway.core import evidence
from rampway.sim import loop

Choose = Callable[[Run, Point], Iterable[Event]]
"""What may happen at a point, given what has happened already."""
CASES = (Case(), Case(bad=True))


@dataclass(slots=True)
class Explorer:
    """Explores cases and appends each rollout's result to a file, a JSON object a line."""

    choose: Choose
    results: Path

    def explore(self, cases: Iterable[Case] = CASES) -> None:
        """Run each case with nothing, and with everything that is chosen."""
        quicken(cases)
        for case in cases:
            me = os.getpid()
            run = Run(case, self._at)
            found = outcome(run)
            self._write(found)
            if os.getpid() != me:
                os._exit(0)

    def _write(self, found: dict[str, Any]) -> None:
        with self.results.open("ab", buffering=0) as file:
            file.write(json.dumps(found).encode() + b"\n")

    def _at(self, run: Run, point: Point) -> None:
        for event in self.choose(run, point):
            child = os.fork()
            if not child:
                loop.forked()
                run.happen(point, event)
                self._at(run, point)
                return
            os.waitpid(child, 0)


def quicken(cases: Iterable[Case]) -> None:
    """Keep what a forked process would do again: the same forecasts, the same specs parsed.

    Rollouts that nothing has happened to fill the caches, and those forked share them. The
    functions are pure: what they return is the same with a cache and without.
    """
    if not hasattr(evidence.requests_missing, "cache_info"):
        evidence.requests_missing = functools.lru_cache(maxsize=None)(evidence.requests_missing)
        parse._validated = _cached(parse._validated)
    for case in cases:
        Run(case).go()
    gc.collect()
    gc.freeze()
    gc.disable()


def _cached(validated: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[type, bytes], Any] = {}

    def look_up(model: type, obj: dict[str, Any], key: str) -> Any:
        where = (model, orjson.dumps(obj.get(key)))
        if where not in known:
            known[where] = validated(model, obj, key)
        return known[where]

    return look_up


def outcome(run: Run) -> dict[str, Any]:
    """Run to the end; return what came of it, as JSON."""
    end, problem = "", ""
    try:
        end = run.go()
        check_end(run, end)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        problem = f"{type(error).__name__}: {error}"
        if not isinstance(error, AssertionError):
            problem += "\n" + traceback.format_exc()
    return {
        "story": run.story(),
        "events": [event.name for _, event in run.history],
        "bad": run.case.bad,
        "end": end,
        "problem": problem,
        "known": known(run, problem) if problem else "",
        "states": sorted({hash(state) for state in run.watch.states}),
        "writes": run.watch.writes,
        "simulated_s": run.now_s,
    }


def replayed(case: Case, *plan: str) -> Run:
    """Return a run to which happens what a story says: `event@kind:at`, in order."""
    todo = []
    for step in plan:
        name, _, at = step.partition("@")
        kind, _, where = at.partition(":")
        todo.append((Point(kind, where), EVENTS[name]))

    def point(run: Run, here: Point) -> None:
        while todo and todo[0][0] == here:
            run.happen(*todo.pop(0))

    return Run(case, point)
