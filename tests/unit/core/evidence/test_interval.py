"""The interval for the ratio of the rates: what it covers, and what it says."""

import json
import math
from functools import reduce

import mpmath
import numpy as np
import pytest

from rampway.core.evidence import (
    Dispersion,
    EProcess,
    PairCount,
    Ratio,
    Tolerance,
    from_json,
    interval,
    log_factor,
    start,
    to_json,
    update,
)
from rampway.core.evidence.interval import MISSED, log_e_below, log_e_beyond
from rampway.core.evidence.mixture import RHOS, WEIGHTS

CALM = EProcess(past=Dispersion(1e6, 1e6, 10**6))
"""Knows that there are no bursts, so that phi is 1."""


def after(counts: list[PairCount], process: EProcess = CALM) -> EProcess:
    """Return the process after these looks."""
    return reduce(lambda p, c: update(p, c, Tolerance(1.1)), counts, process)


LOOKS = [PairCount(50, 4, 200, 3), PairCount(50, 0, 200, 1), PairCount(50, 9, 200, 2)]


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5])
def test_both_tests_are_the_mixtures_of_their_factors(ratio: float) -> None:
    """One segment of a constant split: the same as the looks' factors, multiplied and mixed."""
    process = after(LOOKS)
    for side, found in ((1, log_e_beyond(process, ratio)), (-1, log_e_below(process, ratio))):
        mixed = mpmath.fsum(
            weight
            * mpmath.exp(math.fsum(log_factor(rho**side, c, Tolerance(ratio)) for c in LOOKS))
            for rho, weight in zip(RHOS, WEIGHTS, strict=True)
        )
        assert found == pytest.approx(float(mpmath.log(mixed)), rel=1e-9)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5])
def test_no_more_is_made_of_the_looks_than_their_factors_do(ratio: float) -> None:
    """Looks of any odds in one segment: at most the mixture of their factors, and nearly that."""
    source = np.random.default_rng(8)
    looks = []
    for _ in range(200):
        n_c, n_s = int(source.integers(1, 40)), int(source.integers(1, 400))
        mine, other = source.binomial(n_c, 0.1), source.binomial(n_s, 0.05)
        looks.append(PairCount(n_c, int(mine), n_s, int(other)))
    process = after(looks)
    for side, found in ((1, log_e_beyond(process, ratio)), (-1, log_e_below(process, ratio))):
        mixed = mpmath.fsum(
            weight
            * mpmath.exp(math.fsum(log_factor(rho**side, c, Tolerance(ratio)) for c in looks))
            for rho, weight in zip(RHOS, WEIGHTS, strict=True)
        )
        exact = float(mpmath.log(mixed))
        assert exact - 0.25 * abs(exact) - 1 < found <= exact + 1e-9


@pytest.mark.no_cover
def test_the_truth_is_kept_where_the_share_follows_the_rate() -> None:
    """Within one segment, as match steps and numbers of pods may do: 150 runs of 240 looks.

    From the totals of the segment the truth would be left out in most of them.
    """
    source = np.random.default_rng(77)
    runs, left_out, bound = 150, 0, math.log(2 / MISSED)
    for _ in range(runs):
        process, worst = CALM, 0.0
        for look in range(240):
            n_c, rate = ((100, 0.05), (300, 0.01))[look // 10 % 2]
            mine, other = source.binomial(n_c, rate), source.binomial(1000 - n_c, rate)
            counts = PairCount(n_c, int(mine), 1000 - n_c, int(other))
            process = update(process, counts, Tolerance(1.1))
            if look % 20 == 0 or look == 239:  # it is looked at more seldom than it might be
                worst = max(worst, log_e_beyond(process, 1.0), log_e_below(process, 1.0))
        left_out += worst >= bound
    assert left_out / runs <= MISSED + 3 * math.sqrt(MISSED * (1 - MISSED) / runs)


def test_b32_interval_and_ratio_survive_a_restart() -> None:
    """To the figures that are told."""
    process = after([*LOOKS, PairCount(7, 1, 390, 5)])
    kept = from_json(json.loads(json.dumps(to_json(process))))
    assert interval(kept).low == pytest.approx(interval(process).low, rel=1e-4)
    assert interval(kept).high == pytest.approx(interval(process).high, rel=1e-4)
    assert kept.total.rates == pytest.approx(process.total.rates, rel=1e-5)
    assert [odds.octave for odds in kept.total.odds] == [-1, -5]


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
@pytest.mark.no_cover
def test_the_truth_is_rarely_ever_left_out(truth: float) -> None:
    """Over 120 looks and three splits at most 5 % of the runs ever leave it out.

    Exposures and rates vary from look to look; three Monte Carlo errors are allowed.
    """
    source = np.random.default_rng(round(10 * truth) + 40)
    runs, left_out = 300, 0
    bound = math.log(2 / MISSED)
    for _ in range(runs):
        process = CALM
        for look in range(120):
            n = int(source.poisson(400))
            n_c = int(source.binomial(n, (0.05, 0.2, 0.5)[look // 40]))
            rate = 0.01 if look % 30 < 20 else 0.05
            counts = PairCount(
                n_c, int(source.binomial(n_c, truth * rate)), n - n_c,
                int(source.binomial(n - n_c, rate)),
            )  # fmt: skip
            process = update(process, counts, Tolerance(1.1), new_segment=look % 40 == 0)
            if max(log_e_beyond(process, truth), log_e_below(process, truth)) >= bound:
                left_out += 1
                break
    assert left_out / runs <= MISSED + 3 * math.sqrt(MISSED * (1 - MISSED) / runs)


def test_interval_narrows_round_the_truth() -> None:
    """More of the same makes it narrower; bursts make it wider."""
    one = [PairCount(500, 15, 500, 5)]
    found = [interval(after(one * many)) for many in (2, 8, 60)]
    assert all(r.low < 3 < r.high for r in found)
    assert found[0].low < found[1].low < found[2].low
    assert found[0].high > found[1].high > found[2].high
    assert found[2].low > 2.2
    bursty = EProcess(past=Dispersion(9e6, 1e6, 10**6))
    assert interval(after(one * 8, bursty)).low < found[1].low


def test_interval_is_where_the_tests_reach_their_bounds() -> None:
    """At its ends the two tests are at 2/alpha."""
    process = after([PairCount(500, 40, 1500, 30)])
    found = interval(process)
    bound = math.log(2 / MISSED)
    assert log_e_beyond(process, found.low) == pytest.approx(bound, abs=1e-3)
    assert log_e_below(process, found.high) == pytest.approx(bound, abs=1e-3)
    surer = interval(process, 0.001)
    assert surer.low < found.low < found.high < surer.high


def test_what_is_not_known_is_not_said() -> None:
    """Nothing seen, or no event of one side: no end on that side."""
    assert interval(start()) == Ratio(0.0, math.inf)
    none_of_stables = interval(after([PairCount(400, 20, 400, 0)]))
    assert none_of_stables.low > 2
    assert none_of_stables.high == math.inf
    none_of_mine = interval(after([PairCount(400, 0, 400, 20)]))
    assert none_of_mine.low == 0
    assert none_of_mine.high < 0.5
