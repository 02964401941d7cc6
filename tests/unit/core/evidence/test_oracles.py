"""The evidence against computations of other kinds: enumeration, integrals, a library."""

import math
from functools import reduce
from itertools import product

import mpmath
import pytest

from rampway.core.evidence import (
    Dispersion,
    EProcess,
    PairCount,
    Tolerance,
    log_e,
    log_factor,
    start,
    update,
    with_past,
)

LOOKS = ((1, 0), (0, 7), (3, 4), (9, 11), (30, 40))
"""Events of candidate and stable."""
SAVVI = {
    0.5: (0.0, 0.775623402384, 0.562072416259, 0.155375200766, 0.346746043418),
    0.2: (0.0, -0.172596196189, -0.432795614088, 1.239506110122, 9.610824141596),
}
"""log odds after each look, from savvi 0.3.1: Multinomial(alpha, (theta0, 1 - theta0), k=10)."""
CONCENTRATION = 10


def summed(theta0: float, theta: mpmath.mpf, looks: int) -> mpmath.mpf:
    """Our factors' product for the alternative that the candidate has this share of events."""
    n_s = 1000
    n_c = n_s * theta0 / (1 - theta0)
    rho = theta * (1 - theta0) / ((1 - theta) * theta0)
    exposure = round(n_c)
    assert exposure == pytest.approx(n_c), "whole requests at this share"
    return mpmath.exp(
        sum(
            log_factor(float(rho), PairCount(exposure, mine, n_s, other), Tolerance(1.0))
            for mine, other in LOOKS[:looks]
        )
    )


@pytest.mark.parametrize("looks", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("theta0", [0.5, 0.2])
def test_factors_integrate_to_lindon_and_maleks_closed_form(theta0: float, looks: int) -> None:
    """Mixed over a beta law of the share, the factors give the ratio of beta functions."""
    a, b = CONCENTRATION * theta0, CONCENTRATION * (1 - theta0)
    mine, other = (sum(look[side] for look in LOOKS[:looks]) for side in (0, 1))
    mixed = mpmath.quad(
        lambda t: summed(theta0, t, looks) * t ** (a - 1) * (1 - t) ** (b - 1),
        [0, theta0 / 2, theta0, 2 * theta0 if theta0 < 0.5 else 0.7, 0.9, 1],
    ) / mpmath.beta(a, b)
    closed = mpmath.beta(a + mine, b + other) / mpmath.beta(a, b)
    closed /= mpmath.mpf(theta0) ** mine * mpmath.mpf(1 - theta0) ** other
    assert float(mpmath.log(mixed)) == pytest.approx(float(mpmath.log(closed)), abs=1e-6)
    assert float(mpmath.log(closed)) == pytest.approx(SAVVI[theta0][looks - 1], abs=1e-9)


CALM = Dispersion(1e6, 1e6, 10**6)
"""A past so long and free of bursts that phi is 1, whatever a few looks show."""


def stopped_mean(
    share: float, looks: int, alpha: float, log_bound: float = math.inf
) -> tuple[float, float]:
    """Return the mean of min(E, 1/alpha) when stopped there, and how often that is, exactly.

    All sequences of so many looks with one event each under H0.
    """
    mean = alarms = 0.0
    waiting = [(1.0, EProcess(past=CALM, cap=math.inf))]
    for _ in range(looks):
        after = []
        for (chance, process), mine in product(waiting, (0, 1)):
            counts = PairCount(round(100 * share), mine, round(100 * (1 - share)), 1 - mine)
            process = update(process, counts, Tolerance(1.0), log_bound=log_bound)  # noqa: PLW2901
            chance *= share if mine else 1 - share  # noqa: PLW2901
            if log_e(process) >= -math.log(alpha):
                mean += chance / alpha
                alarms += chance
            else:
                after.append((chance, process))
        waiting = after
    return mean + sum(chance * math.exp(log_e(process)) for chance, process in waiting), alarms


@pytest.mark.parametrize("share", [0.5, 0.2, 0.05])
def test_b19_nothing_is_lost_beyond_the_bound_and_nothing_won(share: float) -> None:
    """B19: all 2^11 courses of a test: with the overshoot removed its mean is 1 to the last digit.

    So it is the best that these stakes allow, and no more than alpha of the courses call harm.
    """
    alpha = 0.25
    mean, alarms = stopped_mean(share, 11, alpha, -math.log(alpha))
    assert mean == pytest.approx(1, abs=1e-12)
    assert 0.05 < alarms <= alpha
    plain, seldom = stopped_mean(share, 11, alpha)
    assert plain < 0.99
    assert seldom <= alarms


def _binomial(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize(
    "tolerance", [Tolerance(1.0), Tolerance(1.1), Tolerance(1.1, 0.01), Tolerance(2, 0.1)], ids=str
)
@pytest.mark.parametrize("harmful", [1, 2, 3])
def test_b19_what_is_paid_out_before_is_never_more(tolerance: Tolerance, harmful: int) -> None:
    """B19: near the bound, for any base rate and any floor, the mean of min(E, 1/alpha) falls."""
    log_bound = math.log(100)
    known = with_past(start(), CALM, log_bound)
    for n_c, n_s in ((1, 1), (1, 6), (4, 4), (2, 9), (3, 20)):
        process = known
        for _ in range(harmful):
            process = update(process, PairCount(10, 2, 100, 0), tolerance, log_bound=log_bound)
        for p_s in (0.0, 0.001, 0.02, 0.2, 0.5, 0.8, 1.0):
            p_c = min(1.0, tolerance.ratio * p_s + tolerance.floor)
            mean = math.fsum(
                _binomial(mine, n_c, p_c)
                * _binomial(other, n_s, p_s)
                * math.exp(min(log_bound, _after(process, (n_c, mine, n_s, other), tolerance)))
                for mine in range(n_c + 1)
                for other in range(n_s + 1)
            )
            assert mean <= math.exp(min(log_bound, log_e(process))) * (1 + 1e-9)


def _after(process: EProcess, counts: tuple[int, int, int, int], tolerance: Tolerance) -> float:
    return log_e(update(process, PairCount(*counts), tolerance, log_bound=math.log(100)))


def test_overshoot_matters_near_the_bound_only() -> None:
    """Far below the bound, after a candidate's event or several, no look is changed."""
    near = reduce(
        lambda p, _: update(p, PairCount(10, 1, 100, 0), Tolerance(1.0)),
        range(3),
        EProcess(past=CALM, cap=math.inf),
    )
    counts = {
        "stable's one event": PairCount(10, 0, 100, 1),
        "the candidate's": PairCount(10, 1, 100, 0),
        "two": PairCount(10, 0, 100, 2),
        "none": PairCount(10, 0, 100, 0),
    }
    gained = {
        name: log_e(update(near, count, Tolerance(1.0), log_bound=log_e(near) + 1.0))
        - log_e(update(near, count, Tolerance(1.0)))
        for name, count in counts.items()
    }
    assert gained["stable's one event"] > 0.05
    assert [gained[name] for name in counts if name != "stable's one event"] == [0, 0, 0]
    far = update(near, counts["stable's one event"], Tolerance(1.0), log_bound=50.0)
    assert far == update(near, counts["stable's one event"], Tolerance(1.0))
