"""What all checks have in common that compare with stable."""

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field

from rampway.api.base import FACTOR_PATTERN, ApiModel, Factor, Percent, factor, fraction
from rampway.api.rules import Rule, matches


class Against(StrEnum):
    """What a candidate is compared with."""

    STABLE = "Stable"
    VALUE = "Value"
    PAST = "Past"


class Require(StrEnum):
    """What a comparison needs to pass."""

    NO_HARM_SEEN = "NoHarmSeen"
    HARM_RULED_OUT = "HarmRuledOut"


def _unmatched(check: Any) -> str:
    """Return which of `against` and `value` stands alone, and what to write."""
    if check.value is None:
        return "against: Value without value (add value: what is usual)"
    return (
        f"value {check.value!r} with against: {check.against} (write against: Value beside it, or "
        "leave value out)"
    )


VALUE_RULE = Rule(
    cel="has(self.value) == (has(self.against) && self.against == 'Value')",
    message="expected value where against is Value, and only there",
    holds=lambda check: (check.value is not None) == (check.against is Against.VALUE),
    seen=_unmatched,
)
PROOF_RULE = Rule(
    cel="!has(self.against) || self.against == 'Stable' || !has(self.require) || "
    "self.require == 'NoHarmSeen'",
    message="require: HarmRuledOut needs stable to compare with; expected NoHarmSeen with a value "
    "or stable's past",
    holds=lambda check: check.against is Against.STABLE or check.require is Require.NO_HARM_SEEN,
)


class PairedCheck(ApiModel):
    """What all comparisons with stable share."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"!{matches('self.detect', FACTOR_PATTERN)} || "
            "double(self.detect.replace('x', '')) > 1.0",
            message="detect: expected a factor above 1x: it is a harm, not an improvement",
            holds=lambda check: check.detect_ratio > 1,
        ),
    )

    against: Against = Field(
        default=Against.STABLE,
        description="Stable: compare with what stable does in the same intervals. Value: hold it "
        "against `value` in the place of what stable does. Past: hold it against what stable did "
        "in the hours before the rollout. Both are marked as Unpaired, beside falseRollbackRate, "
        "as what changes for everybody looks like harm.",
    )
    value: Percent | None = Field(
        default=None,
        description="With against: Value, and only then: how often is usual, in percent.",
    )
    detect: Factor = Field(
        default="3x",
        description="The harm that must not be missed: the check passes only once it had an 80 % "
        "chance to see events this many times as frequent.",
    )

    require: Require = Field(
        default=Require.NO_HARM_SEEN,
        description="NoHarmSeen: pass when harm of the size of detect would have been seen and was "
        "not. HarmRuledOut: pass when it is proved, with a chance under 5 % to be wrong, that the "
        "candidate is not worse than what maxIncrease and ignoreBelow tolerate; detect is not "
        "asked then. That needs many times as many requests.",
    )

    @property
    def usual(self) -> float | None:
        """How often events are usual by `value`, as a fraction; None where it is stable."""
        return None if self.value is None else fraction(self.value)

    @property
    def detect_ratio(self) -> float:
        """`detect` as a number above 1."""
        return factor(self.detect)
