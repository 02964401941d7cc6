"""The watch after promotion: compared, undone, returned from, and ended (B9, B25, B27)."""

from typing import Any

import pytest
from simulation.stage import (
    BROKEN,
    ERRORS,
    NAME,
    SLOW,
    Stage,
    model,
    policy,
    serving,
    step,
)

from rampway.api.parse import ModelRollout
from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.kube import kinds
from rampway.sim.cluster_behaviour import Behaviour, Surroundings
from rampway.sim.world import SPACE, World

HOLD_S = 60
DRAIN_S = 30


def watched(
    holdback_pct: int = 10,
    *,
    hold_s: int = HOLD_S,
    checks: tuple[dict[str, Any], ...] = (ERRORS,),
    replicas: int = 2,
    world: World | None = None,
    **more: Any,
) -> tuple[Stage, str, str]:
    """Return a stage on which v2 was just promoted and is watched, and the hashes of both."""
    watch = {"hold": f"{hold_s}s", "holdback": f"{holdback_pct}%"}
    rollout = policy(step("half", 50), checks=checks, watch=watch, **more)
    stage = serving(rollout=rollout, replicas=replicas, world=world)
    first, second = stage.stable, stage.release(2)
    stage.until_phase("Watching", 400)
    held = Split(f"{NAME}-{first}", holdback_pct).or_rest()
    stage.until(lambda: stage.split == held, 10)
    stage.run(10)
    return stage, first, second


def old(stage: Stage) -> ModelRollout:
    """Return the first rollout."""
    return stage.world.rollouts(NAME)[0]


@pytest.mark.parametrize("holdback_pct", [0, 10, 50])
def test_b27_the_old_revision_keeps_its_share_until_the_watch_ends(holdback_pct: int) -> None:
    """Its share and all its pods; at the end everything is with the new one, nothing was lost."""
    stage, first, second = watched(holdback_pct)
    begun_s = stage.world.clock()
    assert stage.world.condition(NAME, "Promoted") == "True"
    for _ in range(HOLD_S - 15):
        stage.run(1)
        assert stage.phase == "Watching"
        assert stage.ready(first) == 2
    shared = stage.ledger.share(first, begun_s)
    assert shared == pytest.approx(holdback_pct / 100, abs=0.02)
    stage.until_phase("Healthy", 30)
    assert (stage.stable, stage.split) == (second, STABLE_ONLY)
    assert (old(stage).status.phase, stage.rollout.name) == ("Promoted", old(stage).name)
    assert stage.events("WatchEnded") == [("Normal", "Promoted")]
    stage.until(lambda: not stage.running(first), 60)
    stage.run(30)
    assert stage.ledger.all.failed == 0


def test_b05_the_old_revision_drains_after_the_watch() -> None:
    """Its pods outlive its share by as long as gateways may need, however slow they are."""
    slow = Surroundings(scrape_interval_s=1.0, route_delay_s=5.0, proxy_delay_s=3.0)
    stage, first, _ = watched(50, world=World(surroundings=slow))
    stage.until_phase("Healthy", 90)
    stage.run(DRAIN_S - 5)
    assert len(stage.running(first)) == 2
    stage.until(lambda: not stage.running(first), 60)
    assert stage.ledger.all.failed == 0


def test_b27_harm_in_the_watch_returns_to_the_old_revision() -> None:
    """Errors are compared with the held-back share, and everything goes back at once."""
    stage, first, second = watched(20, hold_s=600)
    before = stage.running(first)
    stage.harmed = True
    stage.world.behave(second, BROKEN)
    stage.until_phase("RolledBack", 120)
    stage.heal()
    assert stage.stable == first
    assert stage.running(first) == before, "warm pods took over"
    assert (old(stage).status.phase, old(stage).status.reason) == ("RolledBack", "CheckFailed")
    assert "a chance under 0.2 %" in old(stage).status.message, "B19: the watch's part of 1 %"
    assert stage.world.condition(NAME, "Promoted") == "False"
    assert stage.world.condition(NAME, "Ready") == "True"
    assert second in stage.world.status(NAME).message
    stage.until(lambda: stage.split == STABLE_ONLY, 20)
    stage.run(120)
    assert len(stage.world.rollouts(NAME)) == 1, "B26: not tried again"
    assert stage.stable == first


