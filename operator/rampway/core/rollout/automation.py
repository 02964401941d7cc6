"""What a revision's pods are told while they run: their degree of automation, and lineage."""

import json

from rampway.api.automation import Automation
from rampway.api.conditions import RolloutPhase
from rampway.core.actions import Action, TellPods
from rampway.core.model import revision
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


def in_force(known: Revision) -> str:
    """Return the degree that a revision's pods are told, as the model server reads it."""
    return known.automation or UNTOLD


def tell(obs: Observation, known: Revision) -> list[Action]:
    """Return what tells an existing revision's pods what they are to know, nothing if they do.

    The spec's lineage is that of the spec's revision; others keep the one they were given.
    """
    origin, of_spec = known.lineage, lineage(obs)
    if origin != of_spec and known.hash == revision.revision_hash(obs.deployment.spec):
        origin = of_spec
    wanted = degree(obs, known.hash).told
    if wanted == in_force(known) and origin == known.lineage:
        return []
    return [TellPods(known.name, known.hash, wanted, origin)]


def prepare(obs: Observation, name: str, new: str) -> list[Action]:
    """Return what has to be there before the first pod of the spec's revision starts."""
    wanted, origin = degree(obs, new).told, lineage(obs)
    return [] if wanted == UNTOLD and not origin else [TellPods(name, new, wanted, origin)]


def lineage(obs: Observation) -> str:
    """Return the spec's lineage as the model server reads it, empty if there is none."""
    known = obs.deployment.spec.info.lineage
    return json.dumps(known, sort_keys=True, ensure_ascii=False) if known else ""
