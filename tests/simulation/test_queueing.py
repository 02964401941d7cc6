"""`onNewRevision: Queue`: a newer revision waits for the rollout under way to end (B7, B8, B1)."""

from typing import Any

import pytest
from simulation.stage import (
    BROKEN,
    ERRORS,
    NAME,
    Stage,
    approval,
    model,
    policy,
    serving,
    step,
)

from rampway.api import labels
from rampway.api.conditions import Condition
from rampway.core.observation import HookRun
from rampway.kube import kinds
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE

QUEUE = {"onNewRevision": "Queue"}
TEN, HALF = step("ten", 10, 10), step("half", 50, 20)


def queueing(
    *steps: dict[str, Any], checks: tuple[dict[str, Any], ...] = (), **more: Any
) -> tuple[Stage, str, str]:
    """Return a stage on which v2 is in its last step, and the hashes of v1 and v2."""
    steps = steps or (TEN, HALF)
    stage = serving(rollout=policy(*steps, checks=checks, **more))
    stage.apply(rollout=QUEUE)
    first, second = stage.stable, stage.release(2)
    stage.until_step(steps[-1]["name"])
    return stage, first, second


def ends(stage: Stage) -> list[tuple[str, str, str]]:
    """Return candidate, predecessor and phase of each rollout."""
    found = stage.world.rollouts(NAME)
    return [(r.spec.candidate.revision, r.spec.stable.revision, r.status.phase) for r in found]


def queued(stage: Stage) -> str:
    """Return the revision that the status tells to wait."""
    told = stage.world.status(NAME).queued
    return told.revision if told else ""


def promoted(stage: Stage) -> Condition:
    """Return the condition Promoted."""
    found = stage.world.status(NAME).conditions
    return next(one for one in found if one.type == "Promoted")


def test_b07_a_queued_revision_waits_for_the_end() -> None:
    """The rollout under way is promoted as if nothing had come; then comes the next."""
    stage, first, second = queueing()
    third = stage.release(3)
    stage.run(10)
    assert (stage.weight_pct, stage.stable, stage.running(third)) == (50, first, {})
    stage.until(lambda: stage.stable == second, 60)
    stage.until_step("ten")
    assert (stage.stable, stage.weight_pct, queued(stage)) == (second, 10, "")
    stage.until_phase("Healthy")
    assert stage.stable == third
    assert ends(stage) == [(second, first, "Promoted"), (third, second, "Promoted")]
    assert stage.ledger.all.failed == 0


def test_b07_a_queued_revision_is_told() -> None:
    """Status names it with its version, Promoted says for what it waits, one Event tells it."""
    stage, _, second = queueing()
    stage.apply(info={"version": "three"})
    third = stage.release(3)
    stage.run(2)
    status, found = stage.world.status(NAME), promoted(stage)
    assert status.queued is not None
    assert (status.queued.revision, status.queued.shown) == (third, "three")
    assert status.candidate is not None
    assert status.candidate.revision == second
    assert (found.status, found.reason) == ("Unknown", "Queued")
    name = labels.revision_name(NAME, third)
    waits = f"{name} (three) waits until rollout {stage.rollout.name} has ended"
    assert found.message.startswith(f"{waits}; now StepRunning: step half holds for")
    assert stage.world.condition(NAME, "Reconciling") == "True"
    stage.run(5)
    assert [one.message for one in stage.decided("Queued")] == [waits]
    assert stage.events("Queued") == [("Normal", "Queued")]


def test_b07_of_several_queued_the_latest_wins() -> None:
    """Those in between are told and never rolled out."""
    stage, first, second = queueing()
    passed = []
    for number in (3, 4, 5):
        passed.append(stage.release(number))
        stage.run(2)
        assert queued(stage) == passed[-1]
    stage.until_phase("Healthy")
    assert ends(stage) == [(second, first, "Promoted"), (passed[-1], second, "Promoted")]
    assert len(stage.events("Queued")) == 3


