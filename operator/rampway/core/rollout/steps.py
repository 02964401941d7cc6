"""One stage of a rollout: its split, its clocks, and when it is over (B6, B11, B13, B18)."""

from dataclasses import replace

from rampway.api.conditions import Reason
from rampway.api.policy import AfterUnknown
from rampway.api.rollout import ModelRolloutStatus, StepStatus
from rampway.core.checks import share
from rampway.core.checks.cutoff import Given
from rampway.core.instants import brief, from_wire, to_wire
from rampway.core.model.policies import Trouble
from rampway.core.rollout.course import Course, Outcome
from rampway.core.rollout.stages import Stage
from rampway.core.traffic.split import Split

WHOLE_PCT = 100


def with_status(course: Course, status: ModelRolloutStatus) -> Course:
    """Return the course with another status."""
    rollout = replace(course.rollout, status=_unknown_clock(course, status))
    return replace(course, rollout=rollout)


def begin(outcome: Outcome, course: Course, index: int) -> Outcome:
    """Return the outcome at the begin of a stage (0-based index), all its clocks at zero."""
    stage = course.stages[index]
    step = StepStatus(index=index, name=stage.name, total=len(course.stages))
    status = outcome.status.model_copy(update={"step": step})
    begun = replace(outcome, status=status, replicas=course.pods_for(stage))
    return _give(begun, course, _carried(course, stage))


def hold_split(course: Course) -> Outcome:
    """Return the outcome that keeps the stage's split, as far as ready pods carry it (B6)."""
    stage = course.stage
    target = course.raised(_carried(course, stage))
    held = replace(clocked(course, target), replicas=course.pods_for(stage))
    return _give(held, course, target)


def clocked(course: Course, target: Split) -> Outcome:
    """Return the outcome that gives this split; the clock runs while it is the whole stage's."""
    stage = course.stage
    whole = stage.split(course.candidate.name)
    in_force = target == course.split == whole and course.obs.route.accepted
    in_force = in_force and not course.impossible
    known = _share(course).value if in_force and _has_share(stage) else ""
    step = hold_clock(course, in_force=in_force).model_copy(update={"share": known})
    return Outcome(course.status.model_copy(update={"step": step}), target)


def given(split: Split, status: ModelRolloutStatus, *, accepted: bool) -> Given:
    """Return what a route's split gives the candidate; settled: as was decided, and accepted."""
    now = (split.weight_pct, split.mirror_pct, bool(split.headers))
    decided = (status.weight_pct, status.mirror_pct, status.matched)
    return Given(*now, settled=accepted and now == decided)


def _carried(course: Course, stage: Stage) -> Split:
    """Return as much of a stage's split as the candidate's ready pods carry (B6).

    How many requests bear a header is not known, so they wait for its full size; once there, they
    stay as long as one pod serves.
    """
    serving, allowed = course.candidate.serving, course.carried_pct
    large, room = serving >= course.need(stage), not course.obs.route.objection(stage)
    found = Split(
        course.candidate.name,
        min(stage.weight_pct, allowed),
        min(stage.mirror_pct, allowed),
        stage.headers if room and (large or (course.split.headers and serving)) else (),
    )
    return found.or_rest()


def busy_route(course: Course) -> str:
    """Return what has to leave the route before a first step, empty if nothing has."""
    if not course.obs.route.split.at_rest:
        return "waiting until the route sends everything to stable's Service"
    if course.by_pods and course.strays:
        return f"waiting until the pods of {course.strays} are gone: one Service has them all"
    return ""


def hold_clock(course: Course, *, in_force: bool) -> StepStatus:
    """Start or stop the clock of the hold: it runs while the split is in force (B18)."""
    step = course.status.step
    if in_force == bool(step.in_force_since):
        return step
    if in_force:
        return step.model_copy(update={"in_force_since": to_wire(course.now_s)})
    # What was held before a foreign write or a lost pod took the weight away stays held.
    held = held_s(course, course.status)
    return step.model_copy(update={"in_force_since": "", "held_s": held, "not_counted_s": 0.0})


