"""Which degree of automation a revision's pods are told, and when that has to be written."""

from rampway.api.automation import Automation
from rampway.api.conditions import RolloutPhase
from rampway.core.actions import Action, TellAutomation
from rampway.core.observation import Observation, Revision
from rampway.core.rollout import stages

UNTOLD = Automation().told
"""What a pod takes for granted that is told nothing."""


def degree(obs: Observation, revision_hash: str) -> Automation:
    """Return the degree of a revision: of a candidate, that of the stage it is in."""
    active = obs.active
    if active is None or active.spec.candidate.revision != revision_hash:
        return obs.deployment.spec.automation
    stable = obs.stable
    if stable is not None and stable.hash == revision_hash:  # promoted
        return obs.deployment.spec.automation
    course = stages.of(active.spec.policy)
    at = active.status.step.index if active.status.phase != RolloutPhase.STARTING else 0
    return course[min(at, len(course) - 1)].automation or obs.deployment.spec.automation


def tell(obs: Observation, known: Revision) -> list[Action]:
    """Return what tells an existing revision's pods their degree, nothing if they know it."""
    wanted = degree(obs, known.hash).told
    if wanted == (known.automation or UNTOLD):
        return []
    return [TellAutomation(known.name, known.hash, wanted)]


def prepare(obs: Observation, name: str, revision_hash: str) -> list[Action]:
    """Return what has to be there before a revision's first pod starts."""
    wanted = degree(obs, revision_hash).told
    return [] if wanted == UNTOLD else [TellAutomation(name, revision_hash, wanted)]
