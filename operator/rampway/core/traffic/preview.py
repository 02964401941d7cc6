"""Blue-green's door: the Service `<name>-preview` has the candidate's pods while it is on trial."""

from rampway.api import labels
from rampway.api.conditions import RolloutPhase
from rampway.api.policy import Strategy
from rampway.core.actions import Action, Create, Delete
from rampway.core.model import revision
from rampway.core.observation import Observation


def keep(obs: Observation) -> list[Action]:
    """Make the Service, or take it away; one that selects another revision is made anew."""
    wanted, name = _wanted(obs), labels.preview_name(obs.deployment.name)
    if obs.preview == wanted:
        return []
    if obs.preview:
        return [Delete("Service", name, "")]
    return [Create("Service", revision.service(obs.deployment, name, wanted))]


def _wanted(obs: Observation) -> str:
    """Return the hash of the revision to be previewed, empty without one.

    Through a rollback it stays until traffic is back: a route of the user's may name it, and a
    Gateway reports on a route as a whole.
    """
    active = obs.active
    if active is None or active.spec.policy.strategy is not Strategy.BLUE_GREEN:
        return ""
    candidate = active.spec.candidate.revision
    there = obs.revision(candidate) is not None and active.status.phase != RolloutPhase.WATCHING
    return candidate if there else ""
