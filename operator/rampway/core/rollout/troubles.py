"""What forbids a rollout to go on, in this order: pods, checks, a contest, not knowing for long."""

from dataclasses import replace

from rampway.api.base import seconds
from rampway.api.checks import OnFailure
from rampway.api.conditions import Reason, RolloutPhase
from rampway.api.policy import AfterUnknown
from rampway.core.checks.judged import CheckResult
from rampway.core.instants import brief, from_wire
from rampway.core.rollout import health, reactions, steps
from rampway.core.rollout.course import Course, Outcome, say
from rampway.core.rollout.health import Danger
from rampway.core.rollout.retreat import keep, retreat, unchanged
from rampway.core.traffic import contested

P = RolloutPhase


def trouble(course: Course) -> Outcome | None:
    """Return the outcome where something forbids going on, else None."""
    found = _pod_danger(course)
    if found is not None:
        view = _under_traffic(course)
        if health.stable_suffers_alike(view, found):
            text = f"holding: stable suffers alike ({found.message})"
            return say(keep(course), Reason.STABLE_CRASHES_TOO, text)
        return retreat(keep(course), course, found, P.ROLLED_BACK)
    failed = reactions.failed(course.policy, course.judged, OnFailure.ROLLBACK)
    if failed is not None:
        return retreat(keep(course), course, health.of_check(failed), P.ROLLED_BACK)
    stopped = _stopped(course)
    if stopped is not None:
        return stopped
    fought = contested.held(course)
    if fought is not None:
        return fought
    patience_s = course.policy.on_unknown.after_s
    if course.judged.unknown and course.since_s(course.status.unknown_since) >= patience_s:
        return _out_of_patience(course, patience_s)
    return None


def _stopped(course: Course) -> Outcome | None:
    """Stop where it is and ask, because a check failed that asks; consent lets the step go on.

    Whoever was asked has to answer: a check that is well again does not answer for them.
    """
    if course.requests.promote or course.approval(course.stage.name):
        return None
    failed = _asking(course)
    step = course.status.step
    cause = f"check {failed.name}: {failed.message}" if failed else step.stopped_by
    if not cause:
        return None
    text = (
        f"stopped: {cause}{'' if failed else ' (as it stopped)'}. "
        f"Approve step {course.stage.name} to go on all the same, or abort"
    )
    # What the share brings counts on, so that the person who is asked sees it as it is now.
    outcome = steps.clocked(course, unchanged(course))
    noted = outcome.status.step.model_copy(update={"stopped_by": step.stopped_by or cause})
    status = outcome.status.model_copy(update={"step": noted})
    return say(replace(outcome, status=status), Reason.STOPPED_BY_CHECK, text)


def _asking(course: Course) -> CheckResult | None:
    """Return the first failed check that asks, None if none does.

    Consent to go on over one gives the next step its whole share; then it asks again.
    """
    failing = reactions.failing(course.policy, course.judged, OnFailure.PAUSE)
    known = () if course.status.step.in_force_since else course.status.overruled
    return next((one for one in failing if one.name not in known), None)


def _out_of_patience(course: Course, patience_s: float) -> Outcome | None:
    if course.policy.on_unknown.then is not AfterUnknown.ROLLBACK:
        return None  # holding goes on; the status calls it stalled
    text = f"no evidence for {brief(patience_s)} (onUnknown): {course.judged.unknown}"
    danger = Danger(Reason.UNKNOWN_TOO_LONG, text, at_once=False)
    return retreat(keep(course), course, danger, P.ROLLED_BACK)


def _under_traffic(course: Course) -> health.UnderTraffic:
    since = from_wire(course.status.traffic_since)
    return health.UnderTraffic(
        course.candidate,
        course.stable,
        course.now_s if since is None else since,
        course.status.crashes,
    )


def _pod_danger(course: Course) -> Danger | None:
    # traffic_since, not the weight: after a crash of the operator between taking the weight away
    # and recording why, the weight is 0 already and the reason still has to be found again.
    if not course.status.traffic_since:
        return None
    return health.danger(_under_traffic(course))


def deadline(course: Course) -> Danger | None:
    """Return that the candidate has taken too long to become ready, if it has (B25)."""
    waited_s = course.since_s(course.status.unready_since) - steps.unschedulable_s(course)
    limit_s = seconds(course.rollout.spec.progress_deadline)
    if not course.status.unready_since or waited_s < limit_s:
        return None
    words = course.candidate.trouble or "no pod says why"
    text = f"the candidate was not ready within {brief(limit_s)} (progressDeadline): {words}"
    return Danger(Reason.DEADLINE, text, at_once=True)
