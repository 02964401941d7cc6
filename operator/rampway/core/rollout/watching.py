"""The watch after promotion: the old revision stays warm, is compared, and takes over (B9, B27)."""

import math
from dataclasses import replace

from rampway.api import labels
from rampway.api.checks import OnFailure
from rampway.api.conditions import Act, Reason, RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.policy import Watch
from rampway.api.rollout import ModelRolloutStatus
from rampway.core.actions import Action, Annotate, SetSplit, WriteRollout
from rampway.core.checks import slices
from rampway.core.checks.judged import Contest, EvidenceState
from rampway.core.checks.judging import judge
from rampway.core.instants import brief, from_wire, to_wire
from rampway.core.model import authors, keeping, revision
from rampway.core.model.authors import in_words, who
from rampway.core.model.standing import Standing
from rampway.core.model.verdict import Verdict
from rampway.core.observation import Observation, Revision
from rampway.core.pods import capacity, sizes
from rampway.core.rollout import automation, health, hooks, passes, reactions, rolling, steps
from rampway.core.rollout.course import Course, Outcome, by, enter, record, say
from rampway.core.rollout.health import Danger
from rampway.core.rollout.passes import Decision
from rampway.core.rollout.phases import allowed
from rampway.core.rollout.queueing import goes_on
from rampway.core.rollout.retreat import ALL_PCT
from rampway.core.rollout.troubles import deadline
from rampway.core.traffic import podshare
from rampway.core.traffic.split import STABLE_ONLY, Split


def watch(obs: Observation, active: ModelRollout, stable: Revision) -> Decision:
    """Go on comparing the new stable with the old one until the watch is over."""
    before = obs.revision(active.spec.stable.revision)
    plan = active.spec.policy.watch
    if before is None or plan is None:
        return _end(obs, active, "the old revision is gone")
    course = _course(obs, active, stable, before)
    found = _trouble(course)
    if not obs.deployment.spec.replicas:  # nobody serves, so nobody waits for a pod
        if found is not None and found.reason is Reason.UNDONE:
            return _return(course, found, RolloutPhase.ABORTED)
        return _end(obs, active, "scaled to zero (spec.replicas), so there is nothing to watch")
    if found is not None:
        return _give_back(course, found)
    left_s = plan.hold_s - course.since_s(active.status.watched_since)
    wanted = _held_back(course, plan)
    asked = _asked(course)
    if not stable.ready or course.paused:  # who serves nobody, or nothing, ends no watch
        return _go_on(course, wanted, *_unended(course, wanted))
    desired = revision.revision_hash(obs.deployment.spec)
    if desired != stable.hash and not goes_on(active):
        return _end(obs, active, f"the spec names a newer revision, {desired}")
    if asked is not None:
        return _go_on(course, wanted, Reason.STOPPED_BY_CHECK, asked)
    if left_s <= 0:
        return _end(obs, active, f"nothing was found against it in {brief(plan.hold_s)}")
    beside = f", {wanted.weight_pct} % stay on {before.name}" if wanted.weight_pct else ""
    text = f"{stable.name} is stable; watched for {brief(left_s)} more{beside}"
    return _go_on(course, wanted, Reason.WATCHING, text, left_s)


def _unended(course: Course, wanted: Split) -> tuple[Reason, str]:
    """Return why the watch goes on, however long it has."""
    if course.candidate.ready:
        return Reason.PAUSED, f"the watch goes on; {course.pause()}"
    took = f"; {course.stable.name} answers meanwhile" if wanted.weight_pct else ""
    words = f": {course.candidate.trouble}" if course.candidate.trouble else ""
    return Reason.NO_READY_POD, f"no pod of {course.candidate.name} is ready{took}{words}"


def _course(obs: Observation, active: ModelRollout, stable: Revision, before: Revision) -> Course:
    status, route = active.status, obs.route
    contest = Contest(
        candidate=stable.name,
        stable=before.name,
        weight_since_s=from_wire(status.step.in_force_since),
        traffic_since_s=from_wire(status.watched_since),
        step_index=status.step.index,
        watching=True,
        unpaired=_is_unpaired(active),
        given=steps.given(_of_new(stable, route.split), status, accepted=route.accepted),
    )
    evidence = _afresh(obs.evidence, status.step.index, keeps=contest.unpaired)
    judged = judge(active.spec.policy, evidence, obs.look, contest, obs.now_s)
    crashed = health.remember(
        status.crashes, health.crashes_since(stable, from_wire(status.watched_since) or obs.now_s)
    )
    found = Course(obs, active, stable, before, judged)
    update = {"crashes": crashed} | steps.deadline_clock(found)
    return replace(found, rollout=replace(active, status=status.model_copy(update=update)))


def _is_unpaired(active: ModelRollout) -> bool:
    """Whether nothing stays on the old revision, to compare with."""
    return active.spec.policy.watch is not None and not active.spec.policy.watch.holdback_pct


