"""The policy of a rollout: steps, checks, and what to do when they fail or cannot tell."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from rampway.api.base import (
    PERCENT_PATTERN,
    ApiModel,
    Duration,
    Label,
    Percent,
    fraction,
    seconds,
)
from rampway.api.checks import (
    Against,
    Check,
    ErrorRateCheck,
    LatencyCheck,
    PairedCheck,
    ThresholdCheck,
)
from rampway.api.rules import Form, Rule, UniqueItems, matches

__all__ = [
    "AfterUnknown",
    "Against",
    "Check",
    "ErrorRateCheck",
    "LatencyCheck",
    "OnUnknown",
    "PairedCheck",
    "Policy",
    "Rollback",
    "Step",
    "Strategy",
    "ThresholdCheck",
]

WEIGHT_PATTERN = r"^([1-9][0-9]?|100)%$"
MAX_FALSE_ROLLBACK_RATE = 0.5

Weight = Annotated[
    str, Field(max_length=4), Form(WEIGHT_PATTERN, "a whole percentage from 1% to 100%")
]
FalseRollbackRate = Annotated[
    Percent,
    Rule(
        cel=f"!{matches('self', PERCENT_PATTERN)} || (double(self.replace('%', '')) > 0.0 && "
        "double(self.replace('%', '')) <= 50.0)",
        message="expected more than 0% and at most 50%",
        holds=lambda text: 0 < fraction(text) <= MAX_FALSE_ROLLBACK_RATE,
    ),
]


class Strategy(StrEnum):
    """How traffic moves."""

    CANARY = "Canary"


class AfterUnknown(StrEnum):
    """What happens when a check could not tell for too long."""

    PAUSE = "Pause"
    ROLLBACK = "Rollback"


class Step(ApiModel):
    """One stage of a rollout: a share of the traffic, held for a time."""

    name: Label = Field(description="Name of the step, unique in the policy.")
    weight: Weight = Field(description="Share of all requests that the candidate gets, 1% to 100%.")
    hold: Duration = Field(
        default="1m",
        description="The step lasts at least this long; time without evidence does not count.",
    )
    min_requests: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        strict=True,
        description="The step lasts until the candidate answered this many requests in it "
        "(first attempts).",
    )

    @property
    def weight_pct(self) -> int:
        """The candidate's share in percent, 1 to 100."""
        return int(self.weight[:-1])

    @property
    def hold_s(self) -> float:
        """Shortest duration in seconds."""
        return seconds(self.hold)


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


class Rollback(ApiModel):
    """What is kept after a rollback."""

    keep_candidate: Duration = Field(
        default="10m", description="How long the candidate's pods are kept, without traffic."
    )

    @property
    def keep_candidate_s(self) -> float:
        """The same in seconds."""
        return seconds(self.keep_candidate)


Steps = Annotated[
    tuple[Step, ...],
    Rule(
        cel="self.all(step, self.exists_one(other, other.name == step.name))",
        message="expected a name of its own for each step",
        holds=lambda steps: len({step.name for step in steps}) == len(steps),
    ),
    Rule(
        cel=f"self.exists(step, !{matches('step.weight', WEIGHT_PATTERN)}) || "
        "self.map(step, int(step.weight.replace('%', ''))).isSorted()",
        message="expected weights that never fall from one step to the next",
        holds=lambda steps: all(a.weight_pct <= b.weight_pct for a, b in pairwise(steps)),
    ),
]
"""Their order is their meaning, hence no keyed list: a merge by name could mix two orders."""


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


class Policy(ApiModel):
    """How a rollout proceeds and what it is judged by."""

    strategy: Strategy = Field(default=Strategy.CANARY, description="How traffic moves.")
    false_rollback_rate: FalseRollbackRate = Field(
        default="1%",
        description="Bound on the chance that the comparisons with stable roll back a candidate "
        "that does no harm: all of them, all steps, together.",
    )
    steps: Steps = Field(
        default_factory=_default_steps,
        min_length=1,
        max_length=20,
        description="Steps in order, weights never falling. After the last one the candidate is "
        "promoted.",
    )
    checks: Annotated[tuple[Check, ...], UniqueItems("name")] = Field(
        default_factory=_default_checks,
        max_length=16,
        description="What the candidate is judged by, all through the rollout.",
    )
    on_unknown: OnUnknown = Field(
        default_factory=OnUnknown, description="What to do when checks cannot tell."
    )
    rollback: Rollback = Field(
        default_factory=Rollback, description="What is kept after a rollback."
    )

    @property
    def alpha(self) -> float:
        """`falseRollbackRate` as a fraction."""
        return fraction(self.false_rollback_rate)
