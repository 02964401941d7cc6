"""The one decision function: an observation goes in; actions, status and the next look come out."""

from dataclasses import dataclass

from rampway.api import labels
from rampway.api.base import API_VERSION
from rampway.api.conditions import Reason, RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.rollout import Contender, ModelRolloutSpec
from rampway.core import keeping, revision, rollout
from rampway.core.actions import (
    Action,
    Annotate,
    Create,
    Emit,
    PointService,
    Scale,
    SetWeights,
    WriteRollout,
    WriteStatus,
)
from rampway.core.course import Course, Outcome, enter, record, say
from rampway.core.instants import from_wire, to_wire
from rampway.core.judging import Contest, EvidenceState, Judged, judge
from rampway.core.observation import Observation, Revision
from rampway.core.standing import Standing, project
from rampway.core.writing import rollout_is_news, status_is_news

ACTIVE_REQUEUE_S = 5.0
"""An active rollout is looked at again at least so often; looks and pod events come sooner."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and when to look again.

    Attributes:
        actions: In the order in which they must happen.
        requeue_after_s: Look again after this time; 0 means at once, None that events suffice.
        evidence: Evidence to keep in memory for the active rollout, None if there is none.
        active: Name of the rollout that evidence is wanted for, else empty.
    """

    actions: tuple[Action, ...]
    requeue_after_s: float | None = None
    evidence: EvidenceState | None = None
    active: str = ""


def decide(obs: Observation) -> Decision:
    """Decide what the operator does about one ModelDeployment. Pure: no clock, no I/O."""
    if obs.deployment.deleting:
        return Decision(())  # everything goes by owner references (B34)
    if obs.conflict:
        return _refuse(obs)
    stable = obs.stable
    if stable is None:
        return _first(obs)
    desired = revision.revision_hash(obs.deployment.spec)
    active = obs.active
    if active is not None and active.spec.candidate.revision == stable.hash:
        return _finish(obs, active, stable)
    if active is not None:
        return _roll(obs, active, stable, desired)
    if desired == stable.hash:
        return _rest(obs, stable)
    return _consider(obs, stable, desired)


def _refuse(obs: Observation) -> Decision:
    """Touch nothing: another ModelDeployment has this host and path (B15)."""
    text = (
        f"host and path are already taken on this Gateway by ModelDeployment {obs.conflict}; "
        "give this one another hostname, pathPrefix or Gateway"
    )
    standing = Standing.refused(Reason.ROUTE_CONFLICT, text)
    return Decision(_status(obs, standing), requeue_after_s=30.0)


def _first(obs: Observation) -> Decision:
    """Bring up the first revision, straight to 100 % (B1)."""
    spec = obs.deployment.spec
    desired = revision.revision_hash(spec)
    mine = obs.revision(desired)
    if spec.paused and mine is None:
        text = "paused before the first revision (spec.paused)"
        return Decision(_status(obs, Standing.pending(Reason.PAUSED, text)))
    actions: list[Action] = []
    for other in obs.revisions:
        if other.hash != desired:  # until a revision has served, each change is a first apply
            actions += keeping.remove(other)
    actions += _ensure(obs, mine, spec.replicas)
    if obs.service.selects != desired:
        actions.append(PointService(desired))
    if not (obs.route.at_rest and obs.route.in_shape):
        actions.append(SetWeights("", 0))
    if mine is not None and mine.ready:
        actions.append(Annotate(mine.name, {labels.PROMOTED_AT: to_wire(obs.now_s)}))
        news = f"first revision {mine.name} serves; no checks were made, there was no stable"
        actions.append(Emit(f"first-{desired}", Reason.PROMOTED, news))
        return Decision(tuple(actions), requeue_after_s=0)
    words = mine.trouble if mine else obs.refusal
    text = f"first revision: {mine.ready if mine else 0} of {spec.replicas} pods ready"
    text = f"{text}: {words}" if words else text
    standing = Standing.pending(Reason.FIRST_REVISION, text, refusal=obs.refusal)
    return Decision((*actions, *_status(obs, standing)), requeue_after_s=ACTIVE_REQUEUE_S)


