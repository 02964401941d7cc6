"""The policy of a rollout: steps, checks, and what to do when they fail or cannot tell."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rampway.api.base import (
    ApiModel,
    Decimal,
    Duration,
    Factor,
    Label,
    Percent,
    factor,
    fraction,
    seconds,
)


class Strategy(StrEnum):
    """How traffic moves."""

    CANARY = "Canary"


class Against(StrEnum):
    """What a candidate is compared with."""

    STABLE = "Stable"


class AfterUnknown(StrEnum):
    """What happens when a check could not tell for too long."""

    PAUSE = "Pause"
    ROLLBACK = "Rollback"


class Step(ApiModel):
    """One stage of a rollout: a share of the traffic, held for a time."""

    name: Label = Field(description="Name of the step, unique in the policy.")
    weight: Annotated[str, Field(pattern=r"^([1-9][0-9]?|100)%$", max_length=4)] = Field(
        description="Share of all requests that the candidate gets, 1% to 100%."
    )
    hold: Duration = Field(
        default="1m",
        description="The step lasts at least this long; time without evidence does not count.",
    )
    min_requests: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
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


class PairedCheck(ApiModel):
    """What all comparisons with stable share."""

    against: Against = Field(default=Against.STABLE, description="Compare with stable's pods.")
    detect: Factor = Field(
        default="3x",
        description="The harm that must not be missed: the check passes only once it had an 80 % "
        "chance to see events this many times as frequent.",
    )

    @property
    def detect_ratio(self) -> float:
        """`detect` as a number above 1."""
        return factor(self.detect)


class ErrorRateCheck(PairedCheck):
    """Fails when the candidate answers with errors more often than stable."""

    max_increase: Percent = Field(
        default="10%", description="Tolerated relative increase of the error rate."
    )
    ignore_below: Percent = Field(
        default="0.5%",
        description="Tolerated on top, in percent of all requests; keeps a stable without any "
        "error from making one error a catastrophe.",
    )

    @property
    def ratio(self) -> float:
        """Largest tolerated ratio of the rates, at least 1."""
        return 1 + fraction(self.max_increase)

    @property
    def floor(self) -> float:
        """Tolerated on top, as a fraction of the requests."""
        return fraction(self.ignore_below)


class LatencyCheck(PairedCheck):
    """Fails when the candidate is slower than stable."""

    percentile: (
        Annotated[str, Field(pattern=r"^[0-9]{1,2}(\.[0-9]{1,2})?$", max_length=5)] | None
    ) = Field(
        default=None,
        description='Judge only this part of the distribution, for example "99". Left out: '
        "the whole distribution.",
    )
    max_increase: Percent = Field(
        default="20%", description="Tolerated relative increase of the response time."
    )
    ignore_below: Percent = Field(
        default="1%",
        description="Tolerated on top: so many percent of the requests may be slower than that.",
    )

    @property
    def slowdown(self) -> float:
        """Tolerated relative increase of the response time, as a fraction."""
        return fraction(self.max_increase)

    @property
    def floor(self) -> float:
        """Tolerated on top, as a fraction of the requests."""
        return fraction(self.ignore_below)

    @property
    def quantile(self) -> float | None:
        """The percentile as a fraction in (0, 1), or None for the whole distribution."""
        return None if self.percentile is None else float(self.percentile) / 100


class ThresholdCheck(ApiModel):
    """Fails when the one value of a PromQL query leaves its limits."""

    query: str = Field(
        min_length=1,
        max_length=4096,
        description="PromQL with exactly one series as its result. {{ candidate }}, {{ stable }} "
        "(names of the revisions), {{ name }} and {{ namespace }} are filled in.",
    )
    max: Decimal | None = Field(default=None, description="Largest allowed value, a string.")
    min: Decimal | None = Field(default=None, description="Smallest allowed value, a string.")
    sustained: Duration = Field(
        default="0s", description="Fails only when outside the limits for this long."
    )

    @property
    def sustained_s(self) -> float:
        """Shortest breach in seconds that counts."""
        return seconds(self.sustained)


class Check(ApiModel):
    """One question put to the evidence: exactly one of errorRate, latency, threshold."""

    name: Label = Field(description="Name of the check, unique in the policy.")
    error_rate: ErrorRateCheck | None = Field(
        default=None, description="Compare the share of failed requests."
    )
    latency: LatencyCheck | None = Field(default=None, description="Compare response times.")
    threshold: ThresholdCheck | None = Field(
        default=None, description="Compare the value of a query with fixed limits."
    )

    @property
    def paired(self) -> PairedCheck | None:
        """The comparison with stable, or None for a threshold."""
        return self.error_rate or self.latency


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
    false_rollback_rate: Percent = Field(
        default="1%",
        description="Bound on the chance that the comparisons with stable roll back a candidate "
        "that does no harm: all of them, all steps, together.",
    )
    steps: tuple[Step, ...] = Field(
        default_factory=_default_steps,
        min_length=1,
        max_length=20,
        description="Steps in order, weights never falling. After the last one the candidate is "
        "promoted.",
    )
    checks: tuple[Check, ...] = Field(
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
