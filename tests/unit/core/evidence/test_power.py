"""Power: what a pass for lack of harm rests on (B18)."""

import math
from dataclasses import replace
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from bench.evidence.batch import Past
from bench.evidence.runs import simulate
from bench.evidence.traffic import binomial

from rampway.core.evidence import (
    TARGET,
    Dispersion,
    EProcess,
    PairCount,
    Segment,
    Tolerance,
    harm_rate,
    power,
    requests_missing,
    start,
    update,
    with_past,
)
from rampway.core.evidence.power import at_least


def seen(*splits: tuple[int, int, int], stable_rate: float = 0.0, phi: float = 1.0) -> EProcess:
    """A process after (looks, candidate's, stable's requests per look) without bursts."""
    segments = tuple(
        Segment(looks * n_c, 0, looks * n_s, round(looks * n_s * stable_rate), looks)
        for looks, n_c, n_s in splits
    )
    calm = Dispersion(1000.0 * phi, 1000.0, 1000) if stable_rate else Dispersion()
    return EProcess(dispersion=calm, segments=segments)


def measured(
    process: EProcess, stable_rate: float, tolerance: Tolerance, detect: float, alpha: float
) -> float:
    """The real process's chance to be over the bound, by 2000 runs under the harm."""
    schedule = [
        (s.candidate_n / s.looks, s.stable_n / s.looks)
        for s in process.segments
        for _ in range(s.looks)
    ]
    harm = min(1.0, detect * max(stable_rate, tolerance.floor))
    seed = round(1e6 * (stable_rate + detect + alpha) + len(schedule))
    told = process.past and (process.past.surprise, process.past.variance, process.past.looks)
    runs = simulate(
        np.random.default_rng(seed),
        2000,
        binomial(lambda _: (harm, stable_rate), schedule),
        schedule,
        alpha=alpha,
        ratio=tolerance.ratio,
        floor=tolerance.floor,
        past=Past(*(np.full(2000, float(x)) for x in told)) if told else None,
        patient=True,
    )
    return float((runs.log_e >= -math.log(alpha)).mean())


CASES = {
    "5 %, stable free of errors, 3x": ([(160, 5, 95)], 0.0, 3, 0.005),
    "5 %, stable free of errors, 3x, later": ([(228, 5, 95)], 0.0, 3, 0.005),
    "5 %, stable free of errors, 5x": ([(85, 5, 95)], 0.0, 5, 0.003),
    "50 %, stable free of errors, 3x": ([(20, 50, 50)], 0.0, 3, 0.005),
    "50 %, stable free of errors, 5x": ([(13, 50, 50)], 0.0, 5, 0.003),
    "5 %, stable at 2 %, 3x": ([(250, 5, 95)], 0.02, 3, 0.01),
    "50 %, stable at 2 %, 3x": ([(45, 50, 50)], 0.02, 3, 0.01),
    "50 %, stable at 2 %, 3x, early": ([(30, 50, 50)], 0.02, 3, 0.003),
    "50 %, stable at the floor, 3x": ([(251, 50, 50)], 0.01, 3, 0.003),
    "50 %, nine looks of many requests": ([(9, 500, 500)], 0.02, 3, 0.003),
    "5, 20, 50 %": ([(60, 5, 95), (20, 20, 80), (6, 50, 50)], 0.0, 3, 0.005),
    "5 then 50 %, stable at 2 %": ([(60, 5, 95), (30, 50, 50)], 0.02, 3, 0.005),
    "20 %, slow tail of 10 %": ([(12, 20, 80)], 0.1, 3, 0.005),
}