def _ensure(obs: Observation, mine: Revision | None, replicas: int) -> list[Action]:
    """Make what a revision of the spec consists of, as far as it is missing."""
    image = obs.defaults.server_image
    if mine is None:
        if obs.refusal:
            return []  # the same template would be refused again
        return [Create("Deployment", revision.workload(obs.deployment, image, replicas))]
    actions: list[Action] = []
    if not mine.has_service:
        manifest = revision.service(obs.deployment, mine.name, mine.hash)
        actions.append(Create("Service", manifest))
    if mine.replicas != replicas:
        actions.append(Scale(mine.name, replicas))
    return actions + keeping.record_digest(obs, mine)


def _consider(obs: Observation, stable: Revision, desired: str) -> Decision:
    """The spec names another revision than stable, and no rollout is under way."""
    last = obs.last
    refused = (
        last is not None
        and last.spec.candidate.revision == desired
        and last.status.phase == RolloutPhase.ROLLED_BACK
        and not last.status.moved_on
    )
    if refused and last is not None:  # B26: not tried again until the spec changes
        standing = Standing.rolled_back(last, stable)
        return _maintain(obs, stable, standing)
    if obs.deployment.spec.paused:
        text = f"revision {desired} is recorded; its rollout starts when spec.paused is false"
        return _maintain(obs, stable, Standing.paused(desired, text))
    attempt = 1 + max((r.spec.attempt for r in obs.rollouts), default=0)
    name = labels.rollout_name(obs.deployment.name, desired, attempt)
    made = Create("ModelRollout", _manifest(obs, stable, desired, attempt))
    news = Emit(f"start-{name}", Reason.CANDIDATE_STARTING, f"rollout {name} begins")
    return Decision((made, news), requeue_after_s=0)


def _manifest(obs: Observation, stable: Revision, desired: str, attempt: int) -> dict[str, object]:
    spec = obs.deployment.spec
    wanted = ModelRolloutSpec(
        deployment=obs.deployment.name,
        attempt=attempt,
        candidate=Contender(
            revision=desired, model=spec.model, server=spec.server, info=spec.info
        ),
        stable=Contender(revision=stable.hash, info=keeping.info_of(stable)),
        policy=spec.rollout.policy,
        progress_deadline=spec.rollout.progress_deadline,
    )
    name = labels.rollout_name(obs.deployment.name, desired, attempt)
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelRollout",
        "metadata": revision.owned_meta(obs.deployment, name, desired),
        "spec": wanted.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _rest(obs: Observation, stable: Revision) -> Decision:
    """The spec's revision is stable: keep everything as it should be."""
    return _maintain(obs, stable, Standing.at_rest(obs, stable))


def _maintain(obs: Observation, stable: Revision, standing: Standing) -> Decision:
    """Keep stable whole, the route at rest and the past in bounds."""
    actions: list[Action] = _ensure_stable(obs, stable)
    if not (obs.route.at_rest and obs.route.in_shape):
        actions.append(SetWeights("", 0))
    kept, next_s = keeping.tidy(obs, stable, active=None)
    actions += [*kept, *_moved_on(obs), *_status(obs, standing)]
    return Decision(tuple(actions), requeue_after_s=next_s)


def _ensure_stable(obs: Observation, stable: Revision) -> list[Action]:
    actions: list[Action] = []
    if stable.replicas != obs.deployment.spec.replicas:
        actions.append(Scale(stable.name, obs.deployment.spec.replicas))
    if not stable.has_service:
        manifest = revision.service(obs.deployment, stable.name, stable.hash)
        actions.append(Create("Service", manifest))
    if obs.service.selects != stable.hash:
        actions.append(PointService(stable.hash))
    return actions + keeping.record_digest(obs, stable)


