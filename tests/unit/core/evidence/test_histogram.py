"""Latency bounds chosen from stable's histogram."""

import math
from itertools import pairwise

import numpy as np
import pytest

from rampway.core.evidence import (
    UNTOLD,
    BoundPair,
    Histogram,
    PairCount,
    choose_bounds,
    tail_counts,
)

BOUNDS = [float(f"{0.001 * 1.2**k:.3g}") for k in range(51)]
"""The model server's: 1 ms to 9 s in steps of 20 %, three digits."""


def histogram(times_s: list[float]) -> Histogram:
    return Histogram.of({b: sum(t <= b for t in times_s) for b in [*BOUNDS, math.inf]})


def lognormal(n: int, median_s: float = 0.01, spread: float = 0.5, seed: int = 1) -> list[float]:
    times: list[float] = (
        np.random.default_rng(seed).lognormal(math.log(median_s), spread, n).tolist()
    )
    return times


def beyond(buckets: Histogram, bound_s: float) -> float:
    return 1 - dict(buckets)[bound_s] / buckets.total


def test_whole_distribution_gets_a_few_bounds() -> None:
    """Without a percentile, tails of about 50, 25, 10, 5 and 1 % are compared."""
    stable = histogram(lognormal(20_000))
    pairs = choose_bounds(stable, 0.2, None)
    tails = sorted(beyond(stable, pair.stable_bound_s) for pair in pairs)
    for tail, wanted in zip(tails, (0.01, 0.05, 0.1, 0.25, 0.5), strict=True):
        assert 0.3 * wanted < tail <= wanted
    assert math.fsum(pair.weight for pair in pairs) == pytest.approx(1)
    assert pairs[0].weight == max(pair.weight for pair in pairs)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_percentile_gets_its_bound(quantile: float) -> None:
    """With a percentile, the smallest bound that no more of stable's requests exceed."""
    stable = histogram(lognormal(20_000))
    (pair,) = choose_bounds(stable, 0.2, quantile)
    assert pair.weight == 1
    assert beyond(stable, pair.stable_bound_s) <= 1 - quantile
    below = BOUNDS[BOUNDS.index(pair.stable_bound_s) - 1]
    assert beyond(stable, below) > 1 - quantile


@pytest.mark.parametrize("slowdown", [0.0, 0.1, 0.2, 0.5, 1.0])
def test_candidate_bound_is_the_next_one_slower_by_the_tolerance(slowdown: float) -> None:
    """The candidate's bound is the smallest one (1 + q) times stable's, but for rounding."""
    stable = histogram(lognormal(5000))
    for pair in choose_bounds(stable, slowdown, None):
        index = BOUNDS.index(pair.candidate_bound_s)
        least = (1 + slowdown) * pair.stable_bound_s
        assert pair.candidate_bound_s > pair.stable_bound_s
        assert pair.candidate_bound_s >= 0.995 * least
        before = BOUNDS[index - 1]
        assert before == pair.stable_bound_s or before < 0.995 * least


def test_each_step_of_the_server_counts_as_twenty_percent() -> None:
    """No rounded bound makes a tolerance of 20 % one of 44 %."""
    for bound, following in pairwise(BOUNDS):
        stable = histogram([0.99 * bound] * 100)
        (pair,) = choose_bounds(stable, 0.2, 0.99)
        assert (pair.stable_bound_s, pair.candidate_bound_s) == (bound, following)


def test_equal_bounds_are_taken_once() -> None:
    """Where all of stable's requests take the same time, one pair is left, with all weight."""
    pairs = choose_bounds(histogram([0.0115] * 1000), 0.2, None)
    assert pairs == (BoundPair(1.0, 0.0128, 0.0154),)


def test_few_requests_are_not_enough() -> None:
    """Below 100 requests there is no choice yet, and without a histogram neither."""
    assert choose_bounds(histogram(lognormal(99)), 0.2, None) == ()
    assert choose_bounds(UNTOLD, 0.2, 0.99) == ()
    assert choose_bounds(histogram(lognormal(100)), 0.2, None) != ()


def test_thin_histogram_leaves_the_far_tails_out() -> None:
    """A tail that fewer than five requests are in is not compared."""
    stable = histogram(lognormal(200, spread=1.0))
    assert all(beyond(stable, p.stable_bound_s) > 0.01 for p in choose_bounds(stable, 0.2, None))
    assert len(choose_bounds(stable, 0.2, None)) == 4


def test_end_of_the_histogram_falls_back_to_the_last_pair() -> None:
    """Where stable's tail lies beyond the last bounds, the last pair with a finite b' is taken."""
    (pair,) = choose_bounds(histogram([20.0] * 200), 0.2, 0.99)
    assert pair == BoundPair(1.0, BOUNDS[-2], BOUNDS[-1])
    assert choose_bounds(Histogram.of({1.0: 500, math.inf: 1000}), 0.2, 0.99) == ()
    assert choose_bounds(Histogram.of({math.inf: 1000}), 0.2, None) == ()


def test_tail_counts_take_each_side_at_its_own_bound() -> None:
    """The candidate's requests beyond b' are compared with stable's beyond b."""
    pair = BoundPair(1.0, 0.1, 0.12)
    candidate = Histogram.of({0.1: 3, 0.12: 7, math.inf: 10})
    stable = Histogram.of({0.1: 80, 0.12: 90, math.inf: 100})
    assert tail_counts(pair, candidate, stable) == PairCount(10, 3, 100, 20)


def test_b18_missing_bound_counts_as_no_requests() -> None:
    """A histogram without the bound says nothing, not that no request was slow."""
    pair = BoundPair(1.0, 0.1, 0.12)
    other = Histogram.of({0.1: 3, 0.5: 10, math.inf: 10})
    stable = Histogram.of({0.1: 80, 0.12: 90, math.inf: 100})
    assert tail_counts(pair, other, stable) == PairCount(0, 0, 100, 20)
    assert tail_counts(pair, UNTOLD, UNTOLD) == PairCount(0, 0, 0, 0)


@pytest.mark.parametrize("slower", [1.0, 1.2])
def test_tolerated_slowness_is_no_more_frequent_beyond_its_bound(slower: float) -> None:
    """A candidate as slow as tolerated exceeds b' no more often than stable exceeds b."""
    times = lognormal(20_000)
    stable, candidate = histogram(times), histogram([slower * t for t in times])
    for pair in choose_bounds(stable, 0.2, None):
        counts = tail_counts(pair, candidate, stable)
        # Bounds rounded to three digits may let in what lies within half a percent.
        assert counts.candidate_events <= counts.stable_events + 0.01 * counts.candidate_n