def test_b27_evidence_begins_anew_for_the_watch() -> None:
    """What steps have seen says nothing about the watch: its own bound, its own requests."""
    stage, _, _ = watched(20, hold_s=600)
    stage.run(30)
    spent = old(stage).status
    assert spent.step.index == spent.step.total
    assert "errors" in {check.name for check in spent.checks}
    assert all(check.state != "Fail" for check in spent.checks)


def test_b24_a_slow_new_stable_gives_back_what_the_old_pods_carry() -> None:
    """Slowness is no outage: the old revision's ready pods get what they can carry, then all."""
    stage, first, second = watched(20, hold_s=900, replicas=4, checks=(SLOW,))
    stage.harmed = True
    stage.world.behave(first, Behaviour(startup_s=80))
    for pod in stage.world.cluster.pods(SPACE, first)[:3]:
        stage.world.cluster.crash(SPACE, pod.name, "Error")
    stage.world.behave(second, Behaviour(slowdown=5.0))
    shares: list[int] = []
    for _ in range(400):
        stage.world.step()
        shares.append(stage.split.weight_pct)
        if stage.phase == "RolledBack":
            break
    assert stage.phase == "RolledBack"
    assert 37 in shares, "one pod of four carries a quarter, and half as much again"
    assert stage.stable == first


@pytest.mark.parametrize("holdback_pct", [0, 10])
def test_b25_a_new_stable_that_crashes_gives_way(holdback_pct: int) -> None:
    """Crashes need no metrics, and no held-back share."""
    stage, first, second = watched(holdback_pct, hold_s=600)
    stage.harmed = True
    for _ in range(2):
        pod = next(p for p in stage.world.cluster.pods(SPACE, second) if p.serving)
        stage.world.cluster.crash(SPACE, pod.name, "Error")
        stage.run(1)
    stage.until_phase("RolledBack", 3)
    assert stage.stable == first
    assert old(stage).status.reason in {"CandidateCrashed", "CandidateNotReady"}
    stage.heal()
    stage.run(60)


def test_b25_a_drained_new_stable_is_stood_in_for() -> None:
    """All its pods evicted is no fault of it: the old one answers until they are back."""
    slow = Behaviour(startup_s=20)
    stage, _, second = watched(10, hold_s=300)
    stage.world.behave(second, slow)
    stage.harmed = True  # until the gateways know
    for pod in stage.world.cluster.pods(SPACE, second):
        stage.world.cluster.evict(SPACE, pod.name)
    stage.run(1)
    assert stage.split.weight_pct == 100
    stage.heal()
    lost = stage.ledger.all.failed
    assert stage.phase == "Degraded"
    stage.until(lambda: stage.split.weight_pct == 10, 60)
    assert stage.phase == "Watching"
    stage.run(10)
    assert (stage.stable, stage.ledger.all.failed) == (second, lost)
    stage.until_phase("Healthy", 300)


@pytest.mark.parametrize("holdback_pct", [0, 10])
def test_b09_undo_within_the_watch_returns_at_once_to_warm_pods(holdback_pct: int) -> None:
    """Within a second the route has everything with the old revision's own pods."""
    stage, first, second = watched(holdback_pct, hold_s=600)
    before = stage.running(first)
    stage.apply(model=model(1))
    stage.run(1)
    assert stage.stable == first
    stage.run(2)
    asked = stage.ledger.by_revision[second].total
    stage.run(30)
    assert stage.ledger.by_revision[second].total == asked
    assert stage.running(first) == before
    assert (stage.phase, stage.split) == ("Healthy", STABLE_ONLY)
    assert (old(stage).status.phase, old(stage).status.reason) == ("Aborted", "Undone")
    assert stage.world.condition(NAME, "Promoted") == "True"
    assert stage.ledger.all.failed == 0


