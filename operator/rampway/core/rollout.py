"""The course of a rollout: every change of its phase is decided in this file.

Rule 1: TRANSITIONS names every change of phase there is; any other is a defect and is refused.
Rule 2: dangers come before evidence, evidence before progress, and a pause stops progress only.
Rule 3: a phase that has ended never acts again.
"""

from collections.abc import Callable, Mapping

from rampway.api.base import seconds
from rampway.api.conditions import Reason, RolloutPhase
from rampway.api.policy import AfterUnknown
from rampway.core import capacity, health, steps
from rampway.core.course import Course, Outcome, enter, record, say
from rampway.core.health import Danger
from rampway.core.instants import brief, from_wire, to_wire

P = RolloutPhase
ALL_PCT = 100

TRANSITIONS: Mapping[RolloutPhase, frozenset[RolloutPhase]] = {
    P.STARTING: frozenset({P.STEPPING, P.ROLLING_BACK, P.ROLLED_BACK, P.SUPERSEDED, P.ABORTED}),
    P.STEPPING: frozenset({P.PROMOTING, P.ROLLING_BACK, P.ROLLED_BACK, P.SUPERSEDED, P.ABORTED}),
    P.PROMOTING: frozenset({P.PROMOTED, P.ROLLING_BACK, P.ROLLED_BACK, P.SUPERSEDED, P.ABORTED}),
    P.ROLLING_BACK: frozenset({P.ROLLED_BACK, P.SUPERSEDED, P.ABORTED}),
    P.PROMOTED: frozenset(),
    P.ROLLED_BACK: frozenset(),
    P.SUPERSEDED: frozenset(),
    P.ABORTED: frozenset(),
}


class IllegalTransition(RuntimeError):  # noqa: N818 - named like the thing it forbids
    """A change of phase that the table does not know."""


def phase_of(course: Course) -> RolloutPhase:
    """Return the rollout's phase; one that was never written is the first."""
    return RolloutPhase(course.status.phase or P.STARTING)


def advance(course: Course) -> Outcome:
    """Return what this pass comes to.

    Raises:
        IllegalTransition: a change of phase that TRANSITIONS does not name.
    """
    phase = phase_of(course)
    outcome = _PHASES[phase](_observed(course))
    after = RolloutPhase(outcome.status.phase)
    if after is not phase and after not in TRANSITIONS[phase]:
        raise IllegalTransition(f"{course.rollout.name}: {phase} cannot become {after}")
    return outcome


def withdraw(course: Course, end: RolloutPhase, reason: Reason, message: str) -> Outcome:
    """Return traffic to stable because the candidate is no longer wanted (B7, B8)."""
    found = Danger(reason, message, at_once=True)
    return _retreat(_keep(_observed(course)), course, found, end)


def _observed(course: Course) -> Course:
    """Return the course with what this pass saw written into the status: crashes, clocks."""
    status = course.status
    update: dict[str, object] = {
        "phase": phase_of(course).value,
        "started_at": status.started_at or to_wire(course.now_s),
        "weight_pct": course.weight_pct,
    }
    since = from_wire(status.traffic_since)
    if since is not None:
        crashes = health.crashes_since(course.candidate, since)
        update["crashes"] = health.remember(status.crashes, crashes)
    update |= steps.deadline_clock(course)
    return steps.with_status(course, status.model_copy(update=update))


def _keep(course: Course) -> Outcome:
    return Outcome(course.status, course.weight_pct)


def _starting(course: Course) -> Outcome:
    """Bring the candidate up for the first step."""
    first = course.policy.steps[0]
    need = capacity.replicas_for(first.weight_pct, course.replicas)
    outcome = Outcome(course.status, 0, replicas=course.pods_for(first.weight_pct))
    late = _deadline(course)
    if late is not None:
        return _retreat(outcome, course, late, P.ROLLED_BACK)
    if course.candidate.serving < need:
        return say(outcome, Reason.CANDIDATE_STARTING, steps.starting_sentence(course, need))
    if course.paused:
        return say(outcome, Reason.PAUSED, "paused before the first step (spec.paused)")
    if course.policy.checks and (course.obs.look is None or course.obs.look.problem):
        problem = course.obs.look.problem if course.obs.look else "no look at the metrics yet"
        return say(outcome, Reason.EVIDENCE_UNKNOWN, f"no traffic without evidence: {problem}")
    begun = enter(outcome, P.STEPPING, course.now_s)
    return _enter_step(begun, course, 0)


