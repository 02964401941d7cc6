"""The bench of passes without a pair: its rule is the shipped one, and what is invalid shows."""

import math

import numpy as np
import pytest
from bench.evidence import clearance
from bench.evidence.batch import Floats
from bench.evidence.clearance import Case
from bench.evidence.reference import RATE
from bench.evidence.reference import Case as Before
from bench.evidence.traffic import Traffic

from rampway.core.checks import unpaired
from rampway.core.checks.references import Held
from rampway.core.evidence import Detector

RUNS, LOOKS = 300, 300
MONTE_CARLO = 3 * math.sqrt(clearance.MISSED * (1 - clearance.MISSED) / RUNS)


def rate(case: Case, seed: int) -> float:
    """Return how many of the runs pass."""
    return clearance.alarms(case, seed, runs=RUNS, looks=LOOKS).rate


@pytest.mark.parametrize("fewer", [False, True])
@pytest.mark.parametrize("traffic", ["", "bursts, geometric 5"])
def test_bench_passes_what_the_shipped_check_passes(
    traffic: str, monkeypatch: pytest.MonkeyPatch, *, fewer: bool
) -> None:
    """Forty runs of sixty looks with the same events, by the check's own rules."""
    case = Case(Before(traffic, 0, fewer=fewer), told=False)
    seen: list[list[float]] = []

    def draw(_: Before, __: float, other: float) -> Traffic:
        source, size = np.random.default_rng(8_000 + fewer), 5 if traffic else 1
        mean = 10.2 if fewer else 9.8  # of 10 that are no harm: some pass

        def look(*_: object) -> tuple[Floats, Floats]:
            found = (size * source.poisson(mean / size, 40)).astype(float)
            seen.append(found.tolist())
            return found, np.full(40, other)

        return look

    monkeypatch.setattr(Before, "draw", draw)
    rng = np.random.default_rng(1)
    held = clearance._held(rng, case, 40)
    passed = clearance._passed(rng, case, held, 60)
    check = case.before.check
    limit, harm, calm_phi = (float(of[0]) for of in (held.limit, held.harm, held.calm_phi))
    to = Held(limit, harm, RATE, 2.0, calm_phi)
    for run in range(40):
        detector, shipped = Detector(), False
        for look, events in enumerate(of[run] for of in seen):
            begun = 1 + look // 4
            detector = detector.after(
                (500, min(500, events)), to.limit, begun=begun, phi=2.0, endless=True, fewer=fewer
            )
            if detector.log_e() >= math.log(100):
                break
            shipped |= unpaired._missing_of(check, detector, to) == 0
        assert shipped is bool(passed[run])
    assert 0 < passed.sum() < 40 + fewer


@pytest.mark.parametrize("fewer", [False, True])
@pytest.mark.parametrize("traffic", ["", "bursts, geometric 5", "rate gamma(2)"])
def test_b18_beside_harm_few_pass(traffic: str, *, fewer: bool) -> None:
    """B18: against a value at most a fifth, however events come together."""
    case = Case(Before(traffic, 0, 1.0, fewer=fewer), told=False)
    assert rate(case, 8_100 + fewer) <= clearance.MISSED + MONTE_CARLO


def test_bursts_that_are_not_reckoned_with_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were events taken for independent, most runs with bursts would pass."""
    monkeypatch.setattr(clearance, "UNTOLD_PHI", 1.0)
    case = Case(Before("bursts, geometric 5", 0, 1.0), told=False)
    assert rate(case, 8_110) > 2 * clearance.MISSED
