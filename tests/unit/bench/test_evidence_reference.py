"""The bench of checks against stable's past: it runs what is shipped, and sees what is invalid."""

import numpy as np
import pytest
from bench.evidence import reference
from bench.evidence.reference import Case, Detectors

from rampway.core.checks.references import Reference
from rampway.core.evidence import Detector, EProcess

ALPHA, RUNS, LOOKS = 0.05, 400, 300
MONTE_CARLO = 3 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5


@pytest.mark.parametrize("fewer", [False, True])
def test_batch_is_the_shipped_detector(*, fewer: bool) -> None:
    """Thirty runs of sixty looks, each with its own limit and phi; periods begin now and then."""
    rng = np.random.default_rng(3_000 + fewer)
    limit, phi = rng.uniform(0.01, 0.1, 30), rng.uniform(1, 5, 30)
    batch, shipped = Detectors.of(30), [Detector()] * 30
    for look in range(60):
        events = rng.binomial(100, 0.05, 30).astype(float)
        begun = 1 + look // 7 * 2
        found = batch.look(100.0, events, limit, phi, begun=begun, fewer=fewer)
        shipped = [
            one.after((100, e), at, begun=begun, phi=weak, endless=True, fewer=fewer)
            for one, e, at, weak in zip(
                shipped, events.tolist(), limit.tolist(), phi.tolist(), strict=True
            )
        ]
        assert found == pytest.approx([one.log_e() for one in shipped], rel=1e-9, abs=1e-9)


def alarms(case: Case, seed: int) -> float:
    """Return how often harm is called."""
    return reference.alarms(case, seed, runs=RUNS, looks=LOOKS, alpha=ALPHA).rate


@pytest.mark.parametrize("fewer", [False, True])
@pytest.mark.parametrize("traffic", ["", "bursts, geometric 5", "all pods' rate gamma(2)"])
def test_b19_against_a_finite_past_harm_is_rarely_called(traffic: str, *, fewer: bool) -> None:
    """B19: of a past of six intervals too, at stable's own rate and with nothing tolerated."""
    seed = 3_100 + 2 * ["", *reference.BURSTS].index(traffic) + fewer
    assert alarms(Case(traffic, 6, fewer=fewer), seed) <= ALPHA + MONTE_CARLO


def test_a_rate_that_changed_for_all_is_called() -> None:
    """What no past can know: half as much again for everybody is harm to it."""
    assert alarms(Case("", 240, tolerance_pct=10, since=1.5), 3_120) > 0.9


def test_a_reference_taken_at_its_word_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a short past's rate the limit itself, many more harmless runs would be called."""
    monkeypatch.setattr(Reference, "rate", lambda self, *, fewer: self.events / self.requests)  # noqa: ARG005
    assert alarms(Case("rate gamma(.5)", 6), 3_130) > 3 * ALPHA


def test_bursts_that_are_not_measured_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a phi of 2 whatever the past shows, bursts call harm far too often."""
    monkeypatch.setattr(reference, "with_past", lambda *_: EProcess())
    assert EProcess().phi == 2
    assert alarms(Case("bursts, geometric 5", 240, fewer=True), 3_140) > 3 * ALPHA
