"""The course of a rollout: every change of its phase is decided in this file.

Rule 1: TRANSITIONS names every change of phase there is; any other is a defect and is refused.
Rule 2: dangers come before evidence, evidence before progress, and a pause stops progress only.
Rule 3: a phase that has ended never acts again.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from rampway.api.conditions import Act, Reason, RolloutPhase
from rampway.api.hooks import HookMoment
from rampway.api.parse import ModelRollout
from rampway.api.rollout import CheckStatus, Decision, Request
from rampway.core.instants import from_wire, to_wire
from rampway.core.model import authors, verdict
from rampway.core.model.authors import in_words, who
from rampway.core.pods import scarce, sizes, zero
from rampway.core.rollout import consent, health, hooks, reactions, stages, steps
from rampway.core.rollout.course import Course, Outcome, by, enter, how_promoted, record, say
from rampway.core.rollout.retreat import ALL_PCT, cause, keep, retreat, share, unchanged
from rampway.core.rollout.stages import Stage
from rampway.core.rollout.troubles import deadline, trouble
from rampway.core.traffic import contested

P = RolloutPhase

TRANSITIONS: Mapping[RolloutPhase, frozenset[RolloutPhase]] = {
    P.STARTING: frozenset({P.STEPPING, P.ROLLING_BACK, P.ROLLED_BACK, P.SUPERSEDED, P.ABORTED}),
    P.STEPPING: frozenset({P.PROMOTING, P.ROLLING_BACK, P.ROLLED_BACK, P.SUPERSEDED, P.ABORTED}),
    P.PROMOTING: frozenset(
        {P.WATCHING, P.PROMOTED, P.ROLLING_BACK, P.ROLLED_BACK, P.SUPERSEDED, P.ABORTED}
    ),
    P.WATCHING: frozenset({P.PROMOTED, P.ROLLING_BACK, P.ROLLED_BACK, P.ABORTED}),
    P.ROLLING_BACK: frozenset({P.ROLLED_BACK, P.SUPERSEDED, P.ABORTED}),
    P.PROMOTED: frozenset(),
    P.ROLLED_BACK: frozenset(),
    P.SUPERSEDED: frozenset(),
    P.ABORTED: frozenset(),
}


class IllegalTransition(RuntimeError):  # noqa: N818 - named like the thing it forbids
    """A change of phase that the table does not know."""


def advance(course: Course) -> Outcome:
    """Return what this pass comes to.

    Raises:
        IllegalTransition: a change of phase that TRANSITIONS does not name.
    """
    phase = course.phase
    waits = not course.replicas and phase in _MOVING
    seen, news = _observed(course)
    outcome = (zero.held if waits else _PHASES[phase])(seen)
    allowed(course.rollout.name, phase, RolloutPhase(outcome.status.phase))
    return replace(outcome, news=(*news, *outcome.news))


def withdraw(course: Course, end: RolloutPhase, reason: Reason, message: str) -> Outcome:
    """Return traffic to stable because the candidate is no longer wanted (B7, B8)."""
    changed = course.obs.authors.changed
    found = health.Danger(reason, authors.in_full(message, changed), at_once=True)
    return by(_left(course, found, end), authors.actor(changed))


def abort(course: Course, asked: Request) -> Outcome:
    """Return traffic to stable because a person said so; it counts as a rollback (B26)."""
    found = health.Danger(Reason.ABORTED, in_words("aborted", asked), at_once=True)
    return by(_left(course, found, P.ROLLED_BACK), who(asked))


def _left(course: Course, found: health.Danger, end: RolloutPhase) -> Outcome:
    seen, news = _observed(course)
    outcome = retreat(keep(seen), course, found, end)
    allowed(course.rollout.name, course.phase, RolloutPhase(outcome.status.phase))
    return replace(outcome, news=(*news, *outcome.news))


def aborted(active: ModelRollout, asked: Request, now_s: float) -> Outcome:
    """End a rollout by a person's word before its candidate was made."""
    text = in_words("aborted", asked)
    ended = record(Outcome(active.status), now_s, Act.ROLLING_BACK, Reason.ABORTED, text)
    return enter(say(by(ended, who(asked)), Reason.ABORTED, text), P.ROLLED_BACK, now_s)


def allowed(name: str, before: RolloutPhase, after: RolloutPhase) -> None:
    """Raise IllegalTransition for a change of phase that TRANSITIONS does not name."""
    if after is not before and after not in TRANSITIONS[before]:
        raise IllegalTransition(f"{name}: {before} cannot become {after}")


