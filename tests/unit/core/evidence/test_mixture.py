"""The factor of one interval, against enumeration and a second formulation."""

import math
from collections.abc import Iterator
from itertools import pairwise

import mpmath
import pytest

from rampway.core.evidence import MOST_PER_LOOK, PairCount, Stake, Tolerance, bet, log_factor
from rampway.core.evidence.mixture import RHOS, WEIGHTS, log_sum

BASE_RATES = (0.0, 0.001, 0.03, 0.2, 0.5, 0.8, 1.0)
TOLERANCES = (
    Tolerance(1.0),
    Tolerance(1.1),
    Tolerance(1.1, 0.01),
    Tolerance(2.0, 0.1),
    Tolerance(1.0, 0.5),
    Tolerance(0.5, 0.02),
)
EXPOSURES = ((1, 1), (1, 6), (6, 1), (4, 4), (2, 9))
ENOUGH_TERMS = 150
"""Poisson terms; the means here are below 40."""


def binomial(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def poisson(k: int, mean: float) -> float:
    return math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) if mean else float(k == 0)


def at_the_limit(stable_rate: float, tolerance: Tolerance) -> float:
    """The worst rate of the candidate that H0 allows."""
    return min(1.0, tolerance.ratio * stable_rate + tolerance.floor)


def bernoulli_means(
    believed: Tolerance, truth: Tolerance, *, phi: float = 1.0, cap: float = math.inf
) -> Iterator[float]:
    """E[factor] of Bernoulli events at H0's limit, over exposures, base rates and alternatives."""
    for n_c, n_s in EXPOSURES:
        for p_s in BASE_RATES:
            p_c = at_the_limit(p_s, truth)
            for rho in RHOS:
                yield math.fsum(
                    binomial(e_c, n_c, p_c)
                    * binomial(e_s, n_s, p_s)
                    * math.exp(
                        min(cap, log_factor(rho, PairCount(n_c, e_c, n_s, e_s), believed) / phi)
                    )
                    for e_c in range(n_c + 1)
                    for e_s in range(n_s + 1)
                )


