"""Checks of what users count themselves: which series, and which direction is harm."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from rampway.api.base import (
    FACTOR_PATTERN,
    PERCENT_PATTERN,
    ApiModel,
    Duration,
    Percent,
    fraction,
    seconds,
)
from rampway.api.paired import (
    PROOF_RULE,
    VALUE_RULE,
    Against,
    PairedCheck,
    Require,
)
from rampway.api.rules import Form, Rule, UniqueItems, matches

OURS = ("__name__", "namespace", "pod", "revision")
"""Labels that say where a series is from, which is not the user's to choose (B36)."""
_OURS = ", ".join(f"'{name}'" for name in OURS)

LabelName = Annotated[
    str,
    Field(max_length=128),
    Form(r"^[a-zA-Z_][a-zA-Z0-9_]*$", "the name of a label, for example kind"),
]


class LabelMatch(ApiModel):
    """A label that the series have."""

    rules = (
        Rule(
            cel=f"!(self.name in [{_OURS}])",
            message="namespace, pod and revision are for Rampway to say; expected another label",
            holds=lambda label: label.name not in OURS,
        ),
    )

    name: LabelName = Field(description="Name of the label.")
    value: str = Field(min_length=1, max_length=256, description="What it is, exactly.")


class Counter(ApiModel):
    """A counter in Prometheus: all series of this name with these labels, added up."""

    metric: Annotated[
        str,
        Field(max_length=200),
        Form(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", "the name of a series, for example shop_orders_total"),
    ] = Field(
        description="Name of the series. They are those of this namespace that bear the label "
        "revision with the name of a revision (such as digits-55ad9c9d4e: answers have it in the "
        "header rampway-revision), or, without that label, those of a revision's own pods. The "
        "same page has to tell process_start_time_seconds, as client libraries do."
    )
    labels: Annotated[tuple[LabelMatch, ...], UniqueItems("name")] = Field(
        default=(), max_length=8, description="Labels that they have."
    )


class HarmWhen(StrEnum):
    """Which direction is harm."""

    MORE = "More"
    LESS = "Less"


class Slices(ApiModel):
    """Judge each value of a label by itself, beside the whole."""

    rules = (
        Rule(
            cel=f"!(self.by in [{_OURS}])",
            message="by: namespace, pod and revision are for Rampway to say; expected another "
            "label, for example region",
            holds=lambda slices: slices.by not in OURS,
        ),
    )

    by: LabelName = Field(
        description="Label of both counters' series, for example region. Harm in one slice fails "
        "the check, which names it."
    )
    at_most: int = Field(
        default=10,
        ge=1,
        le=50,
        strict=True,
        description="So many values are slices: the first ones that are seen, the largest of them "
        "first. All others count in the whole only.",
    )
    wait_for: Percent = Field(
        default="10%",
        description="A slice with this share of the exposures has to pass as the whole has. "
        "Smaller ones fail the check by harm, and are not waited for. 0%: all are.",
    )

    @property
    def least_share(self) -> float:
        """The share of the exposures from which on a slice is waited for, as a fraction."""
        return fraction(self.wait_for)


class CountedCheck(PairedCheck):
    """What checks of users' own counters have in common."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.harmWhen) || self.harmWhen != 'Less' || "
            f"!{matches('self.maxChange', PERCENT_PATTERN)} || "
            "double(self.maxChange.replace('%', '')) < 100.0",
            message="maxChange: expected less than 100% where less is harm",
            holds=lambda check: not check.fewer or check.change < 1,
        ),
        Rule(
            cel=f"!{matches('self.detect', FACTOR_PATTERN)} || "
            f"!{matches('self.maxChange', PERCENT_PATTERN)} || "
            "(has(self.harmWhen) && self.harmWhen == 'Less' "
            "? double(self.detect.replace('x', '')) * "
            "(100.0 - double(self.maxChange.replace('%', ''))) > 100.0 "
            ": double(self.detect.replace('x', '')) * 100.0 > "
            "100.0 + double(self.maxChange.replace('%', '')))",
            message="detect: expected more than what maxChange tolerates, for example 2x with 10%",
            holds=lambda check: check.detect_ratio > check.ratio,
        ),
        VALUE_RULE,
        PROOF_RULE,
        Rule(
            cel="!has(self.slices) || !has(self.against) || self.against == 'Stable'",
            message="slices are compared with those of stable; expected against: Stable beside "
            "them",
            holds=lambda check: check.slices is None or check.against is Against.STABLE,
        ),
    )

    harm_when: HarmWhen = Field(
        default=HarmWhen.MORE,
        description="More: it is harm when there is more of it. Less: when there is less; detect "
        "is then how many times as rare, or as small.",
    )
    max_change: Percent = Field(
        default="10%", description="Tolerated change in the direction of harm, relative to stable."
    )
    lag: Duration = Field(
        default="0s",
        description="So long after an exposure its event may come, for example the time from a "
        "visit to an order. Nothing is counted for so long after a change of the candidate's "
        "share: events from before would be held against exposures from after it.",
    )
    slices: Slices | None = Field(
        default=None,
        description="Judge parts of the exposures by themselves too, which share the check's part "
        "of falseRollbackRate with the whole.",
    )

    @property
    def fewer(self) -> bool:
        """Whether less is harm."""
        return self.harm_when is HarmWhen.LESS

    @property
    def leaves_room(self) -> bool:
        """Whether `value` is one that can be, and there is more of it, or less, as is harm."""
        usual = self.usual or 0.0
        return 0 < usual <= 1 if self.fewer else 0 <= usual < 1

    @property
    def change(self) -> float:
        """Tolerated relative change as a fraction."""
        return fraction(self.max_change)

    @property
    def ratio(self) -> float:
        """Largest tolerated ratio, at least 1, of whoever has more to the other."""
        return 1 / (1 - self.change) if self.fewer else 1 + self.change

    @property
    def lag_s(self) -> float:
        """The same in seconds."""
        return seconds(self.lag)


class CountsCheck(CountedCheck):
    """Fails when something happens more (or less) often with the candidate than with stable."""

    rules = (
        *CountedCheck.rules,
        Rule(
            cel=f"!has(self.value) || !{matches('self.value', PERCENT_PATTERN)} || "
            "(has(self.harmWhen) && self.harmWhen == 'Less' "
            "? double(self.value.replace('%', '')) > 0.0 "
            "&& double(self.value.replace('%', '')) <= 100.0 "
            ": double(self.value.replace('%', '')) < 100.0)",
            message="value: expected a share of the exposures below 100%, or, with harmWhen: Less, "
            "above 0% and up to 100%: else nothing could be harm",
            holds=lambda check: check.usual is None or check.leaves_room,
            seen=lambda check: f"{check.value} with harmWhen: {check.harm_when}",
        ),
        Rule(
            cel="!has(self.require) || self.require != 'HarmRuledOut' || "
            f"!{matches('self.maxChange', PERCENT_PATTERN)} || "
            f"!{matches('self.ignoreBelow', PERCENT_PATTERN)} || "
            "double(self.maxChange.replace('%', '')) > 0.0 || "
            "double(self.ignoreBelow.replace('%', '')) > 0.0",
            message="require: HarmRuledOut proves no more than a tolerance; expected maxChange "
            "or ignoreBelow above 0%",
            holds=lambda check: (
                check.require is not Require.HARM_RULED_OUT or check.change > 0 or check.floor > 0
            ),
        ),
    )

    events: Counter = Field(
        description="Counts what happens: orders, clicks, repeated searches; at most once for each "
        "of the exposures."
    )
    exposures: Counter = Field(
        description="Counts how often it could have happened: visits, results shown, searches."
    )
    ignore_below: Percent = Field(
        default="0.1%", description="Tolerated on top, in percent of the exposures."
    )

    @property
    def floor(self) -> float:
        """Tolerated on top, as a fraction of the exposures of whoever has more events."""
        tolerated = fraction(self.ignore_below)
        return tolerated * self.ratio if self.fewer else tolerated
