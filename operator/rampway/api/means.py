"""The check of the mean of what users count themselves."""

from typing import Annotated

from pydantic import Field

from rampway.api.advice import quoted
from rampway.api.base import PERCENT_PATTERN, Factor
from rampway.api.counted import CountedCheck, Counter
from rampway.api.paired import Require
from rampway.api.rules import Form, Rule, matches

AMOUNT_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,9})?$"
Amount = Annotated[
    str,
    Field(max_length=25),
    Form(AMOUNT_PATTERN, 'a number from 0 on as a string, like "0.95"', quoted),
]
"""A number, not negative; a string, since floats do not survive every tool."""


class MeanCheck(CountedCheck):
    """Fails when the mean of something is larger (or smaller) than with stable."""

    rules = (
        *CountedCheck.rules,
        Rule(
            cel=f"!{matches('self.lower', AMOUNT_PATTERN)} || "
            f"!{matches('self.upper', AMOUNT_PATTERN)} || "
            "double(self.lower) < double(self.upper)",
            message="expected lower below upper",
            holds=lambda check: check.span > 0,
        ),
        Rule(
            cel=f"!has(self.value) || !{matches('self.value', AMOUNT_PATTERN)} || "
            f"!{matches('self.lower', AMOUNT_PATTERN)} || "
            f"!{matches('self.upper', AMOUNT_PATTERN)} || "
            "(has(self.harmWhen) && self.harmWhen == 'Less' "
            "? double(self.lower) < double(self.value) "
            "&& double(self.value) <= double(self.upper) "
            ": double(self.lower) <= double(self.value) "
            "&& double(self.value) < double(self.upper))",
            message="value: expected a mean from lower to upper, and below upper, or, with "
            "harmWhen: Less, above lower: else nothing could be harm",
            holds=lambda check: check.usual is None or check.leaves_room,
            seen=lambda check: (
                f"{check.value} with lower {check.lower}, upper {check.upper} and harmWhen: "
                f"{check.harm_when}"
            ),
        ),
        Rule(
            cel="!has(self.require) || self.require != 'HarmRuledOut' || "
            f"!{matches('self.maxChange', PERCENT_PATTERN)} || "
            f"!{matches('self.ignoreBelow', AMOUNT_PATTERN)} || "
            "double(self.maxChange.replace('%', '')) > 0.0 || double(self.ignoreBelow) > 0.0",
            message="require: HarmRuledOut proves no more than a tolerance; expected maxChange "
            "or ignoreBelow above 0",
            holds=lambda check: (
                check.require is not Require.HARM_RULED_OUT or check.change > 0 or check.floor > 0
            ),
        ),
    )

    value: Amount | None = Field(
        default=None,
        description="With against: Value, and only then: the usual mean, in the unit of the "
        "values; a string.",
    )
    sum: Counter = Field(
        description="The sum of the values so far, such as shop_revenue_sum of a histogram or "
        "summary."
    )
    count: Counter = Field(description="How many values there were, such as shop_revenue_count.")
    detect: Factor = Field(
        default="1.5x",
        description="The harm that must not be missed: the check passes only once it had an 80 % "
        "chance to see what is above lower so many times as large (with Less: as small).",
    )
    lower: Amount = Field(default="0", description="No value is smaller; a string, 0 or more.")
    upper: Amount = Field(
        description="No value is larger; a string. The narrower the bounds, the sooner harm shows; "
        "cut values off in the application where a few are far above all others."
    )
    ignore_below: Amount = Field(
        default="0", description="Tolerated on top, in the unit of the values; a string."
    )

    @property
    def usual(self) -> float | None:
        """The usual mean of values scaled into [0, 1]; None where no `value` is given."""
        return None if self.value is None else (float(self.value) - self.low) / self.span

    @property
    def low(self) -> float:
        """The smallest value."""
        return float(self.lower)

    @property
    def span(self) -> float:
        """From the smallest value to the largest."""
        return float(self.upper) - self.low

    @property
    def floor(self) -> float:
        """Tolerated on top, of values scaled into [0, 1], where `ratio` holds for scaled ones too.

        With v = lower + span * x, mean_c <= (1 + change) * mean_s + ignoreBelow comes to
        x_c <= (1 + change) * x_s + (change * lower + ignoreBelow) / span, and likewise for less.
        """
        tolerated = (self.change * self.low + float(self.ignore_below)) / self.span
        return min(1.0, tolerated * self.ratio if self.fewer else tolerated)
