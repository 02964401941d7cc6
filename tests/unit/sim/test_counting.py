"""What users count in a trial: as often as told, spread as told, each counter once."""

import math
import statistics
from random import Random

import pytest

from rampway.sim.counting import Counting, Values, counted

ORDERS = Counting("visits", "orders", 0.5, 0.1)


@pytest.mark.parametrize("per_request", [0.2, 1.0, 2.5])
def test_exposures_and_events_come_as_often_as_told(per_request: float) -> None:
    """So many exposures for each request, and so many events for each exposure."""
    one = Counting("visits", "orders", per_request, 0.1)
    rng = Random(1)  # noqa: S311
    totals = counted(rng, 100_000, [one])
    assert totals["visits"] == pytest.approx(per_request * 100_000, rel=0.02)
    assert totals["orders"] == pytest.approx(0.1 * totals["visits"], rel=0.05)


@pytest.mark.parametrize("number", [1, 5, 200])
def test_sums_of_values_have_the_mean_and_the_spread(number: int) -> None:
    """The sum of n values lies around n times the mean, sd * sqrt(n) to either side."""
    values = Values(12.0, 0.0, 100.0)
    rng = Random(number)  # noqa: S311
    drawn = [values.total(rng, number, 40.0) for _ in range(4000)]
    assert statistics.fmean(drawn) == pytest.approx(number * 40.0, rel=0.02)
    assert statistics.stdev(drawn) == pytest.approx(12.0 * math.sqrt(number), rel=0.05)
    assert all(0 <= one <= 100 * number for one in drawn)


@pytest.mark.parametrize(("mean", "sd"), [(40.0, 0.0), (100.0, 12.0), (0.0, 12.0)])
def test_values_that_cannot_vary_do_not(mean: float, sd: float) -> None:
    """Without a spread, or with a mean at one of the bounds, each value is the mean."""
    assert Values(sd, 0.0, 100.0).total(Random(1), 7, mean) == 7 * mean  # noqa: S311


def test_a_counter_that_two_checks_name_is_drawn_once() -> None:
    """Visits are the same for orders and clicks; the same orders for two checks of them."""
    clicks = Counting("visits", "clicks", 0.5, 0.3)
    totals = counted(Random(1), 10_000, [ORDERS, clicks, ORDERS])  # noqa: S311
    assert totals.keys() == {"visits", "orders", "clicks"}
    assert totals["clicks"] / totals["visits"] == pytest.approx(0.3, rel=0.1)
    assert totals["orders"] / totals["visits"] == pytest.approx(0.1, rel=0.2)
