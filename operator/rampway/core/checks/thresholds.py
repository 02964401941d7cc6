"""Checks that compare the one value of a user's query with fixed limits (B21)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rampway.api.policy import Check, ThresholdCheck
from rampway.core.checks.answers import Answer, AnswerKind
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


def answer(
    check: Check, found: Answer | None, breach_s: float | None, now_s: float
) -> tuple[str, str, str]:
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
    if not wrong:
        return "Pass", f"{found.value:g} is within its limits", ""
    lasted_s = 0.0 if breach_s is None else now_s - breach_s
    if lasted_s < limits.sustained_s:
        left = f"for {brief(lasted_s)}, counts after {brief(limits.sustained_s)}"
        return "Waiting", f"{wrong} {left}", ""
    return "Fail", wrong if not limits.sustained_s else f"{wrong} for {brief(lasted_s)}", ""
