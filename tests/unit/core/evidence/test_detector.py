"""The e-detector: a sum of e-processes, one for each period in which harm may have begun."""

import math
from itertools import product
from random import Random

import mpmath
import pytest

from rampway.core.evidence import Detector
from rampway.core.evidence.mixture import RHOS, WEIGHTS
from rampway.sim.traffic import binomial, poisson

WIDE = 1e-9
"""Looks so small that the cap never binds."""


def binomial_chance(k: int, n: int, p: float) -> float:
    """Return P(Binomial(n, p) = k)."""
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize(("rate", "limit"), [(0.3, 0.3), (0.01, 0.02), (0.9, 0.9)])
@pytest.mark.parametrize("fewer", [False, True])
@pytest.mark.parametrize("phi", [1.0, 2.5])
def test_b19_mean_of_one_look_is_at_most_one(
    rate: float, limit: float, phi: float, *, fewer: bool
) -> None:
    """B19: at the limit and on its harmless side, over all that one look may bring."""
    if fewer:
        rate, limit = limit, rate
    for n in (1, 3, 12):
        found = sum(
            binomial_chance(k, n, rate)
            * math.exp(Detector().after((n, k), limit, begun=1, phi=phi, fewer=fewer).log_e())
            for k in range(n + 1)
        )
        assert found <= 1 + 1e-12
    parts = (0.0, 0.5, 1.0)
    law = (1 - rate, 0.0, rate), ((1 - rate) / 2, rate, (1 - rate) / 2)
    for chances in law:
        mean = sum(c * part for c, part in zip(chances, parts, strict=True))
        whole = sum(
            chances[i] * chances[j]
            * math.exp(Detector().after((2, parts[i] + parts[j]), mean, begun=1).log_e())
            for i, j in product(range(3), repeat=2)
        )  # fmt: skip
        assert whole <= 1 + 1e-12


def test_a_limit_that_is_too_low_is_seen() -> None:
    """The same enumeration finds a limit below the rate invalid."""
    found = sum(
        binomial_chance(k, 12, 0.3) * math.exp(Detector().after((12, k), 0.05, begun=1).log_e())
        for k in range(13)
    )
    assert found > 1.1


def test_it_is_the_sum_over_all_beginnings() -> None:
    """By another route: each period's own mixture from its beginning on, in many digits."""
    looks = [(4, 1), (9, 0), (0, 0), (2, 1), (6, 1)]
    begun = [1, 1, 2, 4, 4]
    detector = Detector()
    for seen, number in zip(looks, begun, strict=True):
        detector = detector.after(seen, 0.2, begun=number)
    starts = [0, 3, 3, 3]  # look at which each of the four begins; no request, nothing begins
    with mpmath.workdps(40):
        whole = mpmath.mpf(0)
        for first in starts:
            for rho, weight in zip(RHOS, WEIGHTS, strict=True):
                log = mpmath.mpf(0)
                for n, k in looks[first:]:
                    won = k * mpmath.log(rho) - n * mpmath.mpf(0.2) * (rho - 1)
                    log += min(mpmath.log(3), won)
                whole += weight * mpmath.exp(log)
        assert detector.log_e() == pytest.approx(float(mpmath.log(whole)), abs=1e-9)
    assert (detector.requests, detector.events, detector.begun) == (21, 3, 4)


@pytest.mark.parametrize("fewer", [False, True])
def test_b19_events_that_come_after_their_requests_are_not_lost(*, fewer: bool) -> None:
    """B19: an event counts once, with the next requests, and at most one for each of them."""
    late = [(4, 0), (0, 1), (0, 2), (2, 0), (1, 3), (9, 0)]
    counted = [(4, 0), (2, 2), (1, 1), (9, 3)]
    found = []
    for looks in (late, counted):
        detector = Detector()
        for seen in looks:
            detector = detector.after(seen, 0.2, begun=1, fewer=fewer)
        found.append(detector)
    assert found[0] == found[1]
    assert (found[0].requests, found[0].events, found[0].waiting) == (16, 6, 0)


def test_b19_beginnings_without_an_end_weigh_no_more_than_one() -> None:
    """B19: however many periods there are; each begins with what the ones before have left."""
    one, detector, weighed = Detector(), Detector(), []
    for begun in (1, 2, 3, 9):
        detector = one.after((1, 0), 0.0, begun=begun, endless=True)
        weighed.append(math.exp(detector.log_e()))
    assert weighed == pytest.approx([1 - 1 / (k + 1) for k in (1, 2, 3, 9)])
    parts = one
    for begun in (1, 1, 2, 3, 3, 9):
        parts = parts.after((1, 0), 0.0, begun=begun, endless=True)
    assert parts.log_e() == pytest.approx(detector.log_e())


@pytest.mark.no_cover
def test_b27_false_alarms_in_a_watch_stay_within_their_bound() -> None:
    """B27: 60 periods at the limit, stopped at 60/alpha: fewer than alpha = 5 % ever call harm."""
    dice, bound = Random(3), math.log(60 / 0.05)  # noqa: S311 - nothing here is secret
    called = 0
    for _ in range(300):
        detector = Detector()
        for look in range(240):
            n = poisson(dice, 40)
            detector = detector.after((n, binomial(dice, n, 0.02)), 0.02, begun=1 + look // 4)
            if detector.log_e() >= bound:
                called += 1
                break
    assert called <= 15 + 3 * math.sqrt(15)


def test_b27_harm_that_begins_late_is_called_as_soon() -> None:
    """B27: after 20 or 200 calm looks it takes about as many looks to call a tripled rate."""
    taken = []
    for calm in (20, 200):
        dice = Random(4)  # noqa: S311 - nothing here is secret
        number = []
        for _ in range(60):
            detector, look = Detector(), 0
            while look < calm or detector.log_e() < math.log(60 / 0.01):
                rate = 0.02 if look < calm else 0.08
                seen = (50, binomial(dice, 50, rate))
                look += 1
                detector = detector.after(seen, 0.02, begun=1 + look // 4)
            number.append(look - calm)
        taken.append(sum(number) / len(number))
    early, late = taken
    assert late < 1.5 * early < 45
