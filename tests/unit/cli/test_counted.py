"""What checks of users' own counters meet: as told on the command line, as Prometheus has it."""

from random import Random
from typing import Any

import pytest

from rampway.api.checks import Check
from rampway.api.policy import Policy
from rampway.cli import counted
from rampway.core.checks.counters import Scrape
from rampway.sim.counting import Counting, Values

ORDERS: dict[str, Any] = {"exposures": {"metric": "visits"}, "events": {"metric": "orders"}}
BASKET: dict[str, Any] = {
    "sum": {"metric": "basket_sum"}, "count": {"metric": "basket_count"}, "lower": "10",
    "upper": "110",
}  # fmt: skip


def policy(**checks: Any) -> Policy:
    """Return a policy with checks of users' own counters."""
    made = [{"name": name} | check for name, check in checks.items()]
    return Policy.model_validate({"checks": made}, by_name=False)


BOTH = policy(orders={"counts": ORDERS}, basket={"mean": BASKET})


def check_of(**check: Any) -> Check:
    """Return one check."""
    return policy(one=check).checks[0]


def test_a_rate_and_a_mean_are_told_with_their_exposures() -> None:
    """Events for each exposure, or mean and deviation; for each request one, or as told."""
    found = counted.told(["orders=3%:0.2", "basket=40,12"], BOTH)
    assert found["orders"] == Counting("visits", "orders", 0.2, 0.03)
    values = Values(12.0, 10.0, 110.0)
    assert found["basket"] == Counting("basket_count", "basket_sum", 1.0, 40.0, values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("basket=40", "expected mean and standard deviation, such as 40,12"),
        ("basket=5,1", "expected a mean from lower 10 to upper 110"),
        ("basket=40,60", "expected a standard deviation up to 45.8, the most there can be"),
        ("basket=40,-1", "expected a number from 0 on; seen: '-1'"),
        ("orders=often", "percentage 'often'"),
        ("errors=3%", "there is orders, basket"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    """With what was expected instead."""
    with pytest.raises(ValueError, match=said):
        counted.told([text], BOTH)
    with pytest.raises(ValueError, match="as the policy has no such check"):
        counted.told([text], Policy(checks=()))


def test_a_change_is_of_what_lies_above_the_smallest_value() -> None:
    """As `detect` has it; events come at most at every exposure."""
    known = counted.told(["orders=60%", "basket=40,12"], BOTH)
    assert counted.changed(known["basket"], "2x").mean == 10 + 2 * 30
    assert counted.changed(known["basket"], "9x").mean == 110
    assert counted.changed(known["orders"], "0.5x").mean == 0.3
    assert counted.changed(known["orders"], "2x").mean == 1.0


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ({"counts": ORDERS | {"detect": "2x"}}, "2x"),
        ({"counts": ORDERS | {"detect": "4x", "harmWhen": "Less"}}, "0.25x"),
        ({"mean": BASKET}, "1.5x"),
    ],
)
def test_what_is_to_be_detected_is_a_change(check: dict[str, Any], change: str) -> None:
    """More of it, or less where less is harm."""
    assert counted.detected(check_of(**check)) == change


def series(revision: str, number: int) -> list[Scrape]:
    """Return so many scrapes, one in 15 s, of a pod that tells of a revision's users.

    At 100 requests a second every fifth is a visit and every tenth fills a basket.
    """
    rng = Random(1)  # noqa: S311
    told = dict.fromkeys(("visits", "orders", "basket_count", "basket_sum"), 0.0)
    found = []
    for n in range(number):
        found.append(Scrape("shop", revision, "shop-0", 1000.0 + 15 * n, 1.0, {}, counters=told))
        basket = rng.gauss(150 * 40.0, 12.0 * 150**0.5)
        more = {"visits": 300.0, "orders": 30.0, "basket_count": 150.0, "basket_sum": basket}
        told = {name: count + more[name] for name, count in told.items()}
    return found


def test_what_prometheus_has_counted_is_measured() -> None:
    """Exposures for each request, events for each, and of values how they are spread."""
    scrapes = series("digits-1", 80)
    windows = (scrapes[:5], scrapes[-60:])
    found = counted.measured(BOTH.checks, ["digits-1"], windows, 100.0)
    orders, basket = found["orders"], found["basket"]
    assert orders.per_request == pytest.approx(0.2)
    assert orders.mean == pytest.approx(0.1)
    assert (orders.exposures, orders.events, orders.values) == ("visits", "orders", None)
    assert basket.per_request == pytest.approx(0.1)
    assert basket.mean == pytest.approx(40.0, rel=0.01)
    assert basket.values is not None
    assert basket.values.sd == pytest.approx(12.0, rel=0.3)
    assert (basket.values.low, basket.values.high) == (10.0, 110.0)
    assert counted.measured(BOTH.checks, ["digits-2"], windows, 100.0) == {}
    assert counted.measured(BOTH.checks, ["digits-1"], ([], windows[1]), 100.0) == {}
