"""The policy of a rollout: steps, checks, and what to do when they fail or cannot tell."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rampway.api.advice import whole_percent
from rampway.api.base import (
    PERCENT_PATTERN,
    ApiModel,
    Duration,
    ObjectName,
    Percent,
    fraction,
    seconds,
)
from rampway.api.checks import Check, ErrorRateCheck, OnFailure, ThresholdCheck
from rampway.api.hooks import Hook
from rampway.api.latency import LatencyCheck
from rampway.api.rules import Form, Path, Rule, UniqueItems, matches
from rampway.api.sequence import Steps, named
from rampway.api.steps import Step, percent

__all__ = [
    "AfterUnknown",
    "Check",
    "ErrorRateCheck",
    "LatencyCheck",
    "OnUnknown",
    "Policy",
    "PolicyKind",
    "PolicyRef",
    "Rollback",
    "RollbackMode",
    "Step",
    "Strategy",
    "ThresholdCheck",
    "Watch",
]

MAX_FALSE_ROLLBACK_RATE = 0.5

FalseRollbackRate = Annotated[
    Percent,
    Rule(
        cel=f"!{matches('self', PERCENT_PATTERN)} || (double(self.replace('%', '')) > 0.0 && "
        "double(self.replace('%', '')) <= 50.0)",
        message="expected more than 0% and at most 50%",
        holds=lambda text: 0 < fraction(text) <= MAX_FALSE_ROLLBACK_RATE,
    ),
]

Holdback = Annotated[
    str,
    Field(max_length=3),
    Form(r"^([0-9]|[1-4][0-9]|50)%$", "a whole percentage, 0% to 50%", whole_percent(0, 50)),
]


class Strategy(StrEnum):
    """How traffic moves."""

    CANARY = "Canary"
    BLUE_GREEN = "BlueGreen"


class AfterUnknown(StrEnum):
    """What happens when a check could not tell for too long."""

    PAUSE = "Pause"
    ROLLBACK = "Rollback"


class OnUnknown(ApiModel):
    """What to do when checks cannot tell: no data, Prometheus unreachable."""

    after: Duration = Field(default="30m", description="How long not knowing is only waited for.")
    then: AfterUnknown = Field(
        default=AfterUnknown.PAUSE,
        description="Pause: keep holding and report Stalled; goes on when evidence is back. "
        "Rollback: put traffic back.",
    )

    @property
    def after_s(self) -> float:
        """Patience in seconds."""
        return seconds(self.after)


class RollbackMode(StrEnum):
    """Who puts traffic back when a check fails."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"
    OFF = "Off"


class Rollback(ApiModel):
    """What happens when a check fails, and what is kept after a rollback."""

    mode: RollbackMode = Field(
        default=RollbackMode.AUTOMATIC,
        description="Automatic: a failed check puts traffic back. Manual: it stops the rollout "
        "where it is and asks; approve the step to go on, or abort. Off: it is only told. A "
        "candidate that crashes or loses its pods is rolled back in any case.",
    )
    max_retries: int = Field(
        default=10,
        ge=0,
        le=1000,
        strict=True,
        description="How many times a person may have the same revision tried again.",
    )
    keep_candidate: Duration = Field(
        default="10m", description="How long the candidate's pods are kept, without traffic."
    )

    @property
    def keep_candidate_s(self) -> float:
        """The same in seconds."""
        return seconds(self.keep_candidate)


def _default_steps() -> tuple[Step, ...]:
    return (
        Step(name="five", weight="5%", hold="2m"),
        Step(name="quarter", weight="25%", hold="2m"),
        Step(name="half", weight="50%", hold="2m"),
    )


def _default_checks() -> tuple[Check, ...]:
    return (
        Check(name="errors", error_rate=ErrorRateCheck()),
        Check(name="latency", latency=LatencyCheck()),
    )


