"""The checks of a policy: what a candidate is judged by."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field
from pydantic.alias_generators import to_camel

from rampway.api.base import (
    DECIMAL_PATTERN,
    DURATION_PATTERN,
    FACTOR_PATTERN,
    PERCENT_PATTERN,
    ApiModel,
    Decimal,
    Duration,
    Label,
    Percent,
    fraction,
    seconds,
)
from rampway.api.counted import CountsCheck
from rampway.api.latency import LatencyCheck
from rampway.api.means import MeanCheck
from rampway.api.paired import (
    PROOF_RULE,
    VALUE_RULE,
    Against,
    PairedCheck,
    Require,
)
from rampway.api.rules import Rule, matches

FailureCount = Annotated[int, Field(ge=1, le=1000, strict=True)]


class ErrorRateCheck(PairedCheck):
    """Fails when the candidate answers with errors more often than stable."""

    rules = (
        VALUE_RULE,
        PROOF_RULE,
        Rule(
            cel=f"!has(self.value) || !{matches('self.value', PERCENT_PATTERN)} || "
            "double(self.value.replace('%', '')) < 100.0",
            message="value: expected a share of the answers below 100%: no more than all can fail",
            holds=lambda check: check.usual is None or check.usual < 1,
            seen=lambda check: check.value,
        ),
        Rule(
            cel=f"!{matches('self.detect', FACTOR_PATTERN)} || "
            f"!{matches('self.maxIncrease', PERCENT_PATTERN)} || "
            "double(self.detect.replace('x', '')) > "
            "1.0 + double(self.maxIncrease.replace('%', '')) / 100.0",
            message="detect: expected more than what maxIncrease tolerates, for example 3x with "
            "10%: what is tolerated cannot be a harm that must not be missed",
            holds=lambda check: check.detect_ratio > check.ratio,
        ),
        Rule(
            cel="!has(self.require) || self.require != 'HarmRuledOut' || "
            f"!{matches('self.maxIncrease', PERCENT_PATTERN)} || "
            f"!{matches('self.ignoreBelow', PERCENT_PATTERN)} || "
            "double(self.maxIncrease.replace('%', '')) > 0.0 || "
            "double(self.ignoreBelow.replace('%', '')) > 0.0",
            message="require: HarmRuledOut proves no more than a tolerance; expected maxIncrease "
            "or ignoreBelow above 0%",
            holds=lambda check: (
                check.require is not Require.HARM_RULED_OUT or check.ratio > 1 or check.floor > 0
            ),
        ),
    )

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


class Failures(ApiModel):
    """How many answers outside the limits are a failure."""

    rules = (
        Rule(
            cel="has(self.consecutive) != has(self.total)",
            message="expected exactly one of consecutive and total",
            holds=lambda failures: (failures.consecutive is None) != (failures.total is None),
        ),
    )

    consecutive: FailureCount | None = Field(
        default=None, description="So many in a row; an answer within the limits begins anew."
    )
    total: FailureCount | None = Field(
        default=None, description="So many in all since the candidate got its first request."
    )
    every: Duration = Field(
        default="1m", description="One answer in so long counts; what comes between does not."
    )

    @property
    def number(self) -> int:
        """How many are a failure."""
        return self.consecutive or self.total or 0

    @property
    def every_s(self) -> float:
        """Seconds from one answer that counts to the next."""
        return seconds(self.every)


class ThresholdCheck(ApiModel):
    """Fails when the one value of a PromQL query leaves its limits."""

    rules = (
        Rule(
            cel="has(self.min) || has(self.max)",
            message="expected min or max, or both",
            holds=lambda check: check.min is not None or check.max is not None,
        ),
        Rule(
            cel="!has(self.min) || !has(self.max) || "
            f"!{matches('self.min', DECIMAL_PATTERN)} || !{matches('self.max', DECIMAL_PATTERN)} "
            "|| double(self.min) <= double(self.max)",
            message="expected min not above max",
            holds=lambda check: (
                check.min is None or check.max is None or float(check.min) <= float(check.max)
            ),
        ),
        Rule(
            cel="!has(self.failures) || !has(self.sustained) || "
            f"!{matches('self.sustained', DURATION_PATTERN)} || "
            "duration(self.sustained) == duration('0s')",
            message="expected sustained or failures, not both: two ways to say how long a breach "
            "is borne",
            holds=lambda check: check.failures is None or not check.sustained_s,
        ),
    )

    query: str = Field(
        min_length=1,
        max_length=4096,
        description="PromQL with exactly one series as its result. {{ candidate }}, {{ stable }} "
        "(names of the revisions, such as digits-55ad9c9d4e), {{ name }} and {{ namespace }} are "
        "filled in.",
    )
    max: Decimal | None = Field(default=None, description="Largest allowed value, a string.")
    min: Decimal | None = Field(default=None, description="Smallest allowed value, a string.")
    sustained: Duration = Field(
        default="0s", description="Fails only when outside the limits for this long."
    )
    failures: Failures | None = Field(
        default=None,
        description="Fails only when so many answers were outside the limits, instead of "
        "sustained.",
    )

    @property
    def sustained_s(self) -> float:
        """Shortest breach in seconds that counts."""
        return seconds(self.sustained)


class OnFailure(StrEnum):
    """What a failed check does."""

    ROLLBACK = "Rollback"
    PAUSE = "Pause"
    NOTIFY = "Notify"


_KINDS = ("error_rate", "latency", "counts", "mean", "threshold")
_NAMES = [to_camel(kind) for kind in _KINDS]
_GIVEN = ", ".join(f"has(self.{name})" for name in _NAMES)


class Check(ApiModel):
    """One question put to the evidence: exactly one of the kinds of questions."""

    rules = (
        Rule(
            cel=f"[{_GIVEN}].filter(given, given).size() == 1",
            message=f"expected exactly one of {', '.join(_NAMES[:-1])} and {_NAMES[-1]}; give each "
            "question a check of its own",
            holds=lambda check: sum(getattr(check, kind) is not None for kind in _KINDS) == 1,
        ),
    )

    name: Label = Field(description="Name of the check, unique in the policy.")
    on_failure: OnFailure = Field(
        default=OnFailure.ROLLBACK,
        description="Rollback: put traffic back. Pause: stop where it is and ask; approve the step "
        "to go on, or abort. Notify: only tell.",
    )
    error_rate: ErrorRateCheck | None = Field(
        default=None, description="Compare the share of failed requests."
    )
    latency: LatencyCheck | None = Field(default=None, description="Compare response times.")
    counts: CountsCheck | None = Field(
        default=None, description="Compare how often something of your own happens."
    )
    mean: MeanCheck | None = Field(
        default=None, description="Compare the mean of something of your own."
    )
    threshold: ThresholdCheck | None = Field(
        default=None, description="Compare the value of a query with fixed limits."
    )

    @property
    def comparison(self) -> PairedCheck | None:
        """What compares with stable, a value or stable's past; None for a threshold."""
        return self.error_rate or self.latency or self.counts or self.mean

    @property
    def paired(self) -> PairedCheck | None:
        """What compares with stable, else None."""
        found = self.comparison
        return found if found is not None and found.against is Against.STABLE else None

    @property
    def past(self) -> bool:
        """Whether it is held against what stable did before the rollout."""
        return self.comparison is not None and self.comparison.against is Against.PAST

    @property
    def usual(self) -> float | None:
        """How often events are usual by the value that it is held against, as a fraction."""
        return self.comparison.usual if self.comparison is not None else None
