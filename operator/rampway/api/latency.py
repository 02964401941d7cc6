"""The check of how long answers take."""

from typing import Annotated

from pydantic import Field

from rampway.api import advice
from rampway.api.base import (
    AT_MOST_A_WEEK,
    DURATION_PATTERN,
    ApiModel,
    Percent,
    fraction,
    seconds,
)
from rampway.api.paired import PROOF_RULE, VALUE_RULE, PairedCheck
from rampway.api.rules import Form, Rule, matches

_PERCENTILE = r"^[1-9][0-9]?(\.[0-9]{1,2})?$"
Percentile = Annotated[
    str,
    Field(max_length=5),
    Form(_PERCENTILE, 'a percentile from "1" to "99.99", for example "99"', advice.quoted),
]
Latency = Annotated[
    str,
    Field(max_length=32),
    Form(DURATION_PATTERN, "a duration of at most 7 days, for example 200ms or 1s", advice.latency),
    AT_MOST_A_WEEK,
]
"""How long an answer takes."""


class WarmUp(ApiModel):
    """Which requests are answered by a pod that is not warm yet."""

    requests: int = Field(
        ge=1,
        le=100_000,
        strict=True,
        description="So many requests of each pod's process, its first ones, are not compared; of "
        "candidate and stable alike. They are left out by whole scrapes, so some more may be.",
    )


class LatencyCheck(PairedCheck):
    """Fails when the candidate is slower than stable."""

    rules = (
        *PairedCheck.rules,
        VALUE_RULE,
        PROOF_RULE,
        Rule(
            cel="!has(self.value) || has(self.percentile)",
            message="percentile: expected beside value, which says how long that percentile "
            'usually takes: for example percentile "99" and value 200ms',
            holds=lambda check: check.value is None or check.percentile is not None,
            seen=lambda check: f"value {check.value!r} without percentile",
        ),
        Rule(
            cel=f"!has(self.value) || !{matches('self.value', DURATION_PATTERN)} || "
            "duration(self.value) > duration('0s')",
            message="value: expected a duration above 0s, for example 200ms",
            holds=lambda check: check.value is None or seconds(check.value) > 0,
            seen=lambda check: check.value,
        ),
    )

    value: Latency | None = Field(
        default=None,
        description="With against: Value, and only then: how long `percentile` usually takes, "
        "for example 200ms.",
    )
    percentile: Percentile | None = Field(
        default=None,
        description='Judge only this part of the distribution, for example "99". Left out: '
        "the whole distribution.",
    )
    max_increase: Percent = Field(
        default="20%", description="Tolerated relative increase of the response time."
    )
    ignore_below: Percent = Field(
        default="1%",
        description="Tolerated on top: so many percent of the requests may be slower than "
        "`maxIncrease` allows.",
    )
    warm_up: WarmUp | None = Field(
        default=None,
        description="Leave out the first requests of each pod, which caches and compilers make "
        "slow. Harm that only they show is not seen by this check.",
    )

    @property
    def usual(self) -> float | None:
        """How many requests usually take longer than `value`, as a fraction; None without one."""
        return None if self.value is None or self.quantile is None else 1 - self.quantile

    @property
    def usual_s(self) -> float | None:
        """`value` in seconds."""
        return None if self.value is None else seconds(self.value)

    @property
    def warm_up_requests(self) -> int:
        """First requests of each pod's process that are left out; 0: none are."""
        return self.warm_up.requests if self.warm_up else 0

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