def poisson_means(believed: Tolerance, truth: Tolerance) -> Iterator[float]:
    """E[factor] of Poisson counts at H0's limit; large means enough for any split to show."""
    n_c, n_s = 200, 700
    for p_s in (0.0, 0.001, 0.01):
        p_c = at_the_limit(p_s, truth)
        for rho in RHOS[:5]:
            yield math.fsum(
                poisson(e_c, n_c * p_c)
                * poisson(e_s, n_s * p_s)
                * math.exp(log_factor(rho, PairCount(n_c, e_c, n_s, e_s), believed))
                for e_c in range(ENOUGH_TERMS)
                for e_s in range(ENOUGH_TERMS // 3)
            )


def assert_e_values(means: Iterator[float]) -> None:
    worst = max(means)
    assert worst <= 1 + 1e-9, f"mean {worst} of a factor under H0"


@pytest.mark.parametrize("tolerance", TOLERANCES, ids=str)
def test_b19_mean_of_bernoulli_factor_is_at_most_one(tolerance: Tolerance) -> None:
    """Under H0 a factor's mean is at most 1 for single requests, however frequent the event."""
    assert_e_values(bernoulli_means(tolerance, tolerance))


@pytest.mark.parametrize("tolerance", [Tolerance(1.1), Tolerance(1.1, 0.01), Tolerance(1, 0.02)])
def test_b19_mean_of_poisson_factor_is_at_most_one(tolerance: Tolerance) -> None:
    """Under H0 a factor's mean is at most 1 for Poisson counts."""
    assert_e_values(poisson_means(tolerance, tolerance))


@pytest.mark.parametrize("phi", [1.0, 1.7, 6.0])
def test_b19_guard_keeps_the_mean_at_most_one(phi: float) -> None:
    """Dividing by phi and capping leave the factor's mean at most 1."""
    tolerance = Tolerance(1.1, 0.01)
    assert_e_values(bernoulli_means(tolerance, tolerance, phi=phi, cap=MOST_PER_LOOK))


def test_wrong_theta0_is_seen() -> None:
    """A theta0 that forgets the tolerated ratio fails the assertion that the right one passes."""
    wrong, truth = Tolerance(1.0), Tolerance(1.1)
    for means in (bernoulli_means(wrong, truth), poisson_means(wrong, truth)):
        with pytest.raises(AssertionError, match="of a factor under H0"):
            assert_e_values(means)


def test_forgotten_floor_is_seen() -> None:
    """A factor without its floor fails the assertion that the one with it passes."""
    wrong, truth = Tolerance(1.1), Tolerance(1.1, 0.01)
    for means in (bernoulli_means(wrong, truth), poisson_means(wrong, truth)):
        with pytest.raises(AssertionError, match="of a factor under H0"):
            assert_e_values(means)


def test_conditional_mean_can_exceed_one() -> None:
    """Given the total, a factor's mean exceeds 1 for some: intervals must not be selected."""
    tolerance, n, p_s, rho = Tolerance(2.0), 3, 0.45, 10.0
    pairs = [(e, 3 - e) for e in range(4)]
    weights = [binomial(a, n, 2 * p_s) * binomial(b, n, p_s) for a, b in pairs]
    factors = [math.exp(log_factor(rho, PairCount(n, a, n, b), tolerance)) for a, b in pairs]
    mean = sum(w * f for w, f in zip(weights, factors, strict=True)) / sum(weights)
    assert mean > 1


LOOKS = [
    PairCount(50, 1, 950, 12),
    PairCount(70, 9, 930, 4),
    PairCount(500, 2, 500, 9),
    PairCount(480, 40, 520, 11),
    PairCount(0, 0, 900, 90),
    PairCount(900, 0, 10, 10),
]


def likelihood_ratio(rho: float, counts: PairCount, tolerance: Tolerance) -> mpmath.mpf:
    """The factor as the ratio of two binomial laws of the candidate's share of the events."""
    e_c, e = counts.candidate_events, counts.candidate_events + counts.stable_events

    def share(ratio: mpmath.mpf) -> mpmath.mpf:
        exposure = counts.candidate_n * ratio
        return exposure / (exposure + counts.stable_n)

    null = share(mpmath.mpf(tolerance.ratio))
    harm = share(mpmath.mpf(tolerance.ratio) * rho)
    law = (harm / null) ** e_c * ((1 - harm) / (1 - null)) ** (e - e_c)
    # Per event of the floor the candidate's part of the law grows by harm / null.
    return law * mpmath.exp(-counts.candidate_n * mpmath.mpf(tolerance.floor) * (harm / null - 1))


@pytest.mark.parametrize("tolerance", TOLERANCES, ids=str)
def test_stake_agrees_with_products_of_likelihood_ratios(tolerance: Tolerance) -> None:
    """The mixture in log space equals sums of products of binomial likelihood ratios."""
    with mpmath.workdps(60):
        capital = [mpmath.mpf("0.9") * mpmath.mpf(str(w)) for w in WEIGHTS]
        cash = mpmath.mpf("0.1")
        stake = Stake()
        for counts in LOOKS * 20:
            stake = bet(stake, counts, tolerance)
            if counts.candidate_n == 0:
                continue
            invested = cash * (cash / mpmath.mpf("0.1")) / 600
            cash -= invested
            capital = [
                (w + invested * mpmath.mpf(str(weight))) * likelihood_ratio(rho, counts, tolerance)
                for w, weight, rho in zip(capital, WEIGHTS, RHOS, strict=True)
            ]
        expected = float(mpmath.log(mpmath.fsum([*capital, cash])))
    assert stake.log_total() == pytest.approx(expected, rel=1e-9)


def test_stake_starts_at_one_and_weights_sum_to_one() -> None:
    """Before the first look the e-value is exactly 1."""
    assert math.fsum(WEIGHTS) == pytest.approx(1)
    assert Stake().log_total() == pytest.approx(0, abs=1e-12)


def test_two_intervals_of_one_split_bet_like_one() -> None:
    """Cutting an interval in two of the same split gives the same product of factors."""
    tolerance = Tolerance(1.1, 0.01)
    halves = PairCount(40, 3, 160, 2), PairCount(60, 1, 240, 5)
    whole = PairCount(100, 4, 400, 7)
    for rho in RHOS:
        cut = sum(log_factor(rho, half, tolerance) for half in halves)
        assert cut == pytest.approx(log_factor(rho, whole, tolerance))


@pytest.mark.parametrize("counts", [PairCount(0, 0, 9, 9), PairCount(9, 9, 0, 0)])
def test_one_side_without_requests_changes_nothing(counts: PairCount) -> None:
    """No factor where one side had no requests, whatever the other did."""
    stake = Stake()
    assert bet(stake, counts, Tolerance(1.1)) is stake


def test_a_month_of_looks_keeps_the_numbers_finite() -> None:
    """Harmless looks for weeks leave a finite e-value that new harm can still raise."""
    stake = Stake((-1e6,) * len(RHOS), -20.0)
    more = bet(stake, PairCount(100, 90, 100, 1), Tolerance(1.0))
    assert math.isfinite(more.log_total())
    assert more.log_total() > stake.log_total()


def test_more_events_of_the_candidate_never_lower_the_factor() -> None:
    """The factor rises with the candidate's events and falls with stable's."""
    tolerance = Tolerance(1.1, 0.01)
    for rho in RHOS:
        mine = [log_factor(rho, PairCount(20, e, 80, 3), tolerance) for e in range(21)]
        other = [log_factor(rho, PairCount(20, 3, 80, e), tolerance) for e in range(81)]
        assert all(a < b for a, b in pairwise(mine))
        assert all(a > b for a, b in pairwise(other))


@pytest.mark.parametrize(
    ("numbers", "role"),
    [
        ((3, 4, 9, 0), "candidate"),
        ((9, 0, 3, 4), "stable"),
        ((-1, 0, 9, 0), "candidate"),
        ((9, -1, 9, 0), "candidate"),
        ((9, 0, 9, -1), "stable"),
        ((9, 0, -9, 0), "stable"),
    ],
)
def test_impossible_counts_are_refused(numbers: tuple[int, int, int, int], role: str) -> None:
    """More events than requests, and counts below zero, are errors that name the side."""
    with pytest.raises(ValueError, match=f"{role}: .* expected 0 <= events <= requests"):
        PairCount(*numbers)


@pytest.mark.parametrize(
    ("ratio", "floor"), [(0, 0), (-1, 0), (math.nan, 0), (math.inf, 0), (1, -0.1), (1, 1.1)]
)
def test_impossible_tolerances_are_refused(ratio: float, floor: float) -> None:
    """A ratio not above zero and a floor that is no fraction are errors."""
    with pytest.raises(ValueError, match="expected a finite ratio above 0"):
        Tolerance(ratio, floor)


def test_log_sum_of_nothing_is_the_logarithm_of_zero() -> None:
    """Sums of no terms, and of zeros, are zero; large terms do not overflow."""
    assert log_sum([]) == log_sum([-math.inf, -math.inf]) == -math.inf
    assert log_sum([5000.0, 5000.0]) == pytest.approx(5000 + math.log(2))
