"""The revision that waits until the rollout under way has ended (B7).

No list is kept: what the spec names is the whole queue, so of several the latest wins, and naming
the candidate again empties it.
"""

from rampway.api import labels
from rampway.api.conditions import Reason, RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.succession import OnNewRevision
from rampway.core.model import revision
from rampway.core.observation import Observation

UNWANTED = frozenset({Reason.NEW_REVISION, Reason.BACK_TO_STABLE, Reason.UNDONE})
"""Reasons of a candidate that nobody found bad."""


def goes_on(active: ModelRollout) -> bool:
    """Whether a rollout goes on to its end, also once the spec names a newer revision.

    It goes by its own copy, as with the policy: an edit counts from the next rollout on.
    """
    return active.spec.on_new_revision is OnNewRevision.QUEUE


def waiting(obs: Observation) -> str:
    """Return the hash of the revision that waits for the rollout under way to end, else empty.

    What serves, or served before the candidate did, never waits (B8, B9); nor does anything wait
    for a candidate that was never made, or that is leaving because another one is wanted, or whose
    rollout has had successors and only lost its status. For a failed one whose traffic is on its
    way back, and in a watch that may not end yet, also that waits which would otherwise have begun.
    """
    active = obs.active
    if active is None or active is not obs.last:
        return ""
    desired = revision.revision_hash(obs.deployment.spec)
    candidate, phase = active.spec.candidate.revision, active.status.phase
    known = {candidate, active.spec.stable.revision, obs.stable.hash if obs.stable else ""}
    if desired in known or obs.revision(candidate) is None:
        return ""
    if phase == RolloutPhase.ROLLING_BACK:
        return "" if active.status.reason in UNWANTED else desired
    return desired if goes_on(active) or phase == RolloutPhase.WATCHING else ""


def sentence(obs: Observation, waits: str) -> str:
    """Return what waits for what."""
    name = labels.revision_name(obs.deployment.name, waits)
    version = obs.deployment.spec.info.version
    shown = f"{name} ({version})" if version else name
    return f"{shown} waits until rollout {obs.active.name if obs.active else ''} has ended"
