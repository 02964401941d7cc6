"""The first revision on a rule that others serve already: a rollout against them (B16).

They are stable, as a stand-in: no Deployment, no pods that anybody counts. So everything that a
rollout is holds for this one too, except what compares.
"""

from collections.abc import Iterable
from dataclasses import replace

from rampway.core.actions import Action, SetSplit
from rampway.core.model.policies import Chosen
from rampway.core.observation import Observation, Pod, Revision

_LONGEST = 63


def compared(obs: Observation) -> list[str]:
    """Return the names of the checks that need stable's counts, of a rollout that would begin."""
    policy = obs.policy if obs.policies is not None else None
    checks = policy.policy.checks if isinstance(policy, Chosen) else ()
    return [check.name for check in checks if check.paired or check.past]


def applies(obs: Observation) -> bool:
    """Whether others are stable for now: the rule is theirs, and no revision has served by it.

    Nobody counts what they answer, so where checks compare no rollout begins.
    """
    if obs.route.guests is None or obs.stable is not None:
        return False
    return obs.active is not None or not compared(obs)


def stand_in(obs: Observation) -> Revision:
    """Return those others as the stable revision; that they serve is the user's word."""
    names = obs.route.guests.names if obs.route.guests else ()
    replicas = max(1, obs.deployment.spec.replicas)
    pods = tuple(Pod(f"{n}", ready=True) for n in range(replicas))
    together = " and ".join(names)
    return Revision("", together, "", 0.0, replicas, version=together[:_LONGEST], pods=pods)


def seen(obs: Observation) -> Observation:
    """Return the observation with the route as it reads where those others are stable."""
    found = obs.route.guests
    if found is None:
        return obs
    at_rest, shape = found.split.at_rest, found.in_shape
    route = replace(obs.route, split=found.split, at_rest=at_rest, in_shape=shape, strangers=())
    return replace(obs, route=route)


def onto_guests(actions: Iterable[Action]) -> tuple[Action, ...]:
    """Return the actions with what the candidate does not get going to those others."""
    return tuple(
        SetSplit(replace(action.split, guests=True)) if isinstance(action, SetSplit) else action
        for action in actions
    )