def _observed(course: Course) -> tuple[Course, tuple[Decision, ...]]:
    """Return the course with what this pass saw in its status (consent, crashes, clocks), and news.

    Only who consented is news already; the rest is once something is decided by it.
    """
    status, news = consent.noted(course)
    update: dict[str, object] = {
        "phase": course.phase.value,
        "started_at": status.started_at or to_wire(course.now_s),
    }
    since = from_wire(status.traffic_since)
    if since is not None:
        crashes = health.crashes_since(course.candidate, since)
        update["crashes"] = health.remember(status.crashes, crashes)
    update["foreign_writes"] = contested.noted(course)
    update |= steps.deadline_clock(course)
    return steps.with_status(course, status.model_copy(update=update)), news


def _starting(course: Course) -> Outcome:
    """Bring the candidate up for the first step."""
    first = course.stages[0]
    need = scarce.to_begin(course, course.need(first))
    outcome = Outcome(course.status, replicas=course.pods_for(first))
    late = deadline(course)
    if late is not None:
        return retreat(outcome, course, late, P.ROLLED_BACK)
    if course.candidate.serving < need:
        return say(outcome, Reason.CANDIDATE_STARTING, steps.starting_sentence(course, need))
    if course.paused:
        return say(outcome, Reason.PAUSED, course.pause(" before the first step"))
    busy = steps.busy_route(course)
    if busy:
        return say(outcome, Reason.ROUTE_PENDING, busy)
    if course.policy.checks and (course.obs.look is None or course.obs.look.problem):
        problem = course.obs.look.problem if course.obs.look else "no look at the metrics yet"
        return say(outcome, steps.no_evidence(course), f"no traffic without evidence: {problem}")
    moments = [(HookMoment.BEFORE_ROLLOUT, None), (HookMoment.BEFORE_STEP, first)]
    closed, outcome = _gates(outcome, course, moments)
    if closed:
        return outcome
    return _enter_step(enter(outcome, P.STEPPING, course.now_s), course, 0)


def _gates(
    outcome: Outcome, course: Course, moments: list[tuple[HookMoment, Stage | None]]
) -> tuple[bool, Outcome]:
    """Run the hooks of these moments; return whether they hold the rollout, and what it comes to.

    They are asked after all dangers, so that they never delay a rollback (B23).
    """
    for moment, stage in moments:
        found = hooks.gate(course, moment, stage)
        status = outcome.status.model_copy(update={"hooks": found.status.hooks})
        outcome = replace(outcome, status=status, calls=(*outcome.calls, *found.calls))
        course = replace(course, rollout=replace(course.rollout, status=status))
        if found.danger is not None:
            return True, retreat(outcome, course, found.danger, P.ROLLED_BACK)
        if found.waits is not None:
            return True, say(outcome, *found.waits)
    return False, outcome


def _enter_step(outcome: Outcome, course: Course, index: int) -> Outcome:
    text = stages.sentence(course.stages, index)
    begun = steps.begin(outcome, course, index)
    noted = record(begun, course.now_s, Act.STEP_STARTED, Reason.STEP, text, checks=_seen(course))
    return say(noted, Reason.STEP, text)


def _stepping(course: Course) -> Outcome:
    """Run a step: guard, judge, then see whether it is over."""
    stop = trouble(course)
    if stop is not None:
        return stop
    outcome = steps.hold_split(course)
    # Where pods are shares, those that are asked for count at once: ready or not, they are late.
    if course.by_pods or outcome.split != course.stage.split(course.candidate.name):
        late = deadline(course)
        if late is not None:
            return retreat(outcome, course, late, P.ROLLED_BACK)
    skip = course.requests.promote
    if skip is not None and not course.paused:
        return _after_steps(outcome, course, skip)
    waiting = steps.unfinished(course, outcome)
    if waiting is not None:
        return say(outcome, *waiting)
    if course.paused:
        return say(outcome, Reason.PAUSED, f"the step is over; {course.pause()}")
    following = course.status.step.index + 1
    if following == len(course.stages):
        return _after_steps(outcome, course, None)
    moment = (HookMoment.BEFORE_STEP, course.stages[following])
    closed, outcome = _gates(outcome, course, [moment])
    return outcome if closed else _enter_step(outcome, course, following)


