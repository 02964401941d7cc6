"""A pass over a ModelDeployment whose rollout is under way."""

from dataclasses import replace

from rampway.api import labels
from rampway.api.base import seconds
from rampway.api.conditions import Act, Reason, RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.rollout import Decision as Decided
from rampway.api.rollout import StepStatus
from rampway.core.actions import Action, Annotate, Emit, SetSplit, WriteRollout
from rampway.core.checks.answering import STALE_S
from rampway.core.checks.checkpoint import to_text
from rampway.core.checks.judged import Contest, Judged
from rampway.core.checks.judging import judge
from rampway.core.instants import from_wire, to_wire
from rampway.core.model import authors, keeping, verdict
from rampway.core.model.standing import Standing
from rampway.core.model.verdict import Verdict
from rampway.core.observation import Observation, Revision
from rampway.core.pods import scarce, sizes
from rampway.core.rollout import automation, health, passes, phases, queueing, reactions, steps
from rampway.core.rollout.course import Course, Outcome, by, enter, how_promoted, record, say
from rampway.core.rollout.passes import Decision
from rampway.core.rollout.queueing import UNWANTED
from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.core.writing import rollout_is_news

_FAILED = frozenset({RolloutPhase.ROLLING_BACK, RolloutPhase.ROLLED_BACK})


def finish(obs: Observation, active: ModelRollout, stable: Revision) -> Decision:
    """The candidate is stable: let Service and route say so too, then end the rollout (B5).

    The route goes on sending everything to the candidate's own Service until the Service <name>
    is known to reach the same pods, so that no request meets an empty one.
    """
    actions = passes.ensure_stable(obs, stable)
    standing = Standing.promoting(active, "switching the Service to the new stable")
    if not passes.reached(obs, stable):
        undone = _take_back(obs, active, stable)
        if undone is not None:
            return undone
        return Decision((*actions, *passes.write_status(obs, standing)), requeue_after_s=1.0)
    if not obs.route.at_rest:
        actions.append(SetSplit(STABLE_ONLY))
    watched = active.spec.policy.watch is not None
    text = f"{stable.name} is stable: {how_promoted(active.status)}"
    done = record(Outcome(active.status), obs.now_s, Act.PROMOTED, Reason.PROMOTED, text)
    done = say(done, Reason.WATCHING if watched else Reason.PROMOTED, text)
    done = enter(done, RolloutPhase.WATCHING if watched else RolloutPhase.PROMOTED, obs.now_s)
    update: dict[str, object] = {"weight_pct": 100, "mirror_pct": 0, "matched": False}
    if watched:
        step = StepStatus(index=active.status.step.total, total=active.status.step.total)
        update |= {"step": step, "watched_since": to_wire(obs.now_s)}
    status = done.status.model_copy(update=update)
    news = Emit(f"promoted-{active.name}", Act.PROMOTED, Reason.PROMOTED, text)
    return Decision((*actions, WriteRollout(active.name, status), news), requeue_after_s=0)


def _take_back(obs: Observation, active: ModelRollout, stable: Revision) -> Decision | None:
    """Make the predecessor stable again if the new one fails before everything points to it (B25).

    The route still sends all requests to the new one's own Service, and the old pods are warm. One
    that lost its last ready pod by no fault of its own is a candidate again: it is promoted once
    its pods are back.
    """
    before = obs.revision(active.spec.stable.revision)
    since_s = from_wire(active.status.traffic_since)
    if before is None or not before.ready or since_s is None:
        return None
    stable_again = Annotate(before.name, {labels.PROMOTED_AT: promoted_at(obs)})
    found = health.danger(health.UnderTraffic(stable, before, since_s, active.status.crashes))
    if found is None:
        return None if stable.ready else Decision((stable_again,), requeue_after_s=0)
    left = Outcome(
        active.status.model_copy(update={"return_at_once": True}), Split(stable.name, 100)
    )
    left = say(left, found.reason, found.message)
    left = record(left, obs.now_s, Act.ROLLING_BACK, found.reason, found.message)
    left = enter(left, RolloutPhase.ROLLING_BACK, obs.now_s)
    refused = Verdict(found.reason, active.name, found.message).written()
    actions: list[Action] = [
        stable_again,
        Annotate(stable.name, {labels.VERDICT: refused}),
        WriteRollout(active.name, left.status),
    ]
    actions += told(active, left)
    return Decision(tuple(actions), requeue_after_s=0)


