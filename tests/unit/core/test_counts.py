"""Checks of what users count themselves: which intervals count, and what is said of them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError
from unit.core.builders import NOW_S, rollout

from rampway.api.checks import Check
from rampway.api.policy import Policy
from rampway.core.checks import kinds, paired
from rampway.core.checks.bound import bound_of
from rampway.core.checks.checkpoint import from_text, to_text
from rampway.core.checks.counters import Scrape
from rampway.core.checks.deltas import Delta
from rampway.core.checks.judged import CheckResult, CheckState, Contest, Down, EvidenceState, Judged
from rampway.core.checks.judging import judge
from rampway.core.checks.kinds.base import PairedState
from rampway.core.instants import brief
from rampway.core.observation import Look
from rampway.sim.traffic import binomial

BOTH = Contest("digits-2", "digits-1", NOW_S, NOW_S, 0)
VISITS, ORDERS = "shop_visits_total", 'shop_orders_total{kind="placed"}'
EVENTS = {"metric": "shop_orders_total", "labels": [{"name": "kind", "value": "placed"}]}


def asked(**more: Any) -> dict[str, Any]:
    """Return a check of orders per visit, fewer of which are harm."""
    counts = {"events": EVENTS, "exposures": {"metric": VISITS}, "harmWhen": "Less"} | more
    return {"name": "orders", "counts": counts}


def policy(**more: Any) -> Policy:
    """Return a policy with this check alone."""
    return rollout(checks=[asked(**more)], falseRollbackRate="1%").spec.policy


def told(role: str, at_s: float, visits: float, orders: float, **more: Any) -> Scrape:
    """Return what a shop's pod tells of a revision, `at_s` after NOW_S."""
    scrape = Scrape("ml", f"digits-{role}", "shop-1", NOW_S + at_s, NOW_S - 5000, {})
    return replace(scrape, counters={VISITS: visits, ORDERS: orders}, **more)


def own(role: str, at_s: float, answered: int) -> Scrape:
    """Return what a pod of a revision tells of its answers."""
    scrape = Scrape("ml", f"digits-{role}", f"pod-{role}", NOW_S + at_s, NOW_S - 5000, {})
    return replace(scrape, outcomes={"ok": answered})


def looked(
    looks: Sequence[tuple[float, tuple[Scrape, ...]]],
    contest: Contest = BOTH,
    wanted: Policy | None = None,
    before: EvidenceState | None = None,
    **more: Any,
) -> Judged:
    """Return what is judged after these looks, each so many seconds after NOW_S."""
    judged = Judged(before, ())
    for at_s, scrapes in looks:
        answered = round(100 * at_s)
        both = (own("1", at_s - 0.5, answered), own("2", at_s - 0.5, answered))
        look = Look(NOW_S + at_s, (*scrapes, *both), **more)
        judged = judge(wanted or policy(), judged.state, look, contest, NOW_S + at_s)
    return judged


def shop(mine: float, other: float, looks: int) -> list[tuple[float, tuple[Scrape, ...]]]:
    """Return looks at a shop with 100 visits each, of which so many come to orders."""
    return [
        (
            5.0 * n + 5,
            (
                told("2", 5 * n + 2, 100 * n, round(100 * n * mine)),
                told("1", 5 * n + 2, 100 * n, round(100 * n * other)),
            ),
        )
        for n in range(looks)
    ]


def only(judged: Judged) -> CheckResult:
    """Return the one check's answer."""
    (found,) = judged.results
    return found


def total(judged: Judged) -> tuple[int, float, int, float]:
    """Return visits and orders of the candidate, then of stable, that were compared."""
    assert judged.state is not None
    found = judged.state.paired["orders"].processes[0].total
    return found.stable_n, found.stable_events, found.candidate_n, found.candidate_events


def test_fewer_orders_are_harm_and_told_as_such() -> None:
    """A third of the orders fails the check, in words with the counts; as many pass it."""
    found = only(looked(shop(0.05, 0.15, 20)))
    assert found.state is CheckState.FAIL
    assert not found.at_once
    assert f"{ORDERS} in " in found.message
    assert "times as seldom (at least" in found.message
    calm = looked(shop(0.15, 0.15, 90))
    assert only(calm).state is CheckState.PASS, only(calm).message
    assert total(calm) == (8900, 1335, 8900, 1335)


def test_more_can_be_harm_too() -> None:
    """Repeated searches: more of them fail, fewer do not."""
    more = policy(harmWhen="More", detect="3x")
    assert only(looked(shop(0.3, 0.1, 20), wanted=more)).state is CheckState.FAIL
    assert "times as often" in only(looked(shop(0.3, 0.1, 20), wanted=more)).message
    assert only(looked(shop(0.01, 0.1, 60), wanted=more)).state is CheckState.PASS


