"""A person's consent to a step, on record once it is seen, and what was overruled by it (B11)."""

from rampway.api.checks import OnFailure
from rampway.api.conditions import Act, Reason, RolloutPhase
from rampway.api.rollout import Decision, ModelRolloutStatus, Request
from rampway.core.model.authors import in_words, who
from rampway.core.rollout import reactions
from rampway.core.rollout.course import Course, Outcome, by, record

ALL_PASSED = "all steps passed"


def noted(course: Course) -> tuple[ModelRolloutStatus, tuple[Decision, ...]]:
    """Return the status with the consent to the running step on record, and what is new of it.

    It is noted before anything is decided by it: whatever becomes of the step, who said what, and
    when, is known. For a step of many stages, a ramp, it counts once.
    """
    given = None
    if course.phase is RolloutPhase.STEPPING:
        given = course.approval(course.stage.name)
    if given is None:
        return course.status, ()
    what, over = f"step {given.step} approved", _failed(course)
    known = [made.message for made in course.status.decisions if made.action == Act.APPROVED]
    text = in_words(f"{what}{_in_words(over)}", given)
    if text in known or (not over and any(one.startswith(f"{what} ") for one in known)):
        return course.status, ()
    reason = Reason.STOPPED_BY_CHECK if over else Reason.APPROVED
    found = record(Outcome(course.status), course.now_s, Act.APPROVED, reason, text)
    found = by(found, who(given))
    overruled = tuple(dict.fromkeys([*course.status.overruled, *over]))
    return found.status.model_copy(update={"overruled": overruled}), found.news


def in_full(course: Course, skip: Request | None) -> str:
    """Return how the steps ended: passed, skipped by a person, or over a check that failed."""
    made = course.status.decisions
    went_over = [
        one.message
        for one in made
        if (one.action, one.reason) == (Act.APPROVED, Reason.STOPPED_BY_CHECK)
    ]
    told = [one.message.split(":", 1)[0] for one in made if one.action == Act.NOTIFIED]
    now = reactions.failing(course.policy, course.judged, OnFailure.NOTIFY)
    told = list(dict.fromkeys([*told, *(f"check {one.name}" for one in now)]))
    only_told = [f"{about} failed, which only tells" for about in told]
    if skip is not None:
        ended = in_words(f"remaining steps skipped{_in_words(_failed(course))}", skip)
    else:
        ended = "all steps are over" if went_over or only_told else ALL_PASSED
    return "; ".join([ended, *went_over, *only_told])


def _failed(course: Course) -> list[str]:
    """Return the failed checks that a person's word goes over in this step."""
    failing = reactions.failing(course.policy, course.judged, OnFailure.PAUSE)
    stopped_by = course.status.step.stopped_by.split(":", 1)[0].removeprefix("check ")
    return [one.name for one in failing] or ([stopped_by] if stopped_by else [])


def _in_words(over: list[str]) -> str:
    return f" over check {', '.join(over)}" if over else ""