def _afresh(evidence: EvidenceState | None, index: int, *, keeps: bool) -> EvidenceState | None:
    """Return the evidence without what the rollout's own bound was spent on (B19).

    The watch has a part of its own (`checks/bound.py`). The ledger stays: nothing is counted twice;
    the slices stay who they are; and what was seen of stable, where that is what the promoted
    revision is held against.
    """
    if evidence is None or evidence.step_index == index:
        return evidence
    if keeps:
        return replace(evidence, harmed=frozenset(), breaches={}, failures={}, lone={})
    paired = slices.afresh(evidence.paired)
    return replace(evidence, paired=paired, harmed=frozenset(), breaches={}, failures={}, lone={})


def _trouble(course: Course) -> Danger | None:
    """Return why the old revision has to take over, None if nothing speaks for it."""
    if revision.revision_hash(course.obs.deployment.spec) == course.stable.hash:
        whose = authors.by_whom(course.obs.authors.changed)
        text = f"undone{whose}: the spec went back to {course.stable.name} within the watch"
        return Danger(Reason.UNDONE, text, at_once=True)
    asked = course.requests.abort
    if asked is not None:
        return Danger(Reason.ABORTED, in_words("aborted", asked), at_once=True)
    since_s = from_wire(course.status.watched_since) or course.now_s
    view = health.UnderTraffic(course.candidate, course.stable, since_s, course.status.crashes)
    found = health.danger(view)
    if found is not None:
        return None if health.stable_suffers_alike(view, found) else found
    failed = reactions.failed(course.policy, course.judged, OnFailure.ROLLBACK)
    if failed is not None:
        return health.of_check(failed)
    return None if course.candidate.ready else deadline(course)


def _asked(course: Course) -> str | None:
    """Return what a person has to decide because a check failed that asks, else None."""
    failed = reactions.failed(course.policy, course.judged, OnFailure.PAUSE)
    if failed is None or course.requests.promote is not None:
        return None
    return (
        f"check {failed.name}: {failed.message}. Abort the rollout to return to "
        f"{course.stable.name}, or promote it to let the watch end"
    )


def _held_back(course: Course, plan: Watch) -> Split:
    """Return what the old revision is given: its share, as far as its ready pods carry it (B6).

    While no pod of the new stable is ready it is given everything (B25), and gives it back once
    the Service `<name>` reaches the new stable's pods again.
    """
    before, now = course.stable, course.obs.route.split
    share = min(plan.holdback_pct, capacity.weight_for(before.serving, course.replicas))
    if course.by_pods:
        share = podshare.within(share, before.replicas, course.candidate.replicas)
    if before.serving and not course.candidate.ready:
        share = ALL_PCT
    elif before.serving and now.candidate == before.name and not _reached(course):
        share = max(share, now.weight_pct)
    return Split(before.name, share).or_rest()


def _reached(course: Course) -> bool:
    return passes.reached(course.obs, course.candidate)


def _give_back(course: Course, found: Danger) -> Decision:
    """Let the old revision take over, as fast as its pods carry everything (B24)."""
    before = course.stable
    carried = capacity.returnable_pct(before.serving, course.replicas)
    swaps = sizes.is_scarce(course.obs) and course.candidate.ready
    if before.serving and ((found.at_once and not swaps) or carried >= ALL_PCT):
        undone = found.reason is Reason.UNDONE
        return _return(course, found, RolloutPhase.ABORTED if undone else RolloutPhase.ROLLED_BACK)
    if sizes.is_scarce(course.obs):
        return _swap_back(course, found)
    now = course.obs.route.split
    share = max(carried, now.weight_pct if now.candidate == before.name else 0)
    wanted = Split(before.name, share if before.serving else 0).or_rest()
    if wanted.at_rest:
        wait = f"{before.name} has no ready pod, so traffic stays until it has one"
    else:
        wait = f"{before.name}'s ready pods carry {share} %, the rest follows"
    return _go_on(course, wanted, found.reason, f"{found.message}; {wait}")


def _go_on(
    course: Course, wanted: Split, reason: Reason, text: str, left_s: float = math.inf
) -> Decision:
    """Keep the old revision warm, its share on it, and the checks running."""
    obs, stable, before = course.obs, course.candidate, course.stable
    outcome = Outcome(_clocked(course, wanted), wanted)
    following = hooks.after(obs, course.rollout)
    told = outcome.status.model_copy(update={"hooks": following.status.hooks})
    outcome = replace(outcome, status=told, calls=following.calls)
    outcome = reactions.told(course, say(outcome, reason, text))
    moves: list[Action] = []
    if not (obs.route.split == wanted and obs.route.in_shape):
        moves.append(SetSplit(wanted))
    warm, firm = sizes.warm(obs, before), passes.ensure_stable(obs, stable)
    actions = [*firm, *sizes.size(sizes.after(obs, firm), before, warm, warm)]
    actions += automation.tell(obs, before)
    wrote = rolling.write_rollout(course, replace(outcome, split=_of_new(course.candidate, wanted)))
    kept, _ = keeping.tidy(obs, stable, active=course.rollout)
    standing = Standing.watching(course, outcome)
    status = passes.write_status(obs, standing, numbers=bool(wrote))
    news = rolling.told(course.rollout, outcome)
    whole = (*moves, *wrote, *actions, *outcome.calls, *kept, *news, *status)
    wait_s = min(obs.defaults.requeue_s, left_s)
    return Decision(whole, wait_s, course.judged.state, course.rollout.name)


