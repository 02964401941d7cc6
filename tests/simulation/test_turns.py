"""Of many rollouts each has its durations read less often: latency is judged all the same."""

from itertools import count

import pytest
from simulation.stage import ERRORS, NAME, SLOW, policy, serving, step

from rampway.core.checks.checkpoint import from_text
from rampway.shell.looks import Key, Looks
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import World

EVERY = 7


@pytest.fixture
def _seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each rollout's durations be read in one of so many looks."""
    numbers = count()

    def turns(_looks: Looks, asking: set[Key], _now_s: float) -> set[Key]:
        return set() if next(numbers) % EVERY else asking

    monkeypatch.setattr(Looks, "_turns", turns)


@pytest.mark.usefixtures("_seldom")
@pytest.mark.parametrize(("slowdown", "end"), [(2.5, "RolledBack"), (1.0, "Healthy")])
def test_b19_latency_is_judged_in_turns(slowdown: float, end: str) -> None:
    """B19: a slow candidate is rolled back and an equal one promoted, a little later."""
    stage = serving(rollout=policy(step("half", 50, 10), checks=(SLOW,)))
    stage.release(2, Behaviour(slowdown=slowdown))
    stage.harmed = slowdown > 1
    stage.until_phase(end, 900)


@pytest.mark.usefixtures("_seldom")
def test_b20_durations_between_turns_are_not_lost() -> None:
    """B20: what was not read in one turn is counted in the next, once."""
    checks = (ERRORS, SLOW)
    stage = serving(
        world=World(checkpoint_interval_s=0.0),
        rollout=policy(step("half", 50, 300), checks=checks),
    )
    stage.release(2)
    stage.until_step("half")
    stage.run(60 + 2 * EVERY)
    found = from_text(stage.world.rollouts(NAME)[-1].status.evidence)
    assert found is not None
    errors, slow = (found.paired[name].processes[0].total for name in ("errors", "slow"))
    assert slow.candidate_n > 0
    most = 40 * 2 * EVERY  # requests of two turns
    assert errors.candidate_n - slow.candidate_n < most
    assert slow.candidate_n <= errors.candidate_n
