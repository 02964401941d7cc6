"""Who paused, resumed, released and undid it, as a reader finds it afterwards (B9, B10, B11)."""

from collections.abc import Sequence

import pytest
from simulation.stage import NAME, Stage, model, quick, serving, step

from rampway.api.authors import Author
from rampway.api.rollout import Decision
from rampway.kube import kinds
from rampway.sim import admission
from rampway.sim.api_meta import stamp
from rampway.sim.world import SPACE, World


def stamping(**more: object) -> Stage:
    """Return a stage whose API server stamps who it was."""
    world = World()
    admission.install(world.store)
    rollout = quick(step("ten", 10, 30), step("half", 50)) | more
    return serving(world=world, rollout=rollout)


def say(stage: Stage, by: str, **spec: object) -> str:
    """Change the spec as this user; return when."""
    stage.world.apply(NAME, spec, by)
    return stamp(stage.world.clock.now())


def people(made: Sequence[Decision]) -> list[tuple[str, str]]:
    """Return actor and action of what was not the operator's own decision."""
    return [(one.actor, one.action) for one in made if one.actor != "rampway"]


def told(stage: Stage, action: str) -> list[str]:
    """Return the notes of the Events about an action."""
    found = stage.world.store.list(kinds.EVENT, SPACE)
    return [one["note"] for one in found if one["action"] == action]


def test_b11_pause_and_resume_are_on_record_by_name() -> None:
    """In the sentence, the status, the rollout's decisions and Events; the release is bob's."""
    stage = stamping()
    released = say(stage, "bob", model=model(2))
    stage.until_step("ten")
    at = say(stage, "alice", paused=True)
    stage.run(60)
    status = stage.world.status(NAME)
    assert status.phase == "Paused"
    assert f"paused by alice at {at} (spec.paused)" in status.message
    assert status.paused_by == Author(by="alice", at=at, told="Stamp")
    assert stage.rollout.spec.released_by == Author(by="bob", at=released, told="Stamp")
    assert told(stage, "Started")[0].endswith(f"; spec changed by bob at {released}")
    stage.world.kill()
    stage.world.start()
    again = say(stage, "carol", paused=False)
    stage.until_phase("Healthy", 120)
    assert people(stage.rollout.status.decisions) == [("alice", "Paused"), ("carol", "Resumed")]
    assert told(stage, "Paused") == [f"paused by alice at {at}"]
    assert told(stage, "Resumed") == [f"resumed by carol at {again}"]
    status = stage.world.status(NAME)
    assert status.paused_by is None
    assert status.resumed_by == Author(by="carol", at=again, told="Stamp")


def test_b11_a_pause_at_rest_is_told_as_well() -> None:
    """No rollout has it on record: status and Event do, and the new revision waits for its end."""
    stage = stamping()
    at = say(stage, "alice", paused=True)
    stage.run(3)
    assert told(stage, "Paused") == [f"paused by alice at {at}"]
    say(stage, "bob", model=model(2))
    stage.run(30)
    assert "starts when the pause ends: paused by alice" in stage.world.status(NAME).message
    say(stage, "alice", paused=False)
    stage.until_phase("Healthy", 120)
    assert stage.stable == stage.desired
    assert len(told(stage, "Resumed")) == 1


@pytest.mark.parametrize("stamps", [True, False])
def test_b11_without_stamps_the_program_is_told_and_that_nobody_is_named(*, stamps: bool) -> None:
    """A forged annotation counts for nothing where no policy writes over it."""
    stage = stamping() if stamps else serving(rollout=quick(step("ten", 10, 30)))
    stage.release(2)
    stage.until_step("ten")
    notes = {"rampway.dev/paused-by": "mallory at 2030-01-01T00:00:00Z"}
    patch = {"metadata": {"annotations": {} if stamps else notes}, "spec": {"paused": True}}
    stage.world.store.patch(kinds.MODEL_DEPLOYMENT, SPACE, NAME, patch, manager="kubectl-edit")
    stage.run(60)
    status = stage.world.status(NAME)
    assert "paused by somebody with kubectl-edit" in status.message
    assert "no names are stamped here" in status.message
    assert status.paused_by is not None
    assert (status.paused_by.by, status.paused_by.told) == ("kubectl-edit", "Manager")
    assert people(stage.rollout.status.decisions) == [("somebody", "Paused")]
    assert len(told(stage, "Paused")) == 1


def test_b08_who_goes_back_in_mid_rollout_is_on_record() -> None:
    """Back to stable's content, or to a third revision: by whoever changed the spec."""
    stage = stamping()
    for number, action in ((1, "Aborted"), (3, "Superseded")):
        say(stage, "bob", model=model(2))
        stage.until_step("ten")
        before = stage.rollout.name
        say(stage, "alice", model=model(number))
        stage.run(20)
        found = {one.name: one for one in stage.world.rollouts(NAME)}
        assert people(found[before].status.decisions) == [("alice", action)]
    assert stage.rollout.spec.released_by.by == "alice"


def test_b09_who_undoes_within_the_watch_is_on_record() -> None:
    """Its decision and its sentence are hers."""
    stage = stamping(watch={"hold": "10m"})
    say(stage, "bob", model=model(2))
    stage.until_phase("Watching", 120)
    say(stage, "alice", model=model(1))
    stage.until_phase("Healthy", 30)
    assert people(stage.rollout.status.decisions) == [("alice", "RollingBack")]
    assert stage.rollout.status.message.startswith("undone by alice: the spec went back to")
