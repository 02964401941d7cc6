"""Degrees of automation: what an application is told to do with an answer of the model."""

from enum import StrEnum

from pydantic import Field

from rampway.api.base import ApiModel, Percent, fraction


class AutomationLevel(StrEnum):
    """How far answers are acted upon without a person."""

    OFF = "Off"
    ASSIST = "Assist"
    PARTIAL = "Partial"
    FULL = "Full"


class Automation(ApiModel):
    """What is said beside each answer: use it, suggest it to a person, or defer to a person."""

    level: AutomationLevel = Field(
        default=AutomationLevel.FULL,
        description="Off: defer. Assist: suggest. Partial: use where the model's confidence "
        "reaches `confidence`, defer elsewhere. Full: use.",
    )
    confidence: Percent = Field(
        default="90%",
        description="Of Partial: the least probability of the predicted class.",
    )

    @property
    def told(self) -> str:
        """The degree as the model server reads it, such as `Full` or `Partial 0.9`."""
        if self.level is AutomationLevel.PARTIAL:
            return f"{self.level} {fraction(self.confidence):.5g}"
        return str(self.level)
