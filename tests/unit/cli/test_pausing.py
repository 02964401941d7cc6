"""What pause and resume write, and what they say happens now."""

from typing import Any

import pytest
from typer.testing import CliRunner
from unit.cli import scenes
from unit.cli.conftest import Connect
from unit.cli.objects import Obj
from unit.cli.scenes import NAME, SPACE, V1, V2, Scene, ago

from rampway.cli.app import app
from rampway.kube import kinds

ROLLOUT = f"{NAME}-{V2}-1"
CHECKS: list[Obj] = [{"name": "errors", "errorRate": {}}, {"name": "slow", "latency": {}}]
UNPAIRED: Obj = {"hold": "1h", "holdback": "0%"}


def said(connect: Connect, scene: Scene, verb: str) -> str:
    """Return what a verb tells of a scene."""
    connect(scene)
    done = CliRunner().invoke(app, [verb, NAME])
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def told(
    scene: Scene, *, policy: Obj | None = None, requests: Obj | None = None, **status: Any
) -> Scene:
    """Return a paused scene whose rollout goes by more of a policy, or stands otherwise."""
    (one,) = scene.rollouts
    spec = one["spec"] | {"policy": one["spec"]["policy"] | (policy or {})}
    spec |= {"requests": requests} if requests else {}
    changed = one | {"spec": spec, "status": one["status"] | status}
    return scene.but(rollouts=(changed,), spec=scene.spec | {"paused": True})


def test_b10_pause_and_resume_set_the_field(connect: Connect) -> None:
    """B10: and doing it twice is no mistake."""
    for scene, verb, words, paused in (
        (scenes.mid_rollout, "pause", "paused digits\n", True),
        (scenes.paused, "pause", "digits is paused already\n", True),
        (scenes.paused, "resume", "resumed digits\n", False),
        (scenes.healthy, "resume", "digits is not paused\n", False),
    ):
        store = connect(scene)
        assert CliRunner().invoke(app, [verb, NAME]).stdout.startswith(words)
        found = store.get(kinds.MODEL_DEPLOYMENT, SPACE, NAME)["spec"]
        assert found.get("paused", False) is paused