def _enter_step(outcome: Outcome, course: Course, index: int) -> Outcome:
    step = course.policy.steps[index]
    text = f"step {index + 1}/{len(course.policy.steps)} {step.name}: {step.weight}"
    begun = steps.begin(outcome, course, index)
    noted = record(begun, course.now_s, "StepStarted", Reason.STEP, text)
    return say(noted, Reason.STEP, text)


def _stepping(course: Course) -> Outcome:
    """Run a step: guard, judge, then see whether it is over."""
    stop = _trouble(course)
    if stop is not None:
        return stop
    outcome = steps.hold_weight(course)
    if outcome.weight_pct < course.policy.steps[course.status.step.index].weight_pct:
        late = _deadline(course)
        if late is not None:
            return _retreat(outcome, course, late, P.ROLLED_BACK)
    waiting = steps.unfinished(course, outcome)
    if waiting is not None:
        return say(outcome, *waiting)
    if course.paused:
        return say(outcome, Reason.PAUSED, "the step is over; paused (spec.paused)")
    following = course.status.step.index + 1
    if following < len(course.policy.steps):
        return _enter_step(outcome, course, following)
    entered = enter(outcome, P.PROMOTING, course.now_s)
    text = "all steps passed"
    return say(
        record(entered, course.now_s, "Promoting", Reason.PROMOTING, text), Reason.PROMOTING, text
    )


def _promoting(course: Course) -> Outcome:
    """Give the candidate everything, once it has the pods for it; then it is stable."""
    stop = _trouble(course)
    if stop is not None:
        return stop
    carried = capacity.weight_for(course.candidate.serving, course.replicas)
    target = min(ALL_PCT if course.candidate.serving >= course.replicas else course.weight_pct,
                 carried)  # fmt: skip
    late = _deadline(course) if target < ALL_PCT else None
    if late is not None:
        return _retreat(_keep(course), course, late, P.ROLLED_BACK)
    kept = Outcome(course.status, course.raised(carried), replicas=course.replicas)
    if course.paused:
        return say(kept, Reason.PAUSED, "paused before promotion (spec.paused)")
    if course.judged.unknown:
        text = f"holding without evidence: {course.judged.unknown}"
        return say(kept, Reason.EVIDENCE_UNKNOWN, text)
    if course.weight_pct < ALL_PCT and not course.may_raise:
        return kept
    return _to_all(course, Outcome(course.status, target, replicas=course.replicas))


def _to_all(course: Course, outcome: Outcome) -> Outcome:
    """Say what is still missing; commit when the gateway has accepted that it has everything."""
    if outcome.weight_pct < ALL_PCT:
        text = steps.starting_sentence(course, course.replicas)
        return say(outcome, Reason.CAPACITY, text)
    if course.weight_pct == ALL_PCT and course.obs.route.accepted:
        committed = Outcome(outcome.status, ALL_PCT, replicas=course.replicas, commit=True)
        return say(committed, Reason.PROMOTING, f"{course.candidate.name} is stable")
    return say(outcome, Reason.PROMOTING, "all steps passed; giving the candidate everything")


def _rolling_back(course: Course) -> Outcome:
    """Go on returning traffic, as much as stable can carry by now (B24)."""
    status = course.status
    found = Danger(Reason(status.reason), _cause(status.message), status.return_at_once)
    return _retreat(_keep(course), course, found, P.ROLLED_BACK)


def _ended(course: Course) -> Outcome:
    return Outcome(course.status, 0)


