"""How soon real harm is called, by simulation; seeds fixed, 2000 runs a cell."""

import pytest
from bench.evidence.runs import events_needed
from bench.evidence.traffic import least_events, one_event, poisson


@pytest.mark.parametrize(
    ("share", "harm", "least"),
    [
        (0.5, 1.5, 0.68), (0.5, 2.0, 0.72), (0.5, 5.0, 0.77), (0.5, 20.0, 0.77),
        (0.2, 2.0, 0.69), (0.2, 20.0, 0.67), (0.05, 2.0, 0.67), (0.05, 5.0, 0.66),
    ],
)  # fmt: skip
def test_plain_mixture_is_efficient(share: float, harm: float, least: float) -> None:
    """One event a look, alpha .05: the table's less overshoot removal and what late harm costs."""
    seed = 200 + int(100 * share) + int(1000 * harm)
    needed = events_needed(seed, one_event(share, harm), share, guarded=False)
    assert least <= least_events(share, harm, 0.05) / needed <= 1


@pytest.mark.parametrize(
    ("per_arm", "low", "high"), [(0.5, 75, 92), (2.0, 98, 117), (5.0, 133, 158)]
)
def test_guard_costs_about_half_as_much_again(per_arm: float, low: float, high: float) -> None:
    """Events to detect r = 2 at 50 % with the guard: near the table's 142 at ten a look."""
    seed = 300 + int(10 * per_arm)
    assert low < events_needed(seed, poisson(2 * per_arm, per_arm), 0.5, guarded=True) < high


@pytest.mark.parametrize("guarded", [False, True], ids=["plain", "guarded"])
@pytest.mark.parametrize("harm", [2.0, 5.0])
def test_late_harm_is_found(harm: float, *, guarded: bool) -> None:
    """Harm after 1000 harmless events needs at most five times the bound."""
    seed = 400 + int(harm) + 50 * guarded
    traffic = one_event(0.5, harm, begin=1000)
    needed = events_needed(seed, traffic, 0.5, guarded=guarded, begin=1000, runs=500)
    assert needed < 5 * least_events(0.5, harm, 0.05)
