"""Blue-green's preview: a Service with a fixed name, for as long as there is a trial."""

import pytest
from simulation.stage import NAME, Stage, approval, model, policy, quick, serving, step
from simulation.test_tenancy import belongings

from rampway.api import labels
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.errors import NotFound
from rampway.sim.world import SPACE

PREVIEW = f"{NAME}-preview"
DOOR = policy(approval("go"), checks=(), strategy="BlueGreen")


def previewed(stage: Stage) -> str:
    """Return the hash of the revision that is previewed, empty without a Service for it."""
    try:
        found = stage.world.store.get(kinds.SERVICE, SPACE, PREVIEW)
    except NotFound:
        return ""
    assert found["spec"]["selector"].pop(labels.DEPLOYMENT, NAME) == NAME
    return str(found["spec"]["selector"].get(labels.REVISION, "nobody's"))


def asked(stage: Stage) -> None:
    """Let time go on until a person is asked."""
    stage.until(lambda: stage.world.status(NAME).reason == "WaitingForApproval", 90)


def test_a_preview_is_there_while_the_candidate_is_on_trial() -> None:
    """Its pods answer by the Service before anybody else meets them; promoted, it is gone."""
    stage = serving(rollout=DOOR)
    assert previewed(stage) == ""
    second = stage.release(2)
    asked(stage)
    assert previewed(stage) == second
    tests = stage.world.cluster.call(SPACE, PREVIEW, 10.0)
    stage.run(10)
    assert tests.all.failed == 0
    assert set(tests.by_revision) == {second}
    stage.world.cluster.call(SPACE, PREVIEW, 0.0)
    stage.ask(approve="go")
    stage.until_phase("Healthy")
    stage.run(2)
    assert previewed(stage) == ""
    assert stage.stable == second


def test_b26_a_refused_candidate_has_no_preview() -> None:
    """B26: aborted by a person: the preview goes with the trial; a newer one is previewed anew."""
    stage = serving(rollout=DOOR)
    second = stage.release(2)
    asked(stage)
    third = stage.release(3)
    stage.until(lambda: previewed(stage) == third, 60)
    assert second != third
    stage.ask(abort="no")
    stage.until_phase("RolledBack")
    stage.run(2)
    assert previewed(stage) == ""


def test_b29_a_new_operator_takes_an_old_preview_away() -> None:
    """B29: killed in mid-trial while the spec goes back: the next operator finds it and ends it."""
    stage = serving(rollout=DOOR)
    stage.release(2)
    asked(stage)
    stage.world.kill(0.0)
    stage.apply(model=model(1))
    assert previewed(stage)
    stage.world.start()
    stage.run(10)
    assert previewed(stage) == ""
    assert stage.phase == "Healthy"


def test_b34_a_preview_goes_with_its_model() -> None:
    """B34: deleted in mid-trial, the preview is not left behind."""
    stage = serving(rollout=DOOR)
    stage.release(2)
    asked(stage)
    stage.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, NAME)
    stage.world.run(30)
    assert belongings(stage, NAME) == []


@pytest.mark.parametrize("foreign", [False, True])
def test_others_have_no_preview(foreign: bool) -> None:
    """A canary needs none; and a Service of that name that is somebody's is left as it is."""
    stage = serving(rollout=DOOR if foreign else quick(step("half", 50, 20)))
    if foreign:
        theirs: Obj = {"metadata": {"name": PREVIEW, "namespace": SPACE}, "spec": {}}
        theirs["spec"] = {"selector": {labels.REVISION: "theirs"}}
        stage.world.store.create(kinds.SERVICE, theirs)
    stage.release(2)
    stage.run(30)
    assert stage.phase != "Healthy"
    assert previewed(stage) == ("theirs" if foreign else "")
    if foreign:
        stage.ask(approve="go")
    stage.until_phase("Healthy")
    assert previewed(stage) == ("theirs" if foreign else "")
