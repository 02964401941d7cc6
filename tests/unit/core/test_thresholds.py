"""B21: one value of a user's query against its limits."""

import pytest

from rampway.api.policy import Check, ErrorRateCheck, ThresholdCheck
from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.thresholds import answer, breaches, outside
from rampway.core.observation import Look

NOW_S = 1000.0


def limits(**more: str) -> Check:
    """Return a check of revenue."""
    known = {"query": "sum(orders)"} | more
    return Check(name="revenue", threshold=ThresholdCheck.model_validate(known))


def value(number: float) -> Answer:
    """Return an answer with a value."""
    return Answer(AnswerKind.VALUE, number)


@pytest.mark.parametrize(
    ("number", "words"),
    [(3, ""), (5, ""), (2.9, "2.9 is below the required 3"), (5.5, "5.5 is above the allowed 5")],
)
def test_limits_include_their_ends(number: float, words: str) -> None:
    """A value on a limit keeps it."""
    assert outside(ThresholdCheck(query="x", min="3", max="5"), number) == words


def test_b21_states() -> None:
    """B21: a pass needs a value within limits; a failure needs one outside for long enough."""
    check = limits(min="3", sustained="2m")
    assert answer(check, None, None, NOW_S)[0] == "Unknown"
    assert answer(check, value(4), None, NOW_S) == ("Pass", "4 is within its limits", "")
    state, text, _ = answer(check, value(1), NOW_S - 60, NOW_S)
    assert (state, text) == ("Waiting", "1 is below the required 3 for 60 s, counts after 2 min")
    assert answer(check, value(1), NOW_S - 120, NOW_S)[:2] == (
        "Fail",
        "1 is below the required 3 for 2 min",
    )
    assert answer(check, value(1), None, NOW_S)[0] == "Waiting"
    assert answer(limits(min="3"), value(1), NOW_S, NOW_S)[:2] == (
        "Fail",
        "1 is below the required 3",
    )


@pytest.mark.parametrize("kind", [k for k in AnswerKind if k is not AnswerKind.VALUE])
def test_b17_b21_no_value_is_never_a_verdict(kind: AnswerKind) -> None:
    """B17, B21: without a value the check is Unknown; a wrong query is named as the mistake."""
    found = answer(limits(max="1"), Answer(kind, message="words"), NOW_S - 900, NOW_S)
    mistakes = {AnswerKind.SEVERAL_SERIES, AnswerKind.WRONG_TYPE, AnswerKind.BAD_QUERY}
    assert found == ("Unknown", "words", "words" if kind in mistakes else "")


def test_a_check_without_limits_is_a_defect() -> None:
    """Asking a comparison for its limits raises and names the check."""
    with pytest.raises(ValueError, match="check errors has no threshold"):
        answer(Check(name="errors", error_rate=ErrorRateCheck()), None, None, NOW_S)


def test_breaches_begin_last_and_end_with_values() -> None:
    """B17: an answer without a value neither begins a breach nor ends one."""
    checks = [limits(max="1"), Check(name="errors", error_rate=ErrorRateCheck())]

    def after(before: dict[str, float], *found: Answer) -> dict[str, float]:
        answers = dict(zip(["revenue"], found, strict=False))
        return breaches(checks, before, Look(NOW_S, answers=answers))

    gone = Answer(AnswerKind.UNAVAILABLE)
    assert after({}, value(2)) == {"revenue": NOW_S}
    assert after({"revenue": 900.0}, value(2)) == {"revenue": 900.0}
    assert after({"revenue": 900.0}, gone) == {"revenue": 900.0}
    assert after({"revenue": 900.0}) == {"revenue": 900.0}
    assert after({}, gone) == {}
    assert after({"revenue": 900.0}, value(1)) == {}