def _of_new(stable: Revision, held_back: Split) -> Split:
    """Return the same split as the new stable's share, as the rollout's status tells it."""
    return Split(stable.name, ALL_PCT - held_back.weight_pct)


def _clocked(course: Course, wanted: Split) -> ModelRolloutStatus:
    """Start or stop the clock of the comparison: it runs while the share is in force."""
    status, plan = course.status, course.policy.watch
    in_force = (
        plan is not None
        and wanted.weight_pct == plan.holdback_pct
        and course.obs.route.split == wanted
        and course.obs.route.accepted
    )
    if in_force == bool(status.step.in_force_since):
        return status
    since = to_wire(course.now_s) if in_force else ""
    step = status.step.model_copy(update={"in_force_since": since})
    return status.model_copy(update={"step": step})


def _return(course: Course, found: Danger, end: RolloutPhase) -> Decision:
    """Give everything back to the old revision: its own Service first, its pods are warm (B23).

    The order survives a crash anywhere (B29): until the old revision is stable again the same
    trouble is found again; after that `rollout` ends what is left.
    """
    obs, active = course.obs, course.rollout
    stable, before = course.candidate, course.stable
    left = _left(course, found, end)
    actions: list[Action] = []
    whole = Split(before.name, ALL_PCT)
    if obs.route.split != whole:
        actions.append(SetSplit(whole))
    if end is RolloutPhase.ROLLED_BACK:
        refused = Verdict(found.reason, active.name, found.message).written()
        actions.append(Annotate(stable.name, {labels.VERDICT: refused}))
    again = Annotate(before.name, {labels.PROMOTED_AT: rolling.promoted_at(obs)})
    status = left.status.model_copy(update={"weight_pct": 0})
    news = rolling.told(active, left)
    return Decision((*actions, again, WriteRollout(active.name, status), *news), requeue_after_s=0)


def _left(course: Course, found: Danger, phase: RolloutPhase) -> Outcome:
    """Return the outcome that leaves the watch for this reason."""
    at_s, asked = course.now_s, course.requests.abort
    left = record(Outcome(course.status), at_s, Act.ROLLING_BACK, found.reason, found.message)
    if found.reason is Reason.ABORTED and asked is not None:
        left = by(left, who(asked))
    elif found.reason is Reason.UNDONE:
        left = by(left, authors.actor(course.obs.authors.changed))
    allowed(course.rollout.name, RolloutPhase.WATCHING, phase)
    return enter(say(left, found.reason, found.message), phase, at_s)


def _swap_back(course: Course, found: Danger) -> Decision:
    """Begin a rollback whose pods are not there yet: the old revision is stable again first (B6).

    Traffic stays on the new one's own Service; it goes over with the pods, as in every rollback.
    """
    obs, active, new, before = course.obs, course.rollout, course.candidate, course.stable
    whole = Split(new.name, ALL_PCT)
    there = obs.route.split == whole
    if not (there and obs.route.accepted):
        moves = () if there else (SetSplit(whole),)
        return Decision(moves, 1.0, course.judged.state, active.name)
    left = _left(course, found, RolloutPhase.ROLLING_BACK)
    actions: list[Action] = []
    if found.reason is not Reason.UNDONE:
        refused = Verdict(found.reason, active.name, found.message).written()
        actions.append(Annotate(new.name, {labels.VERDICT: refused}))
    again = Annotate(before.name, {labels.PROMOTED_AT: rolling.promoted_at(obs)})
    status = left.status.model_copy(update={"weight_pct": ALL_PCT})
    news = rolling.told(active, left)
    return Decision((*actions, again, WriteRollout(active.name, status), *news), requeue_after_s=0)


def _end(obs: Observation, active: ModelRollout, why: str) -> Decision:
    """The watch is over: what is stable stays so."""
    text = f"the watch is over: {why}"
    done = record(Outcome(active.status), obs.now_s, Act.WATCH_ENDED, Reason.PROMOTED, text)
    done = enter(say(done, Reason.PROMOTED, text), RolloutPhase.PROMOTED, obs.now_s)
    actions = () if obs.route.split.at_rest else (SetSplit(STABLE_ONLY),)
    wrote = WriteRollout(active.name, done.status)
    return Decision((*actions, wrote, *rolling.told(active, done)), requeue_after_s=0)
