"""The clocks of a rollout: traffic, hold, not knowing, deadline."""

import pytest
from unit.core.builders import V2, ago, course, pods, result, revision, stepping

from rampway.core.checks.judged import CheckState
from rampway.core.rollout.phases import advance

UNKNOWN = CheckState.UNKNOWN


def test_traffic_is_timed_from_its_first_share() -> None:
    """`trafficSince` is set with the first share, stays, and is set anew after none."""
    first = advance(course({"phase": "Starting"}))
    assert first.status.traffic_since == ago(0)
    kept = advance(course(stepping(held_s=10), weight_pct=10))
    assert kept.status.traffic_since == ago(300)
    again = advance(course(stepping(held_s=10), weight_pct=0))
    assert again.status.traffic_since == ago(0)


def test_b18_a_hold_goes_on_where_it_was_interrupted() -> None:
    """B18: a foreign write stops the clock of the hold, and what was held stays held."""
    taken = advance(course(stepping(held_s=50), weight_pct=0)).status.step
    assert (taken.in_force_since, taken.held_s) == ("", 50)
    again = stepping(step={"index": 0, "total": 2, "heldS": 50})
    back = advance(course(again, weight_pct=10))
    assert back.status.step.in_force_since == ago(0)
    assert "holds for 10 s more" in back.status.message
    blind = stepping(held_s=50, unknownSince=ago(20))
    lost = advance(course(blind, weight_pct=0, results=(result(UNKNOWN),))).status.step
    assert lost.held_s == 30


def test_the_clock_of_not_knowing() -> None:
    """B18: what it counted is taken off the hold, and it starts anew."""
    blind = advance(course(stepping(held_s=30), weight_pct=10, results=(result(UNKNOWN),)))
    assert blind.status.unknown_since == ago(0)
    back = advance(course(stepping(held_s=30, unknownSince=ago(12)), weight_pct=10))
    assert back.status.unknown_since == ""
    assert back.status.step.not_counted_s == pytest.approx(12)


def test_the_deadlines_clock() -> None:
    """B25: it runs while pods lack, stops without a node, and is reset when all are ready."""
    homeless = pods(0, 1, unschedulable="no node")
    began = advance(course({}, candidate=revision(V2, 0, replicas=1, pods=homeless))).status
    assert (began.unready_since, began.unschedulable_since) == (ago(0), ago(0))
    placed = {"unreadySince": ago(50), "unschedulableSince": ago(40), "unschedulableS": 5.0}
    starting = revision(V2, 0, replicas=1, pods=pods(0, 1))
    counted = advance(course(placed, candidate=starting)).status
    assert counted.unschedulable_since == ""
    assert counted.unschedulable_s == pytest.approx(45)
    ready = advance(course(placed, candidate=revision(V2, 1))).status
    assert (ready.unready_since, ready.unschedulable_s) == ("", 0.0)
