"""Less than two full sizes (`spec.capacity`): pods follow the share, the share the pods (B6)."""

from typing import Any

import pytest
from simulation.stage import (
    BROKEN,
    ERRORS,
    NAME,
    Stage,
    approval,
    mirror,
    model,
    policy,
    quick,
    serving,
    step,
)

from rampway.core.traffic.split import STABLE_ONLY
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE

FULL, SURGE = 4, 1
POD = Behaviour(capacity_per_s=60, startup_s=5)
"""A quarter of the 100 requests a second, half as much again, and what chance adds to that."""


class Tight(Stage):
    """A stage with never more pods than the full size and the surge, nor stable beyond its own."""

    most = 0

    def release(self, number: int, how: Behaviour | None = None) -> str:
        """Name another version of the model, whose pods carry no more than the others'."""
        return Stage.release(self, number, how or POD)

    def run(self, seconds: int) -> None:
        """Let time go on; count pods, those that leave among them."""
        for _ in range(seconds):
            Stage.run(self, 1)
            there = len(self.world.cluster.pods(SPACE))
            self.most = max(self.most, there)
            limit = self.spec()["replicas"] + (self.spec()["capacity"].get("maxSurge") or 1)
            assert there <= limit, f"{there} pods: {self.summary}"
            left_pct = 99 - self.weight_pct
            carried_pct = 150 * self.ready(self.stable) / self.spec()["replicas"]
            assert self.harmed or left_pct <= carried_pct, f"too little of stable: {self.summary}"


def tight(rollout: dict[str, Any], fallback: str = "Proportional", surge: int = SURGE) -> Tight:
    """Return a stage with four pods, and one to spare."""
    capacity = {"fallback": fallback, "maxSurge": surge}
    found = serving(rollout=rollout, replicas=FULL, capacity=capacity)
    found.world.behave(found.stable, POD)
    return Tight(found.world, ledger=found.ledger)


def pods(stage: Stage, revision: str) -> int:
    """Return the pods asked for of a revision."""
    return int(stage.workload(revision)["spec"]["replicas"])


@pytest.mark.parametrize("surge", [1, 2])
def test_b06_a_rollout_needs_one_pod_more(surge: int) -> None:
    """To its end with a pod to spare, or two; not one request fails, and stable has its share."""
    steps = [step("ten", 10), step("half", 50, 20), step("most", 90)]
    stage = tight(quick(*steps), surge=surge)
    first, second = stage.stable, stage.release(2)
    stage.until_step("half")
    stage.until(lambda: stage.ready(first) == 2)
    stage.run(8)
    assert (pods(stage, first), pods(stage, second), stage.weight_pct) == (2, 2, 50)
    stage.until_phase("Healthy")
    stage.run(60)
    assert (stage.stable, stage.ready(second), pods(stage, first)) == (second, FULL, 0)
    assert stage.most == FULL + surge
    assert not stage.ledger.reasons


@pytest.mark.parametrize("replicas", [1, 3, 7])
def test_b06_other_sizes_come_to_their_end(replicas: int) -> None:
    """A third of the pods carries 33 %, and a single pod all or nothing: nobody gets stuck."""
    stage = tight(quick(step("third", 33), step("most", 90)))
    any_load = Behaviour(startup_s=5)
    stage.world.behave(stage.stable, any_load)
    Stage.apply(stage, replicas=replicas)
    Stage.run(stage, 40)
    second = stage.release(2, any_load)
    stage.until(lambda: stage.stable == second, 600)
    stage.until_phase("Healthy", 60)
    stage.run(30)
    assert not stage.ledger.reasons


@pytest.mark.parametrize("replicas", [0, 2, 8])
def test_b06_other_sizes_in_mid_rollout_keep_to_the_limit(replicas: int) -> None:
    """Fewer, more, or none for a while: never more pods than the new size and the surge."""
    stage = tight(quick(step("half", 50, 60)))
    any_load = Behaviour(startup_s=5)
    stage.world.behave(stage.stable, any_load)
    first, second = stage.stable, stage.release(2, any_load)
    stage.until_step("half")
    stage.run(10)
    stage.harmed = True
    Stage.apply(stage, replicas=replicas)
    Stage.run(stage, 30)  # what is too much leaves
    if not replicas:
        stage.apply(replicas=FULL)
    stage.until(lambda: stage.ready(first) > 0 and stage.ready(second) > 0, 60)
    stage.heal()
    stage.until(lambda: stage.stable == second, 400)
    stage.until_phase("Healthy", 60)
    stage.run(60)
    assert stage.ready(second) == (replicas or FULL)


