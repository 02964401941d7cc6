"""A spec that cannot be acted upon: what is said, and what is done yet."""

from rampway.api.conditions import ConditionType, Phase, Reason
from rampway.api.deployment import ModelDeploymentStatus
from rampway.core.actions import Action, PointService, SetSplit
from rampway.core.conditions import conditions
from rampway.core.model import keeping, revision
from rampway.core.model.standing import FALSE, TRUE, UNKNOWN, Standing
from rampway.core.observation import Observation
from rampway.core.pods import sizes
from rampway.core.rollout import adopting, passes
from rampway.core.rollout.passes import Decision
from rampway.core.traffic.conflicts import Claim
from rampway.core.traffic.split import STABLE_ONLY

REFUSED_REQUEUE_S = 30.0


def refuse(obs: Observation) -> Decision | None:
    """Return what to do where the route cannot be used, None if it can."""
    if obs.conflict:
        return _taken(obs)
    if obs.route.problem:
        return _without_rule(obs)
    theirs = obs.route.strangers and (obs.stable is None or not _is_held(obs))
    return _in_use(obs) if theirs and not adopting.applies(obs) else None


def _taken(obs: Observation) -> Decision:
    """Touch nothing but our own candidate's traffic: another has this host and match (B15).

    A candidate that nobody judges must not go on serving (B23).
    """
    if obs.deployment.spec.traffic.route_ref is None:
        text = (
            f"host and path are already taken on this Gateway by ModelDeployment {obs.conflict}; "
            "give this one another hostname, pathPrefix or Gateway"
        )
    else:
        text = (
            f"ModelDeployment {obs.conflict} has this rule already, or an equal host and match on "
            "this Gateway; give this one a rule, or a host or match, of its own"
        )
    standing = Standing.refused(Reason.ROUTE_CONFLICT, text)
    adopts = adopting.applies(obs)
    stable, split = obs.stable, (adopting.seen(obs) if adopts else obs).route.split
    ours = split.candidate in {known.name for known in obs.revisions}
    exposed = ours and not split.at_rest and (adopts or (stable is not None and stable.ready))
    moves: tuple[Action, ...] = (SetSplit(STABLE_ONLY),) if exposed else ()
    moves = adopting.onto_guests(moves) if adopts else moves
    return Decision((*moves, *passes.write_status(obs, standing)), REFUSED_REQUEUE_S)


def _without_rule(obs: Observation) -> Decision:
    """There is no rule to split: what serves is kept up, and nothing new begins."""
    standing = Standing.refused(Reason.ROUTE_NOT_FOUND, obs.route.problem)
    kept = passes.ensure_stable(obs, obs.stable) if obs.stable else []
    return Decision((*kept, *passes.write_status(obs, standing)), REFUSED_REQUEUE_S)


def _is_held(obs: Observation) -> bool:
    """Whether the rule has been ours: then others' backends in it are a foreign write (B14)."""
    if obs.route.guests is not None and obs.route.guests.noted:
        return True  # it is just being taken over
    return Claim.of(obs.deployment).has_rule(obs.deployment.status.address)


def _in_use(obs: Observation) -> Decision:
    """Others serve by this rule: bring the model up beside them, and let a person hand over (B16).

    Nobody counts what those backends do, so checks that compare could judge nothing.
    """
    name = obs.deployment.name
    others = ", ".join(obs.route.strangers)
    text = f"the rule sends requests to {others}, and is left as it is"
    checks = ", ".join(adopting.compared(obs))
    if checks and obs.stable is None:
        text = f"{text}: {checks} compare with stable, and nobody counts what those others answer"
    if obs.stable is not None:
        actions: list[Action] = passes.ensure_stable(obs, obs.stable)
        ready = obs.stable.ready
    else:
        actions, ready = _brought_up(obs)
    if ready:
        more = f"Service {name} answers: make it the rule's only backend, at once or by weights"
    else:
        more = f"Service {name} does not answer yet"
    standing = Standing.refused(Reason.ROUTE_IN_USE, f"{text}. {more}")
    wait_s = REFUSED_REQUEUE_S if ready else obs.defaults.requeue_s
    return Decision((*actions, *passes.write_status(obs, standing)), wait_s)


def _brought_up(obs: Observation) -> tuple[list[Action], int]:
    """Return how the spec's revision comes up without any route, and how many pods are ready."""
    desired = revision.revision_hash(obs.deployment.spec)
    mine = obs.revision(desired)
    actions: list[Action] = []
    for other in obs.revisions:
        if other.hash != desired:  # until a revision has served, each change is a first apply
            actions += keeping.remove(other)
    actions += passes.ensure_revision(obs, mine, sizes.full(obs))
    if obs.service.selects != desired:
        actions.append(PointService(desired))
    return actions, mine.ready if mine else 0


def not_understood(
    before: ModelDeploymentStatus, generation: int, mistake: str, now_s: float
) -> ModelDeploymentStatus:
    """Return the status of what cannot be understood, as by an older CRD: nothing is done for it.

    Args:
        before: What it said until now; what it says of revisions and weights stays, as they do.
        generation: Of the spec that is not understood.
        mistake: The field, what is expected, what is seen.
        now_s: The present.
    """
    text = f"{mistake}. Until that is corrected everything stays as it is: traffic, pods, rollout"
    about = Reason.INVALID_SPEC, text
    wanted = {
        ConditionType.ACCEPTED: (FALSE, *about),
        ConditionType.READY: (UNKNOWN, *about),  # nobody looks
        ConditionType.PROMOTED: (FALSE, *about),
        ConditionType.RECONCILING: (FALSE, *about),
        ConditionType.STALLED: (TRUE, *about),
    }
    return before.model_copy(
        update={
            "observed_generation": generation,
            "phase": Phase.REFUSED,
            "reason": Reason.INVALID_SPEC,
            "message": text,
            "conditions": conditions(before.conditions, wanted, generation, now_s),
        }
    )