def test_b07_naming_the_candidate_again_empties_the_queue() -> None:
    """The rollout goes on where it is, and nothing follows it."""
    stage, first, second = queueing()
    stage.release(3)
    stage.run(3)
    stage.apply(model=model(2))
    stage.run(2)
    assert (queued(stage), stage.weight_pct, promoted(stage).reason) == ("", 50, "StepRunning")
    stage.until_phase("Healthy")
    stage.run(30)
    assert ends(stage) == [(second, first, "Promoted")]


@pytest.mark.parametrize("waits", [False, True])
def test_b08_going_back_to_stable_is_never_queued(waits: bool) -> None:
    """100 % stable within a second, whether something waited or not, and nothing follows."""
    stage, first, second = queueing()
    if waits:
        stage.release(3)
        stage.run(3)
    stage.apply(model=model(1))
    stage.run(1)
    assert stage.backends() == {NAME: 1}
    stage.run(30)
    assert (stage.phase, stage.stable, queued(stage)) == ("Healthy", first, "")
    assert ends(stage) == [(second, first, "Aborted")]


def test_b07_after_a_failure_the_queued_one_has_its_own_rollout() -> None:
    """The failed candidate is refused as what it is; the release that waited does not fail too."""
    stage, first, second = queueing(checks=(ERRORS,))
    third = stage.release(3)
    stage.run(2)
    stage.harmed = True
    stage.world.behave(second, BROKEN)
    while len(stage.world.rollouts(NAME)) == 1:
        assert (promoted(stage).status, promoted(stage).reason) == ("Unknown", "Queued")
        assert stage.world.condition(NAME, "Stalled") == "False"
        stage.run(1)
    stage.heal()
    assert ends(stage)[0] == (second, first, "RolledBack")
    stage.until_phase("Healthy")
    assert ends(stage)[1] == (third, first, "Promoted")


def test_b07_who_waits_for_a_person_lets_the_queue_wait() -> None:
    """Status says for whom; an abort frees the queue, and the candidate counts as refused."""
    stage, first, second = queueing(TEN, approval("look", "Look at the sevens"))
    third = stage.release(3)
    stage.run(60)
    assert (stage.phase, stage.stable, queued(stage)) == ("Holding", first, third)
    assert promoted(stage).message.endswith(
        "now WaitingForApproval: step look waits for a person's approval: Look at the sevens"
    )
    assert stage.world.condition(NAME, "Stalled") == "True"
    stage.ask(abort="v3 is more urgent")
    stage.until_step("ten", 20)
    assert ends(stage) == [(second, first, "RolledBack"), (third, first, "Stepping")]


@pytest.mark.parametrize("ends_well", [True, False])
def test_b07_paused_the_queue_is_recorded_and_not_started(ends_well: bool) -> None:
    """Nothing advances; where the rollout fails meanwhile, the queued one still waits."""
    stage, first, second = queueing(checks=(ERRORS,))
    stage.apply(paused=True)
    third = stage.release(3)
    stage.run(60)
    assert (stage.phase, stage.weight_pct, queued(stage)) == ("Paused", 50, third)
    if not ends_well:
        stage.harmed = True
        stage.world.behave(second, BROKEN)
        stage.run(60)
        stage.heal()
        assert ends(stage) == [(second, first, "RolledBack")]
        assert (stage.phase, promoted(stage).reason) == ("Paused", "Paused")
        assert third in stage.world.status(NAME).message
    stage.apply(paused=False)
    stage.until_phase("Healthy")
    serves = second if ends_well else first
    assert ends(stage)[1:] == [(third, serves, "Promoted")]


# The watch


def watched(hold_s: int = 60) -> tuple[Stage, str, str, str]:
    """Return a stage on which v2 is watched while v3 waits, and the hashes of all three."""
    watch = {"hold": f"{hold_s}s", "holdback": "10%"}
    stage, first, second = queueing(step("half", 50), checks=(ERRORS,), watch=watch)
    stage.until_phase("Watching", 400)
    stage.run(10)
    third = stage.release(3)
    stage.run(2)
    return stage, first, second, third