def _moved_on(obs: Observation) -> list[Action]:
    """Note on a failed rollout that the spec has changed since: its content may be tried again."""
    desired = revision.revision_hash(obs.deployment.spec)
    last = obs.last
    if last is None or last.status.moved_on or last.spec.candidate.revision == desired:
        return []
    status = last.status.model_copy(update={"moved_on": True})
    return [WriteRollout(last.name, status)]


def _finish(obs: Observation, active: ModelRollout, stable: Revision) -> Decision:
    """The candidate is stable: let Service and route say so too, then end the rollout (B5).

    The route goes on sending everything to the candidate's own Service until the Service <name>
    is known to reach the same pods, so that no request meets an empty one.
    """
    actions = _ensure_stable(obs, stable)
    served = {pod.name for pod in stable.pods if pod.ready}
    reached = obs.service.selects == stable.hash and served and served <= obs.service.ready_pods
    standing = Standing.promoting(active, "switching the Service to the new stable")
    if not reached:
        return Decision((*actions, *_status(obs, standing)), requeue_after_s=1.0)
    if not obs.route.at_rest:
        actions.append(SetWeights("", 0))
    ended = Outcome(active.status, 0)
    text = f"{stable.name} passed all steps and is stable"
    ended = record(ended, obs.now_s, "Promoted", Reason.PROMOTED, text)
    ended = enter(say(ended, Reason.PROMOTED, text), RolloutPhase.PROMOTED, obs.now_s)
    status = ended.status.model_copy(update={"weight_pct": 100})
    news = Emit(f"promoted-{active.name}", Reason.PROMOTED, text)
    return Decision((*actions, WriteRollout(active.name, status), news), requeue_after_s=0)


def _roll(obs: Observation, active: ModelRollout, stable: Revision, desired: str) -> Decision:
    """A rollout is under way: bring the candidate up, judge it, move traffic."""
    candidate = obs.revision(active.spec.candidate.revision)
    wanted = active.spec.candidate.revision == desired
    if candidate is None:
        return _without_candidate(obs, active, stable, wanted=wanted)
    judged = _judged(obs, active, candidate, stable)
    course = Course(obs, active, candidate, stable, judged)
    outcome = _outcome(course, desired, wanted=wanted)
    actions = [*_ensure_stable(obs, stable), *_ensure_candidate(obs, candidate, outcome)]
    moves = _moves(course, outcome)
    kept, _ = keeping.tidy(obs, stable, active=active)
    standing = Standing.rolling(course, outcome)
    # Down before everything else (B23); up only after the status knows why.
    lower = outcome.weight_pct < course.weight_pct
    wrote = _write_rollout(course, outcome)
    ordered = [*moves, *wrote, *actions] if lower else [*wrote, *actions, *moves]
    if outcome.commit:
        promoted = {labels.PROMOTED_AT: to_wire(obs.now_s), labels.VERDICT: "Promoted"}
        ordered.append(Annotate(candidate.name, promoted))
    ordered += [*kept, *_news(course, outcome), *_status(obs, standing, numbers=bool(wrote))]
    ended = RolloutPhase(outcome.status.phase).ended
    soon = ended or outcome.commit or outcome.status.phase != active.status.phase
    return Decision(
        tuple(ordered),
        requeue_after_s=0 if soon else ACTIVE_REQUEUE_S,
        evidence=None if ended else judged.state,
        active="" if ended else active.name,
    )


def _outcome(course: Course, desired: str, *, wanted: bool) -> Outcome:
    reason = course.status.reason
    failing = course.status.phase == RolloutPhase.ROLLING_BACK and reason not in {
        Reason.NEW_REVISION,
        Reason.BACK_TO_STABLE,
    }
    if wanted or failing:  # a rollback that has begun is finished as what it is
        return rollout.advance(course)
    if desired == course.stable.hash:
        text = "the spec went back to stable's content"
        return rollout.withdraw(course, RolloutPhase.ABORTED, Reason.BACK_TO_STABLE, text)
    text = f"the spec names a newer revision, {desired}"
    return rollout.withdraw(course, RolloutPhase.SUPERSEDED, Reason.NEW_REVISION, text)