def test_b09_undone_while_the_old_pods_are_away_waits_for_one() -> None:
    """Whoever undoes after the old pods were lost sends nobody to pods that are not there."""
    stage, first, second = watched(10, hold_s=600)
    stage.world.behave(first, Behaviour(startup_s=15))
    stage.harmed = True  # until the gateways know
    for pod in stage.world.cluster.pods(SPACE, first):
        stage.world.cluster.evict(SPACE, pod.name)
    stage.run(2)
    stage.heal()
    lost = stage.ledger.all.failed
    stage.apply(model=model(1))
    stage.run(2)
    assert stage.stable == second
    assert "has no ready pod, so traffic stays" in stage.world.status(NAME).message
    stage.until_phase("Healthy", 60)
    assert stage.stable == first
    stage.run(30)
    assert stage.ledger.all.failed == lost


def test_b27_harm_while_the_old_pods_are_away_waits_for_one() -> None:
    """A failing new stable keeps its traffic until the old revision has a pod for it."""
    stage, first, second = watched(20, hold_s=600)
    stage.harmed = True
    stage.world.behave(first, Behaviour(startup_s=40))
    for pod in stage.world.cluster.pods(SPACE, first):
        stage.world.cluster.evict(SPACE, pod.name)
    stage.run(3)
    victim = stage.world.cluster.pods(SPACE, second)[0].name
    stage.world.cluster.crash(SPACE, victim, "OOMKilled")
    stage.run(20)
    assert (stage.stable, stage.phase) == (second, "RollingBack")
    assert "has no ready pod, so traffic stays" in stage.world.status(NAME).message
    assert stage.ledger.share(second, stage.world.clock() - 10) == 1.0
    stage.until_phase("RolledBack", 60)
    assert (stage.stable, old(stage).status.reason) == (first, "CandidateOutOfMemory")


def test_b26_a_rolled_back_watch_is_tried_again_when_a_person_asks() -> None:
    """Retry makes a second attempt of the same revision, against the old one."""
    stage, first, second = watched(20, hold_s=600)
    stage.harmed = True
    stage.world.behave(second, BROKEN)
    stage.until_phase("RolledBack", 120)
    stage.world.behave(second, Behaviour())
    stage.heal()
    stage.ask(retry="mended outside")
    stage.until_phase("Watching", 400)
    assert [r.spec.attempt for r in stage.world.rollouts(NAME)] == [1, 2]
    assert stage.rollout.spec.stable.revision == first
    assert stage.stable == second


@pytest.mark.parametrize("holdback_pct", [0, 20])
def test_b07_a_new_revision_in_the_watch_rolls_out_from_the_promoted_one(holdback_pct: int) -> None:
    """During the watch, the promoted revision is stable; the watch ends, nothing is lost."""
    stage, _, second = watched(holdback_pct, hold_s=600)
    third = stage.release(3)
    stage.until_phase("Watching", 400)
    stage.until(lambda: stage.stable == third, 100)
    one, two = stage.world.rollouts(NAME)
    assert (one.status.phase, two.spec.stable.revision) == ("Promoted", second)
    assert stage.ledger.all.failed == 0


def test_b10_a_pause_keeps_the_watch_open() -> None:
    """Paused, the watch does not end, no newer revision starts, and harm still returns."""
    stage, first, second = watched(20, hold_s=20)
    stage.apply(paused=True, model=model(3))
    stage.run(60)
    assert (stage.stable, stage.split.weight_pct, stage.ready(first)) == (second, 20, 2)
    assert len(stage.world.rollouts(NAME)) == 1
    stage.harmed = True
    stage.world.behave(second, BROKEN)
    stage.until(lambda: stage.stable == first, 120)


def test_b11_an_abort_in_the_watch_is_on_record() -> None:
    """Abort returns at once, as ann's decision, and counts as a rollback."""
    stage, first, _ = watched(10, hold_s=600)
    stage.ask(abort="it feels wrong")
    stage.until_phase("RolledBack", 5)
    assert stage.stable == first
    (said,) = [d for d in old(stage).status.decisions if d.action == "RollingBack"]
    assert (said.actor, said.message) == ("ann", "aborted by ann: it feels wrong")
    stage.run(60)
    assert stage.ledger.all.failed == 0


