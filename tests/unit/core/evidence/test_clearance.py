"""Whether the harm to detect is not there: a test against a fixed rate, bursts reckoned with."""

import math
from random import Random

import mpmath
import pytest
from unit.core.evidence.test_detector import binomial_chance

from rampway.core.evidence import LOG_BAR, TARGET, log_cleared, requests_to_clear
from rampway.core.evidence.clearance import ODDS, alternatives
from rampway.sim.traffic import binomial

INDEPENDENT, BURSTS = 1.0, 9.0
MISSED = 1 - TARGET
RUNS = 400
MONTE_CARLO = 3 * math.sqrt(MISSED * (1 - MISSED) / RUNS)


@pytest.mark.parametrize("fewer", [False, True])
@pytest.mark.parametrize("harm", [0.02, 0.3, 0.9])
def test_b18_mean_under_harm_is_at_most_one(harm: float, *, fewer: bool) -> None:
    """B18: over all that a few requests may bring, at the harm to detect and beyond it."""
    for rate in (harm, harm * 0.7 if fewer else min(1.0, harm * 1.3)):
        for n in (1, 5, 30):
            found = sum(
                binomial_chance(k, n, rate)
                * math.exp(log_cleared(n, k, harm, INDEPENDENT, fewer=fewer))
                for k in range(n + 1)
            )
            assert found <= 1 + 1e-9
            assert found > 0.999 or rate != harm


