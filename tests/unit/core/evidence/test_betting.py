"""A bounded mean by betting, and by fractional events: never more than one in the mean under H0."""

import math
from itertools import product
from random import Random

import mpmath
import pytest

from rampway.core.evidence import Bets, EProcess, PairCount, Tolerance, log_factor, update
from rampway.core.evidence.betting import SHARES

VALUES = (0.0, 0.25, 1.0)
LAWS = ((0.5, 0.2, 0.3), (0.1, 0.8, 0.1), (0.0, 1.0, 0.0), (0.7, 0.0, 0.3))
"""Chances of these values."""


def mean(law: tuple[float, ...]) -> float:
    """Return a law's mean."""
    return sum(map(lambda chance, value: chance * value, law, VALUES))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("ratio", "floor"), [(1.0, 0.0), (1.2, 0.0), (1.0, 0.1), (1.25, 0.05)])
@pytest.mark.parametrize(("n_c", "n_s"), [(1, 1), (2, 3), (3, 1)])
def test_b19_no_bet_wins_in_the_mean_at_the_limit(
    law: tuple[float, ...], ratio: float, floor: float, n_c: int, n_s: int
) -> None:
    """B19: over all samples the mean factor of each bet, and of each alternative, is at most 1."""
    other = (mean(law) - floor) / ratio
    theirs = (1 - other, 0.0, other)  # the law of that mean which varies most
    tolerance = Tolerance(ratio, floor)
    bets, factors = [mpmath.mpf(0)] * len(SHARES), mpmath.mpf(0)
    for mine in product(range(len(VALUES)), repeat=n_c):
        for others in product(range(len(VALUES)), repeat=n_s):
            chance = math.prod([law[i] for i in mine] + [theirs[i] for i in others])
            sums = sum(VALUES[i] for i in mine), sum(VALUES[i] for i in others)
            counts = PairCount(n_c, sums[0], n_s, sums[1])
            won = Bets().after(counts, tolerance).log_wealth
            bets = [b + chance * mpmath.exp(w) for b, w in zip(bets, won, strict=True)]
            factors += chance * mpmath.exp(log_factor(3.0, counts, tolerance))
    assert all(float(b) == pytest.approx(1, abs=1e-9) for b in bets)
    assert float(factors) <= 1 + 1e-9


def test_b19_a_bet_that_forgets_the_tolerance_is_seen() -> None:
    """B19: the same enumeration finds a bet on plain equality invalid where 20 % are tolerated."""
    whole = mpmath.mpf(0)
    for mine, other in product((0, 1), repeat=2):
        chance = (0.6 if mine else 0.4) * 0.5
        counts = PairCount(1, float(mine), 1, float(other))
        whole += chance * mpmath.exp(Bets().after(counts, Tolerance(1.0)).log_wealth[-1])
    assert whole > 1.05


def test_the_wealth_is_the_mean_of_products() -> None:
    """By another route: the product of the factors for each share, averaged, in many digits."""
    looks = [PairCount(10, 6.5, 30, 9.25), PairCount(4, 4.0, 8, 0.5), PairCount(9, 0.0, 9, 9.0)]
    bets, tolerance = Bets(), Tolerance(1.1, 0.02)
    for counts in looks:
        bets = bets.after(counts, tolerance)
    with mpmath.workdps(40):
        whole = mpmath.mpf(0)
        for share in SHARES:
            one = mpmath.mpf(1)
            for c in looks:
                gap = mpmath.mpf(c.candidate_events) / c.candidate_n
                gap -= mpmath.mpf("1.1") * mpmath.mpf(c.stable_events) / c.stable_n
                one *= 1 + share / mpmath.mpf("1.12") * (gap - mpmath.mpf("0.02"))
            whole += one / len(SHARES)
        assert bets.log_e() == pytest.approx(float(mpmath.log(whole)), abs=1e-12)
    assert bets.after(PairCount(0, 0, 5, 1.0), tolerance) == bets


@pytest.mark.no_cover
def test_b19_bursts_and_drift_rarely_call_harm() -> None:
    """B19: values that come in blocks, with a mean that drifts for both, under alpha = .05."""
    dice = Random(5)  # noqa: S311 - nothing here is secret
    called = 0
    for _ in range(400):
        bets = Bets()
        for look in range(300):
            level = 0.5 + 0.4 * math.sin(look / 40)
            mine, other = (8.0 * (dice.random() < level) for _ in range(2))
            bets = bets.after(PairCount(8, mine, 8, other), Tolerance(1.0))
            if bets.log_e() >= math.log(20):
                called += 1
                break
    assert called <= 30


def test_values_that_vary_little_are_told_apart_by_betting() -> None:
    """Ten values a look at .6 against .5: the bet calls harm where fractional events do not yet."""
    bets, process, tolerance = Bets(), EProcess(), Tolerance(1.05)
    for _ in range(200):
        counts = PairCount(10, 6.0, 10, 5.0)
        bets = bets.after(counts, tolerance)
        process = update(process, counts, tolerance)
    assert bets.log_e() > math.log(100) > process.log_e()