def test_b07_the_watch_is_part_of_the_rollout_that_is_waited_for() -> None:
    """It lasts as long as it would have, and says that the spec's revision is not stable yet."""
    stage, first, second, third = watched()
    assert (stage.phase, queued(stage), promoted(stage).reason) == ("Watching", third, "Queued")
    assert stage.world.condition(NAME, "Reconciling") == "True"
    stage.run(40)
    assert (stage.phase, stage.ready(first), len(stage.world.rollouts(NAME))) == ("Watching", 2, 1)
    stage.until_step("half", 30)
    assert ends(stage) == [(second, first, "Promoted"), (third, second, "Stepping")]


def test_b07_harm_in_the_watch_still_returns() -> None:
    """The old revision takes over, and the queued one is tried against that."""
    stage, first, second, third = watched(hold_s=600)
    stage.harmed = True
    stage.world.behave(second, BROKEN)
    stage.until(lambda: stage.stable == first, 120)
    stage.heal()
    stage.until_step("half")
    assert ends(stage) == [(second, first, "RolledBack"), (third, first, "Stepping")]


@pytest.mark.parametrize("to", [1, 2])
def test_b09_undo_in_the_watch_is_never_queued(to: int) -> None:
    """Back to the old revision at once; back to the promoted one only empties the queue."""
    stage, first, second, _ = watched(hold_s=600)
    stage.apply(model=model(to))
    stage.run(3)
    assert (stage.stable, queued(stage)) == ((first, second)[to - 1], "")
    stage.run(60)
    assert len(stage.world.rollouts(NAME)) == 1
    assert stage.phase == ("Healthy", "Watching")[to - 1]


def test_b07_a_paused_watch_tells_what_waits_in_any_case() -> None:
    """Without the queue too: the spec's revision is not stable, so Promoted does not say so."""
    watch = {"hold": "20s", "holdback": "10%"}
    stage = serving(rollout=policy(step("half", 50), checks=(), watch=watch))
    stage.release(2)
    stage.until_phase("Watching", 400)
    stage.apply(paused=True)
    third = stage.release(3)
    stage.run(30)
    assert (queued(stage), promoted(stage).status) == (third, "Unknown")
    assert stage.world.condition(NAME, "Reconciling") == "False"


@pytest.mark.parametrize("ends_well", [True, False])
def test_b29_the_hooks_after_a_rollout_run_beside_the_next(ends_well: bool) -> None:
    """They begin though another rollout follows at once, and their end is on record."""
    told = [{"name": "good", "when": "AfterPromotion"}, {"name": "bad", "when": "AfterRollback"}]
    hooks = [one | {"http": {"url": "http://hooks.example/go"}} for one in told]
    stage, _, _ = queueing(TEN, approval("look"), hooks=hooks)
    stage.release(3)
    stage.run(2)
    asked: dict[str, Any] = {"approve": "look"} if ends_well else {"abort": "no"}
    stage.ask(**asked)
    stage.until_step("ten", 60)
    runs = stage.world.rollouts(NAME)[0].status.hooks
    assert [(run.key, run.state) for run in runs] == [("good" if ends_well else "bad", "Running")]
    stage.world.calls.answers |= dict.fromkeys(("good", "bad"), HookRun("Succeeded", "200"))
    stage.run(10)
    assert [run.state for run in stage.world.rollouts(NAME)[0].status.hooks] == ["Succeeded"]
    assert len(stage.world.rollouts(NAME)) == 2


# Whose word counts


@pytest.mark.parametrize("at_start", ["Queue", "Restart"])
def test_b07_the_copy_of_the_rollout_under_way_counts(at_start: str) -> None:
    """An edit of onNewRevision is for rollouts that begin later."""
    stage = serving(rollout=policy(TEN, HALF, checks=()))
    stage.apply(rollout={"onNewRevision": at_start})
    stage.release(2)
    stage.until_step("half")
    stage.apply(rollout={"onNewRevision": "Restart" if at_start == "Queue" else "Queue"})
    stage.release(3)
    stage.until_phase("Healthy")
    first_end = "Promoted" if at_start == "Queue" else "Superseded"
    assert [phase for _, _, phase in ends(stage)] == [first_end, "Promoted"]


