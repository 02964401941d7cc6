"""A ModelDeployment that came in unchecked, as under an older CRD: told, and left as it is."""

from typing import Any

import pytest
from simulation.stage import NAME, Stage, serving

from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.errors import NotFound
from rampway.sim.world import SPACE

UNKNOWN_FIELD = {"canaries": 3}
"""As an earlier version of the API may have had it."""


def told(stage: Stage) -> Obj:
    """Return the status as the API server has it."""
    found: Obj = stage.world.store.get(kinds.MODEL_DEPLOYMENT, SPACE, NAME)["status"]
    return found


def condition(stage: Stage, kind: str) -> tuple[str, str]:
    """Return status and reason of a condition."""
    found = {c["type"]: (c["status"], c["reason"]) for c in told(stage)["conditions"]}
    return found[kind]


def shares(stage: Stage) -> dict[str, int]:
    """Let ten seconds go on, and return the route's weights."""
    for _ in range(10):
        stage.world.step()  # the stage's own watch would read the spec
    return stage.backends()


@pytest.mark.parametrize("at_s", [0, 20])
def test_b28_what_is_not_understood_is_told_and_moves_nothing(at_s: int) -> None:
    """B28: at rest and under traffic: status names the field, requests go where they went.

    Corrected, it goes on to the promotion, and all conditions are as ever.
    """
    stage = serving()
    if at_s:
        stage.release(2)
        stage.until_step("ten")
    before = stage.backends()
    generation = told(stage)["observedGeneration"]
    stage.apply(**UNKNOWN_FIELD)
    assert shares(stage) == before
    status = told(stage)
    assert (status["phase"], status["reason"]) == ("Refused", "InvalidSpec")
    assert "spec.canaries: unknown field; seen: 3" in status["message"]
    assert status["observedGeneration"] == generation + 1
    assert condition(stage, "Accepted") == ("False", "InvalidSpec")
    assert condition(stage, "Stalled") == ("True", "InvalidSpec")
    assert not stage.ledger.all.failed
    stage.apply(canaries=None)
    if not at_s:
        stage.release(2)
    stage.until(lambda: bool(stage.world.rollouts(NAME)), 10)
    stage.until_phase("Healthy")
    assert stage.rollout.status.phase == "Promoted"
    assert condition(stage, "Accepted") == ("True", "Valid")
    assert condition(stage, "Promoted")[0] == "True"


def test_b34_what_is_not_understood_can_be_deleted() -> None:
    """B34: its deletion takes everything with it, as any other's."""
    stage = serving()
    stage.apply(**UNKNOWN_FIELD)
    shares(stage)
    stage.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, NAME)
    stage.harmed = True
    for _ in range(90):
        stage.world.step()
    with pytest.raises(NotFound):
        stage.world.store.get(kinds.HTTP_ROUTE, SPACE, NAME)
    left: list[Any] = stage.deployments()
    assert left == []
