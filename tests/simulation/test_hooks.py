"""Hooks hold or fail a rollout, and never delay a rollback (B23, B29)."""

from typing import Any

import pytest
from simulation.stage import BROKEN, NAME, Stage, policy, quick, serving, step

from rampway.core.observation import HookRun
from rampway.core.rollout import hookjob
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.sim.world import SPACE

URL = "http://hooks.example/go"
DONE, BAD = HookRun("Succeeded", "answered 200"), HookRun("Failed", "answered 400: no")
ONE = step("ten", 10)
TWO = step("half", 50)


def call(name: str, when: str, **more: Any) -> dict[str, Any]:
    """Return a hook that makes an HTTP call."""
    return {"name": name, "when": when, "http": {"url": URL}} | more


def job(name: str, when: str, **more: Any) -> dict[str, Any]:
    """Return a hook that runs a container."""
    return {"name": name, "when": when, "job": {"image": "tool:1", "command": ["/go"]}} | more


def begun(*hooks: dict[str, Any], **more: Any) -> Stage:
    """Return a stage with a rollout under way whose policy has these hooks and two steps."""
    stage = serving(rollout=quick(ONE, TWO) | {"hooks": list(hooks)}, **more)
    stage.release(2)
    return stage


def reason(stage: Stage) -> str:
    """Return the reason that the ModelDeployment's status gives."""
    return str(stage.world.status(NAME).reason)


def runs(stage: Stage) -> dict[str, str]:
    """Return the state of each run of a hook, of the latest rollout."""
    return {run.key: run.state for run in stage.world.rollouts(NAME)[-1].status.hooks}


def jobs(stage: Stage) -> list[Obj]:
    """Return all Jobs."""
    return list(stage.world.store.list(kinds.JOB, SPACE))


def finish(stage: Stage, kind: str = "Complete") -> None:
    """Let the only Job come to its end."""
    (found,) = jobs(stage)
    done = {"status": {"conditions": [{"type": kind, "status": "True", "message": "so"}]}}
    stage.world.store.patch(kinds.JOB, SPACE, found["metadata"]["name"], done, subresource="status")


@pytest.mark.parametrize(
    ("when", "weight_pct"), [("BeforeRollout", 0), ("BeforeStep", 0), ("BeforePromotion", 50)]
)
def test_a_rollout_waits_for_a_hook(when: str, weight_pct: int) -> None:
    """Until the hook has succeeded the rollout stands where it is, and says why."""
    stage = begun(call("ask", when))
    stage.until(lambda: reason(stage) == "HookRunning")
    stage.run(20)
    assert stage.weight_pct == weight_pct
    assert "hook ask" in stage.world.status(NAME).message
    stage.world.calls.answers["ask"] = DONE
    stage.until_phase("Healthy")
    assert set(runs(stage).values()) == {"Succeeded"}


def test_a_hook_runs_before_each_step_or_before_one() -> None:
    """Without a step it precedes each; with one only that."""
    stage = begun(call("each", "BeforeStep"), call("second", "BeforeStep", step="half"))
    stage.world.calls.answers |= {"each": DONE, "second": DONE}
    stage.until_phase("Healthy")
    assert list(runs(stage)) == ["each.ten", "each.half", "second.half"]


def test_a_failed_hook_asks_and_an_approval_goes_on() -> None:
    """Hold: it stops and says what to do; a person's approval of the step lets it go on."""
    stage = begun(call("ask", "BeforeStep", step="half"))
    stage.world.calls.answers["ask"] = BAD
    stage.until(lambda: reason(stage) == "HookFailed")
    stage.run(20)
    assert stage.weight_pct == 10
    assert "Approve step half" in stage.world.status(NAME).message
    assert stage.phase == "Holding"
    assert stage.world.condition(NAME, "Stalled") == "True"
    assert stage.events("Asked") == [("Warning", "HookFailed")]
    rollout = stage.world.rollouts(NAME)[-1].name
    wanted = {"spec": {"requests": {"approve": [{"step": "half", "by": "ann"}]}}}
    stage.world.store.patch(kinds.MODEL_ROLLOUT, SPACE, rollout, wanted)
    stage.until_phase("Healthy")


