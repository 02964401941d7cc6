"""Checks held against what stable did before the rollout: frozen, marked, never compared."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError
from unit.core.builders import NOW_S
from unit.core.test_history import INF, known, policy, scrape, stable_of, steady

from rampway.api.checks import Check
from rampway.core.checks.checkpoint import from_text, to_text
from rampway.core.checks.history import wanted
from rampway.core.checks.judged import CheckResult, CheckState, Contest, EvidenceState
from rampway.core.checks.judging import judge
from rampway.core.evidence import Histogram
from rampway.core.observation import Look

ERRORS = {"name": "errors", "errorRate": {"against": "Past", "detect": "3x"}}
SLOW = {"name": "slow", "latency": {"against": "Past", "detect": "3x"}}
PAST_BAD = dict.fromkeys(range(1, 200), 4)
"""One half of stable's pods fails in 4 of 100 answers: 2 % of all."""
ROLLING = Contest("digits-2", "digits-1", NOW_S + 10, NOW_S + 10, 0)
AT_S = 9000.0
"""NOW_S, as `scrape` counts time."""


def judged(state: EvidenceState, check: dict[str, Any], looks: Iterable[Look]) -> CheckResult:
    """Return what a check answers after looks, in a rollout under way."""
    found = None
    for look in looks:
        result = judge(policy(check), state, look, ROLLING, look.at_s)
        assert result.state is not None
        state, (found,) = result.state, result.results
    assert found is not None
    return found


def rolled(
    state: EvidenceState, check: dict[str, Any], bad: float, *, looks: int = 20, slow: float = 0.0
) -> CheckResult:
    """Return what a check answers after looks at 100 requests, of the candidate's pods alone.

    So many of its answers fail; so many take longer than 100 ms, half of the others than 10 ms.
    """
    seen = []
    for n in range(looks):
        good, failed = round(100 * n * (1 - bad)), round(100 * n * bad)
        within = {0.01: round(50 * n * (1 - slow)), 0.1: round(100 * n * (1 - slow))}
        told = scrape(
            "new", AT_S + 15 + 5 * n, good, failed, revision="digits-2",
            started_at_s=NOW_S + 1, buckets=Histogram.of(within | {INF: good + failed}),
        )  # fmt: skip
        seen.append(Look(NOW_S + 16 + 5 * n, (told,)))
    return judged(state, check, seen)


def test_b19_more_failures_than_stable_had_before_are_harm() -> None:
    """B19: without a scrape of stable's in the rollout; marked, with both counts."""
    begun = known(steady(199, bad=PAST_BAD), ERRORS)
    found = rolled(begun, ERRORS, 0.15)
    assert (found.state, found.unpaired, found.at_once) == (CheckState.FAIL, True, True)
    assert found.message.startswith("Unpaired: ")
    assert "796 of 40596 on stable before the rollout" in found.message
    assert found.message.endswith("so what changed for all looks the same")
    assert not begun.paired


def test_b18_as_many_as_before_pass_once_harm_would_have_been_seen() -> None:
    """B18: the harm to detect is a multiple of what stable had shown; before it says what lacks."""
    begun = known(steady(199, bad=PAST_BAD), ERRORS)
    early = rolled(begun, ERRORS, 0.02, looks=3)
    assert early.state is CheckState.WAITING
    assert "more requests on the candidate" in early.message
    assert rolled(begun, ERRORS, 0.02).state is CheckState.PASS
    assert rolled(begun, ERRORS, 0.05, looks=4).state is CheckState.WAITING


def test_b18_a_past_too_short_to_pass_by_is_said() -> None:
    """B18: so few requests without a failure leave room for as many as are to be detected."""
    found = rolled(known(steady(1), ERRORS), ERRORS, 0.0)
    assert found.state is CheckState.WAITING
    assert "the 200 requests of stable's past are too few to tell detect 3x" in found.message
    assert "roll out again once stable has answered more, or raise detect" in found.message


def test_b19_slower_than_before_is_harm() -> None:
    """B19: durations are held against stable's own, bound by bound."""
    begun = known(steady(199), SLOW)
    assert rolled(begun, SLOW, 0.0, looks=30).state is CheckState.PASS
    found = rolled(begun, SLOW, 0.0, slow=0.8)
    assert (found.state, found.unpaired) == (CheckState.FAIL, True)


@pytest.mark.parametrize("past", [None, [], steady(0)])
def test_b21_without_a_past_it_cannot_tell(past: list[Any] | None) -> None:
    """B21: what nothing is known of is no pass, and no harm; it says why."""
    found = rolled(known(past, ERRORS), ERRORS, 0.5)
    assert (found.state, found.unpaired) == (CheckState.UNKNOWN, True)
    assert "stable's past is not known to be held against" in found.message


def test_one_pod_of_stable_is_a_reference() -> None:
    """There are no halves to compare, but it has been seen how it did."""
    asked = wanted(policy(ERRORS), "ml", stable_of(5000), None, NOW_S)
    assert asked is not None
    assert asked.pods == ("p0",)
    begun = known(steady(199, pods="a", bad=PAST_BAD), ERRORS)
    assert begun.history is not None
    assert begun.history.lacking
    assert rolled(begun, ERRORS, 0.3).state is CheckState.FAIL


def test_b32_a_checkpoint_keeps_the_reference() -> None:
    """B32: read once, before the rollout; a restart reads it no second time."""
    begun = known(steady(199, bad=PAST_BAD), ERRORS)
    after = from_text(to_text(begun))
    assert after is not None
    assert after.references.keys() == begun.references.keys() == {"errors"}
    kept, shown = after.references["errors"], begun.references["errors"]
    assert [p.segments for p in kept.processes] == [p.segments for p in shown.processes]
    assert [p.phi for p in kept.processes] == pytest.approx([p.phi for p in shown.processes])
    assert wanted(policy(ERRORS), "ml", stable_of(50, 50), after, NOW_S) is None
    assert rolled(replace(after, lone={}), ERRORS, 0.15).state is CheckState.FAIL


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"errorRate": {"against": "Past", "value": "2%"}}, "expected value where against"),
        ({"latency": {"against": "Past", "require": "HarmRuledOut"}}, "needs stable to compare"),
    ],
)
def test_what_a_past_cannot_do_is_refused(asked: dict[str, Any], words: str) -> None:
    """It is no value, and proves nothing."""
    with pytest.raises(ValidationError, match=words):
        Check.model_validate({"name": "x"} | asked)
