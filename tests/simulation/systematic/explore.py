"""Explore: at each point of a rollout one process is forked for each thing that may happen there.

What comes before the point is simulated once and shared. A forked process goes on to the end of
its rollout, and may fork again for what happens second.
"""

import gc
import json
import mmap
import os
import struct
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from simulation.systematic.allowed import check_end
from simulation.systematic.events import EVENTS, Event
from simulation.systematic.run import Case, Point, Run
from simulation.systematic.strategies import STEPS

from rampway.api import parse
from rampway.core import evidence
from rampway.core.model import revision
from rampway.sim import loop

Choose = Callable[[Run, Point], Iterable[Event]]
"""What may happen at a point, given what has happened already."""
CASES = tuple(Case(bad, strategy) for strategy in STEPS for bad in (False, True))
SLOTS = 1 << 18
"""Forecasts that are kept; each takes 16 bytes."""
_ENTRY = struct.Struct("qq")
"""The arguments' hash, and the answer; negative for none."""


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
    """Keep what a forked process would do again: the same specs parsed, and their content spelt.

    Rollouts that nothing has happened to fill the caches, and those forked share them. The
    functions are pure: what they return is the same with a cache and without.
    """
    parse._validated = _specs_once(parse._validated)
    evidence.requests_missing = _told_to_all(evidence.requests_missing)
    revision.content = _contents_once(revision.content)
    for case in cases:
        Run(case).go()
    gc.collect()
    gc.freeze()
    gc.disable()


def _specs_once(validated: Callable[..., Any]) -> Callable[..., Any]:
    """Return the parser, asked once for the same spec; what one has is never altered."""
    by_text: dict[tuple[type, bytes], Any] = {}
    by_identity: dict[tuple[type, int], tuple[Any, Any]] = {}

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


def _told_to_all(forecast: Callable[..., int | None]) -> Callable[..., int | None]:
    """Return the forecast; what one process has worked out, all that are forked ever know.

    Rollouts that differ little ask for the same ones. They lie in memory that all share, where
    their arguments' hash says, which is the same in all of them.
    """
    table = mmap.mmap(-1, SLOTS * _ENTRY.size)

    def look_up(*args: object, **more: object) -> int | None:
        key = hash((args, *sorted(more.items())))
        at = key % SLOTS * _ENTRY.size
        known, found = _ENTRY.unpack_from(table, at)
        if known == key:
            return None if found < 0 else int(found)
        answer = forecast(*args, **more)
        _ENTRY.pack_into(table, at, key, -1 if answer is None else answer)
        return answer

    return look_up


def _contents_once(content: Callable[..., str]) -> Callable[..., str]:
    """Return what spells a revision's content, asked once for the very same objects."""
    known: dict[tuple[int, int], tuple[Any, Any, str]] = {}

    def look_up(model: object, server: object) -> str:
        where = id(model), id(server)
        if where not in known:
            known[where] = (model, server, content(model, server))  # kept, and so their ids
        return known[where][2]

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
        "strategy": run.case.strategy,
        "end": end,
        "problem": problem,
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