def test_b07_a_candidate_that_was_never_made_is_not_waited_for() -> None:
    """Nothing is there to finish: one whose template is refused would hold the mended one up."""
    stage = serving(rollout=policy(TEN, HALF, checks=()))
    stage.apply(rollout=QUEUE)
    stage.release(2)
    stage.run(1)
    (only,) = stage.world.rollouts(NAME)
    candidate = labels.revision_name(NAME, only.spec.candidate.revision)
    stage.world.store.delete(kinds.DEPLOYMENT, SPACE, candidate)
    third = stage.release(3)
    stage.until_step("ten", 60)
    assert [phase for _, _, phase in ends(stage)] == ["Superseded", "Stepping"]
    assert stage.rollout.spec.candidate.revision == third


# Nothing is promoted unchecked


def _delete(stage: Stage, digest: str) -> None:
    name = labels.revision_name(NAME, digest)
    stage.world.store.delete(kinds.DEPLOYMENT, SPACE, name)


def test_b01_a_lost_stable_does_not_promote_what_is_queued() -> None:
    """Stable's Deployment goes in mid-rollout: who waits is not waved through either."""
    stage, first, _ = queueing()
    stage.harmed = True
    third = stage.release(3)
    stage.run(2)
    _delete(stage, first)
    stage.run(90)
    assert stage.stable == ""
    assert stage.running(third) == {}
    assert "has not passed its rollout" in stage.world.status(NAME).message
    stage.apply(model=model(1))
    stage.until_phase("Healthy")
    assert stage.stable == first
    stage.heal()
    stage.release(3)
    stage.until_phase("Healthy")
    assert ends(stage)[-1] == (third, first, "Promoted")


def test_b01_a_lost_stable_does_not_promote_who_waited_for_a_refused_one() -> None:
    """Stable's Deployment goes with the very end of the refused candidate's rollout."""
    stage, first, _ = queueing(TEN, approval("look"))
    stage.harmed = True
    third = stage.release(3)
    stage.run(2)
    stage.apply(paused=True)
    stage.ask(abort="")
    stage.until(lambda: ends(stage)[0][2] == "RolledBack", 20)
    _delete(stage, first)
    stage.apply(paused=False)
    stage.run(90)
    assert (stage.stable, stage.running(third)) == ("", {})
    assert "has not passed its rollout" in stage.world.status(NAME).message


@pytest.mark.parametrize("lost", ["operator", "status", "all status"])
def test_b29_the_queue_survives(lost: str) -> None:
    """It is what the spec names: with the operator or every status gone it is the same."""
    stage, first, second = queueing()
    third = stage.release(3)
    stage.run(3)
    stage.harmed = lost == "all status"
    if lost == "operator":
        stage.world.kill(2.0)
    else:
        for kind in (kinds.MODEL_DEPLOYMENT, kinds.MODEL_ROLLOUT)[: 1 + (lost == "all status")]:
            for one in stage.world.store.list(kind, SPACE):
                gone = {"status": dict.fromkeys(one.get("status") or {})}
                name = one["metadata"]["name"]
                stage.world.store.patch(kind, SPACE, name, gone, subresource="status")
    stage.run(6)
    assert queued(stage) == third
    stage.until_phase("Healthy")
    assert ends(stage) == [(second, first, "Promoted"), (third, second, "Promoted")]


def test_b07_without_pods_the_queue_waits_too() -> None:
    """Scaled to zero in mid-rollout: both wait, and go on in their order."""
    stage, first, second = queueing()
    third = stage.release(3, Behaviour())
    stage.harmed = True
    stage.apply(replicas=0)
    stage.run(60)
    assert (stage.phase, queued(stage)) == ("ScaledToZero", third)
    stage.apply(replicas=2)
    stage.until_phase("Healthy")
    assert ends(stage) == [(second, first, "Promoted"), (third, second, "Promoted")]