def test_b06_from_copies_to_everything() -> None:
    """A quarter is copied to the one pod there is; the promotion goes up pod by pod."""
    stage = tight(quick(mirror("shadow", 25, 10), approval("look")))
    first, second = stage.stable, stage.release(2)
    stage.until_step("look")
    assert (pods(stage, first), pods(stage, second)) == (FULL, 1)
    stage.ask(approve="look")
    shares = set()
    for _ in range(120):
        stage.run(1)
        shares.add(stage.weight_pct)
    assert stage.stable == second
    assert {25, 50, 75, 100} <= shares
    stage.until_phase("Healthy")
    assert not stage.ledger.reasons


@pytest.mark.parametrize("how", ["abort", "another", "back", "check"])
def test_b06_a_rollback_swaps_pods_for_pods(how: str) -> None:
    """What stable's pods carry with half as much again returns at once, the rest with each pod."""
    check = (ERRORS,) if how == "check" else ()
    stage = tight(policy(step("most", 75, 600), checks=check))
    first, second = stage.stable, stage.release(2)
    stage.until_step("most")
    stage.until(lambda: stage.ready(first) == 1)
    stage.run(8)
    told = stage.world.status(NAME).fallback
    assert told.startswith("37 % of the traffic can return at once, the rest in about ")
    stage.harmed = how == "check"
    if how == "check":
        stage.world.behave(second, BROKEN)
        stage.until(lambda: stage.phase == "RollingBack")
    elif how == "abort":
        stage.ask(abort="no")
    else:
        stage.apply(model=model(1 if how == "back" else 3))
    seen = [stage.weight_pct]
    for _ in range(120):
        stage.run(1)
        seen.append(stage.weight_pct)
        if not stage.weight_pct:
            break
    assert seen == sorted(seen, reverse=True)
    assert 62 < max(seen[3:]) <= 75
    stage.heal()
    if how == "another":
        stage.until(lambda: stage.stable == stage.desired, 900)
    else:
        stage.run(60)
        assert (stage.stable, stage.ready(first), stage.split) == (first, FULL, STABLE_ONLY)
        assert pods(stage, second) == 0
        assert stage.world.status(NAME).fallback == ""
    if how != "check":
        assert not stage.ledger.reasons


def test_b25_a_candidate_without_a_ready_pod_loses_everything_at_once() -> None:
    """Stable's two pods cannot carry it all, but the other two answer nobody."""
    stage = tight(quick(step("half", 50, 600)))
    second = stage.release(2)
    stage.until_step("half")
    stage.run(8)
    stage.harmed = True
    for pod in stage.world.cluster.pods(SPACE, second):
        stage.world.cluster.crash(SPACE, pod.name, "Error")
    stage.run(2)
    assert stage.weight_pct == 0
    stage.until(lambda: stage.ready(stage.stable) == FULL, 90)


def test_b06_after_a_return_at_once_stable_has_its_pods_again_at_once() -> None:
    """The new one crashes in the watch: the warm pod has everything, the others' place is freed."""
    rollout = quick(step("half", 50)) | {"watch": {"hold": "10m", "holdback": "0%"}}
    stage = tight(rollout)
    first, second = stage.stable, stage.release(2)
    stage.until_phase("Watching", 400)
    stage.run(60)
    stage.harmed = True
    stage.world.behave(second, Behaviour(fails_to_load="corrupt"))
    for pod in stage.world.cluster.pods(SPACE, second):
        stage.world.cluster.crash(SPACE, pod.name, "Error")
    stage.until_phase("RolledBack", 20)
    stage.until(lambda: stage.ready(first) == FULL, 25)


def test_b25_no_deadline_while_there_is_no_room() -> None:
    """The pods of the one before are still leaving: the next candidate is not late for that."""
    stage = tight(quick(step("half", 50, 600)))
    stage.apply(rollout={"progressDeadline": "15s"})
    stage.release(2)
    stage.until_step("half")
    third = stage.release(3)
    stage.until(lambda: len(stage.world.rollouts(NAME)) == 2, 60)
    stage.until_step("half", 200)
    assert stage.rollout.spec.candidate.revision == third


