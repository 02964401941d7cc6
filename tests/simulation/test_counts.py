"""Whole rollouts judged by what users count themselves."""

import pytest
from simulation.stage import NAME, Stage, mirror, policy, serving, step

from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import World

ORDERS = {
    "name": "orders",
    "counts": {
        "events": {"metric": "shop_orders_total"},
        "exposures": {"metric": "shop_visits_total"},
        "harmWhen": "Less",
        "detect": "2x",
    },
}
USUAL = Behaviour(base_order_rate=0.1)
"""A model whose recommendations one visitor in ten follows."""
WORSE = Behaviour(base_order_rate=0.1, order_rate=0.04)


def shop(world: World | None = None, *steps: dict[str, object]) -> Stage:
    """Return a stage whose users order."""
    rollout = policy(*(steps or (step("half", 50),)), checks=(ORDERS,))
    stage = serving(rollout=rollout, world=world)
    stage.world.behave(stage.stable, USUAL)
    return stage


@pytest.mark.parametrize("direct", [False, True])
def test_b19_a_model_that_nobody_orders_from_is_rolled_back(*, direct: bool) -> None:
    """Fewer orders roll back, with the counts in the sentence; as many are promoted."""
    stage = shop(World(direct_look=direct))
    bad = stage.release(2, WORSE)
    stage.until_phase("RolledBack", 600)
    status = stage.world.rollouts(NAME)[-1].status
    assert status.reason == "CheckFailed"
    assert "shop_orders_total in" in status.message
    assert "times as seldom" in status.message
    good = stage.release(3, USUAL)
    stage.until(lambda: stage.stable == good, 900)
    assert bad != good


def test_a_mean_is_judged_like_a_count() -> None:
    """Orders per visit as a mean from 0 to 1: the worse model goes, the good one stays."""
    mean = {
        "sum": {"metric": "shop_orders_total"},
        "count": {"metric": "shop_visits_total"},
        "upper": "1",
        "harmWhen": "Less",
        "detect": "2x",
        "ignoreBelow": "0.001",
    }
    check = {"name": "orders", "mean": mean}
    stage = serving(rollout=policy(step("half", 50), checks=(check,)))
    stage.world.behave(stage.stable, USUAL)
    stage.release(2, WORSE)
    stage.until_phase("RolledBack", 600)
    words = stage.world.rollouts(NAME)[-1].status.message
    assert "a mean of 0.0" in words
    assert "times as small" in words
    good = stage.release(3, USUAL)
    stage.until(lambda: stage.stable == good, 900)


MEAN = {
    "sum": {"metric": "shop_orders_total"},
    "count": {"metric": "shop_visits_total"},
    "upper": "1",
    "harmWhen": "Less",
    "detect": "2x",
}


@pytest.mark.parametrize(
    "asked", [{"counts": ORDERS["counts"]}, {"mean": MEAN}], ids=["counts", "mean"]
)
def test_b19_orders_may_be_held_against_stables_past(asked: dict[str, dict[str, object]]) -> None:
    """B19: what stable's users did in the hours before is read as the rollout begins, and kept."""
    ((kind, words),) = asked.items()
    check = {"name": "orders", kind: words | {"against": "Past"}}
    stage = serving(rollout=policy(step("half", 50), checks=(check,)))
    stage.world.behave(stage.stable, USUAL)
    stage.run(900)
    stage.release(2, WORSE)
    stage.until_phase("RolledBack", 900)
    (told,) = stage.world.rollouts(NAME)[-1].status.checks
    assert told.unpaired
    assert "on stable before the rollout" in told.message
    stage.run(300)
    good = stage.release(3, USUAL)
    stage.until(lambda: stage.stable == good, 1800)


@pytest.mark.parametrize(("asked", "value"), [("counts", "10%"), ("mean", "0.1")])
def test_b19_orders_may_be_held_against_a_value(asked: str, value: str) -> None:
    """B19: what is usual is the user's to say; a stable without orders excuses no candidate."""
    words = {"counts": ORDERS["counts"], "mean": MEAN}[asked]
    check = {"name": "orders", asked: words | {"against": "Value", "value": value}}  # type: ignore[operator]  # a mapping
    stage = serving(rollout=policy(step("half", 50), checks=(check,)))
    stage.world.behave(stage.stable, WORSE)
    stage.release(2, WORSE)
    stage.until_phase("RolledBack", 900)
    (told,) = stage.world.rollouts(NAME)[-1].status.checks
    assert told.unpaired
    assert "on stable" not in told.message
    good = stage.release(3, USUAL)
    stage.until(lambda: stage.stable == good, 1800)


def test_b32_what_was_counted_survives_a_restart() -> None:
    """B32: a new operator goes on with what was counted, and counts nothing twice."""
    stage = shop(World(checkpoint_interval_s=0.0))
    stage.release(2, USUAL)
    stage.until_step("half")
    stage.run(30)
    stage.world.kill(5)
    stage.run(10)
    second = stage.desired
    stage.until(lambda: stage.stable == second, 900)


def test_in_a_mirror_step_orders_are_not_waited_for() -> None:
    """Copies come to no orders that anybody sees: the step ends by what else there is."""
    stage = shop(None, mirror("shadow", 100, 20), step("half", 50))
    second = stage.release(2, USUAL)
    stage.until(lambda: stage.stable == second, 900)