class Watch(ApiModel):
    """What goes on after promotion."""

    hold: Duration = Field(description="How long the old revision is kept with all its pods.")
    holdback: Holdback = Field(
        default="0%",
        description="Share of the requests that stays on the old revision, so that the checks go "
        "on comparing; their failure returns to it. With 0% they are held against what stable "
        "showed in the rollout, marked as Unpaired.",
    )
    on_unpaired: OnFailure = Field(
        default=OnFailure.NOTIFY,
        description="What a failed check does that has nothing to compare with (holdback 0%). "
        "Notify: only tell, as what changes for everybody looks the same. Pause: ask before the "
        "watch ends. Rollback: whatever the check itself does.",
    )

    @property
    def hold_s(self) -> float:
        """The same in seconds."""
        return seconds(self.hold)

    @property
    def holdback_pct(self) -> int:
        """The old revision's share in percent, 0 to 50."""
        return percent(self.holdback)


def _astray(policy: "Policy") -> list[str]:
    """Return the hooks of steps that are not there: they would never run."""
    names = {step.name for step in policy.steps}
    return [
        f"hooks[{i}] {hook.name} before {hook.step}"
        for i, hook in enumerate(policy.hooks)
        if hook.step is not None and hook.step not in names
    ]


def _weighted(policy: "Policy") -> Path:
    index = next(i for i, step in enumerate(policy.steps) if step.weights_pct is not None)
    return "steps", index, "ramp" if policy.steps[index].ramp else "weight"


class Policy(ApiModel):
    """How a rollout proceeds and what it is judged by."""

    rules = (
        Rule(
            cel="!has(self.strategy) || self.strategy != 'BlueGreen' || "
            "!self.steps.exists(step, has(step.weight) || has(step.ramp))",
            message="BlueGreen switches once: expected steps with match, mirror or approval only",
            holds=lambda policy: (
                policy.strategy is not Strategy.BLUE_GREEN
                or all(step.weights_pct is None for step in policy.steps)
            ),
            seen=lambda policy: named(policy.steps, lambda step: step.weights_pct is not None),
            at=_weighted,
        ),
        Rule(
            cel="!has(self.hooks) || self.hooks.all(hook, !has(hook.step) || "
            "self.steps.exists(step, step.name == hook.step))",
            message="hooks: expected the name of one of the steps as a hook's step",
            holds=lambda policy: not _astray(policy),
            seen=lambda policy: ", ".join(_astray(policy)),
        ),
    )

    strategy: Strategy = Field(
        default=Strategy.CANARY,
        description="Canary: the candidate grows with its share. BlueGreen: it runs at full size "
        "from the first step and gets no share before the one switch at the end.",
    )
    false_rollback_rate: FalseRollbackRate = Field(
        default="1%",
        description="Bound on the chance that the comparisons with stable roll back a candidate "
        "that does no harm: all of them, all steps and the watch together, of which a watch with "
        "a holdback has a fifth.",
    )
    steps: Steps = Field(
        default_factory=_default_steps,
        min_length=1,
        max_length=20,
        description="Steps in order: first those with mirror or match, then weights, which never "
        "fall; approvals anywhere. After the last one the candidate is promoted.",
    )
    checks: Annotated[tuple[Check, ...], UniqueItems("name")] = Field(
        default_factory=_default_checks,
        max_length=16,
        description="What the candidate is judged by, all through the rollout.",
    )
    hooks: Annotated[tuple[Hook, ...], UniqueItems("name")] = Field(
        default=(), max_length=16, description="What is done before or after its moments."
    )
    on_unknown: OnUnknown = Field(
        default_factory=OnUnknown, description="What to do when checks cannot tell."
    )
    rollback: Rollback = Field(
        default_factory=Rollback,
        description="What a failed check does, and what is kept of the candidate.",
    )
    watch: Watch | None = Field(
        default=None,
        description="After promotion: for how long the old revision stays warm, and is compared.",
    )

    @property
    def alpha(self) -> float:
        """`falseRollbackRate` as a fraction."""
        return fraction(self.false_rollback_rate)


class PolicyKind(StrEnum):
    """Kinds of objects that hold a policy for several ModelDeployments."""

    NAMESPACED = "RolloutPolicy"
    CLUSTER = "ClusterRolloutPolicy"


class PolicyRef(ApiModel):
    """A policy that several ModelDeployments share."""

    kind: PolicyKind = Field(
        default=PolicyKind.NAMESPACED,
        description="RolloutPolicy: of this namespace. ClusterRolloutPolicy: of the cluster.",
    )
    name: ObjectName = Field(description="Its name.")