@pytest.mark.parametrize("fewer", [False, True])
@pytest.mark.parametrize("harm", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("phi", [3.0, 9.0])
def test_b18_mean_of_bursts_is_at_most_one(harm: float, phi: float, *, fewer: bool) -> None:
    """B18: by the chain's own matrix in many digits: it is at most 1, and no less than it must."""
    again = (phi - 1) / (phi + 1)
    stay, begin = harm + (1 - harm) * again, harm * (1 - again)
    for log_rho, growth in alternatives(harm, phi, fewer):
        rho, steps = mpmath.exp(log_rho), 400
        law = mpmath.matrix([[1 - harm, harm]])
        law[1] *= rho
        turn = mpmath.matrix([[1 - begin, begin * rho], [1 - stay, stay * rho]])
        means = [mpmath.mpf(law[0] + law[1])]
        for _ in range(steps - 1):
            law *= turn
            means.append(law[0] + law[1])
        logs = [float(mpmath.log(mean)) for mean in means]
        assert all(log <= n * growth + 1e-9 for n, log in enumerate(logs, 1))
        assert logs[-1] - logs[-2] == pytest.approx(growth, rel=1e-6)


@pytest.mark.parametrize("fewer", [False, True])
@pytest.mark.parametrize("harm", [0.0, 1e-5, 0.3, 1.0])
@pytest.mark.parametrize("phi", [1e5, 1e9, math.inf])
def test_bursts_however_large_clear_of_nothing(harm: float, phi: float, *, fewer: bool) -> None:
    """Growth is never NaN, and by the textbook's formula in many digits it is what it is."""
    for log_rho, growth in alternatives(harm, phi, fewer):
        with mpmath.workdps(60):
            d = 1 - 2 / (mpmath.mpf(phi) + 1)
            p = min(1 - mpmath.mpf(1e-6), max(mpmath.mpf(1e-6), mpmath.mpf(harm)))
            rho = mpmath.exp(log_rho)
            t = 1 - p * (1 - d) + rho * (p + (1 - p) * d)
            exact = mpmath.log((t + mpmath.sqrt(t**2 - 4 * d * rho)) / 2)
        assert growth == pytest.approx(float(exact), rel=1e-4, abs=1e-15)
    assert log_cleared(100, 100 * harm, harm, phi, fewer=fewer) < LOG_BAR


@pytest.mark.parametrize("fewer", [False, True])
@pytest.mark.parametrize("phi", [INDEPENDENT, BURSTS])
def test_no_other_bet_wins_more(phi: float, *, fewer: bool) -> None:
    """Each alternative is the best one for a revision with its odds of events."""
    harm, again = 0.2, (phi - 1) / (phi + 1)
    terms = alternatives(harm, phi, fewer)
    for times, (log_rho, growth) in zip(ODDS, terms, strict=True):
        odds = harm / (1 - harm) * (1 / times if fewer else times)
        rate = odds / (1 + odds)
        for other in (log_rho - 0.01, log_rho + 0.01):
            rho = math.exp(other)
            trace = 1 - harm * (1 - again) + rho * (harm + (1 - harm) * again)
            grown = math.log((trace + math.sqrt(trace**2 - 4 * again * rho)) / 2)
            assert rate * log_rho - growth > rate * other - grown


def chain(dice: Random, rate: float, phi: float, looks: int, size: int) -> list[int]:
    """Return the events of looks at so many requests, which come in bursts."""
    again, found = (phi - 1) / (phi + 1), []
    now = dice.random() < rate
    for _ in range(looks):
        events = 0
        for _ in range(size):
            now = dice.random() < (rate + (1 - rate) * again if now else rate * (1 - again))
            events += now
        found.append(events)
    return found


def ever_cleared(harm: float, phi: float, *, bursts: bool, fewer: bool, seed: int) -> float:
    """Return how many of the runs at the harm to detect are ever cleared of it."""
    dice, cleared = Random(seed), 0  # noqa: S311 - nothing here is secret
    for _ in range(RUNS):
        looks = (
            chain(dice, harm, BURSTS, 80, 20)
            if bursts
            else [binomial(dice, 20, harm) for _ in range(80)]
        )
        events = 0
        for at, new in enumerate(looks, 1):
            events += new
            if log_cleared(20 * at, events, harm, phi, fewer=fewer) >= LOG_BAR:
                cleared += 1
                break
    return cleared / RUNS


@pytest.mark.parametrize("fewer", [False, True])
@pytest.mark.parametrize("harm", [0.06, 0.6])
@pytest.mark.parametrize("bursts", [False, True])
def test_b18_harm_is_seldom_cleared_however_often_one_looks(
    harm: float, *, bursts: bool, fewer: bool
) -> None:
    """B18: with a chance of at most a fifth, where phi is what bursts have."""
    phi = BURSTS if bursts else INDEPENDENT
    found = ever_cleared(harm, phi, bursts=bursts, fewer=fewer, seed=71 + fewer)
    assert found <= MISSED + MONTE_CARLO


def test_bursts_that_are_not_reckoned_with_are_seen() -> None:
    """With phi 1 half of the runs are cleared of the harm that they have."""
    assert ever_cleared(0.06, INDEPENDENT, bursts=True, fewer=False, seed=75) > 2 * MISSED


@pytest.mark.parametrize("phi", [INDEPENDENT, BURSTS])
def test_b18_requests_missing_are_just_enough(phi: float) -> None:
    """B18: one request fewer is not enough; at no number None."""
    for harm, rate, fewer in ((0.06, 0.02, False), (0.06, 0.0, False), (0.3, 0.6, True)):
        more = requests_to_clear(10, rate, harm, phi, fewer=fewer)
        assert more is not None
        assert more > 0
        for n, enough in ((10 + more, True), (9 + more, False)):
            won = log_cleared(n, n * rate, harm, phi, fewer=fewer)
            assert (won >= LOG_BAR) is enough
        assert requests_to_clear(10 + more, rate, harm, phi, fewer=fewer) == 0
    assert requests_to_clear(40, 0.06, 0.06, phi) is None
    assert requests_to_clear(40, 0.3, 0.3, phi, fewer=True) is None


def test_b18_what_always_or_never_happens_can_be_cleared_of() -> None:
    """B18: harm that is all requests, or none where fewer are harm: a few that differ do."""
    assert requests_to_clear(0, 0.5, 1.0, BURSTS) is not None
    assert requests_to_clear(0, 0.5, 0.0, BURSTS, fewer=True) is not None
    assert requests_to_clear(0, 1.0, 1.0, BURSTS) is None