@pytest.mark.parametrize("case", CASES)
def test_b18_power_agrees_with_the_real_process(case: str) -> None:
    """Power by formula is at most .06 above and .12 below what simulated runs show."""
    splits, stable_rate, detect, alpha = CASES[case]
    tolerance = Tolerance(1.1, 0.01)
    process = seen(*splits, stable_rate=stable_rate)
    predicted = power(process, tolerance, detect, -math.log(alpha))
    real = measured(process, stable_rate, tolerance, detect, alpha)
    assert 0.2 < real < 0.97, "a case that tells nothing"
    assert -0.13 < predicted - real < 0.06


KNOWN = {
    "50 %, stable free of errors, 3x": ([(14, 50, 50)], 0.0, 3, 0.005, 0),
    "5 %, stable free of errors, 5x": ([(60, 5, 95)], 0.0, 5, 0.003, 0),
    "20 %, stable at 2 %, 3x": ([(60, 20, 80)], 0.02, 3, 0.01, 240),
    "5 then 50 %, stable at 2 %": ([(60, 5, 95), (18, 50, 50)], 0.02, 3, 0.005, 240),
    "50 %, looks of many requests": ([(8, 200, 200)], 0.02, 3, 0.003, 240),
}


@pytest.mark.parametrize("case", KNOWN)
def test_b18_power_agrees_where_stables_past_is_known(case: str) -> None:
    """With the wider cap and the phi of a past without bursts: .06 above, .2 below at most."""
    splits, stable_rate, detect, alpha, failures = KNOWN[case]
    tolerance = Tolerance(1.1, 0.01)
    past = Dispersion(failures / 4, failures / 4, min(failures, 120))
    begun = with_past(start(), past, -math.log(alpha))
    seen_since = seen(*splits, stable_rate=stable_rate)
    process = replace(begun, segments=seen_since.segments, dispersion=seen_since.dispersion)
    predicted = power(process, tolerance, detect, -math.log(alpha))
    real = measured(process, stable_rate, tolerance, detect, alpha)
    assert 0.2 < real < 0.97, "a case that tells nothing"
    assert -0.2 < predicted - real < 0.06


@pytest.mark.parametrize("share", [5, 50])
@pytest.mark.parametrize(("stable_rate", "detect"), [(0.0, 3), (0.0, 5), (0.02, 3)])
def test_b18_missing_requests_give_the_power(share: int, stable_rate: float, detect: int) -> None:
    """After as many more requests as announced, the real process finds 70 to 95 % of harm."""
    tolerance, alpha = Tolerance(1.1, 0.01), 0.005
    begun = 3 if stable_rate == 0 else 20  # enough to know stable's rate by
    process = seen((begun, share, 100 - share), stable_rate=stable_rate)
    missing = requests_missing(process, tolerance, detect, -math.log(alpha))
    assert missing
    looks = begun + math.ceil(missing / share)
    later = seen((looks, share, 100 - share), stable_rate=stable_rate)
    assert 0.7 < measured(later, stable_rate, tolerance, detect, alpha) < 0.95


@pytest.mark.parametrize("share", [20, 50])
def test_b18_missing_exposures_give_the_power_where_fewer_is_harm(share: int) -> None:
    """The process has stable in the candidate's place; its own events say nothing of the power."""
    tolerance, alpha, rate, detect = Tolerance(1 / 0.9, 0.001), 0.005, 0.1, 2.0
    others = 100 - share

    def swapped(looks: int, mine: int) -> EProcess:
        whole = Segment(looks * others, round(looks * others * rate), looks * share, mine, looks)
        return EProcess(dispersion=Dispersion(1000.0, 1000.0, 1000), segments=(whole,))

    process = swapped(20, 0)
    log_bound = -math.log(alpha)
    missing = requests_missing(process, tolerance, detect, log_bound, fewer=True)
    assert missing
    lucky = swapped(20, 20 * share)
    assert requests_missing(lucky, tolerance, detect, log_bound, fewer=True) == missing
    looks = 20 + math.ceil(missing / share)
    schedule = [(float(others), float(share))] * looks
    runs = simulate(
        np.random.default_rng(share),
        2000,
        binomial(lambda _: (rate, rate / detect), schedule),
        schedule,
        alpha=alpha,
        ratio=tolerance.ratio,
        floor=tolerance.floor,
        patient=True,
    )
    assert 0.7 < float((runs.log_e >= log_bound).mean()) < 0.97
    told = power(swapped(looks, 0), tolerance, detect, log_bound, fewer=True)
    assert 0.7 < told < 0.9