def _without_candidate(
    obs: Observation, active: ModelRollout, stable: Revision, *, wanted: bool
) -> Decision:
    """The candidate's Deployment is missing: make it, or end a rollout nobody wants."""
    actions: list[Action] = _ensure_stable(obs, stable)
    if not (obs.route.at_rest and obs.route.in_shape):
        actions.insert(0, SetWeights("", 0))
    if wanted:
        actions += _ensure(obs, None, 1)
        words = f"the API server refused the pod template: {obs.refusal}" if obs.refusal else ""
        standing = Standing.starting(active, words, refusal=obs.refusal)
        wait_s = 30.0 if obs.refusal else 0.0
        return Decision((*actions, *_status(obs, standing)), wait_s, None, active.name)
    text = "the spec changed before the candidate was made"
    ended = enter(Outcome(active.status, 0), RolloutPhase.SUPERSEDED, obs.now_s)
    ended = say(ended, Reason.NEW_REVISION, text)
    return Decision((*actions, WriteRollout(active.name, ended.status)), requeue_after_s=0)


def _judged(
    obs: Observation, active: ModelRollout, candidate: Revision, stable: Revision
) -> Judged:
    contest = Contest(
        candidate=candidate.name,
        stable=stable.name,
        weight_since_s=from_wire(active.status.step.in_force_since),
        traffic_since_s=from_wire(active.status.traffic_since),
        step_index=active.status.step.index,
    )
    return judge(active.spec.policy, obs.evidence, obs.look, contest, obs.now_s)


def _ensure_candidate(obs: Observation, candidate: Revision, outcome: Outcome) -> list[Action]:
    actions: list[Action] = []
    if not candidate.has_service:
        manifest = revision.service(obs.deployment, candidate.name, candidate.hash)
        actions.append(Create("Service", manifest))
    if outcome.replicas is not None and outcome.replicas != candidate.replicas:
        actions.append(Scale(candidate.name, outcome.replicas))
    return actions + keeping.record_digest(obs, candidate)


def _moves(course: Course, outcome: Outcome) -> list[Action]:
    route = course.obs.route
    target = outcome.weight_pct
    if target == 0:
        settled = route.at_rest and route.in_shape
        return [] if settled else [SetWeights("", 0)]
    if course.weight_pct == target and route.in_shape:
        return []
    return [SetWeights(course.candidate.name, target)]


def _write_rollout(course: Course, outcome: Outcome) -> list[Action]:
    judged = course.judged
    status = outcome.status.model_copy(
        update={"weight_pct": outcome.weight_pct} | judged.as_status(course.now_s)
    )
    interval_s = course.obs.defaults.checkpoint_interval_s
    if not rollout_is_news(course.rollout.status, status, course.now_s, interval_s):
        return []
    actions: list[Action] = [WriteRollout(course.rollout.name, status)]
    if status.phase == RolloutPhase.ROLLED_BACK:
        verdict = f"RolledBack: {status.reason}"
        actions.append(Annotate(course.candidate.name, {labels.VERDICT: verdict}))
    return actions


def _news(course: Course, outcome: Outcome) -> list[Action]:
    return [
        Emit(
            f"{course.rollout.name}-{made.action}-{outcome.status.step.index}",
            made.reason,
            f"{course.candidate.name}: {made.message}",
            warning=made.action == "RollingBack",
        )
        for made in outcome.news
    ]


def _status(
    obs: Observation, standing: Standing, *, numbers: bool = False
) -> tuple[Action, ...]:
    status = project(obs, standing)
    fresh = numbers and status != obs.deployment.status
    if not fresh and not status_is_news(obs.deployment.status, status):
        return ()
    return (WriteStatus(status),)
