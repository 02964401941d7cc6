"""The watch without a holdback: harm is told of, and acted on where that is asked (B27)."""

import pytest
from simulation.stage import BROKEN, ERRORS, NAME, Stage, policy, serving, step

from rampway.api.rollout import Decision
from rampway.sim.cluster_behaviour import Behaviour

HOLD_S = 240


def watched(**more: str) -> Stage:
    """Return a stage on which v2 was just promoted and is watched without a holdback."""
    watch = {"hold": f"{HOLD_S}s", "holdback": "0%"} | more
    stage = serving(rollout=policy(step("half", 50), checks=(ERRORS,), watch=watch))
    stage.release(2)
    stage.until_phase("Watching", 400)
    stage.run(30)
    return stage


@pytest.mark.parametrize("does", ["Notify", "Rollback"])
def test_b27_without_a_holdback_harm_is_told(does: str) -> None:
    """B27: failures that begin in the watch are on record as unpaired; they return if asked to."""
    stage = watched(onUnpaired=does)
    first, second = stage.world.rollouts(NAME)[0].spec.stable.revision, stage.stable
    assert first != second
    (calm,) = stage.world.rollouts(NAME)[-1].status.checks
    assert (calm.state, calm.unpaired) == ("Pass", True)
    stage.harmed = True
    stage.world.behave(second, BROKEN)
    stage.until(lambda: "UnpairedCheckFailed" in {d.reason for d in decisions(stage)}, 60)
    if does == "Rollback":
        stage.until(lambda: stage.stable == first, 30)
        assert stage.world.status(NAME).reason == "UnpairedCheckFailed"
        return
    stage.until_phase("Healthy", HOLD_S)
    assert stage.stable == second
    told = [d for d in decisions(stage) if d.action == "Notified"]
    assert len(told) == 1
    assert "on stable before the promotion" in told[0].message


def test_b27_without_a_holdback_as_before_is_no_harm() -> None:
    """B27: a revision that does as it did ends its watch, and nothing is on record against it."""
    stage = watched()
    second = stage.stable
    stage.until_phase("Healthy", HOLD_S + 30)
    assert stage.stable == second
    assert "UnpairedCheckFailed" not in {d.reason for d in decisions(stage)}


@pytest.mark.parametrize("bad", [False, True])
def test_b19_a_rollout_may_be_held_against_a_value(*, bad: bool) -> None:
    """B19: beside a stable that fails as well a bad candidate goes, as its check says."""
    asked = {"against": "Value", "value": "2%", "detect": "5x"}
    check = {"name": "errors", "errorRate": asked}
    stage = serving(rollout=policy(step("half", 50), checks=(check,)))
    stage.harmed = True
    stage.world.behave(stage.stable, BROKEN)
    second = stage.release(2, BROKEN if bad else None)
    if bad:
        stage.until_phase("RolledBack", 120)
        assert stage.world.status(NAME).reason == "UnpairedCheckFailed"
    else:
        stage.until(lambda: stage.stable == second, 300)


@pytest.mark.parametrize("bad", [False, True])
def test_b19_slowness_may_be_held_against_a_value(*, bad: bool) -> None:
    """B19: a stable that is slow as well excuses no slow candidate; a quick one is promoted."""
    asked = {"against": "Value", "percentile": "95", "value": "50ms", "detect": "5x"}
    check = {"name": "slow", "latency": asked}
    stage = serving(rollout=policy(step("half", 50), checks=(check,)))
    stage.world.behave(stage.stable, Behaviour(slowdown=4.0))
    second = stage.release(2, Behaviour(slowdown=4.0) if bad else None)
    if bad:
        stage.until_phase("RolledBack", 120)
        status = stage.world.rollouts(NAME)[-1].status
        assert status.reason == "UnpairedCheckFailed"
        assert "requests took longer than" in status.message
    else:
        stage.until(lambda: stage.stable == second, 300)


@pytest.mark.parametrize("bad", [False, True])
def test_b19_a_rollout_may_be_held_against_stables_past(*, bad: bool) -> None:
    """B19: a candidate that fails where stable did not goes, although stable fails now as well."""
    asked = {"against": "Past", "ignoreBelow": "1%", "detect": "5x"}
    check = {"name": "errors", "errorRate": asked}
    stage = serving(rollout=policy(step("half", 50), checks=(check,)))
    stage.run(900)
    second = stage.release(2, BROKEN if bad else None)
    stage.until(lambda: any(r.status.traffic_since for r in stage.world.rollouts(NAME)), 120)
    stage.harmed = True
    stage.world.behave(stage.stable, BROKEN)
    if bad:
        stage.until_phase("RolledBack", 120)
        assert stage.world.status(NAME).reason == "UnpairedCheckFailed"
    else:
        stage.until(lambda: stage.stable == second, 300)
    (told,) = stage.world.rollouts(NAME)[-1].status.checks
    assert told.unpaired
    assert "on stable before the rollout" in told.message


def decisions(stage: Stage) -> tuple[Decision, ...]:
    """Return what was decided in the rollout."""
    return stage.world.rollouts(NAME)[-1].status.decisions
