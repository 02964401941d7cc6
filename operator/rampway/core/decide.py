"""The one decision function: an observation goes in; actions, status and the next look come out."""

import math
from dataclasses import replace

from rampway.api import labels
from rampway.api.authors import Author
from rampway.api.base import API_VERSION
from rampway.api.conditions import Act, Reason, RolloutPhase
from rampway.api.rollout import Contender, ModelRolloutSpec
from rampway.core.actions import (
    Action,
    Annotate,
    Create,
    Emit,
    PointService,
    SetSplit,
    TellPods,
    WriteRollout,
)
from rampway.core.instants import to_wire
from rampway.core.model import authors, keeping, pausing, refusing, revision, verdict
from rampway.core.model.belonging import owned_meta
from rampway.core.model.policies import Chosen, Trouble
from rampway.core.model.standing import UNKNOWN, Standing
from rampway.core.model.verdict import Verdict
from rampway.core.observation import Observation, Revision
from rampway.core.pods import sizes, zero
from rampway.core.rollout import adopting, hooks, passes, rolling, watching
from rampway.core.rollout.passes import Decision
from rampway.core.traffic import preview
from rampway.core.traffic.split import STABLE_ONLY

POLICY_S = 30.0
"""A policy that is missing is looked for so often; an event about it comes sooner."""


def decide(obs: Observation) -> Decision:
    """Decide what the operator does about one ModelDeployment. Pure: no clock, no I/O."""
    if obs.deployment.deleting:
        return Decision(())  # everything goes by owner references (B34)
    refused = refusing.refuse(obs)
    if refused is not None:
        return refused
    if adopting.applies(obs):
        found = _followed(adopting.seen(obs), adopting.stand_in(obs))
        found = replace(found, actions=adopting.onto_guests(found.actions))
    else:
        found = _followed(obs, obs.stable)
    found = replace(found, actions=pausing.told(obs, found.actions))
    more = preview.keep(obs)
    if obs.active is not None:  # the hooks after the rollout before it may still run
        more += hooks.follow(obs)[0]
    found = replace(found, actions=(*found.actions, *more)) if more else found
    return _soon(found) if any(isinstance(a, TellPods) for a in found.actions) else found


def _soon(found: Decision) -> Decision:
    """Return the decision with a look soon after: no event tells that a ConfigMap was written."""
    again_s = math.inf if found.requeue_after_s is None else found.requeue_after_s
    return replace(found, requeue_after_s=min(again_s, 1.0))


def _followed(obs: Observation, stable: Revision | None) -> Decision:
    """Decide by what is stable, what is under way, and what the spec names."""
    active = obs.active
    desired = revision.revision_hash(obs.deployment.spec)
    recalled = rolling.recall(obs, active) if active else None
    if recalled is not None:
        return recalled
    if stable is None:
        return _without_stable(obs, desired)
    if active is not None and active.spec.candidate.revision == stable.hash:
        watched = active.status.phase == RolloutPhase.WATCHING
        follow = watching.watch if watched else rolling.finish
        return follow(obs, active, stable)
    if active is not None:
        return rolling.roll(obs, active, stable, desired)
    if desired == stable.hash:
        return _rest(obs, stable)
    return _consider(obs, stable, desired)


def _without_stable(obs: Observation, desired: str) -> Decision:
    """Nothing is stable: a first apply, unless another revision is known to have served."""
    refused = _refusal(obs, desired)
    if refused is None and (_served_last(obs) or desired) == desired:
        return _first(obs)
    words = f"was rolled back ({refused.message})" if refused else "has not passed its rollout"
    text = (
        f"stable's Deployment is gone, and {labels.revision_name(obs.deployment.name, desired)} "
        f"{words}, so it is not promoted unchecked. Set spec.model and spec.server back to what "
        "served before"
    )
    return Decision(passes.write_status(obs, Standing.lost(desired, text)), requeue_after_s=30.0)