def test_b18_it_waits_until_it_had_the_power_and_says_how_long() -> None:
    """B18: how many more visits it needs, and how long they take at the candidate's own rate."""
    found = only(looked(shop(0.15, 0.15, 5)))
    assert found.state is CheckState.WAITING
    (more,) = re.findall(rf"about (\d+) more {VISITS} on the candidate, ", found.message)
    # 400 visits in the 24 s since the weight is in force and has settled.
    assert f", {brief(int(more) * 24 / 400)} at their mean rate under this weight" in found.message
    assert "mean rate" not in only(looked(shop(0.15, 0.15, 1))).message


@pytest.mark.parametrize("harm_when", ["Less", "More"])
def test_b18_the_time_is_that_of_the_candidates_visits(harm_when: str) -> None:
    """B18: stable's, nine times as many, shorten nothing; nor do those that a lag leaves out."""
    looks: list[tuple[float, tuple[Scrape, ...]]] = [
        (5.0 * n, (told("2", 5 * n - 3, 100 * n, 15 * n), told("1", 5 * n - 3, 900 * n, 135 * n)))
        for n in range(1, 8)
    ]
    for lag, counted, since_s in (("0s", 600, 34.0), ("12s", 400, 22.0)):
        found = only(looked(looks, wanted=policy(harmWhen=harm_when, lag=lag, detect="1.5x")))
        (more,) = re.findall(rf"about (\d+) more {VISITS} on the candidate, ", found.message)
        assert f", {brief(int(more) * since_s / counted)} at their mean rate" in found.message


def test_b20_counters_of_users_begin_again_with_their_process_only() -> None:
    """B20: a step back is dropped, a new process counts from zero."""
    looks = shop(0.1, 0.1, 4)
    back = (25.0, (told("2", 22, 250, 25), told("1", 22, 400, 40)))
    on = (30.0, (told("2", 27, 500, 50), told("1", 27, 500, 50)))
    assert total(looked([*looks, back, on]))[0] == 500
    fresh = told("2", 27, 30, 3, started_at_s=NOW_S + 20)
    assert total(looked([*looks, (30.0, (fresh, told("1", 27, 500, 50)))]))[0] == 330


def test_b20_what_one_side_counted_waits_for_the_other() -> None:
    """B20: pods scraped at different times lose nothing; a change of the split begins anew."""
    looks = [
        (5.0, (told("2", 2, 0, 0), told("1", 2, 0, 0))),
        (10.0, (told("2", 7, 40, 4),)),
        (15.0, (told("1", 12, 90, 9),)),
        (20.0, (told("2", 17, 100, 10),)),
    ]
    judged = looked(looks)
    assert total(judged) == (40, 4, 90, 9)
    assert judged.state is not None
    assert judged.state.paired["orders"].waiting == (0.0, 0.0, 60.0, 6.0)
    kept = from_text(to_text(judged.state))
    assert kept is not None
    assert kept.paired["orders"].waiting == judged.state.paired["orders"].waiting
    assert kept.ledger == judged.state.ledger
    quiet = looked(looks[:1]).state
    assert quiet is not None
    back = from_text(to_text(quiet))
    assert back is not None
    assert only(judge(policy(), back, Look(NOW_S + 5), BOTH, NOW_S + 6)).state is CheckState.WAITING


def test_events_that_come_late_count_in_a_later_interval() -> None:
    """More orders than visits in an interval are late ones; far more are a user's mistake."""
    check = policy().checks[0]
    state = kinds.of(check).begin(Delta())
    bound = bound_of(policy())
    mine, other = Delta(counters={VISITS: 5.0, ORDERS: 8.0}), Delta(counters={VISITS: 90.0})
    state = paired.update(bound, check, state, mine, other, new_segment=False)
    assert state.waiting == (0.0, 0.0, 0.0, 3.0)
    rest = Delta(counters={VISITS: 95.0, ORDERS: 2.0})
    state = paired.update(bound, check, state, rest, other, new_segment=False)
    found = state.processes[0].total
    assert (found.stable_n, found.stable_events) == (100, 10)
    assert not kinds.of(check).mistake(state)
    many = only(looked(shop(2.5, 2.5, 20)))
    assert many.state is CheckState.UNKNOWN
    assert "at most one event for each exposure" in many.mistake


