"""Somebody else writes the rule again and again: who, how often, what the rollout does (B14)."""

from dataclasses import replace

from rampway.api.conditions import Reason
from rampway.api.rollout import ForeignWrite
from rampway.core.instants import from_wire
from rampway.core.rollout import steps
from rampway.core.rollout.course import Course, Outcome, say

WINDOW_S = 600.0
WRITES = 3
"""So many foreign writes within the window are put back or borne; then the rollout holds."""


def noted(course: Course) -> tuple[ForeignWrite, ...]:
    """Return the foreign writes of the last ten minutes, this pass's among them.

    A foreign write is one of another field manager that left another split than was decided last.
    """
    status, route = course.status, course.obs.route
    kept = tuple(w for w in status.foreign_writes if course.since_s(w.at) < WINDOW_S)
    now = course.split
    seen = (now.weight_pct, now.mirror_pct, bool(now.headers))
    same = seen == (status.weight_pct, status.mirror_pct, status.matched)
    at_s = from_wire(route.written_at)
    if same or not route.writer or at_s is None or course.now_s - at_s >= WINDOW_S:
        return kept
    found = ForeignWrite(at=route.written_at, manager=route.writer)
    return kept if found in kept else (*kept, found)[-WRITES:]


def held(course: Course) -> Outcome | None:
    """Return the outcome that leaves the rule to its other writer, None while there is no contest.

    Nothing is given to the candidate that the rule does not give it now; it goes on once ten
    minutes have passed since the first of those writes.
    """
    writes = course.status.foreign_writes
    if len(writes) < WRITES:
        return None
    others = ", ".join(sorted({write.manager for write in writes}))
    text = (
        f"holding: {others} wrote the rule's backends {len(writes)} times within 10 minutes; let "
        "it leave them alone (docs/guides/routes.md). Tried again when ten minutes are over"
    )
    split = course.lowered(course.stage.split(course.candidate.name))
    step = steps.hold_clock(course, in_force=False)
    status = course.status.model_copy(update={"step": step})
    return say(replace(Outcome(status), split=split), Reason.ROUTE_CONTESTED, text)
