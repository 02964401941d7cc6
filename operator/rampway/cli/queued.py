"""The revision that waits for the rollout under way to end: how it is told. Pure."""

from collections.abc import Iterator

from rampway.api.conditions import RolloutPhase
from rampway.api.deployment import RevisionStatus
from rampway.api.parse import ModelDeployment, ModelRollout
from rampway.cli.asked import typed
from rampway.cli.facts import Facts


def shown(waits: RevisionStatus) -> str:
    """Return the revision as a person knows it."""
    version = f" (version {waits.version})" if waits.version else ""
    return f"revision {waits.revision}{version}"


def told(facts: Facts) -> str:
    """Return which revision waits for what, empty where none does."""
    waits = facts.deployment.status.queued
    if waits is None:
        return ""
    running = facts.running.name if facts.running else "the rollout"
    return f"{shown(waits)} waits until {running} has ended"


def moves(facts: Facts, rollout: ModelRollout) -> Iterator[str]:
    """Yield what a person can do about one that waits."""
    again = typed(facts.deployment, "undo", "--to", rollout.spec.candidate.revision)
    yield f"{again}: the spec names the candidate again, and nothing waits any more"
    leaves = rollout.status.phase == RolloutPhase.ROLLING_BACK
    if not leaves and rollout.spec.requests.abort is None:
        yield f"{typed(facts.deployment, 'abort')}: the one that waits is rolled out next, at once"


def back(deployment: ModelDeployment, rollout: ModelRollout) -> str:
    """Return the command that goes back to the old revision of a watch.

    While another revision waits, an undo without a name would only take that one back.
    """
    to = ("--to", rollout.spec.stable.revision) if deployment.status.queued else ()
    return typed(deployment, "undo", *to)
