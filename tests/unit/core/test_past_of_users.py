"""Users' own counters held against what stable did before: counts and means (decision 0053)."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError
from unit.core.builders import NOW_S
from unit.core.test_against_past import AT_S, ROLLING, judged
from unit.core.test_history import known, policy, scrape, stable_of, steady

from rampway.api.checks import Check
from rampway.core.checks.checkpoint import from_text, to_text
from rampway.core.checks.counters import Counter, Scrape
from rampway.core.checks.history import MOST_PODS, wanted
from rampway.core.checks.judged import CheckResult, CheckState, EvidenceState
from rampway.core.checks.judging import judge
from rampway.core.evidence import MOST_PER_LOOK, UNTOLD
from rampway.core.observation import Look
from rampway.shell.looks import PAST_SERIES

COUNTS = {"events": {"metric": "orders"}, "exposures": {"metric": "visits"}, "detect": "2x"}
FEWER = COUNTS | {"against": "Past", "harmWhen": "Less"}
MEAN = {"sum": {"metric": "orders"}, "count": {"metric": "visits"}, "upper": "50", "detect": "2x"}
ORDERS = {"name": "orders", "counts": FEWER}
BASKET = {"name": "basket", "mean": MEAN | {"against": "Past", "harmWhen": "Less"}}
ERRORS = {"name": "errors", "errorRate": {"detect": "5x"}}
PAST_ERRORS = {"name": "errors", "errorRate": {"against": "Past", "detect": "5x"}}


def told(pod: str, at_s: float, visits: float, orders: float, **more: Any) -> Scrape:
    """Return what a pod of the shop's has counted of stable's users, as `scrape` counts time."""
    counters = {"visits": visits, "orders": orders}
    return scrape(pod, at_s, 0, outcomes={}, buckets=UNTOLD, counters=counters, **more)


def shop(
    per_visit: float = 0.1, pods: str = "xy", bursts: int = 1, number: int = 150
) -> list[Scrape]:
    """Return a past in which each pod sees 100 visits an interval; the orders come in bursts."""
    found, orders = [], dict.fromkeys(pods, 0.0)
    for n in range(number):
        for index, pod in enumerate(pods):
            turn = (n + index) % bursts == 0
            orders[pod] += 100 * per_visit * bursts if turn else 0.0
            found.append(told(pod, 30.0 * n, 100.0 * n, orders[pod]))
    return found


def both(interval: int, bad: int) -> list[Scrape]:
    """Return what two pods of stable's have counted that fail at the same times."""
    return [scrape(pod, 30 * interval, 100 * interval - bad, bad) for pod in "ab"]


def rolled(
    state: EvidenceState,
    check: dict[str, Any],
    per_visit: float,
    *,
    looks: int = 30,
    late: int = 0,
) -> CheckResult:
    """Return what a check answers after looks at 20 visits, of the candidate's users alone.

    The orders come so many looks after their visits.
    """
    seen = []
    for n in range(looks):
        at_s = AT_S + 15 + 5 * n
        visits, orders = 20.0 * n, 20 * per_visit * max(0, n - late)
        shops = told("x", at_s, visits, orders, revision="digits-2", started_at_s=NOW_S + 1)
        own = scrape("new", at_s, 30 * n, revision="digits-2", started_at_s=NOW_S + 1)
        seen.append(Look(NOW_S + 16 + 5 * n, (shops, own)))
    return judged(state, check, seen)


def test_b19_fewer_orders_than_before_are_harm() -> None:
    """B19: held against what stable's users did before; marked, with both counts."""
    begun = known(shop(), ORDERS)
    found = rolled(begun, ORDERS, 0.04)
    assert (found.state, found.unpaired, found.at_once) == (CheckState.FAIL, True, False)
    assert "visits came to orders, 2980 of 29800 on stable before the rollout" in found.message
    assert "at least" in found.message
    assert not begun.paired


def test_b18_as_many_orders_as_before_pass() -> None:
    """B18: once half as many would have been seen; before it says how many visits lack."""
    begun = known(shop(), ORDERS)
    early = rolled(begun, ORDERS, 0.1, looks=6)
    assert early.state is CheckState.WAITING
    assert "more visits on the candidate" in early.message
    assert rolled(begun, ORDERS, 0.1).state is CheckState.PASS


def test_b19_a_smaller_mean_than_before_is_harm() -> None:
    """B19: baskets of 2 where they were of 5 before, told in the unit of the values."""
    begun = known(shop(per_visit=5.0), BASKET)
    assert rolled(begun, BASKET, 5.0, looks=60).state is CheckState.PASS
    found = rolled(begun, BASKET, 2.0, looks=60)
    assert (found.state, found.unpaired) == (CheckState.FAIL, True)
    assert "a mean of 2 over 1180 visits, 5 over 29800 on stable before" in found.message
    assert "at least 4." in found.message
    assert "is no harm" in found.message


