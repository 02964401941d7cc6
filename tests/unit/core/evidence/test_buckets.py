"""Histograms as they are scraped."""

import math

import pytest

from rampway.core.evidence import UNTOLD, Histogram

INF = math.inf
TEN = Histogram.of({0.1: 7, 0.2: 9, INF: 10})


def test_what_it_tells() -> None:
    """Pairs by bound, the whole, and one bound's count; of nothing nothing."""
    assert list(TEN) == [(0.1, 7), (0.2, 9), (INF, 10)]
    assert (TEN.total, TEN.up_to(0.2), TEN.up_to(0.15)) == (10, 9, None)
    assert (UNTOLD.total, list(UNTOLD), bool(UNTOLD), bool(TEN)) == (0, [], False, True)


def test_a_count_too_few_is_a_mistake() -> None:
    """Every bound has a count: a pair that is missing does not go unnoticed."""
    with pytest.raises(ValueError, match="zip"):
        list(Histogram((0.1, INF), (3,)))


def test_equal_bounds_are_held_once() -> None:
    """A thousand rollouts keep thousands of histograms, of few kinds."""
    one = Histogram.of({float(text): 1 for text in ("0.1", "0.25", "inf")})
    other = Histogram.over(tuple(map(float, ("0.1", "0.25", "inf"))), [5, 6, 7])
    assert one.bounds is other.bounds


def test_together() -> None:
    """Over the bounds that both have; an empty one adds nothing."""
    assert TEN.plus(TEN) == Histogram.of({0.1: 14, 0.2: 18, INF: 20})
    assert TEN.plus(Histogram.of({0.1: 1, INF: 4})) == Histogram.of({0.1: 8, INF: 14})
    assert TEN.plus(UNTOLD) == UNTOLD.plus(TEN) == TEN


def test_what_was_counted_since() -> None:
    """A new bound has no known beginning; with one that is gone nothing is known."""
    before = Histogram.of({0.1: 5, INF: 6})
    assert TEN.since(TEN) == Histogram.of({0.1: 0, 0.2: 0, INF: 0})
    assert TEN.since(before) == Histogram.of({0.1: 2, INF: 4})
    assert before.since(TEN) == UNTOLD
    assert (TEN.covers(before), before.covers(TEN), TEN.covers(UNTOLD)) == (True, False, True)


@pytest.mark.parametrize(
    ("now", "falls"),
    [({0.1: 7, 0.2: 9, INF: 10}, False), ({0.1: 6, 0.2: 9, INF: 10}, True),
     ({0.1: 7, INF: 9}, True), ({0.1: 7, INF: 12}, False)],
)  # fmt: skip
def test_a_step_back_is_seen_at_any_bound(now: dict[float, int], *, falls: bool) -> None:
    """Also where not all bounds are there any more."""
    assert Histogram.of(now).falls_below(TEN) is falls
