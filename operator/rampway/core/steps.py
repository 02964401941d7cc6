"""One step of a rollout: its weight, its clocks, and when it is over (B6, B13, B18)."""

from dataclasses import replace

from rampway.api.conditions import Reason
from rampway.api.policy import AfterUnknown
from rampway.api.rollout import ModelRolloutStatus, StepStatus
from rampway.core import capacity
from rampway.core.course import Course, Outcome
from rampway.core.instants import brief, from_wire, to_wire


def with_status(course: Course, status: ModelRolloutStatus) -> Course:
    """Return the course with another status."""
    rollout = replace(course.rollout, status=_unknown_clock(course, status))
    return replace(course, rollout=rollout)


def begin(outcome: Outcome, course: Course, index: int) -> Outcome:
    """Return the outcome at the begin of a step (0-based index), all its clocks at zero."""
    step = course.policy.steps[index]
    status = outcome.status.model_copy(
        update={
            "step": StepStatus(index=index, name=step.name, total=len(course.policy.steps)),
        }
    )
    weight = min(step.weight_pct, capacity.weight_for(course.candidate.serving, course.replicas))
    pods = course.pods_for(step.weight_pct)
    return _give(replace(outcome, status=status, replicas=pods), course, weight)


def hold_weight(course: Course) -> Outcome:
    """Return the outcome that keeps the step's weight, as far as ready pods carry it (B6)."""
    step = course.policy.steps[course.status.step.index]
    allowed = capacity.weight_for(course.candidate.serving, course.replicas)
    target = course.raised(min(step.weight_pct, allowed))
    outcome = Outcome(course.status, target, replicas=course.pods_for(step.weight_pct))
    in_force = target == course.weight_pct == step.weight_pct and course.obs.route.accepted
    status = outcome.status.model_copy(update={"step": _hold_clock(course, in_force=in_force)})
    return _give(replace(outcome, status=status), course, target)


def _hold_clock(course: Course, *, in_force: bool) -> StepStatus:
    """Start or stop the clock of the hold: it runs while the weight is in force (B18)."""
    step = course.status.step
    if in_force == bool(step.in_force_since):
        return step
    if in_force:
        return step.model_copy(update={"in_force_since": to_wire(course.now_s)})
    # What was held before a foreign write or a lost pod took the weight away stays held.
    held = held_s(course, course.status)
    return step.model_copy(update={"in_force_since": "", "held_s": held, "not_counted_s": 0.0})


def _give(outcome: Outcome, course: Course, weight_pct: int) -> Outcome:
    """Return the outcome with this weight; the first share of traffic is timed."""
    since = outcome.status.traffic_since
    if weight_pct and not (course.weight_pct and since):
        since = to_wire(course.now_s)
    status = outcome.status.model_copy(update={"traffic_since": since})
    return replace(outcome, status=status, weight_pct=weight_pct)


def unfinished(course: Course, outcome: Outcome) -> tuple[Reason, str] | None:
    """Return why the step is not over, the first reason in this order, or None."""
    step = course.policy.steps[course.status.step.index]
    if outcome.weight_pct < step.weight_pct:
        need = capacity.replicas_for(step.weight_pct, course.replicas)
        words = starting_sentence(course, need)
        if course.paused:
            return Reason.PAUSED, f"paused at {outcome.weight_pct} % (spec.paused); {words}"
        return Reason.CAPACITY, words
    if not outcome.status.step.in_force_since:
        words = course.obs.route.message or "waiting for the gateway to accept the weight"
        return Reason.ROUTE_PENDING, words
    if course.judged.unknown:
        return Reason.EVIDENCE_UNKNOWN, f"holding without evidence: {course.judged.unknown}"
    left_s = step.hold_s - held_s(course, outcome.status)
    if left_s > 0:
        return Reason.STEP, f"step {step.name} holds for {brief(left_s)} more"
    if course.judged.requests < step.min_requests:
        text = f"{course.judged.requests} of at least {step.min_requests} requests (minRequests)"
        return Reason.EVIDENCE_WAITING, f"step {step.name}: {text}"
    if course.judged.waiting:
        return Reason.EVIDENCE_WAITING, f"step {step.name}: {course.judged.waiting}"
    paired = any(check.paired for check in course.policy.checks)
    if paired and not course.judged.requests:  # what passed was judged in an earlier step
        return Reason.EVIDENCE_WAITING, f"step {step.name}: no request was judged in it yet"
    return None


def held_s(course: Course, status: ModelRolloutStatus) -> float:
    """Return for how long the weight has been in force, time without evidence left out."""
    step = status.step
    held = course.since_s(step.in_force_since) - step.not_counted_s - _unknown_s(course, status)
    return step.held_s + held


def _unknown_s(course: Course, status: ModelRolloutStatus) -> float:
    """Return for how long nothing has been known while the weight was in force."""
    return min(course.since_s(status.unknown_since), course.since_s(status.step.in_force_since))


def _unknown_clock(course: Course, status: ModelRolloutStatus) -> ModelRolloutStatus:
    """Start or stop the clock of not knowing; what it counted is not part of the hold (B18)."""
    if course.judged.unknown:
        since = status.unknown_since or to_wire(course.now_s)
        return status.model_copy(update={"unknown_since": since})
    if not status.unknown_since:
        return status
    counted = status.step.not_counted_s + _unknown_s(course, status)
    step = status.step.model_copy(update={"not_counted_s": counted})
    return status.model_copy(update={"unknown_since": "", "step": step})


def stalled_for_want_of_evidence(course: Course) -> bool:
    """Whether not knowing has lasted beyond the policy's patience, and it says Pause."""
    policy = course.policy.on_unknown
    waited = course.since_s(course.status.unknown_since) >= policy.after_s
    return bool(course.judged.unknown) and waited and policy.then is AfterUnknown.PAUSE


def deadline_clock(course: Course) -> dict[str, object]:
    """Return the fields of the progress deadline's clock.

    It runs while the candidate has fewer ready pods than asked for, and stops while the scheduler
    has no place for them (B25): a full cluster is not the model's fault.
    """
    status = course.status
    if course.candidate.ready >= max(1, course.candidate.replicas):
        return {"unready_since": "", "unschedulable_since": "", "unschedulable_s": 0.0}
    update: dict[str, object] = {"unready_since": status.unready_since or to_wire(course.now_s)}
    stuck = any(pod.unschedulable for pod in course.candidate.pods)
    if stuck and not status.unschedulable_since:
        update["unschedulable_since"] = to_wire(course.now_s)
    if not stuck and status.unschedulable_since:
        update["unschedulable_s"] = unschedulable_s(course)
        update["unschedulable_since"] = ""
    return update


def unschedulable_s(course: Course) -> float:
    """Return the seconds that the progress deadline does not count."""
    status = course.status
    running = from_wire(status.unschedulable_since) is not None
    return status.unschedulable_s + (course.since_s(status.unschedulable_since) if running else 0.0)


def starting_sentence(course: Course, need: int) -> str:
    """Return how far the candidate's pods are, with what keeps them from running (B28)."""
    text = f"{course.candidate.ready} of {need} candidate pods ready"
    if course.candidate.serving < course.candidate.ready:
        text = f"{text}, {course.candidate.serving} of them reached by the Service yet"
    words = course.candidate.trouble
    return f"{text}: {words}" if words else text