def test_b18_few_looks_have_no_power_however_many_requests() -> None:
    """No look gains more than log 3, so five looks cannot reach 1/alpha = 333."""
    process = seen((5, 10**6, 10**6), stable_rate=0.02)
    assert power(process, Tolerance(1.1, 0.01), 5, math.log(333)) == 0
    process = seen((12, 10**6, 10**6), stable_rate=0.02)
    assert power(process, Tolerance(1.1, 0.01), 5, math.log(333)) == pytest.approx(1)


@pytest.mark.parametrize("stable_rate", [0.0, 0.003, 0.02, 0.3])
def test_b18_power_grows_with_exposure(stable_rate: float) -> None:
    """More of the same traffic never lowers the power by more than a hair."""
    for share in (5, 50):
        powers = [
            power(
                seen((looks, share, 100 - share), stable_rate=stable_rate),
                Tolerance(1.1, 0.01), 3, 6.0,
            )
            for looks in range(4, 4000, 90)
        ]  # fmt: skip
        assert all(after >= before - 0.02 for before, after in pairwise(powers))
        assert powers[0] < 0.9 < powers[-1]


def test_b18_bursts_and_a_stricter_bound_cost_power() -> None:
    """Power falls with the dispersion seen and with the bound, and rises with the harm."""
    tolerance = Tolerance(1.1, 0.01)
    calm, burst = (seen((60, 50, 50), stable_rate=0.02, phi=phi) for phi in (1.0, 3.0))
    assert power(burst, tolerance, 3, 5.0) < power(calm, tolerance, 3, 5.0) - 0.1
    assert power(calm, tolerance, 3, 7.0) < power(calm, tolerance, 3, 5.0)
    assert power(calm, tolerance, 4, 5.0) > power(calm, tolerance, 3, 5.0)


def test_b18_candidates_events_do_not_matter() -> None:
    """A candidate without an event has no more power than one with as many as stable."""
    powers = {
        power(EProcess(segments=(Segment(1000, mine, 1000, 20, 20),)), Tolerance(1.1, 0.01), 3, 5.0)
        for mine in (0, 9, 20)
    }
    assert len(powers) == 1


def test_b18_an_outage_beside_few_requests_lends_no_power() -> None:
    """B18: what stable showed while the candidate had 2 % counts as much as the comparison does.

    By all of stable's requests its rate would seem ten times what the candidate's were held to.
    """
    tolerance = Tolerance(1.1, 0.01)
    calm = [PairCount(50, 0, 50, 1)] * 30
    process = calmly = start()
    for look in range(20):
        process = update(process, PairCount(10, 2, 490, 98), tolerance)
        calmly = update(calmly, PairCount(10, 0, 490, (9, 10)[look % 2]), tolerance)
    for look, counts in enumerate(calm):
        process = update(process, counts, tolerance, new_segment=look == 0)
        calmly = update(calmly, counts, tolerance, new_segment=look == 0)
    assert process.total.pooled_rates[1] > 0.17
    by_weight = (20 * 0.2 * 9.8 + 30 * 0.02 * 25) / (20 * 9.8 + 30 * 25)
    assert harm_rate(process, tolerance, 3) == pytest.approx(3 * by_weight, rel=0.01)
    assert harm_rate(calmly, tolerance, 3) == pytest.approx(0.06, rel=0.02)


def test_b18_nothing_seen_has_no_power() -> None:
    """Without traffic power is 0, and how much is missing cannot be told."""
    assert power(start(), Tolerance(1.1, 0.01), 3, 5.0) == 0
    assert requests_missing(start(), Tolerance(1.1, 0.01), 3, 5.0) is None


