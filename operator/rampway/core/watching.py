"""The watch after promotion: the old revision stays warm, is compared, and takes over (B9, B27)."""

from dataclasses import replace

from rampway.api import labels
from rampway.api.checks import OnFailure
from rampway.api.conditions import Reason, RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.policy import Watch
from rampway.api.rollout import ModelRolloutStatus
from rampway.core import capacity, health, hooks, keeping, passes, reactions, revision, rolling
from rampway.core.actions import Action, Annotate, Scale, SetSplit, WriteRollout
from rampway.core.course import Course, Outcome, by, enter, record, say
from rampway.core.health import Danger
from rampway.core.instants import brief, from_wire, to_wire
from rampway.core.judged import Contest, EvidenceState
from rampway.core.judging import judge
from rampway.core.observation import Observation, Revision
from rampway.core.passes import Decision
from rampway.core.rollout import allowed, in_words, who
from rampway.core.split import STABLE_ONLY, Split
from rampway.core.standing import Standing
from rampway.core.verdict import Verdict


def watch(obs: Observation, active: ModelRollout, stable: Revision) -> Decision:
    """Go on comparing the new stable with the old one until the watch is over."""
    before = obs.revision(active.spec.stable.revision)
    plan = active.spec.policy.watch
    if before is None or plan is None:
        return _end(obs, active, "the old revision is gone")
    desired = revision.revision_hash(obs.deployment.spec)
    if desired == before.hash:
        text = f"undone: the spec went back to {before.name} within the watch"
        undone = Danger(Reason.UNDONE, text, at_once=True)
        return _return(_course(obs, active, stable, before), undone, RolloutPhase.ABORTED)
    if not obs.deployment.spec.replicas:
        return _end(obs, active, "scaled to zero (spec.replicas), so there is nothing to watch")
    if desired != stable.hash:
        return _end(obs, active, f"the spec names a newer revision, {desired}")
    course = _course(obs, active, stable, before)
    found = _trouble(course)
    if found is not None and before.ready:
        return _return(course, found, RolloutPhase.ROLLED_BACK)
    left_s = plan.hold_s - course.since_s(active.status.watched_since)
    if left_s <= 0:
        return _end(obs, active, f"nothing was found against it in {brief(plan.hold_s)}")
    return _go_on(course, plan, left_s)


def _course(obs: Observation, active: ModelRollout, stable: Revision, before: Revision) -> Course:
    status = active.status
    contest = Contest(
        candidate=stable.name,
        stable=before.name,
        weight_since_s=from_wire(status.step.in_force_since),
        traffic_since_s=from_wire(status.watched_since),
        step_index=status.step.index,
    )
    evidence = _afresh(obs.evidence, status.step.index)
    judged = judge(active.spec.policy, evidence, obs.look, contest, obs.now_s)
    crashed = health.remember(
        status.crashes, health.crashes_since(stable, from_wire(status.watched_since) or obs.now_s)
    )
    known = replace(active, status=status.model_copy(update={"crashes": crashed}))
    return Course(obs, known, stable, before, judged)


def _afresh(evidence: EvidenceState | None, index: int) -> EvidenceState | None:
    """Return the evidence without what the rollout's own bound was spent on (B19).

    The watch has a bound of its own. The ledger stays: nothing is counted twice.
    """
    if evidence is None or evidence.step_index == index:
        return evidence
    return replace(evidence, paired={}, breaches={})


def _trouble(course: Course) -> Danger | None:
    """Return why the old revision has to take over, None if nothing speaks for it."""
    asked = course.requests.abort
    if asked is not None:
        return Danger(Reason.ABORTED, in_words("aborted", asked), at_once=True)
    since_s = from_wire(course.status.watched_since) or course.now_s
    view = health.UnderTraffic(course.candidate, course.stable, since_s, course.status.crashes)
    found = health.danger(view)
    if found is not None:
        return None if health.stable_suffers_alike(view, found) else found
    failed = reactions.failed(course.policy, course.judged, OnFailure.ROLLBACK)
    return health.of_check(failed) if failed else None


