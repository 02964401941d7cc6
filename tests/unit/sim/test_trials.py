"""Many trials: the same figures however they are played, and honest ranges."""

import multiprocessing
import threading
import time
from dataclasses import replace

import pytest
from unit.sim.test_trial import BROKEN, CALM, CHECKS, STEPS

from rampway.api.policy import Policy
from rampway.cli.assumed import NO_HARM, setting
from rampway.sim.trials import chance, play, spread

POLICY = Policy.model_validate({"steps": STEPS, "checks": CHECKS}, by_name=False)
SETTING, OTHER = (
    replace(setting(None, POLICY, CALM, harm), longest_s=600.0) for harm in (NO_HARM, BROKEN)
)
BOTH = [SETTING.candidate, OTHER.candidate]


@pytest.mark.no_cover
def test_b41_figures_depend_on_the_seed_alone() -> None:
    """B41: two processes find what one finds, in the same order; another seed finds others."""
    heard: list[int] = []
    alone = play(SETTING, BOTH, 3, 7, workers=1, told=heard.append)
    assert sum(heard) == 6
    assert play(SETTING, BOTH, 3, 7, workers=2) == alone
    assert play(SETTING, BOTH, 3, 8, workers=1) != alone
    assert all(one.promoted for one in alone[0])
    assert all(one.stopped for one in alone[1])
    assert len({one.tally.answers for one in alone[0]}) == 3


@pytest.mark.no_cover
def test_no_process_outlives_the_trials() -> None:
    """What is still being ended as the program ends spoils its last lines with a traceback."""
    threads = set(threading.enumerate())
    play(SETTING, BOTH[1:], 2, 7, workers=2)
    assert not multiprocessing.active_children()
    assert set(threading.enumerate()) <= threads


@pytest.mark.no_cover
def test_ctrl_c_waits_for_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials that are under way as somebody gives up are not played to their end."""

    def play_long(_job: object, number: int) -> list[object]:
        time.sleep(100.0 * number)
        return []

    def give_up(_done: int) -> None:
        raise KeyboardInterrupt

    play_long.__name__ = "play"  # by which it is sent to the processes
    monkeypatch.setattr("rampway.sim.trials._Job.play", play_long)
    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        play(SETTING, (), 4, 7, workers=2, told=give_up)
    assert time.monotonic() - began_s < 50
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("count", "runs", "low", "high"),
    # By the quantiles of the beta distribution, as in any table of Clopper and Pearson.
    [(0, 100, 0.0, 0.036217), (5, 100, 0.016432, 0.112835), (100, 100, 0.963783, 1.0)],
)
def test_a_chance_has_its_interval(count: int, runs: int, low: float, high: float) -> None:
    """The interval is the one of the tables; the error that of a share."""
    found = chance(count, runs)
    assert found.low == pytest.approx(low, abs=1e-5)
    assert found.high == pytest.approx(high, abs=1e-5)
    assert found.error == pytest.approx((count / runs * (1 - count / runs) / runs) ** 0.5)


def test_a_range_lies_between_figures() -> None:
    """Quantiles lie on the straight line between neighbours; of nothing there is none."""
    found = spread([4.0, 0.0, 2.0, 1.0, 3.0])
    assert (found.median, found.mean) == (2.0, 2.0)
    assert found.low == pytest.approx(0.04)
    assert found.high == pytest.approx(3.96)
    assert spread([]).median != spread([]).median