def _served_last(obs: Observation) -> str:
    """Return the hash of what was stable, as the latest rollout knows it; empty if none does."""
    if obs.last is None:
        return ""
    spec = obs.last.spec
    promoted = obs.last.status.phase in {RolloutPhase.PROMOTED, RolloutPhase.WATCHING}
    return (spec.candidate if promoted else spec.stable).revision


def _first(obs: Observation) -> Decision:
    """Bring up the first revision, straight to 100 % (B1)."""
    spec = obs.deployment.spec
    desired = revision.revision_hash(spec)
    mine = obs.revision(desired)
    if spec.paused and mine is None:
        text = authors.pause(obs.authors.paused, " before the first revision")
        return Decision(passes.write_status(obs, Standing.pending(Reason.PAUSED, text)))
    actions: list[Action] = []
    for other in obs.revisions:
        if other.hash != desired:  # until a revision has served, each change is a first apply
            actions += keeping.remove(other)
    actions += passes.ensure_revision(obs, mine, sizes.full(obs))
    if obs.service.selects != desired:
        actions.append(PointService(desired))
    if not (obs.route.at_rest and obs.route.in_shape):
        actions.append(SetSplit(STABLE_ONLY))
    if mine is not None and mine.ready:
        actions.append(Annotate(mine.name, {labels.PROMOTED_AT: to_wire(obs.now_s)}))
        news = f"first revision {mine.name} serves; no checks were made, there was no stable"
        actions.append(Emit(f"first-{desired}", Act.PROMOTED, Reason.PROMOTED, news))
        return Decision(tuple(actions), requeue_after_s=0)
    if not spec.replicas and mine is not None:
        standing = Standing.scaled_to_zero(f"{zero.WORDS}; it never has", UNKNOWN)
        return Decision((*actions, *passes.write_status(obs, standing)))
    words = mine.trouble if mine else obs.refusal
    text = f"first revision: {mine.ready if mine else 0} of {sizes.full(obs)} pods ready"
    text = f"{text}: {words}" if words else text
    standing = Standing.pending(Reason.FIRST_REVISION, text, refusal=obs.refusal)
    return Decision(
        (*actions, *passes.write_status(obs, standing)), requeue_after_s=obs.defaults.requeue_s
    )


def _consider(obs: Observation, stable: Revision, desired: str) -> Decision:
    """The spec names another revision than stable, and no rollout is under way."""
    refused = _refusal(obs, desired)
    if refused is not None:  # B26: not tried again until the spec changes
        bad = labels.revision_name(obs.deployment.name, desired)
        return _maintain(obs, stable, Standing.rolled_back(refused, desired, bad, stable))
    if not obs.deployment.spec.replicas:
        text = f"{zero.WORDS}; the rollout of revision {desired} starts when it is scaled up"
        return _maintain(obs, stable, Standing.scaled_to_zero(text, UNKNOWN, desired))
    if obs.deployment.spec.paused:
        pause = authors.pause(obs.authors.paused)
        text = f"revision {desired} is recorded; its rollout starts when the pause ends: {pause}"
        return _maintain(obs, stable, Standing.paused(desired, text))
    policy = obs.policy
    if isinstance(policy, Trouble):
        standing = Standing.without_policy(desired, stable, policy)
        return _maintain(obs, stable, standing, at_most_s=POLICY_S)
    return _begin(obs, stable, desired, policy)


def _begin(obs: Observation, stable: Revision, desired: str, policy: Chosen) -> Decision:
    """Make the ModelRollout; the policy that it holds is the one that it goes by to its end."""
    attempt = 1 + max((r.spec.attempt for r in obs.rollouts), default=0)
    name = labels.rollout_name(obs.deployment.name, desired, attempt)
    made = Create("ModelRollout", _manifest(obs, stable, desired, attempt, policy))
    by = f" by {policy.origin}" if policy.origin else ""
    text = f"rollout {name} begins{by}{authors.released(obs.authors.changed)}"
    news = Emit(f"start-{name}", Act.STARTED, Reason.CANDIDATE_STARTING, text)
    return Decision((made, news), requeue_after_s=0)