def _give(outcome: Outcome, course: Course, split: Split) -> Outcome:
    """Return the outcome with this split; the first requests are timed."""
    since = outcome.status.traffic_since
    if not split.at_rest and (course.split.at_rest or not since):
        since = to_wire(course.now_s)
    status = outcome.status.model_copy(update={"traffic_since": since})
    return replace(outcome, status=status, split=split)


def unfinished(course: Course, outcome: Outcome) -> tuple[Reason, str] | None:
    """Return why the stage is not over, the first reason in this order, or None."""
    stage = course.stage
    if course.impossible:
        return Reason.STEPS_NOT_POSSIBLE, course.impossible
    if outcome.split != stage.split(course.candidate.name):
        words = starting_sentence(course, course.need(stage))
        if course.paused:
            return Reason.PAUSED, f"{course.pause(f' at {outcome.weight_pct} %')}; {words}"
        return Reason.CAPACITY, words
    if not outcome.status.step.in_force_since:
        words = course.obs.route.message or "waiting for the gateway to accept the weight"
        return Reason.ROUTE_PENDING, words
    if course.judged.unknown:
        return no_evidence(course), f"holding without evidence: {course.judged.unknown}"
    if stage.approval is not None:
        return _unapproved(course, stage)
    return _unjudged(course, outcome, stage)


def no_evidence(course: Course) -> Reason:
    """Return why nothing is known: the metric source cannot be used, or says nothing."""
    source = course.obs.source
    return source.reason if isinstance(source, Trouble) else Reason.EVIDENCE_UNKNOWN


def _unapproved(course: Course, stage: Stage) -> tuple[Reason, str] | None:
    if course.approval(stage.name) is not None:
        return None
    asked = f": {stage.approval}" if stage.approval else ""
    return Reason.APPROVAL, f"step {stage.name} waits for a person's approval{asked}"


def _has_share(stage: Stage) -> bool:
    """Whether a stage's share can be known: not with copies, nor with requests that are chosen."""
    return 0 < stage.weight_pct < WHOLE_PCT and not (stage.mirror_pct or stage.headers)


def _share(course: Course) -> share.Share:
    """Return what the revisions' own counts say of the share that the candidate gets (B13)."""
    state = course.judged.state
    if state is None or course.since_s(course.status.step.in_force_since) < share.SETTLED_S:
        return share.Share.UNPROVEN
    return share.verdict(course.stage.weight_pct, *state.shares)


def _unjudged(course: Course, outcome: Outcome, stage: Stage) -> tuple[Reason, str] | None:
    if outcome.status.step.share == share.Share.CONTRADICTED and course.judged.state:
        text = share.sentence(stage.weight_pct, *course.judged.state.shares)
        return Reason.SHARE_CONTRADICTED, f"step {stage.name} waits: {text}"
    left_s = stage.hold_s - held_s(course, outcome.status)
    if left_s > 0:
        return Reason.STEP, f"step {stage.name} holds for {brief(left_s)} more"
    if not stage.exposes:
        return None
    if course.judged.requests < stage.min_requests:
        text = f"{course.judged.requests} of at least {stage.min_requests} requests (minRequests)"
        return Reason.EVIDENCE_WAITING, f"step {stage.name}: {text}"
    if course.judged.waiting:
        return Reason.EVIDENCE_WAITING, f"step {stage.name}: {course.judged.waiting}"
    compares = any(check.comparison for check in course.policy.checks)
    if compares and not course.judged.requests:  # what passed was judged in an earlier stage
        return Reason.EVIDENCE_WAITING, f"step {stage.name}: no request was judged in it yet"
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
    asked = course.candidate.replicas  # none where there is no room for it yet
    if not asked or course.candidate.ready >= asked:
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
