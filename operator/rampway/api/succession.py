"""How a new revision takes the place of stable: by which policy, by when, and in what order."""

from enum import StrEnum

from pydantic import Field

from rampway.api.base import ApiModel, Duration, seconds
from rampway.api.policy import Policy, PolicyRef
from rampway.api.rules import Rule


class OnNewRevision(StrEnum):
    """What becomes of a rollout under way when the spec names a newer revision."""

    RESTART = "Restart"
    QUEUE = "Queue"


class Rollout(ApiModel):
    """How a new revision takes the place of stable."""

    rules = (
        Rule(
            cel="!(has(self.policy) && has(self.policyRef))",
            message="expected policy or policyRef, never both; one that the API server filled in "
            "once goes away by `policy: null`",
            holds=lambda rollout: rollout.policy is None or rollout.policy_ref is None,
        ),
    )

    policy: Policy | None = Field(
        default=None,
        description="Steps, checks, reactions, written here. Without it and policyRef: the "
        "ClusterRolloutPolicy that is marked as the cluster's default; without one: the built-in "
        "policy, which is that of a RolloutPolicy with an empty spec.",
    )
    policy_ref: PolicyRef | None = Field(
        default=None,
        description="A shared policy instead. It is copied into each ModelRollout at its start: "
        "a change of it is for rollouts that begin later.",
    )
    on_new_revision: OnNewRevision = Field(
        default=OnNewRevision.RESTART,
        description="When a newer revision comes in mid-rollout. Restart: traffic goes back to "
        "stable, and a fresh rollout begins. Queue: it waits until the rollout under way has "
        "ended, its watch included; the latest wins, and stable's content never waits. Like the "
        "policy it is copied into each ModelRollout at its start.",
    )
    progress_deadline: Duration = Field(
        default="10m",
        description="A candidate that is not ready for this long is given up; time in which its "
        "pods cannot be scheduled does not count.",
    )

    @property
    def progress_deadline_s(self) -> float:
        """The deadline in seconds."""
        return seconds(self.progress_deadline)