def _refusal(obs: Observation, desired: str) -> Verdict | None:
    """Return why a revision is not tried again, None if it may be.

    The latest rollout knows. Where none of this revision is left, its Deployment does (B1).
    """
    if not any(r.spec.candidate.revision == desired for r in obs.rollouts):
        return verdict.read(obs.revision(desired))
    last = obs.rollouts[-1]
    refused = last.status.phase == RolloutPhase.ROLLED_BACK and not last.status.moved_on
    if not refused or last.spec.candidate.revision != desired:
        return None
    message = last.status.message
    if last.spec.requests.retry is not None:
        most = last.spec.policy.rollback.max_retries
        if _retries(obs, desired) <= most:
            return None
        message = f"{message}; retried {most} times, which is all that maxRetries allows"
    return Verdict(Reason(last.status.reason), last.name, message)


def _retries(obs: Observation, desired: str) -> int:
    """Return how often a person has asked to try this revision again."""
    tried = (r for r in obs.rollouts if r.spec.candidate.revision == desired)
    return sum(r.spec.requests.retry is not None for r in tried)


def _manifest(
    obs: Observation, stable: Revision, desired: str, attempt: int, policy: Chosen
) -> dict[str, object]:
    spec = obs.deployment.spec
    wanted = ModelRolloutSpec(
        deployment=obs.deployment.name,
        attempt=attempt,
        candidate=Contender(revision=desired, model=spec.model, server=spec.server, info=spec.info),
        stable=Contender(revision=stable.hash, info=keeping.info_of(stable)),
        policy=policy.policy,
        policy_from=policy.origin,
        on_new_revision=spec.rollout.on_new_revision,
        progress_deadline=spec.rollout.progress_deadline,
        released_by=obs.authors.changed or Author(),
    )
    name = labels.rollout_name(obs.deployment.name, desired, attempt)
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelRollout",
        "metadata": owned_meta(obs.deployment, name, desired),
        "spec": wanted.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _rest(obs: Observation, stable: Revision) -> Decision:
    """The spec's revision is stable: keep everything as it should be."""
    return _maintain(obs, stable, Standing.at_rest(obs, stable))


def _maintain(
    obs: Observation, stable: Revision, standing: Standing, at_most_s: float = math.inf
) -> Decision:
    """Keep stable whole, the route at rest and the past in bounds; come again `at_most_s` later."""
    actions: list[Action] = passes.ensure_stable(obs, stable)
    actions += passes.rest(obs, stable)
    kept, next_s = keeping.tidy(obs, stable, active=None)
    following, busy = hooks.follow(obs)
    actions += [*kept, *following, *_moved_on(obs), *passes.write_status(obs, standing)]
    if busy or obs.route.ajar or not obs.route.split.at_rest:
        return Decision(tuple(actions), requeue_after_s=1.0)
    again_s = min(at_most_s, math.inf if next_s is None else next_s, sizes.again_in_s(obs))
    return Decision(tuple(actions), requeue_after_s=again_s if again_s < math.inf else None)


def _moved_on(obs: Observation) -> list[Action]:
    """Note what failed before the spec changed: its content may be tried again."""
    desired = revision.revision_hash(obs.deployment.spec)
    past = [r for r in obs.revisions if r.hash != desired and verdict.read(r)]
    noted: list[Action] = [Annotate(r.name, {labels.VERDICT: verdict.moved_on(r)}) for r in past]
    last = obs.last
    if last is None or last.status.moved_on or last.spec.candidate.revision == desired:
        return noted
    status = last.status.model_copy(update={"moved_on": True})
    return [*noted, WriteRollout(last.name, status)]