def test_b29_a_failed_hook_can_roll_back() -> None:
    """B29: Rollback: traffic returns, and the status names the hook."""
    stage = begun(call("gate", "BeforePromotion", onFailure="Rollback"))
    stage.world.calls.answers["gate"] = BAD
    stage.until_phase("RolledBack")
    assert "hook gate failed: answered 400" in stage.world.status(NAME).message
    assert stage.weight_pct == 0
    assert stage.events("RollingBack") == [("Warning", "HookFailed")]
    assert stage.events("Asked") == []


def test_b29_a_hook_that_never_answers_fails_after_its_timeout() -> None:
    """B29: its timeout ends it, though nobody ever says so."""
    stage = begun(call("slow", "BeforeRollout", timeout="30s", onFailure="Rollback"))
    stage.until_phase("RolledBack")
    assert "not done within 30s" in stage.world.status(NAME).message


def test_b23_a_rollback_does_not_wait_for_a_hook() -> None:
    """B23: the candidate turns bad while a hook runs: traffic returns all the same, at once."""
    hooks = [call("never", "BeforePromotion"), call("tell", "AfterRollback")]
    slow = policy(step("half", 50, 20)) | {"hooks": hooks}
    stage = serving(rollout=slow)
    candidate = stage.release(2)
    stage.until(lambda: reason(stage) == "HookRunning")
    stage.harmed = True
    stage.world.behave(candidate, BROKEN)
    stage.until(lambda: stage.weight_pct == 0, 120)
    stage.until_phase("RolledBack")
    assert runs(stage)["tell"] == "Running"
    stage.world.calls.answers["tell"] = DONE
    stage.until(lambda: runs(stage)["tell"] == "Succeeded")


@pytest.mark.parametrize("watch", [None, {"hold": "1m"}])
def test_a_hook_after_promotion(watch: dict[str, str] | None) -> None:
    """It runs once the candidate is stable; nothing waits for it."""
    rollout = quick(ONE) | {"hooks": [call("tell", "AfterPromotion")]}
    stage = serving(rollout=rollout | ({"watch": watch} if watch else {}))
    candidate = stage.release(2)
    stage.until(lambda: stage.stable == candidate)
    stage.until(lambda: runs(stage).get("tell") == "Running")
    stage.world.calls.answers["tell"] = BAD
    stage.until(lambda: runs(stage)["tell"] == "Failed")
    stage.until_phase("Healthy")


def test_b29_a_restarted_operator_calls_again_with_the_same_key() -> None:
    """B29: at least once, and the other side can tell: the key is the same."""
    stage = begun(call("ask", "BeforeRollout"))
    stage.until(lambda: bool(stage.world.calls.begun))
    stage.world.kill()
    stage.world.start()
    stage.until(lambda: len(stage.world.calls.begun) == 2)
    assert len(set(stage.world.calls.begun)) == 1
    stage.world.calls.answers["ask"] = DONE
    stage.until_phase("Healthy")
    assert len(stage.world.calls.begun) == 2


def test_b29_a_job_is_made_once() -> None:
    """B29: by name, whoever makes it; its end is read, and the rollout goes on."""
    stage = begun(job("load", "BeforeRollout"))
    stage.until(lambda: len(jobs(stage)) == 1)
    stage.world.kill()
    stage.world.start()
    stage.run(20)
    (found,) = jobs(stage)
    assert found["metadata"]["name"] == hookjob.name_of(stage.world.rollouts(NAME)[-1].name, "load")
    assert found["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    finish(stage)
    stage.until_phase("Healthy")
    assert len(jobs(stage)) == 1


def test_a_failed_job_says_so() -> None:
    """The Job's own words are in the status."""
    stage = begun(job("load", "BeforeRollout", onFailure="Rollback"))
    stage.until(lambda: len(jobs(stage)) == 1)
    finish(stage, "Failed")
    stage.until_phase("RolledBack")
    assert ": so" in stage.world.status(NAME).message
