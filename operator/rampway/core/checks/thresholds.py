"""Checks that compare the one value of a user's query with fixed limits (B21)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rampway.api.checks import Check, Failures, ThresholdCheck
from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.judged import Failed
from rampway.core.instants import brief

if TYPE_CHECKING:
    from rampway.core.observation import Look


def outside(check: ThresholdCheck, value: float) -> str:
    """Return how a value breaks its limits, empty if it keeps them."""
    if check.max is not None and value > float(check.max):
        return f"{value:g} is above the allowed {check.max}"
    if check.min is not None and value < float(check.min):
        return f"{value:g} is below the required {check.min}"
    return ""


def breaches(
    checks: Sequence[Check], before: Mapping[str, float], look: "Look"
) -> dict[str, float]:
    """Return since when each check's value is outside its limits.

    An answer without a value neither begins a breach nor ends one.
    """
    after: dict[str, float] = {}
    for check in checks:
        if check.threshold is None:
            continue
        answer = look.answers.get(check.name)
        if answer is None or answer.value is None:
            if check.name in before:
                after[check.name] = before[check.name]
        elif outside(check.threshold, answer.value):
            after[check.name] = before.get(check.name, look.at_s)
    return after


def failures(
    checks: Sequence[Check], before: Mapping[str, Failed], look: "Look"
) -> dict[str, Failed]:
    """Return how many answers were outside each check's limits, where the policy counts them.

    One answer in `every` counts; one without a value neither counts nor ends a row.
    """
    after: dict[str, Failed] = {}
    for check in checks:
        counted = check.threshold and check.threshold.failures
        if check.threshold is None or not counted:
            continue
        known = before.get(check.name)
        answer = look.answers.get(check.name)
        if answer is not None and answer.value is not None and _due(counted, known, answer):
            wrong = bool(outside(check.threshold, answer.value))
            earlier = known.number if known and (wrong or counted.total) else 0
            known = Failed(earlier + wrong, answer.at_s)
        if known is not None:
            after[check.name] = known
    return after


def _due(counted: Failures, known: Failed | None, answer: Answer) -> bool:
    """Whether it is time for another answer to count; a direct look brings the same one again."""
    return known is None or known.at_s < answer.at_s >= known.at_s + counted.every_s


@dataclass(frozen=True, slots=True)
class Borne:
    """What was borne of a threshold's breaches so far.

    Attributes:
        since_s: Since when its value is outside its limits; None while it is within.
        failed: Answers outside of them that count; None where none are counted.
    """

    since_s: float | None = None
    failed: Failed | None = None


def answer(check: Check, found: Answer | None, borne: Borne, now_s: float) -> tuple[str, str, str]:
    """Return state, sentence and, if the query itself is wrong, what is wrong with it."""
    limits = check.threshold
    if limits is None:
        raise ValueError(f"check {check.name} has no threshold")
    if found is None:
        return "Unknown", "the query has not been answered yet", ""
    if found.kind is not AnswerKind.VALUE or found.value is None:
        mistake = found.message if found.kind.users_mistake else ""
        return "Unknown", found.message, mistake
    wrong = outside(limits, found.value)
    if limits.failures is not None:
        return *_counted(limits.failures, found.value, wrong, borne.failed), ""
    if not wrong:
        return "Pass", f"{found.value:g} is within its limits", ""
    lasted_s = 0.0 if borne.since_s is None else now_s - borne.since_s
    if lasted_s < limits.sustained_s:
        left = f"for {brief(lasted_s)}, counts after {brief(limits.sustained_s)}"
        return "Waiting", f"{wrong} {left}", ""
    return "Fail", wrong if not limits.sustained_s else f"{wrong} for {brief(lasted_s)}", ""


def _counted(limits: Failures, value: float, wrong: str, failed: Failed | None) -> tuple[str, str]:
    """Return state and sentence where answers outside the limits are counted."""
    number = failed.number if failed else 0
    row = "in a row" if limits.consecutive else "in all"
    text = wrong or f"{value:g} is within its limits"
    if number:
        text += f"; outside of them {number} of {limits.number} times {row}"
    if number >= limits.number:
        return "Fail", text
    return ("Waiting" if wrong else "Pass"), text
