"""B21: one value of a user's query against its limits."""

import pytest
from pydantic import ValidationError

from rampway.api.policy import Check, ErrorRateCheck, ThresholdCheck
from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.judged import Failed
from rampway.core.checks.thresholds import Borne, answer, breaches, failures, outside
from rampway.core.observation import Look

NOW_S = 1000.0
NONE = Borne()


def limits(**more: object) -> Check:
    """Return a check of revenue."""
    known: dict[str, object] = {"query": "sum(orders)"} | more
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
    assert answer(check, None, NONE, NOW_S)[0] == "Unknown"
    assert answer(check, value(4), NONE, NOW_S) == ("Pass", "4 is within its limits", "")
    state, text, _ = answer(check, value(1), Borne(NOW_S - 60), NOW_S)
    assert (state, text) == ("Waiting", "1 is below the required 3 for 60 s, counts after 2 min")
    assert answer(check, value(1), Borne(NOW_S - 120), NOW_S)[:2] == (
        "Fail",
        "1 is below the required 3 for 2 min",
    )
    assert answer(check, value(1), NONE, NOW_S)[0] == "Waiting"
    assert answer(limits(min="3"), value(1), Borne(NOW_S), NOW_S)[:2] == (
        "Fail",
        "1 is below the required 3",
    )


@pytest.mark.parametrize("kind", [k for k in AnswerKind if k is not AnswerKind.VALUE])
def test_b17_b21_no_value_is_never_a_verdict(kind: AnswerKind) -> None:
    """B17, B21: without a value the check is Unknown; a wrong query is named as the mistake."""
    found = answer(limits(max="1"), Answer(kind, message="words"), Borne(NOW_S - 900), NOW_S)
    mistakes = {AnswerKind.SEVERAL_SERIES, AnswerKind.WRONG_TYPE, AnswerKind.BAD_QUERY}
    assert found == ("Unknown", "words", "words" if kind in mistakes else "")


def test_a_check_without_limits_is_a_defect() -> None:
    """Asking a comparison for its limits raises and names the check."""
    with pytest.raises(ValueError, match="check errors has no threshold"):
        answer(Check(name="errors", error_rate=ErrorRateCheck()), None, NONE, NOW_S)


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


def counted(check: Check, *numbers: float | None, every_s: float = 60.0) -> list[tuple[str, int]]:
    """Return state and failures after each of these answers, which come so far apart."""
    before: dict[str, Failed] = {}
    told = []
    for n, number in enumerate(numbers):
        at_s = NOW_S + n * every_s
        none = Answer(AnswerKind.UNAVAILABLE, at_s=at_s)
        found = none if number is None else Answer(AnswerKind.VALUE, number, at_s=at_s)
        before = failures([check], before, Look(at_s, answers={"revenue": found}))
        borne = Borne(NOW_S, before.get("revenue"))
        state = answer(check, found, borne, at_s)[0]
        told.append((state, before["revenue"].number if before else 0))
    return told


def test_b21_failures_in_a_row_or_in_all() -> None:
    """B21: a row ends with an answer within the limits, a total never; no answer does neither."""
    row = limits(min="3", failures={"consecutive": 2})
    assert counted(row, 1, 4, 1, None, 1, 4) == [
        ("Waiting", 1), ("Pass", 0), ("Waiting", 1), ("Unknown", 1), ("Fail", 2), ("Pass", 0),
    ]  # fmt: skip
    whole = limits(min="3", failures={"total": 2})
    assert counted(whole, 1, 4, None, 1, 4) == [
        ("Waiting", 1), ("Pass", 1), ("Unknown", 1), ("Fail", 2), ("Fail", 2),
    ]  # fmt: skip
    assert counted(whole, None) == [("Unknown", 0)]


def test_b21_one_answer_in_so_long_counts() -> None:
    """B21: what comes between, and the same answer again, does not; the sentence says how many."""
    check = limits(min="3", failures={"consecutive": 3, "every": "30s"})
    assert (
        counted(check, *[1] * 8, every_s=10.0)
        == [("Waiting", 1)] * 3 + [("Waiting", 2)] * 3 + [("Fail", 3)] * 2
    )
    same = Answer(AnswerKind.VALUE, 1, at_s=NOW_S)
    often = limits(min="3", failures={"total": 2, "every": "0s"})
    known = failures([often], {}, Look(NOW_S, answers={"revenue": same}))
    assert failures([often], known, Look(NOW_S + 1, answers={"revenue": same})) == known
    text = answer(check, same, Borne(NOW_S, Failed(2, NOW_S)), NOW_S)[1]
    assert text == "1 is below the required 3; outside of them 2 of 3 times in a row"


def test_a_breach_is_borne_in_one_way() -> None:
    """Sustained and failures exclude each other, and so do the two ways of counting."""
    with pytest.raises(ValidationError, match="sustained or failures, not both"):
        limits(min="3", sustained="1m", failures={"total": 2})
    with pytest.raises(ValidationError, match="exactly one of consecutive and total"):
        limits(min="3", failures={"total": 2, "consecutive": 2})