def test_b27_a_check_that_asks_keeps_the_watch_open_until_somebody_answers() -> None:
    """With mode Manual nothing returns by itself; aborting does."""
    stage, first, second = watched(20, hold_s=60, rollback={"mode": "Manual"})
    stage.harmed = True
    stage.world.behave(second, BROKEN)
    stage.run(150)
    status = stage.world.status(NAME)
    assert (stage.stable, status.phase, status.reason) == (second, "Watching", "StoppedByCheck")
    assert stage.world.condition(NAME, "Stalled") == "True"
    stage.ask(abort="")
    stage.until_phase("RolledBack", 5)
    assert stage.stable == first


def test_b27_a_check_that_only_tells_is_told_once_in_the_watch() -> None:
    """With mode Off the failure is on record, and the watch ends as it would."""
    stage, _, second = watched(20, hold_s=60, rollback={"mode": "Off"})
    stage.harmed = True
    stage.world.behave(second, BROKEN)
    stage.until_phase("Healthy", 120)
    assert stage.stable == second
    assert [d.action for d in old(stage).status.decisions].count("Notified") == 1


def test_b32_a_watch_is_not_written_every_second() -> None:
    """A watch that nothing happens in is written with its checkpoints only."""
    stage, _, _ = watched(10, hold_s=110)
    stage.run(20)
    before = len([c for c in stage.world.api.calls if c.writes])
    stage.run(60)
    wrote = [c for c in stage.world.api.calls if c.writes][before:]
    assert len(wrote) <= 2 * (60 // 30 + 1), [c.kind.kind for c in wrote]


@pytest.mark.parametrize("how", ["undo", "harm", "abort"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, 8))
def test_b29_killed_at_each_write_of_the_return(how: str, when: Any, nth: int) -> None:
    """Whichever write it dies at, the next one ends the return the same way, losing nothing."""
    stage, first, second = watched(20, hold_s=600)
    if how == "undo":
        stage.apply(model=model(1))
    elif how == "abort":
        stage.ask(abort="no")
    else:
        stage.harmed = True
        stage.world.behave(second, BROKEN)
        stage.until(lambda: stage.ledger.all.failed > 0, 5)
    stage.world.api.crash_after(nth, when=when)
    if how == "harm":
        stage.until(lambda: stage.stable == first, 150)
    end, reason = {
        "undo": ("Aborted", "Undone"),
        "abort": ("RolledBack", "AbortedByPerson"),
        "harm": ("RolledBack", "CheckFailed"),
    }[how]
    stage.until(lambda: old(stage).status.phase == end, 20)
    assert (stage.stable, old(stage).status.reason) == (first, reason)
    stage.run(3)
    stage.harmed = False
    stage.run(40)
    assert stage.split == STABLE_ONLY
    assert len(stage.world.rollouts(NAME)) == 1
    said = [d for d in old(stage).status.decisions if d.action == "RollingBack"]
    who = {"undo": "somebody", "abort": "ann", "harm": "rampway"}[how]  # nobody stamps the undo
    assert [d.actor for d in said] == [who]


def test_b29_a_return_cut_short_ends_whatever_the_spec_names_by_then() -> None:
    """Killed between the old revision's mark and the record, with v3 in the spec on return."""
    stage, first, second = watched(20, hold_s=600)
    stage.ask(abort="no")
    stage.world.restart_s = 5
    stage.world.api.crash_after(
        1, when="before",
        predicate=lambda call: call.kind is kinds.MODEL_ROLLOUT and call.subresource == "status",
    )  # fmt: skip
    stage.run(2)
    assert stage.stable == first
    stage.release(3)
    stage.until(lambda: old(stage).status.phase == "RolledBack", 30)
    assert (old(stage).status.reason, len(old(stage).status.decisions)) == ("AbortedByPerson", 4)
    stage.until_phase("Watching", 400)
    assert stage.rollout.spec.stable.revision == first
    assert stage.stable != second