def promoted_at(obs: Observation) -> str:
    """Return a moment after all earlier promotions, whatever the clock says: the latest counts."""
    latest_s = max((known.promoted_at_s or 0.0 for known in obs.revisions), default=0.0)
    return to_wire(max(obs.now_s, latest_s + 0.001))


def recall(obs: Observation, active: ModelRollout) -> Decision | None:
    """Restore the rollback of a rollout that lost its status, if its verdict outlived it (B1)."""
    found = verdict.read(obs.revision(active.spec.candidate.revision))
    if active.status.phase or found is None or found.rollout != active.name:
        return None
    ended = enter(Outcome(active.status), RolloutPhase.ROLLING_BACK, obs.now_s)
    ended = say(ended, found.reason, found.message)
    return Decision((WriteRollout(active.name, ended.status),), requeue_after_s=0)


def roll(obs: Observation, active: ModelRollout, stable: Revision, desired: str) -> Decision:
    """A rollout is under way: bring the candidate up, judge it, move traffic."""
    candidate = obs.revision(active.spec.candidate.revision)
    wanted = active.spec.candidate.revision == desired or bool(queueing.waiting(obs))
    if candidate is None:
        return _without_candidate(obs, active, stable, wanted=wanted)
    judged = _judged(obs, active, candidate, stable)
    course = Course(obs, active, candidate, stable, judged)
    outcome = reactions.told(course, _outcome(course, desired, wanted=wanted))
    firm = passes.ensure_stable(obs, stable, scarce.stable_size(course, outcome))
    beside = replace(course, obs=sizes.after(obs, firm))
    actions = [*firm, *_ensure_candidate(beside, outcome)]
    moves = _moves(course, outcome)
    kept, _ = keeping.tidy(obs, stable, active=active)
    standing = Standing.rolling(course, outcome)
    # Down before everything else (B23); up only after the status knows why.
    lower = outcome.split.takes_from(course.split)
    wrote = write_rollout(course, outcome)
    ordered = [*moves, *wrote, *actions] if lower else [*wrote, *actions, *moves]
    if outcome.commit:
        promoted = {labels.PROMOTED_AT: promoted_at(obs), labels.VERDICT: "Promoted"}
        ordered.append(Annotate(candidate.name, promoted))
    ordered += [
        *outcome.calls,
        *kept,
        *told(active, outcome),
        *passes.write_status(obs, standing, numbers=bool(wrote)),
    ]
    ended = RolloutPhase(outcome.status.phase).ended
    soon = ended or outcome.commit or outcome.status.phase != active.status.phase
    return Decision(
        tuple(ordered),
        requeue_after_s=0 if soon else obs.defaults.requeue_s,
        evidence=None if ended else judged.state,
        active="" if ended else active.name,
    )


def _outcome(course: Course, desired: str, *, wanted: bool) -> Outcome:
    reason = course.status.reason
    if course.phase is RolloutPhase.WATCHING:  # a return cut short: whatever the spec names now
        return phases.advance(course)
    failing = course.status.phase == RolloutPhase.ROLLING_BACK and reason not in UNWANTED
    if wanted or failing:  # a rollback that has begun is finished as what it is
        abort = course.requests.abort
        return phases.advance(course) if abort is None or failing else phases.abort(course, abort)
    if desired == course.stable.hash:
        text = "the spec was put back to stable's content"
        return phases.withdraw(course, RolloutPhase.ABORTED, Reason.BACK_TO_STABLE, text)
    text = f"the spec was changed to revision {desired}"
    return phases.withdraw(course, RolloutPhase.SUPERSEDED, Reason.NEW_REVISION, text)