def _after_steps(outcome: Outcome, course: Course, skip: Request | None) -> Outcome:
    """Promote, once the hooks before it have succeeded."""
    closed, outcome = _gates(outcome, course, [(HookMoment.BEFORE_PROMOTION, None)])
    return outcome if closed else _promote(outcome, course, skip)


def _promote(outcome: Outcome, course: Course, skip: Request | None) -> Outcome:
    """Begin the promotion: all steps are over, or a person skips what is left."""
    entered = enter(outcome, P.PROMOTING, course.now_s)
    text = consent.in_full(course, skip)
    noted = record(
        entered, course.now_s, Act.PROMOTING, Reason.PROMOTING, text, checks=_seen(course)
    )
    return say(by(noted, who(skip)) if skip else noted, Reason.PROMOTING, text)


def _seen(course: Course) -> tuple[CheckStatus, ...]:
    """Return what the checks say as the running step ends; nothing where none runs, or exposes."""
    exposes = course.phase is P.STEPPING and course.stage.exposes
    return reactions.answers(course) if exposes else ()


def _promoting(course: Course) -> Outcome:
    """Give the candidate everything, once it has the pods for it; then it is stable."""
    stop = trouble(course)
    if stop is not None:
        return stop
    complete = course.candidate.serving >= course.replicas
    late = None if complete else deadline(course)
    if late is not None:
        return retreat(keep(course), course, late, P.ROLLED_BACK)
    kept = Outcome(course.status, unchanged(course), replicas=course.pods_for_all)
    if course.paused:
        return say(kept, Reason.PAUSED, course.pause(" before promotion"))
    if course.judged.unknown and course.requests.promote is None:
        text = f"holding without evidence: {course.judged.unknown}"
        return say(kept, steps.no_evidence(course), text)
    if course.weight_pct < ALL_PCT and not course.may_raise:
        return kept
    target = share(course, ALL_PCT) if complete else kept.split
    if sizes.is_scarce(course.obs) and course.carried_pct > kept.weight_pct:
        # Stable's pods go as it takes over, and make room.
        target = share(course, course.carried_pct)
    return _to_all(course, replace(kept, split=target))


def _to_all(course: Course, outcome: Outcome) -> Outcome:
    """Say what is still missing; commit when the gateway has accepted that it has everything."""
    if outcome.weight_pct < ALL_PCT:
        return say(outcome, Reason.CAPACITY, steps.starting_sentence(course, course.replicas))
    if course.weight_pct == ALL_PCT and course.obs.route.accepted:
        committed = replace(outcome, commit=True)
        return say(committed, Reason.PROMOTING, f"{course.candidate.name} is stable")
    text = f"{how_promoted(course.status)}; giving the candidate everything"
    return say(outcome, Reason.PROMOTING, text)


def _rolling_back(course: Course) -> Outcome:
    """Go on returning traffic, as much as stable can carry by now (B24)."""
    status = course.status
    found = health.Danger(Reason(status.reason), cause(status.message), status.return_at_once)
    return retreat(keep(course), course, found, P.ROLLED_BACK)


def _ended(course: Course) -> Outcome:
    return Outcome(course.status)


def _half_returned(course: Course) -> Outcome:
    """A watch whose old revision is stable again: the return was cut short, and is done (B29)."""
    found = verdict.read(course.candidate)
    end = P.ROLLED_BACK if found else P.ABORTED
    reason = found.reason if found else Reason.UNDONE
    text = found.message if found else f"undone: {course.stable.name} is stable again"
    if sizes.is_scarce(course.obs):
        return retreat(keep(course), course, health.Danger(reason, text, at_once=True), end)
    left = record(Outcome(course.status), course.now_s, Act.ROLLING_BACK, reason, text)
    asked = course.requests.abort
    if reason is Reason.ABORTED and asked is not None:
        left = by(left, who(asked))
    elif reason is Reason.UNDONE:
        left = by(left, authors.actor(course.obs.authors.changed))
    return enter(say(left, reason, text), end, course.now_s)


_MOVING = frozenset({P.STARTING, P.STEPPING, P.PROMOTING})

_PHASES: Mapping[RolloutPhase, Callable[[Course], Outcome]] = {
    P.STARTING: _starting,
    P.STEPPING: _stepping,
    P.PROMOTING: _promoting,
    P.ROLLING_BACK: _rolling_back,
    P.WATCHING: _half_returned,
    P.PROMOTED: _ended,
    P.ROLLED_BACK: _ended,
    P.SUPERSEDED: _ended,
    P.ABORTED: _ended,
}
