"""Explore: from each point of a rollout all that may happen there is followed to its end.

What comes before a point is simulated once: the run is copied there.
"""

import gc
import json
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from simulation.systematic import invariants
from simulation.systematic.allowed import check_end
from simulation.systematic.events import EVENTS, Event
from simulation.systematic.run import Case, Point, Run
from simulation.systematic.snapshot import Snapshot
from simulation.systematic.strategies import STEPS

from rampway.api import parse
from rampway.core import evidence
from rampway.core.evidence import missing
from rampway.core.model import revision
from rampway.routers import rules
from rampway.shell import reading
from rampway.sim.world import World

Choose = Callable[[Run, Point], Iterable[Event]]
"""What may happen at a point, given what has happened already."""
CASES = tuple(Case(bad, strategy) for strategy in STEPS for bad in (False, True))
FORECASTS = 1 << 18
"""Forecasts that are kept."""
LITTER = 200
"""Rollouts from one collection of garbage to the next."""


@dataclass(slots=True)
class Explorer:
    """Explores cases and appends each rollout's result to a file, a JSON object a line.

    At writes only the first thing happens; the second one, if any, at a boundary.
    """

    choose: Choose
    results: Path
    _told: int = field(default=0)

    def explore(self, cases: Iterable[Case] = CASES) -> None:
        """Run each case with nothing, and with everything that is chosen."""
        quicken()
        for case in cases:
            self._follow(Run(case))

    def _branch(self, run: Run, before: Snapshot | None, points: Iterable[Point]) -> None:
        """Follow everything that may happen at the points of a second that is over."""
        for point in points:
            if point.kind == "boundary":
                self._branch_here(run, point)
            elif before is not None:
                for event in self.choose(run, point):
                    other = before.run()
                    other.plan.append((point, event))
                    self._follow(other)

    def _branch_here(self, run: Run, point: Point) -> None:
        here: Snapshot | None = None
        for event in self.choose(run, point):
            here = here or Snapshot(run)
            self._follow(here.run(), (point, event))

    def _follow(self, run: Run, now: tuple[Point, Event] | None = None) -> None:
        found = outcome(run, self._branch, now)
        _let_go(run.world)
        with self.results.open("ab", buffering=0) as file:
            file.write(json.dumps(found).encode() + b"\n")
        self._told += 1
        if self._told % LITTER == 0:
            forget()


def _let_go(world: World) -> None:
    """Empty a world: its parts know it, and would wait for the garbage collector with it."""
    for name in World.__slots__:
        delattr(world, name)


def quicken() -> None:
    """Keep what rollouts would do again: the same objects read, the same forecasts made.

    The functions are pure: what they return is the same with a cache and without.
    """
    parse._validated = _specs_once(parse._validated)
    evidence.requests_missing = lru_cache(FORECASTS)(evidence.requests_missing)
    missing._searched = lru_cache(FORECASTS)(missing._searched)
    revision.content = _once(revision.content)
    reading.pod = _once(reading.pod)
    rules.read = _once(rules.read)
    rules.tidy = _once(rules.tidy)
    invariants.is_ready = _once(invariants.is_ready)
    gc.freeze()
    gc.disable()


_KEPT: list[dict[Any, Any]] = []


def forget() -> None:
    """Let go of what finished rollouts have left behind."""
    for known in _KEPT:
        known.clear()
    gc.collect()


def _specs_once(validated: Callable[..., Any]) -> Callable[..., Any]:
    """Return the parser, asked once for the same spec; what one has is never altered."""
    by_text: dict[tuple[type, bytes], Any] = {}
    by_identity: dict[tuple[type, int], tuple[Any, Any]] = {}
    _KEPT.append(by_identity)

    def look_up(model: type, obj: dict[str, Any], key: str) -> Any:
        part = obj.get(key)
        if key != "spec":
            return validated(model, obj, key)
        known = by_identity.get((model, id(part)))
        if known is None:
            text = model, orjson.dumps(part)
            if text not in by_text:
                by_text[text] = validated(model, obj, key)
            known = by_identity[model, id(part)] = (part, by_text[text])  # kept, and so its id
        return known[1]

    return look_up


def _once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a pure function that is asked once for the very same objects.

    Those are what the store hands out, and what is parsed from it: nobody can alter it.
    """
    known: dict[tuple[Any, ...], tuple[Any, Any]] = {}
    _KEPT.append(known)

    def look_up(*args: Any, **named: Any) -> Any:
        where = (*[a if isinstance(a, str | int) else id(a) for a in args], *named.values())
        if where not in known:
            known[where] = (args, function(*args, **named))  # kept, and so their ids
        return known[where][1]

    return look_up


Branch = Callable[[Run, Snapshot | None, Iterable[Point]], None]


def _alone(_run: Run, _before: Snapshot | None, _points: Iterable[Point]) -> None:
    """Follow nothing else."""


def outcome(
    run: Run, branch: Branch = _alone, now: tuple[Point, Event] | None = None
) -> dict[str, Any]:
    """Run to the end; return what came of it, as JSON.

    Args:
        run: A run that has not begun, or is under way.
        branch: Is told of the points that were passed, second by second.
        now: What is to happen first.
    """
    end, problem = "", ""
    try:
        _set_out(run, branch, now)
        while not run.over():
            alone = branch is _alone or run.history or run.plan
            before, passed = None if alone else Snapshot(run), len(run.points)
            run.second()
            branch(run, before, run.points[passed:])
        end = run.rest()
        check_end(run, end)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        problem = f"{type(error).__name__}: {error}"
        if not isinstance(error, AssertionError):
            problem += "\n" + traceback.format_exc()
    return {
        "story": run.story(),
        "events": [event.name for _, event in run.history],
        "bad": run.case.bad,
        "strategy": run.case.strategy,
        "end": end,
        "problem": problem,
        "states": sorted({hash(state) for state in run.watch.states}),
        "writes": run.watch.writes,
        "simulated_s": run.now_s,
    }


def _set_out(run: Run, branch: Branch, now: tuple[Point, Event] | None) -> None:
    if not run.points:
        run.begin()
        branch(run, None, list(run.points))
    elif now is not None:
        run.happen(*now)
        branch(run, None, [now[0]])


def replayed(case: Case, *plan: str) -> Run:
    """Return a run to which happens what a story says: `event@kind:at`, in order."""
    todo = []
    for step in plan:
        name, _, at = step.partition("@")
        kind, _, where = at.partition(":")
        todo.append((Point(kind, where), EVENTS[name]))
    return Run(case, todo)