_PHASES: Mapping[RolloutPhase, Callable[[Course], Outcome]] = {
    P.STARTING: _starting,
    P.STEPPING: _stepping,
    P.PROMOTING: _promoting,
    P.ROLLING_BACK: _rolling_back,
    P.PROMOTED: _ended,
    P.ROLLED_BACK: _ended,
    P.SUPERSEDED: _ended,
    P.ABORTED: _ended,
}


def _trouble(course: Course) -> Outcome | None:
    """Return the outcome where something forbids going on, else None."""
    found = _pod_danger(course)
    if found is not None:
        view = _under_traffic(course)
        if health.stable_suffers_alike(view, found):
            text = f"holding: stable suffers alike ({found.message})"
            return say(_keep(course), Reason.STABLE_CRASHES_TOO, text)
        return _retreat(_keep(course), course, found, P.ROLLED_BACK)
    failed = course.judged.failed
    if failed is not None:
        text = f"check {failed.name}: {failed.message}"
        danger = Danger(Reason.CHECK_FAILED, text, failed.at_once)
        return _retreat(_keep(course), course, danger, P.ROLLED_BACK)
    patience_s = course.policy.on_unknown.after_s
    if course.judged.unknown and course.since_s(course.status.unknown_since) >= patience_s:
        return _out_of_patience(course, patience_s)
    return None


def _out_of_patience(course: Course, patience_s: float) -> Outcome | None:
    if course.policy.on_unknown.then is not AfterUnknown.ROLLBACK:
        return None  # holding goes on; the status calls it stalled
    text = f"no evidence for {brief(patience_s)} (onUnknown): {course.judged.unknown}"
    danger = Danger(Reason.UNKNOWN_TOO_LONG, text, at_once=False)
    return _retreat(_keep(course), course, danger, P.ROLLED_BACK)


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


def _deadline(course: Course) -> Danger | None:
    waited_s = course.since_s(course.status.unready_since) - steps.unschedulable_s(course)
    limit_s = seconds(course.rollout.spec.progress_deadline)
    if not course.status.unready_since or waited_s < limit_s:
        return None
    words = course.candidate.trouble or "no pod says why"
    text = f"the candidate was not ready within {brief(limit_s)} (progressDeadline): {words}"
    return Danger(Reason.DEADLINE, text, at_once=True)


def _retreat(outcome: Outcome, course: Course, found: Danger, end: RolloutPhase) -> Outcome:
    """Take traffic away from the candidate, as fast as stable allows, then end."""
    weight = course.weight_pct
    if weight and not course.stable.ready:
        target, wait = weight, "; stable has no ready pod, so traffic stays until it has one"
    elif found.at_once or not course.candidate.ready:
        target, wait = 0, ""
    else:
        carried = capacity.returnable_pct(course.stable.ready, course.replicas)
        target, wait = min(weight, 100 - carried), ""
        if target:
            wait = f"; stable's ready pods carry {100 - target} %, the rest follows"
    returned = target == 0 and _is_back(course)
    if target == 0 and not returned and course.weight_pct == 0:
        words = course.obs.route.message or "there is no route yet"
        wait = f"; the gateway has not confirmed that all traffic is back: {words}"
    update = {"return_at_once": found.at_once}
    leaving = Outcome(outcome.status.model_copy(update=update), target)
    leaving = say(leaving, found.reason, f"{found.message}{wait}")
    if phase_of(course) is not P.ROLLING_BACK:
        action = "RollingBack" if end is P.ROLLED_BACK else end.value
        leaving = record(leaving, course.now_s, action, found.reason, found.message)
    return enter(leaving, end if returned else P.ROLLING_BACK, course.now_s)


def _is_back(course: Course) -> bool:
    """Whether the gateway says that the candidate gets nothing, if it ever got anything."""
    confirmed = course.obs.route.accepted or not course.status.traffic_since
    return course.weight_pct == 0 and confirmed


def _cause(message: str) -> str:
    """Return a rollback's message without what was appended about what it waits for."""
    return message.split("; stable", 1)[0].split("; the gateway", 1)[0]
