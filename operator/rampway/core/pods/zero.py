"""Zero replicas: nothing serves, nothing is lost, and a rollout waits where it is (B38)."""

from rampway.api.conditions import Reason
from rampway.core.rollout import steps
from rampway.core.rollout.course import Course, Outcome, say

WORDS = "scaled to zero (spec.replicas): nothing serves"


def held(course: Course) -> Outcome:
    """Return a rollout without traffic and pods, all its clocks at a stand.

    Not knowing, not being ready and lost pods are what zero means, and count for nothing.
    """
    clocks: dict[str, object] = {
        "step": steps.hold_clock(course, in_force=False),
        "unknown_since": "",
        "unready_since": "",
        "unschedulable_since": "",
        "unschedulable_s": 0.0,
    }
    waiting = Outcome(course.status.model_copy(update=clocks), replicas=0)
    return say(waiting, Reason.SCALED_TO_ZERO, f"{WORDS}; the rollout waits")