FAILURES: dict[str, tuple[Obj, str]] = {
    "built-in checks": ({}, "failing checks and crashes still roll back"),
    "no checks": ({"checks": []}, "crashes still roll back"),
    "Manual": (
        {"checks": CHECKS, "rollback": {"mode": "Manual"}},
        "a failing check stops and asks; crashes still roll back",
    ),
    "Off": (
        {"checks": CHECKS, "rollback": {"mode": "Off"}},
        "a failing check is only told; crashes still roll back",
    ),
    "each its own": (
        {"checks": [CHECKS[0], CHECKS[1] | {"onFailure": "Notify"}]},
        "the failure of errors rolls back; the failure of slow is only told; crashes still",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_b10_a_pause_says_what_a_failure_does_by_the_rollouts_own_policy(
    connect: Connect, name: str
) -> None:
    """B10: harm is rolled back under a pause only where the policy lets it be."""
    policy, words = FAILURES[name]
    whole = f"nothing is promoted; {words}"
    found = said(connect, told(scenes.mid_rollout, policy=policy), "pause")
    assert whole in found
    assert "crashes still roll back. To go on: kubectl rampway resume digits -n ml\n" in found


def test_b11_a_pause_does_not_say_that_a_step_asks_that_was_agreed_to(connect: Connect) -> None:
    """B11: who agreed to this step is asked again in the next one."""
    given = {"approve": [{"step": "quarter", "by": "alice"}]}
    policy = {"checks": CHECKS, "rollback": {"mode": "Manual"}}
    found = said(connect, told(scenes.mid_rollout, policy=policy, requests=given), "pause")
    assert "a failing check asks again after this step, not in it; crashes still roll back" in found


IN_WATCH: dict[str, tuple[Obj, str]] = {
    "paired": (
        {"checks": CHECKS},
        "failing checks and crashes still return to the previous revision",
    ),
    "asks": (
        {},
        "a failing check asks, and the watch does not end before somebody answers; crashes still",
    ),
    "unpaired": ({"checks": CHECKS, "watch": UNPAIRED}, "a failing check is only told; crashes"),
    "unpaired and meant": (
        {"checks": CHECKS, "watch": UNPAIRED | {"onUnpaired": "Rollback"}},
        "failing checks and crashes still return",
    ),
}


@pytest.mark.parametrize("name", IN_WATCH)
def test_b27_a_pause_in_the_watch_says_what_still_goes_back(connect: Connect, name: str) -> None:
    """B27: without a holdback a check only tells, unless the policy says otherwise."""
    policy, words = IN_WATCH[name]
    scene = told(scenes.watching, policy=policy)
    assert words in said(connect, scene, "pause")
    assert f"the watch of {ROLLOUT} goes on to its end; {words}" in said(connect, scene, "resume")


LAST = {"index": 2, "name": "half", "total": 3, "inForceSince": ago(290)}
ASKED: Obj = {"promote": {"by": "carol"}}
RESUMED: dict[str, tuple[Scene, str]] = {
    "the next step": (told(scenes.paused), "goes on from tenth: step 2/3 quarter: 25%\n"),
    "after the last": (
        told(scenes.paused, step=LAST),
        "goes on from half: the promotion: all pods",
    ),
    "a step on its way": (
        told(scenes.paused, step=LAST | {"inForceSince": ""}),
        "goes on from half: step 3/3 half: 50%, as its pods become ready\n",
    ),
    "before the first": (
        told(scenes.paused, phase="Starting", step={}),
        "goes on from its first step: step 1/3 tenth: 10%, as its pods become ready\n",
    ),
    "the promotion": (told(scenes.paused, phase="Promoting", step=LAST), ": the promotion: all"),
    "what a person asked": (
        told(scenes.paused, requests=ASKED),
        "the steps that are left are skipped, as carol asked; then the promotion: all pods",
    ),
    "what else it waits for": (
        told(scenes.waiting_for_approval),
        "goes on from look: step look waits for a person's approval: Look at the minority classes",
    ),
    "a revision that waits": (
        scenes.paused_at_rest,
        f"next: the rollout of revision {V2} begins\n",
    ),
    "nobody has looked": (scenes.just_applied, f"next: the rollout of revision {V2} begins\n"),
    "nothing": (scenes.healthy, "no rollout runs; the next change of spec.model or"),
    "the first": (scenes.first_apply, f"revision {V1} is the first: it serves as soon as it is"),
    "none to carry it": (
        scenes.paused_at_rest.but(
            status=scenes.paused_at_rest.status
            | {"reason": "ScaledToZero", "message": "no pods", "candidate": {"revision": V2}}
        ),
        f"revision {V2} waits: no pods\n",
    ),
}


@pytest.mark.parametrize("name", RESUMED)
def test_b10_resume_says_what_happens_now(connect: Connect, name: str) -> None:
    """B10: not the sentence of the pause, which is over."""
    scene, words = RESUMED[name]
    found = said(connect, scene, "resume")
    assert words in found
    assert "paused" not in found.replace("is not paused", "")


def test_b26_resume_does_not_promise_a_refused_revision_a_rollout(connect: Connect) -> None:
    """B26: after an abort it is refused, paused or not, and a person or a change moves it."""
    for verb_of in (scenes.rolled_back_by_check, scenes.rolled_back_by_crash):
        found = said(connect, verb_of, "resume")
        assert f"next: no rollout: {NAME}-{V2} was rolled back: " in found
        assert "To move it: kubectl rampway retry digits -n ml, which tries it again" in found
        assert "waits" not in found
        assert "begins" not in found


def test_b26_resume_knows_of_a_retry_that_was_asked_for(connect: Connect) -> None:
    """B26: then it is tried again, before the status tells of it."""
    scene = told(scenes.rolled_back_by_check, requests={"retry": {"by": "carol"}})
    assert f"next: the rollout of revision {V2} begins\n" in said(connect, scene, "resume")


def test_a_pause_before_anything_serves_says_what_it_holds(connect: Connect) -> None:
    """A first apply is no rollout, and what has pods already goes on."""
    assert "nothing serves yet; a first revision" in said(connect, scenes.first_apply, "pause")
    assert "no rollout runs; a new revision is recorded" in said(connect, scenes.healthy, "pause")