@pytest.mark.parametrize("pods", ["x", "xy"])
def test_b19_bursts_of_the_past_weaken_the_evidence(pods: str) -> None:
    """B19: each interval against the next tells how orders come together, of one pod too."""
    calm, bursts = (
        known(shop(pods=pods, bursts=every), ORDERS).references["orders"].processes[0].phi
        for every in (1, 3)
    )
    assert 1 <= calm < 1.2
    assert bursts > 5


def test_b19_bursts_that_all_pods_have_at_once_count() -> None:
    """B19: half against half shows none of them; what has no pair has to bear them."""
    begun = known(steady(199, bad=dict.fromkeys(range(1, 199, 4), 40)), PAST_ERRORS)
    alike = known([s for n in range(200) for s in both(n, 40 * (n // 4))], PAST_ERRORS)
    for state in (begun, alike):
        assert state.references["errors"].processes[0].phi > 5


def test_b19_a_past_of_users_is_no_history_of_what_is_compared() -> None:
    """B19: neither of requests, nor of the same counters where they are compared with stable."""
    compared = {"name": "both", "counts": COUNTS}
    state = known([*steady(150), *shop()], ERRORS, ORDERS, compared)
    alone = known(steady(150), ERRORS)
    assert state.history == alone.history
    assert state.paired["errors"] == alone.paired["errors"]
    assert [p.cap for p in state.paired["both"].processes] == [MOST_PER_LOOK]
    assert state.references["orders"] == known(shop(), ORDERS).references["orders"]


def test_b21_without_a_past_of_users_it_cannot_tell() -> None:
    """B21: requests of stable's are no visits, and no visits are no reference."""
    for past in (steady(150), shop(number=1), None):
        found = rolled(known(past, ORDERS), ORDERS, 0.0)
        assert (found.state, found.unpaired) == (CheckState.UNKNOWN, True)
        assert "stable's past is not known to be held against" in found.message


@pytest.mark.parametrize("past", [3.0, 0.1], ids=["in the past", "in the rollout"])
def test_b21_more_orders_than_visits_are_a_mistake(past: float) -> None:
    """B21: events that are not of the exposures pass nothing and call nothing; it is said why."""
    found = rolled(known(shop(past), ORDERS), ORDERS, 3.0)
    assert found.state is CheckState.UNKNOWN
    assert "expected at most one event for each exposure" in found.mistake


@pytest.mark.parametrize("against", ["Past", "Value"])
def test_b19_orders_that_come_late_are_not_missed(against: str) -> None:
    """B19: nothing counts for `lag` after a change of the share; else it looks like harm."""
    counts = FEWER | ({"against": "Value", "value": "10%"} if against == "Value" else {})
    for lag, state in (("0s", CheckState.FAIL), ("60s", CheckState.PASS)):
        check = {"name": "orders", "counts": counts | {"lag": lag}}
        assert rolled(known(shop(), check), check, 0.1, looks=100, late=12).state is state


def test_users_counters_are_asked_for() -> None:
    """Those of checks against the past only, and never too many for a look."""
    other = {"name": "clicks", "counts": COUNTS | {"events": {"metric": "clicks"}}}
    asked = wanted(policy(ORDERS, other), "ml", stable_of(50, 50), None, NOW_S)
    assert asked is not None
    assert asked.counters == (Counter("orders"), Counter("visits"))
    plain = wanted(policy(other), "ml", stable_of(50, 50), None, NOW_S)
    assert plain is not None
    assert plain.counters == ()
    most = replace(asked, pods=("p",) * MOST_PODS, buckets=True)
    assert asked.series > plain.series
    assert most.series <= PAST_SERIES


def test_b32_orders_that_wait_survive_a_restart() -> None:
    """B32: an event that came after the visits of its look is kept for the next one."""
    begun = known(shop(), ORDERS)
    state = begun
    for n, (visits, orders) in enumerate([(0.0, 0.0), (0.0, 3.0), (1.0, 3.0)]):
        shops = told("x", AT_S + 15 + n, visits, orders, revision="digits-2", started_at_s=NOW_S)
        look = Look(NOW_S + 16 + n, (shops,))
        after = judge(policy(ORDERS), state, look, ROLLING, look.at_s).state
        assert after is not None
        kept = from_text(to_text(after))
        assert kept is not None
        state = kept
    (seen,) = state.lone["orders"]
    assert (seen.requests, seen.events, seen.waiting) == (1, 1, 2)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"counts": FEWER | {"slices": {"by": "region"}}}, "slices are compared with those of"),
        ({"counts": FEWER | {"require": "HarmRuledOut"}}, "needs stable to compare with"),
        ({"mean": MEAN | {"against": "Past", "require": "HarmRuledOut"}}, "needs stable"),
        ({"mean": MEAN | {"against": "Past", "slices": {"by": "region"}}}, "slices are compared"),
    ],
)
def test_what_needs_stable_beside_it_is_refused(asked: dict[str, Any], words: str) -> None:
    """A slice has no past, and no past proves that something is harmless."""
    with pytest.raises(ValidationError, match=words):
        Check.model_validate({"name": "x"} | asked)