def test_b18_tolerated_harm_is_out_of_reach() -> None:
    """Harm within the tolerance (2 x 1 % with a floor of 1 %) cannot be seen by any traffic."""
    process = seen((100, 500, 500), stable_rate=0.01)
    assert requests_missing(process, Tolerance(1.1, 0.01), 2, 5.0) is None
    assert power(process, Tolerance(1.1, 0.01), 2, 5.0) < 0.05


def test_b18_reached_target_misses_nothing() -> None:
    """At the target 0 is missing, also when a new step has no traffic yet; below it is None."""
    tolerance = Tolerance(1.1, 0.01)
    done, early = seen((400, 50, 50)), seen((4, 50, 50))
    idle = PairCount(0, 0, 0, 0)
    assert requests_missing(done, tolerance, 3, 5.0) == 0
    assert requests_missing(update(done, idle, tolerance, new_segment=True), tolerance, 3, 5.0) == 0
    missing = requests_missing(early, tolerance, 3, 5.0)
    assert missing is not None
    assert missing > 0
    stepped = update(early, idle, tolerance, new_segment=True)
    assert requests_missing(stepped, tolerance, 3, 5.0) is None


def test_b18_what_is_missing_is_reckoned_anew_when_traffic_has_grown() -> None:
    """B18: a look more of many changes little; nothing passes that has no power."""
    tolerance, looks = Tolerance(1.1, 0.01), range(200, 300)
    found = []
    for number in looks:
        process = seen((number, 5, 95), stable_rate=0.02)
        missing = requests_missing(process, tolerance, 3, 4.6)
        assert missing is not None
        assert missing or power(process, tolerance, 3, 4.6) >= TARGET
        found.append(missing)
    assert len(set(found)) < 70, "reckoned anew at each look"
    assert found[0] > 2 * found[-1]


def test_harm_is_a_multiple_of_stable_or_of_the_floor() -> None:
    """Detect counts from stable's rate, from the floor where that is larger, and ends at 1."""
    tolerance = Tolerance(1.1, 0.01)
    assert harm_rate(seen((1, 0, 1000)), tolerance, 3) == pytest.approx(0.03)
    busy = seen((1000, 0, 1000), stable_rate=0.02)
    assert harm_rate(busy, tolerance, 3) == pytest.approx(0.06, rel=1e-3)
    assert harm_rate(seen((10, 0, 1000), stable_rate=0.5), tolerance, 3) == 1
    # Half an event smooths a stable that has none and no floor to stand on.
    assert harm_rate(seen((1, 0, 999)), Tolerance(1.0), 3) == pytest.approx(3 * 0.5 / 1000)


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.3, 0.95])
def test_binomial_tail(rate: float) -> None:
    """The approximate binomial tail agrees with the exact one."""
    for n in (10, 100, 1000):
        for x in range(1, n + 1, max(1, n // 50)):
            exact = float(mpmath.betainc(x, n - x + 1, 0, rate, regularized=True))
            assert at_least(x, n, rate) == pytest.approx(exact, abs=0.015)
    assert at_least(0, 10, rate) == 1
    assert (at_least(10, 10, 1.0), at_least(10.5, 10, 1.0)) == (1, 0)


@pytest.mark.parametrize("candidate_n", [40, 320, 600, 720, 3000])
def test_b18_without_foresight_the_same_pass(candidate_n: int) -> None:
    """B18: who is told only whether requests are missing is told so as who hears how many."""
    process = seen((40, candidate_n // 40, candidate_n))
    tolerance = Tolerance(1.1, 0.005)
    told = requests_missing(process, tolerance, 3.0, math.log(200))
    asked = requests_missing(process, tolerance, 3.0, math.log(200), foresees=False)
    assert asked == (0 if told == 0 else None)