@pytest.mark.parametrize("fallback", ["Proportional", "None"])
@pytest.mark.parametrize("how", ["undo", "abort"])
def test_b06_the_watch_gives_back_pod_by_pod(fallback: str, how: str) -> None:
    """One pod is warm, or none: the old revision is stable again, and takes over as pods start."""
    rollout = quick(step("half", 50)) | {"watch": {"hold": "10m", "holdback": "0%"}}
    stage = tight(rollout, fallback)
    first, second = stage.stable, stage.release(2)
    stage.until_phase("Watching", 400)
    stage.run(60)
    warm = 1 if fallback == "Proportional" else 0
    assert (stage.ready(first), stage.ready(second)) == (warm, FULL)
    at_once = f"{37 * warm} % of the traffic can return at once"
    assert stage.world.status(NAME).fallback.startswith(at_once)
    if how == "undo":
        stage.apply(model=model(1))
    else:
        stage.ask(abort="no")
    stage.until(lambda: bool(stage.world.rollouts(NAME)[0].status.ended_at), 400)
    stage.run(60)
    end = {"undo": ("Aborted", "Healthy"), "abort": ("RolledBack", "RolledBack")}[how]
    assert (stage.world.rollouts(NAME)[0].status.phase, stage.phase) == end
    assert (stage.stable, stage.ready(first), pods(stage, second)) == (first, FULL, 0)
    assert stage.split == STABLE_ONLY
    assert len(stage.world.rollouts(NAME)) == 1
    assert not stage.ledger.reasons


def test_b27_harm_in_the_watch_goes_back_pod_by_pod() -> None:
    """A check that fails in the watch: the old revision's one warm pod is not overrun."""
    watch = {"hold": "10m", "holdback": "20%"}
    stage = tight(policy(step("half", 50), checks=(ERRORS,), watch=watch))
    first, second = stage.stable, stage.release(2)
    stage.until_phase("Watching", 600)
    stage.run(60)
    stage.harmed = True
    stage.world.behave(second, BROKEN)
    stage.until_phase("RollingBack", 200)
    shares: list[int] = []
    while stage.phase == "RollingBack" and len(shares) < 200:
        shares.append(stage.weight_pct)
        stage.run(1)
    assert 60 <= shares[3] <= 63
    stage.heal()
    stage.run(60)
    status = stage.world.rollouts(NAME)[0].status
    assert (status.phase, status.reason) == ("RolledBack", "CheckFailed")
    assert (stage.stable, stage.ready(first), stage.split) == (first, FULL, STABLE_ONLY)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, 7))
def test_b29_killed_while_the_watch_gives_back(nth: int, when: Any) -> None:
    """Whichever write it dies at, the next one goes on with the swap, and loses nothing."""
    rollout = quick(step("half", 50)) | {"watch": {"hold": "10m", "holdback": "0%"}}
    stage = tight(rollout)
    first = stage.stable
    stage.release(2)
    stage.until_phase("Watching", 400)
    stage.run(50)
    stage.world.api.crash_after(nth, when=when)
    stage.ask(abort="no")
    stage.until(lambda: bool(stage.world.rollouts(NAME)[0].status.ended_at), 400)
    stage.run(60)
    status = stage.world.rollouts(NAME)[0].status
    assert (status.phase, status.reason) == ("RolledBack", "AbortedByPerson")
    assert (stage.stable, stage.ready(first), stage.split) == (first, FULL, STABLE_ONLY)
    assert stage.world.restarts == 1
    assert not stage.ledger.reasons


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"steps": [mirror("shadow", 100)]}, "step shadow needs 4 pods beside the 4 of stable"),
        ({"strategy": "BlueGreen", "steps": [approval("look")]}, "step look needs 4 pods"),
        (
            {"steps": [step("half", 50)], "watch": {"hold": "1h", "holdback": "50%"}},
            "the watch's holdback needs 2 pods",
        ),
    ],
    ids=["mirror", "BlueGreen", "holdback"],
)
def test_b06_a_policy_that_needs_more_pods_is_refused(more: dict[str, Any], words: str) -> None:
    """It is told which step, how many, and what to do; with room for it the rollout begins."""
    stage = tight({"checks": []} | more)
    second = stage.release(2)
    stage.run(30)
    status = stage.world.status(NAME)
    assert (stage.phase, status.reason) == ("Refused", "StepsNotPossible")
    assert words in status.message
    assert stage.world.rollouts(NAME) == []
    stage.apply(capacity={"fallback": "Proportional", "maxSurge": 4})
    stage.run(30)
    assert pods(stage, second) > 0


def test_b12_scale_sees_one_size_of_both() -> None:
    """What an autoscaler of the user's reads as replicas is the pods of both, not stable's few."""
    stage = tight(quick(step("half", 50, 60)))
    stage.release(2)
    stage.until_step("half")
    stage.run(20)
    status = stage.world.status(NAME)
    assert (status.replicas, status.size) == (FULL, FULL)
