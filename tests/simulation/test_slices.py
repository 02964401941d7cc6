"""Whole rollouts of a candidate that may do harm in one region only."""

from dataclasses import replace
from typing import Any

import pytest
from simulation.stage import NAME, Stage, policy, serving, step

from rampway.core.checks.checkpoint import from_text
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import World

REGIONS = (("eu", 0.5), ("us", 0.35), ("apac", 0.15))
USUAL = Behaviour(base_order_rate=0.2, regions=REGIONS)
"""One visitor in five orders, in each region."""
WORSE = replace(USUAL, order_rate=0.02, order_rate_in="apac")
"""Nobody there follows its recommendations."""


def shop(world: World | None = None, **asked: Any) -> Stage:
    """Return a stage whose users order, and are judged by region."""
    counts = {
        "events": {"metric": "shop_orders_total"},
        "exposures": {"metric": "shop_visits_total"},
        "harmWhen": "Less",
        "detect": "3x",
        "slices": {"by": "region"} | asked,
    }
    checks = ({"name": "orders", "counts": counts},)
    stage = serving(rollout=policy(step("half", 50), checks=checks), world=world)
    stage.world.behave(stage.stable, USUAL)
    return stage


@pytest.mark.parametrize("direct", [False, True])
def test_b19_harm_in_one_region_is_rolled_back_and_named(*, direct: bool) -> None:
    """B19: a candidate that ruins the smallest region goes, and the sentence says which."""
    stage = shop(World(direct_look=direct))
    stage.release(2, WORSE)
    stage.until_phase("RolledBack", 900)
    status = stage.world.rollouts(NAME)[-1].status
    assert status.reason == "CheckFailed"
    assert "in region=apac: " in status.message
    assert "times as seldom" in status.message


def test_b18_a_candidate_that_harms_no_region_is_promoted() -> None:
    """B18: it takes the smallest region's requests, and then the candidate is promoted."""
    stage = shop()
    good = stage.release(2, USUAL)
    stage.until(lambda: "in region=apac" in stage.summary, 300)
    stage.until(lambda: stage.stable == good, 900)


def test_b32_slices_survive_a_restart() -> None:
    """B32: a new operator goes on with the slices in their order, and with what they have shown."""
    stage = shop(World(checkpoint_interval_s=0.0))
    good = stage.release(2, USUAL)
    stage.until_step("half")
    stage.run(30)
    before = known(stage)
    stage.world.kill(5)
    stage.run(10)
    assert known(stage) == before == ["eu", "us", "apac"]
    stage.until(lambda: stage.stable == good, 900)


def known(stage: Stage) -> list[str]:
    """Return the slices of the rollout's checkpoint."""
    state = from_text(stage.rollout.status.evidence)
    assert state is not None
    return list(state.paired["orders"].slices)