def _without_candidate(
    obs: Observation, active: ModelRollout, stable: Revision, *, wanted: bool
) -> Decision:
    """The candidate's Deployment is missing: make it, or end a rollout nobody wants."""
    actions: list[Action] = passes.ensure_stable(obs, stable)
    actions = [*passes.rest(obs, stable), *actions]
    if wanted and active.spec.requests.abort is None:
        actions += passes.ensure_revision(obs, None, sizes.first_pod(obs))
        words = f"the API server refused the pod template: {obs.refusal}" if obs.refusal else ""
        standing = Standing.starting(active, words, refusal=obs.refusal)
        wait_s = 30.0 if obs.refusal else 0.0
        wrote = passes.write_status(obs, standing)
        return Decision((*actions, *wrote), wait_s, obs.evidence, active.name)
    abort = active.spec.requests.abort
    if wanted and abort is not None:
        ended = phases.aborted(active, abort, obs.now_s)
    else:
        changed = obs.authors.changed
        text = authors.in_full("before the candidate was made the spec was changed", changed)
        ended = record(Outcome(active.status), obs.now_s, Act.SUPERSEDED, Reason.NEW_REVISION, text)
        ended = by(ended, authors.actor(changed))
        ended = enter(say(ended, Reason.NEW_REVISION, text), RolloutPhase.SUPERSEDED, obs.now_s)
    actions.append(WriteRollout(active.name, ended.status))
    return Decision((*actions, *told(active, ended)), requeue_after_s=0)


def _judged(
    obs: Observation, active: ModelRollout, candidate: Revision, stable: Revision
) -> Judged:
    route = obs.route
    split = route.split if route.split.candidate == candidate.name else STABLE_ONLY
    contest = Contest(
        candidate=candidate.name,
        stable=stable.name,
        weight_since_s=from_wire(active.status.step.in_force_since),
        traffic_since_s=from_wire(active.status.traffic_since),
        step_index=active.status.step.index,
        stable_ready=bool(stable.ready) or not obs.deployment.spec.replicas,
        patience_s=max(STALE_S, seconds(active.spec.progress_deadline)),
        mirrored=bool(route.split.mirror_pct),
        given=steps.given(split, active.status, accepted=route.accepted),
    )
    return judge(active.spec.policy, obs.evidence, obs.look, contest, obs.now_s)


def _ensure_candidate(course: Course, outcome: Outcome) -> list[Action]:
    obs, candidate = course.obs, course.candidate
    actions = passes.ensure_parts(obs, candidate)
    if outcome.replicas is not None:
        plan = obs.deployment.spec.autoscaling
        most = sizes.candidate_most(plan, course.rollout, outcome.status)
        actions += sizes.size(obs, candidate, outcome.replicas, most)
    actions += automation.tell(obs, candidate)
    return actions + keeping.record_digest(obs, candidate)


def _moves(course: Course, outcome: Outcome) -> list[Action]:
    if outcome.split.at_rest:
        return passes.rest(course.obs, course.stable)
    if course.split == outcome.split and course.obs.route.in_shape:
        return []
    return [SetSplit(outcome.split)]


def write_rollout(course: Course, outcome: Outcome) -> list[Action]:
    """Write the rollout's status if it says something new."""
    judged = course.judged
    told = _given(outcome.split)
    if course.phase is not RolloutPhase.ROLLING_BACK:  # what led to it stays
        told |= {"checks": reactions.answers(course), "checked_at": to_wire(course.now_s)}
    status = outcome.status.model_copy(update=told)
    interval_s = course.obs.defaults.checkpoint_interval_s
    if not rollout_is_news(course.rollout.status, status, course.now_s, interval_s):
        return []
    evidence = to_text(judged.state) if judged.state else ""
    wrote = WriteRollout(course.rollout.name, status.model_copy(update={"evidence": evidence}))
    if status.phase not in _FAILED or status.reason in UNWANTED:
        return [wrote]
    found = Verdict(Reason(status.reason), course.rollout.name, status.message)
    # The verdict first: once the status says that it is over, nobody comes back to write it.
    return [Annotate(course.candidate.name, {labels.VERDICT: found.written()}), wrote]


def _given(split: Split) -> dict[str, object]:
    """Return the fields of the rollout's status that tell what the candidate is given."""
    return {
        "weight_pct": split.weight_pct,
        "mirror_pct": split.mirror_pct,
        "matched": bool(split.headers),
    }


def told(active: ModelRollout, outcome: Outcome) -> list[Action]:
    """Return the Events about what was decided."""
    return [_event(active, made) for made in outcome.news]


def _event(active: ModelRollout, made: Decided) -> Emit:
    about = made.message.split(":", 1)[0]  # two checks can fail in one step
    candidate = labels.revision_name(active.spec.deployment, active.spec.candidate.revision)
    return Emit(
        f"{active.name}-{made.action}-{active.status.step.index}-{about}",
        made.action,
        made.reason,
        f"{candidate}: {made.message}",
        warning=made.action in {Act.ROLLING_BACK, Act.NOTIFIED, Act.ASKED},
    )
