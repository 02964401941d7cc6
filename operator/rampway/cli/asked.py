"""What a person asks, what it is decided upon, and what it comes to: data. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rampway.api import labels
from rampway.api.parse import ModelDeployment, ModelRollout
from rampway.api.rollout import Contender
from rampway.cli.facts import asks_about, ended


class Refusal(Exception):  # noqa: N818 - an answer, not a defect
    """What was asked makes no sense now; the message says why, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a verb comes to.

    Attributes:
        about: The rollout that is asked.
        requests: Fields of `spec.requests` to write; empty where nothing has to be written.
        said: What was done, in words without the asker's name.
        then: What happens next.
        anyway: Whether it is meant however far the rollout has come.
    """

    about: ModelRollout
    requests: Mapping[str, Any]
    said: str
    then: str
    anyway: bool = False

    @property
    def agreed(self) -> tuple[object, ...]:
        """What a person agreed to: if it changes between looking and writing, ask again."""
        status = self.about.status
        if self.anyway:
            return (self.about.uid,)
        return (self.about.uid, status.phase, status.step.index, asks_about(self.about))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a verb is decided upon.

    Attributes:
        rollouts: All rollouts of the ModelDeployment, the first attempt first.
        attempt: The attempt that the person means; None: whichever it is about now.
    """

    deployment: ModelDeployment
    rollouts: Sequence[ModelRollout]
    attempt: int | None = None

    @property
    def name(self) -> str:
        """Name of the ModelDeployment."""
        return self.deployment.name

    def typed(self, verb: str, *words: str) -> str:
        """Return a command about it, as a person types it."""
        return typed(self.deployment, verb, *words)

    def running(self, verb: str) -> ModelRollout:
        """Return the rollout that runs, if it is the one that the person means."""
        found = next((one for one in reversed(self.rollouts) if not ended(one)), None)
        if found is None:
            last = self.rollouts[-1] if self.rollouts else None
            how = f"the last one, {last.name}, is {last.status.phase}" if last else "none was made"
            raise Refusal(f"nothing to {verb}: no rollout of {self.name} runs; {how}")
        return self._meant(found)

    def last(self) -> ModelRollout:
        """Return the latest rollout, if it is the one that the person means."""
        if not self.rollouts:
            raise Refusal(
                f"no rollout of {self.name} was ever made; change spec.model to begin one"
            )
        return self._meant(self.rollouts[-1])

    def _meant(self, found: ModelRollout) -> ModelRollout:
        if self.attempt not in {None, found.spec.attempt}:
            raise Refusal(
                f"attempt {self.attempt} is not the one that it is about: that is now attempt "
                f"{found.spec.attempt}, {found.name}, of candidate {candidate(found)}. Look at it "
                f"first: {self.typed('status')}"
            )
        return found


def typed(deployment: ModelDeployment, verb: str, *words: str) -> str:
    """Return a command about a ModelDeployment, as a person types it."""
    about = [deployment.name, *words, "-n", deployment.namespace]
    return " ".join(["kubectl rampway", verb, *about])


def logs(deployment: ModelDeployment, revision: str) -> str:
    """Return the command that shows what a revision's model servers say."""
    mine = labels.revision_name(deployment.name, revision)
    about = f"deploy/{mine} -n {deployment.namespace} -c {labels.SERVER_CONTAINER}"
    return f"kubectl logs {about} --tail=50"


def candidate(rollout: ModelRollout) -> str:
    """Return the candidate as a person knows it."""
    return _known(rollout.spec.candidate)


def stable(rollout: ModelRollout) -> str:
    """Return the revision that was stable when it began, as a person knows it."""
    return _known(rollout.spec.stable)


def _known(one: Contender) -> str:
    if not one.revision:
        return one.info.version or "others"  # who had the rule before (B16)
    return f"{one.revision} (version {one.info.version})" if one.info.version else one.revision
