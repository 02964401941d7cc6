"""Trials against the whole simulated cluster: what the light driver foretells is what happens."""

from random import Random

import pytest
from simulation.stage import BROKEN, NAME, RATE_PER_S, Stage, policy, serving

from rampway.api.policy import Policy
from rampway.cli.assumed import NO_HARM, Harm, Traffic, setting
from rampway.core.instants import from_wire
from rampway.sim.answering import lognormal
from rampway.sim.trial import Ended, Trial
from rampway.sim.trials import spread
from rampway.sim.world import World

TRAFFIC = Traffic(RATE_PER_S, 0.0, lognormal(0.02, 0.4), "as on the stage")


def promoted(stage: Stage) -> bool:
    """Whether the last rollout is over, and well."""
    return any(one.status.phase == "Promoted" for one in stage.world.rollouts(NAME)[-1:])


def trials(harm: Harm, number: int = 40) -> list[Ended]:
    """Play the stage's policy so often, with the stage's traffic and pods."""
    wanted = Policy.model_validate(policy(), by_name=False)
    more = {"pod_start_s": 5.0, "scrape_s": 1.0, "past_s": 60.0}
    made = setting(None, wanted, TRAFFIC, harm, **more)
    return [Trial(made, Random(f"trial/{n}")).run() for n in range(number)]  # noqa: S311


@pytest.mark.parametrize("seed", range(3))
def test_b41_the_time_to_rollback_is_as_foretold(seed: int) -> None:
    """B41: the real operator on the simulated cluster rolls back within the range of the trials."""
    stage = serving(world=World(seed=seed))
    stage.release(2, BROKEN)
    stage.harmed = True
    stage.until(lambda: stage.world.status(NAME).phase == "RolledBack", 300)
    status = stage.world.rollouts(NAME)[-1].status
    since_s, until_s = from_wire(status.traffic_since), from_wire(status.ended_at)
    assert since_s is not None
    assert until_s is not None
    foretold = spread([one.exposed_s for one in trials(Harm("30 % fail", 0.3))])
    slack_s = 3.0  # the route's and the pass's own delays
    assert foretold.low - slack_s <= until_s - since_s <= foretold.high + slack_s


def test_the_time_to_promotion_is_as_foretold() -> None:
    """A good rollout takes about as long as the trials say."""
    stage = serving()
    stage.release(2)
    stage.until(lambda: promoted(stage), 600)
    status = stage.world.rollouts(NAME)[-1].status
    began_s, until_s = from_wire(status.started_at), from_wire(status.ended_at)
    assert began_s is not None
    assert until_s is not None
    foretold = spread([one.took_s for one in trials(NO_HARM, 10)])
    assert foretold.low - 10 <= until_s - began_s <= foretold.high + 10