def test_lag_leaves_out_what_may_belong_to_another_split() -> None:
    """After a change of the share nothing counts for as long as events may come late."""
    slow = policy(lag="30s")
    judged = looked(shop(0.15, 0.15, 20), wanted=slow)
    assert total(judged)[0] == 1300
    assert total(looked(shop(0.15, 0.15, 20)))[0] == 1900


def test_in_a_mirror_step_it_is_not_asked() -> None:
    """Nobody sees the answers to copies, so nothing can be counted, and nothing holds the step."""
    found = only(looked(shop(0.0, 0.5, 20)[:1], replace(BOTH, mirrored=True)))
    assert found.state is CheckState.PASS
    assert "copies only" in found.message


@pytest.mark.parametrize("against", [{}, {"against": "Value", "value": "50%"}])
def test_b21_what_copies_come_to_is_not_counted(against: dict[str, Any]) -> None:
    """B21: also where the model's own pods count: no harm, and no evidence for the next step."""
    copies = replace(BOTH, mirrored=True)
    judged = looked(shop(0.0, 0.5, 20), copies, policy(**against))
    assert only(judged).state is CheckState.PASS
    assert judged.state is not None
    assert not judged.state.harmed
    found = looked(shop(0.0, 0.5, 21)[20:], wanted=policy(**against), before=judged.state)
    assert only(found).state is CheckState.WAITING


def test_b20_parts_of_an_exposure_are_compared_too() -> None:
    """B20: exposures need not be whole (seconds): what an interval rounds the next one has."""
    looks = [
        (5.0 * n + 5, (told("2", 5 * n + 2, 1.4 * n, 0), told("1", 5 * n + 2, 1.4 * n, 0)))
        for n in range(101)
    ]
    assert total(looked(looks)) == (140, 0, 140, 0)


def test_b17_counters_that_nobody_tells_are_unknown() -> None:
    """B17: without a scrape of them, or where they cannot be read, it neither passes nor fails."""
    late = [(at_s, ()) for at_s in (5.0, 70.0)]
    found = only(looked(list(late)))
    assert found.state is CheckState.UNKNOWN
    assert f"no scrape of {VISITS} of the candidate" in found.message
    unread = only(looked(shop(0.15, 0.15, 90), unread="too long"))
    assert (unread.state, unread.message) == (CheckState.UNKNOWN, "too long")


def test_b17_beside_a_stable_that_is_down_there_is_nothing_to_compare() -> None:
    """B17: who orders how often of a candidate alone says nothing of its harm."""
    judged = looked(shop(0.15, 0.15, 30))
    assert judged.state is not None
    gone = replace(judged.state, down=Down(NOW_S - 900))
    alone = replace(BOTH, stable_ready=False, patience_s=600.0)
    look = Look(NOW_S + 156, (told("2", 155, 4000, 600), own("2", 155, 16000)))
    found = only(judge(policy(), gone, look, alone, NOW_S + 156))
    assert found.state is CheckState.WAITING
    assert "no comparison" in found.message


@pytest.mark.no_cover
def test_b19_what_is_tolerated_is_rarely_called_harm() -> None:
    """B19: at the edge of what is tolerated fewer than one rollout in fifty is rolled back."""
    dice = Random(7)  # noqa: S311 - nothing here is secret
    wanted = policy(maxChange="20%", ignoreBelow="1%")
    check, bound = wanted.checks[0], bound_of(wanted)
    stable = 0.1
    edge = 0.8 * stable - 0.01
    refused = 0
    for _ in range(300):
        state: PairedState = kinds.of(check).begin(Delta())
        for _ in range(40):
            mine, other = (
                Delta(counters={VISITS: 200.0, ORDERS: float(binomial(dice, 200, rate))})
                for rate in (edge, stable)
            )
            state = paired.update(bound, check, state, mine, other, new_segment=False)
            if paired.culprits(bound, wanted.checks, {check.name: state}):
                refused += 1
                break
    assert refused <= 6


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"maxChange": "100%"}, "less than 100%"),
        ({"detect": "1.1x"}, "expected more than what maxChange tolerates"),
        ({"maxChange": "60%", "detect": "2x"}, "expected more than what maxChange tolerates"),
        ({"maxChange": "0%", "ignoreBelow": "0%", "require": "HarmRuledOut"}, "above 0%"),
        ({"events": {"metric": "a{b}"}}, "the name of a series"),
        (
            {"events": {"metric": "a", "labels": [{"name": "namespace", "value": "x"}]}},
            "for Rampway to say",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(more: dict[str, Any], words: str) -> None:
    """B36: no label can reach beyond the namespace, and limits that say nothing are refused."""
    with pytest.raises(ValidationError, match=words):
        Check.model_validate(asked(**more))
