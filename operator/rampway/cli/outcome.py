"""When a release has come to an end, and how: what `status --wait` waits for. Pure."""

from dataclasses import dataclass

from rampway.api.conditions import Condition, ConditionType, Reason
from rampway.api.parse import ModelDeployment
from rampway.api.succession import OnNewRevision
from rampway.cli.exits import ExitCode
from rampway.core.model.revision import revision_hash
from rampway.core.rollout.reactions import ASKS

_OF_ANOTHER_SPEC = frozenset({Reason.NEW_REVISION, Reason.BACK_TO_STABLE})
"""Promoted=False for these is about the candidate of the spec before: this spec comes next."""


@dataclass(frozen=True, slots=True)
class Release:
    """What is waited for: a spec as it was when the waiting began."""

    uid: str
    generation: int
    revision: str

    @classmethod
    def of(cls, deployment: ModelDeployment) -> "Release":
        """The release of the spec as it is now."""
        return cls(deployment.uid, deployment.generation, revision_hash(deployment.spec))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the waiting ended, with the reason in a sentence."""

    code: ExitCode
    sentence: str


def outcome(release: Release, deployment: ModelDeployment) -> Outcome | None:
    """Return how the release ended, None while it is under way.

    Only conditions found for the release's generation or a later one count: right after an apply
    the status still tells of the spec before.
    """
    if deployment.uid != release.uid:
        text = f"{deployment.name} was deleted and made anew while waiting"
        return Outcome(ExitCode.FAILED, text)
    now = revision_hash(deployment.spec)
    if now != release.revision:
        return _left_behind(release, deployment, now)
    promoted = _condition(release, deployment, ConditionType.PROMOTED)
    if promoted is not None and promoted.status == "True":
        text = f"revision {release.revision} serves, {promoted.message}"
        return Outcome(ExitCode.OK, text)
    if promoted is not None and promoted.status == "False":
        if promoted.reason in _OF_ANOTHER_SPEC:
            return None
        return Outcome(ExitCode.FAILED, f"{promoted.reason}: {promoted.message}")
    return _stalled(release, deployment)


def _left_behind(release: Release, deployment: ModelDeployment, now: str) -> Outcome | None:
    """Return how the release of a revision ended that the spec names no more.

    With `onNewRevision: Queue` it goes on to its end, and the newer one waits for that.
    """
    status = deployment.status
    if status.stable is not None and status.stable.revision == release.revision:
        text = f"revision {release.revision} serves; the spec names {now} now"
        return Outcome(ExitCode.OK, text)
    behind = status.observed_generation < deployment.generation
    if behind and deployment.spec.rollout.on_new_revision is OnNewRevision.QUEUE:
        return None  # whether it waits will be known once the operator has looked
    candidate = status.candidate.revision if status.candidate else ""
    if status.queued is not None and candidate == release.revision:
        return _stalled(release, deployment)
    text = f"superseded: the spec names revision {now} now, not {release.revision} any more"
    return Outcome(ExitCode.FAILED, text)


def _stalled(release: Release, deployment: ModelDeployment) -> Outcome | None:
    """Return the outcome of a release that nothing but a change or a person moves on."""
    stalled = _condition(release, deployment, ConditionType.STALLED)
    if stalled is None or stalled.status != "True":
        return None
    if stalled.reason in ASKS:
        return Outcome(ExitCode.WAITS, f"{stalled.reason}: {stalled.message}")
    return Outcome(ExitCode.FAILED, f"stalled, {stalled.reason}: {stalled.message}")


def timed_out(release: Release, deployment: ModelDeployment, patience: str) -> Outcome:
    """Return the outcome of a wait that lasted too long, with what it was waiting for."""
    status = deployment.status
    if status.observed_generation < release.generation:
        text = (
            f"the operator has not looked at generation {release.generation} of the spec yet "
            f"(its status is about {status.observed_generation}); is it running?"
        )
    else:
        text = f"{status.phase}, {status.reason}: {status.message}"
    return Outcome(ExitCode.TIMEOUT, f"not promoted within {patience}: {text}")


def _condition(
    release: Release, deployment: ModelDeployment, kind: ConditionType
) -> Condition | None:
    return next(
        (
            found
            for found in deployment.status.conditions
            if found.type == kind and found.observed_generation >= release.generation
        ),
        None,
    )
