"""Which of the client's answers count towards which of the demo's figures."""

from dataclasses import replace

import pytest

from demo.load import Answer
from demo.story import Stage, result
from demo.view import Seen

HEALTHY = Seen("True", "Healthy", "2 of 2 pods ready", stable="two")
REFUSED = Seen("False", "RolledBack", "was rolled back", stable="two")

V2 = Stage("2", 100.0, 160.0, 200.0, HEALTHY)
V3 = Stage("3", 200.0, 220.0, 230.0, replace(REFUSED, candidate="three"))
BACK = Stage("2", 230.0, 231.0, 240.0, HEALTHY)
V4 = Stage("4", 240.0, 260.0, 270.0, replace(REFUSED, candidate="four"))


def answers() -> list[Answer]:
    """One answer a second by whoever serves, with v3's errors and v4's slowness among them."""
    found = []
    for second in range(90, 270):
        by, latency_ms, status = ("digits-two", 10.0, 200)
        if second < 150:
            by = "digits-one" if second < 110 or second % 2 else "digits-two"
        elif second in {210, 212, 215}:
            by, status = "digits-three", 500
        elif second in {250, 253, 257}:
            by, latency_ms = "digits-four", 30.0
        found.append(Answer(float(second), status, latency_ms, by, right=status == 200))
    return found


def test_each_stage_has_its_own_answers() -> None:
    """Figures of a stage come from its own time: v1's last answer, v3's errors, v4's slow ones."""
    found = result(answers(), V2, V3, (BACK, V4))
    assert (found.promoted, found.rolled_back_errors, found.rolled_back_slow) == (True,) * 3
    assert found.promotion_s == pytest.approx(49.01)
    assert found.promotion_failed_requests == 0
    assert found.errors_failed_requests == 3
    assert found.errors_rollback_s == pytest.approx(5.0)
    assert found.slow_rollback_s == pytest.approx(7.0)


def test_limit_of_slowness_comes_from_stable_at_rest() -> None:
    """Stable's slow answers during a rollout do not excuse v4's; those at rest do."""
    while_v3_starts = [
        replace(one, latency_ms=500.0) if 200 <= one.sent_s < 210 else one for one in answers()
    ]
    found = result(while_v3_starts, V2, V3, (BACK, V4))
    assert found.slow_rollback_s == pytest.approx(7.0)
    at_rest = [
        replace(one, latency_ms=500.0) if 160 <= one.sent_s < 165 else one for one in answers()
    ]
    assert result(at_rest, V2, V3, (BACK, V4)).slow_rollback_s is None


def test_failure_while_old_pods_drain_counts_against_the_promotion() -> None:
    """A promotion is over when v1's pods are gone, not when the status says so."""
    lost = replace(answers()[100], status=0, revision="", right=False)
    assert (lost.sent_s, V2.settled_s) == (190.0, 160.0)
    found = result([*answers()[:100], lost, *answers()[101:]], V2, V3, (BACK, V4))
    assert found.promotion_failed_requests == 1


def test_status_alone_is_not_believed() -> None:
    """Rolled back means that the client gets no answer from the bad revision any more."""
    late = replace(answers()[135], revision="digits-three")
    assert late.sent_s == 225.0
    found = result([*answers()[:135], late, *answers()[136:]], V2, V3, (BACK, V4))
    assert not found.rolled_back_errors
    assert found.rolled_back_slow


def test_refused_candidate_that_was_promoted_is_no_rollback() -> None:
    """If v3 comes through, the demo has not kept its promise."""
    through = replace(V3, end=replace(HEALTHY, stable="three"))
    assert not result(answers(), V2, through, (BACK, V4)).rolled_back_errors
