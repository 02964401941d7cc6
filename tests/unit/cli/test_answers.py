"""What people are told where a verb comes too late, twice, or early."""

from typing import Any

import pytest
from typer.testing import CliRunner, Result
from unit.cli import scenes
from unit.cli.conftest import Connect
from unit.cli.objects import Obj, meta
from unit.cli.scenes import NAME, V1, V2, Scene

from rampway.cli import acting
from rampway.cli.app import app
from rampway.kube.errors import Conflict
from rampway.sim.apiserver import MemoryApi


def with_rollout(scene: Scene, *, spec: Obj | None = None, **status: Any) -> Scene:
    """Return a scene whose last rollout has other fields."""
    (one,) = scene.rollouts
    changed = one | {"spec": one["spec"] | (spec or {}), "status": one["status"] | status}
    return scene.but(rollouts=(changed,))


def paused(scene: Scene) -> Scene:
    """Return a scene under a pause."""
    return scene.but(spec=scene.spec | {"paused": True})


def asking(scene: Scene, **requests: Any) -> Scene:
    """Return a scene in which people have asked for these already."""
    return with_rollout(scene, spec={"requests": requests})


STARTING = with_rollout(scenes.mid_rollout, phase="Starting", trafficSince="", message="0 of 1")
REFUSED = [
    (scenes.rolling_back, "approve", "too late to approve: digits-"),
    (scenes.rolling_back, "promote", "is being rolled back: aborted by bob: too slow"),
    (
        asking(scenes.mid_rollout, abort={"by": "bob"}),
        "promote",
        f"too late to promote: {NAME}-{V2}-1 was aborted by bob",
    ),
    (
        with_rollout(scenes.promoting, reason="WaitingForCapacity", message="2 of 3 pods"),
        "promote",
        "is being promoted already: 2 of 3 pods",
    ),
    (scenes.promoting, "approve", "nothing of digits-"),
    (
        with_rollout(scenes.rolled_back_by_check, movedOn=True),
        "retry",
        "the spec has changed since",
    ),
]


@pytest.mark.parametrize(("scene", "verb", "why"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_comes_too_late_is_refused(
    connect: Connect, scene: Scene, verb: str, why: str
) -> None:
    """Exit code 1, with what is the case instead."""
    connect(scene)
    result = CliRunner().invoke(app, [verb, NAME])
    assert result.exit_code == 1
    assert why in result.stderr


TOLD = [
    (scenes.rolling_back, "abort", "was aborted already by bob, “too slow”"),
    (scenes.rolling_back, "pause", "goes on rolling back: a pause never holds traffic"),
    (scenes.watching, "pause", "does not end before the pause does; a failing check asks"),
    (scenes.healthy, "pause", "a new revision is recorded and not started"),
    (paused(scenes.healthy), "resume", "the next change of spec.model or spec.server begins one"),
    (scenes.promoting, "promote", "skipping 0 of 4 steps"),
    (paused(scenes.mid_rollout), "promote", "nothing moves before kubectl rampway resume digits"),
    (
        asking(scenes.mid_rollout, promote={"message": "go"}),
        "promote",
        "was asked for already by somebody, “go”",
    ),
    (
        paused(asking(scenes.rolled_back_by_check, retry={"by": "bob"})),
        "retry",
        "was asked for already by bob",
    ),
    (STARTING, "abort", f"stable {V1} (version 1) goes on; the candidate has had no request"),
    (
        asking(scenes.waiting_for_approval, approve=[{"step": "look", "by": "bob"}]),
        "approve",
        "was approved already by bob",
    ),
]


@pytest.mark.parametrize(("scene", "verb", "says"), TOLD, ids=lambda value: str(value)[:30])
def test_what_is_so_already_or_has_an_effect_is_told(
    connect: Connect, scene: Scene, verb: str, says: str
) -> None:
    """In a sentence about this very rollout."""
    connect(scene)
    result = CliRunner().invoke(app, [verb, NAME])
    assert says in " ".join(result.output.split())


def test_an_approval_of_a_step_that_is_over_is_told_as_used(connect: Connect) -> None:
    """It does not wait for anything: the rollout is past it."""
    connect(scenes.stopped_by_check)
    result = CliRunner().invoke(app, ["approve", NAME, "look"])
    assert "was approved already by bob" in result.output
    assert "that step is over; now it is at step 4/4 half" in " ".join(result.output.split())


def test_the_last_approval_leads_to_the_promotion(connect: Connect) -> None:
    """There is no step after it."""
    policy = scenes.PEOPLE | {"steps": scenes.PEOPLE["steps"][:3]}
    connect(with_rollout(scenes.waiting_for_approval, spec={"policy": policy}))
    result = CliRunner().invoke(app, ["approve", NAME])
    assert "next: the candidate is promoted" in result.output


def test_undo_of_several_of_one_version_asks_which(connect: Connect) -> None:
    """A version is the user's own word, and may be there twice; what is named already is told."""
    twin = scenes.workload("1", 0, promoted_s=9000)
    twin["metadata"] = meta(f"{NAME}-ffffffffff", "ffffffffff") | {
        "annotations": twin["metadata"]["annotations"]
    }
    broken = scenes.workload("0", 0)
    del broken["metadata"]["annotations"]["rampway.dev/content"]
    scene = scenes.mid_rollout.but(workloads=(*scenes.mid_rollout.workloads, twin, broken))
    connect(scene)
    result = CliRunner().invoke(app, ["undo", NAME, "--to", "1"])
    assert "1 is not one revision but 2" in result.stderr
    assert scenes.digest("0") not in result.stderr  # its content is not kept
    result = CliRunner().invoke(app, ["undo", NAME, "--to", V2])
    assert "names" in result.stdout
    assert "already" in result.stdout
    assert "note:" not in result.stdout


@pytest.mark.parametrize("verb", ["approve", "undo", "pause"])
def test_an_object_that_is_written_all_the_time_is_given_up(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """After a few tries, with a sentence."""
    tries = []

    async def conflict(*_: Any, **__: Any) -> Obj:
        tries.append(1)
        raise Conflict("patch: 409")

    connect(scenes.waiting_for_approval)
    monkeypatch.setattr(MemoryApi, "patch", conflict)
    result: Result = CliRunner().invoke(app, [verb, NAME])
    assert result.exit_code == 1
    assert "is being written all the time; try again" in result.stderr
    assert len(tries) == acting.TRIES