def _go_on(course: Course, plan: Watch, left_s: float) -> Decision:
    """Keep the old revision warm, its share on it, and the checks running."""
    obs, stable, before = course.obs, course.candidate, course.stable
    carried = capacity.weight_for(before.serving, course.replicas)
    wanted = Split(before.name, min(plan.holdback_pct, carried)).or_rest()
    outcome = Outcome(_clocked(course, plan, wanted), wanted)
    following = hooks.after(obs, course.rollout)
    told = outcome.status.model_copy(update={"hooks": following.status.hooks})
    outcome = replace(outcome, status=told, calls=following.calls)
    beside = f", {wanted.weight_pct} % stay on {before.name}" if wanted.weight_pct else ""
    text = f"{stable.name} is stable; watched for {brief(left_s)} more{beside}"
    outcome = say(outcome, Reason.WATCHING, text)
    actions: list[Action] = passes.ensure_stable(obs, stable)
    if before.replicas != course.replicas:
        actions.append(Scale(before.name, course.replicas))
    if not (obs.route.split == wanted and obs.route.in_shape):
        actions.append(SetSplit(wanted))
    wrote = rolling.write_rollout(course, replace(outcome, split=_of_new(course, wanted)))
    kept, _ = keeping.tidy(obs, stable, active=course.rollout)
    standing = Standing.watching(course, outcome)
    status = passes.write_status(obs, standing, numbers=bool(wrote))
    wait_s = min(obs.defaults.requeue_s, left_s)
    whole = (*wrote, *actions, *outcome.calls, *kept, *status)
    return Decision(whole, wait_s, course.judged.state, course.rollout.name)


def _of_new(course: Course, held_back: Split) -> Split:
    """Return the same split as the new stable's share, as the rollout's status tells it."""
    return Split(course.candidate.name, 100 - held_back.weight_pct)


def _clocked(course: Course, plan: Watch, wanted: Split) -> ModelRolloutStatus:
    """Start or stop the clock of the comparison: it runs while the holdback is in force."""
    status = course.status
    in_force = (
        wanted.weight_pct == plan.holdback_pct > 0
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
    left = record(Outcome(active.status), obs.now_s, "RollingBack", found.reason, found.message)
    asked = active.spec.requests.abort
    if found.reason is Reason.ABORTED and asked is not None:
        left = by(left, who(asked))
    left = enter(say(left, found.reason, found.message), end, obs.now_s)
    allowed(active.name, RolloutPhase.WATCHING, end)
    actions: list[Action] = []
    whole = Split(before.name, 100)
    if obs.route.split != whole:
        actions.append(SetSplit(whole))
    if end is RolloutPhase.ROLLED_BACK:
        refused = Verdict(found.reason, active.name, found.message).written()
        actions.append(Annotate(stable.name, {labels.VERDICT: refused}))
    again = Annotate(before.name, {labels.PROMOTED_AT: rolling.promoted_at(obs)})
    status = left.status.model_copy(update={"weight_pct": 0})
    news = [rolling.emitted(active, stable, made) for made in left.news]
    return Decision((*actions, again, WriteRollout(active.name, status), *news), requeue_after_s=0)


def _end(obs: Observation, active: ModelRollout, why: str) -> Decision:
    """The watch is over: what is stable stays so."""
    text = f"the watch is over: {why}"
    done = record(Outcome(active.status), obs.now_s, "WatchEnded", Reason.PROMOTED, text)
    done = enter(say(done, Reason.PROMOTED, text), RolloutPhase.PROMOTED, obs.now_s)
    actions = () if obs.route.split.at_rest else (SetSplit(STABLE_ONLY),)
    return Decision((*actions, WriteRollout(active.name, done.status)), requeue_after_s=0)
