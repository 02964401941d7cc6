"""Rolling out: capacity, promotion, newer revisions, pauses (B5 to B8, B10, B12)."""

import pytest
from simulation.stage import BROKEN, NAME, Stage, model, policy, quick, serving, step

from rampway.core.pods import capacity
from rampway.kube import kinds
from rampway.metrics.memory import Mode
from rampway.sim.cluster_behaviour import Behaviour, Surroundings
from rampway.sim.world import SPACE, World

# B5


@pytest.mark.parametrize("replicas", [1, 3])
def test_b05_promotion_restarts_nothing(replicas: int) -> None:
    """From the first step until long after the promotion, no pod of the candidate is replaced."""
    stage = serving(rollout=quick(step("ten", 10), step("all", 100, 10)), replicas=replicas)
    second = stage.release(2)
    stage.until_step("all")
    pods, spec = stage.running(second), stage.workload(second)["spec"]
    stage.until_phase("Healthy")
    stage.run(120)
    assert stage.stable == second
    assert len(pods) == replicas
    assert stage.running(second) == pods
    assert set(pods.values()) == {0}
    assert stage.workload(second)["spec"] == spec


def test_b05_each_pod_loads_its_model_once() -> None:
    """As many pods are made for a revision as it has replicas, over rollout and promotion."""
    stage = serving(rollout=quick(step("one", 1), step("ten", 10), step("half", 50)), replicas=4)
    second = stage.release(2)
    stage.until_phase("Healthy")
    stage.run(60)
    made = {
        change.obj["metadata"]["uid"]
        for change in stage.world.store.changes_since(0, kinds.POD)
        if change.obj["metadata"]["labels"]["rampway.dev/revision"] == second
    }
    assert len(made) == 4


def test_b05_promotion_sends_nobody_back_to_the_old_revision() -> None:
    """While the Service `<name>` changes over slowly, requests go on reaching the new stable."""
    slow = Surroundings(scrape_interval_s=1.0, endpoints_delay_s=6.0)
    stage = serving(rollout=quick(step("half", 50)), world=World(surroundings=slow))
    first, second = stage.stable, stage.release(2)
    everything = {NAME: 0, f"{NAME}-{second}": 100}
    stage.until(lambda: stage.world.cluster.weights(SPACE, NAME) == everything)
    before = stage.ledger.by_revision[first].total
    stage.until_phase("Healthy")
    stage.run(60)
    assert stage.stable == second
    assert stage.ledger.by_revision[first].total == before


# B6


@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
def test_b06_weight_never_exceeds_ready_capacity(replicas: int) -> None:
    """Pods that start one after another get weight one after another, at every second."""
    steps = [step(f"w{w}", w, 2) for w in (5, 35, 70, 100)]
    stage = serving(rollout=quick(*steps), replicas=replicas)
    first, second = stage.stable, stage.release(2, Behaviour(startup_s=12))
    seen = set()
    while stage.phase != "Healthy" or stage.stable == first:
        stage.run(1)
        seen.add(stage.weight_pct)
        if stage.stable == first:
            assert stage.ready(first) == replicas
            carried = capacity.weight_for(stage.ready(second), replicas)
            assert stage.weight_pct <= carried
            in_force = stage.world.cluster.weights(SPACE, NAME) or {}
            assert sum(w for name, w in in_force.items() if name != NAME) <= carried
    assert {5, 35, 70, 100} <= seen


def test_b06_no_traffic_before_the_model_has_loaded() -> None:
    """A candidate that runs and is not ready gets nothing."""
    stage = serving()
    second = stage.release(2, Behaviour(never_ready=True))
    stage.run(60)
    assert len(stage.running(second)) == 1
    assert stage.backends() == {NAME: 1}
    assert second not in stage.ledger.by_revision
    assert "0 of 1 candidate pods ready" in stage.world.status(NAME).message


@pytest.mark.parametrize("delay_s", [0.0, 3.0, 8.0])
def test_b06_no_traffic_before_the_endpoints_are_known(delay_s: float) -> None:
    """Endpoints follow readiness late: weights wait for them, and no request meets nobody."""
    slow = Surroundings(scrape_interval_s=1.0, endpoints_delay_s=delay_s)
    steps = (step("ten", 10), step("most", 70), step("all", 100))
    stage = serving(rollout=quick(*steps), replicas=3, world=World(surroundings=slow))
    stage.release(2)
    stage.until_phase("Healthy")
    stage.run(60)
    assert stage.stable == stage.desired
    assert stage.ledger.all.failed == 0


@pytest.mark.parametrize("how", ["delete", "evict", "drain"])
def test_b06_a_lost_candidate_pod_lowers_the_weight(how: str) -> None:
    """A candidate that loses one of its pods to people keeps what the others carry."""
    stage = serving(rollout=quick(step("most", 70, 300)), replicas=3)
    second = stage.release(2, Behaviour(startup_s=10))
    stage.until_step("most")
    assert (stage.ready(second), stage.weight_pct) == (3, 70)
    pod = stage.world.cluster.pods(SPACE, second)[0]
    if how == "drain":
        stage.world.cluster.drain(pod.node)
    else:
        act = {"delete": stage.world.cluster.delete_pod, "evict": stage.world.cluster.evict}
        act[how](SPACE, pod.name)
    stage.run(1)
    assert stage.ready(second) == 2
    assert stage.weight_pct == 66
    stage.until(lambda: stage.weight_pct == 70, 30)
    assert stage.ready(second) == 3


def test_b06_a_crashed_candidate_pod_lowers_the_weight() -> None:
    """One crash is no verdict; the weight falls to what is ready, and comes back with it."""
    stage = serving(rollout=quick(step("all", 100, 300)), replicas=2)
    second = stage.release(2)
    stage.until_step("all")
    stage.harmed = True
    pod = stage.world.cluster.pods(SPACE, second)[0]
    stage.world.cluster.crash(SPACE, pod.name, "Error")
    stage.run(1)
    assert stage.weight_pct == 50
    stage.heal()
    stage.until(lambda: stage.weight_pct == 100, 60)


def test_b06_stable_keeps_all_its_pods_until_the_end() -> None:
    """The very pods of stable that served before serve until the candidate has everything."""
    stage = serving(rollout=quick(step("ten", 10), step("all", 100)), replicas=3)
    first, pods = stage.stable, stage.running(stage.stable)
    stage.release(2)
    while stage.stable == first:
        stage.run(1)
        assert stage.running(first) == pods
    stage.run(20)
    assert stage.running(first) == pods  # gateways may still send it a few requests
    stage.until(lambda: stage.running(first) == {}, 60)


# B7


def test_b07_a_new_revision_in_mid_rollout_starts_afresh() -> None:
    """Traffic goes back to stable; then a new rollout begins, against the original stable."""
    stage = serving(rollout=quick(step("ten", 10), step("half", 50, 60)))
    first, second = stage.stable, stage.release(2)
    stage.until_step("half")
    third = stage.release(3)
    stage.run(1)
    assert stage.backends() == {NAME: 1}
    stage.until_step("ten")
    old, new = stage.world.rollouts(NAME)
    assert (old.spec.candidate.revision, old.status.phase) == (second, "Superseded")
    assert (new.spec.candidate.revision, new.spec.stable.revision) == (third, first)
    assert stage.stable == first
    assert stage.weight_pct == 10
    stage.until_phase("Healthy")
    assert stage.stable == third


def test_b07_the_latest_revision_wins() -> None:
    """Of revisions that follow each other fast, only the last is promoted."""
    stage = serving(rollout=quick(step("ten", 10, 20), step("half", 50)))
    first = stage.stable
    passed = []
    for number in (2, 3, 4, 5):
        passed.append(stage.release(number))
        stage.run(4 * (number % 3))
        assert stage.stable == first
    stage.until_phase("Healthy")
    assert stage.stable == passed[-1]
    ends = {r.spec.candidate.revision: r.status.phase for r in stage.world.rollouts(NAME)}
    assert ends.pop(passed[-1]) == "Promoted"
    assert set(ends) <= set(passed)
    assert set(ends.values()) == {"Superseded"}


def test_b07_a_superseded_failure_is_not_the_release_s() -> None:
    """A bad revision replaced by a good one in mid-rollout does not make the good one fail."""
    stage = serving()
    stage.harmed = True
    stage.release(2, BROKEN)
    stage.until_step("ten")
    third = stage.release(3)
    stage.run(1)
    stage.heal()
    stage.until_phase("Healthy")
    assert stage.stable == third


def test_b07_while_paused_it_is_recorded_and_not_started() -> None:
    """A new revision under a pause takes no traffic and starts no pod; status names it."""
    stage = serving(rollout=quick())
    first = stage.stable
    stage.apply(paused=True)
    second = stage.release(2)
    stage.run(60)
    assert stage.phase == "Paused"
    assert stage.world.rollouts(NAME) == []
    assert len(stage.deployments()) == 1
    assert second in stage.world.status(NAME).message
    assert stage.world.condition(NAME, "Promoted") == "Unknown"
    stage.apply(paused=False)
    stage.until_phase("Healthy")
    assert stage.stable == second != first


def test_b07_paused_in_mid_rollout_traffic_still_goes_back() -> None:
    """A new revision in a paused rollout: traffic returns to stable, and nothing starts."""
    stage = serving(rollout=quick(step("ten", 10, 60)))
    first = stage.stable
    stage.release(2)
    stage.until_step("ten")
    stage.apply(paused=True)
    stage.run(5)
    third = stage.release(3)
    stage.run(30)
    assert stage.backends() == {NAME: 1}
    assert [r.status.phase for r in stage.world.rollouts(NAME)] == ["Superseded"]
    assert stage.running(third) == {}
    assert stage.stable == first


# B8


@pytest.mark.parametrize("at", ["starting", "ten", "half", "promoting"])
def test_b08_back_to_stable_content_at_once(at: str) -> None:
    """The spec goes back to stable's content: 100 % stable within a second, and no new rollout."""
    stage = serving(rollout=quick(step("ten", 10, 20), step("half", 50, 20)))
    first, pods = stage.stable, stage.running(stage.stable)
    second = stage.release(2, Behaviour(startup_s=5))
    if at == "promoting":
        stage.until(lambda: stage.world.rollouts(NAME)[-1:] != [] and _promoting(stage))
    elif at == "starting":
        stage.run(2)
    else:
        stage.until_step(at)
    stage.apply(model=model(1))
    stage.run(1)
    assert stage.backends() == {NAME: 1}
    stage.run(3)
    assert stage.phase == "Healthy"
    assert stage.world.condition(NAME, "Promoted") == "True"
    assert stage.stable == first
    assert stage.running(first) == pods
    (only,) = stage.world.rollouts(NAME)
    assert (only.spec.candidate.revision, only.status.phase) == (second, "Aborted")
    before = stage.ledger.by_revision.get(second)
    total = before.total if before else 0
    stage.run(20)
    after = stage.ledger.by_revision.get(second)
    assert (after.total if after else 0) == total


def test_b08_does_not_wait_for_all_of_stable() -> None:
    """All at once also when only one pod of stable is ready: its revision is what is wanted."""
    stage = serving(rollout=quick(step("half", 50, 60)), replicas=4)
    first = stage.stable
    stage.release(2)
    stage.until_step("half")
    stage.harmed = True
    for pod in stage.world.cluster.pods(SPACE, first)[1:]:
        stage.world.cluster.crash(SPACE, pod.name, "Error")
    stage.apply(model=model(1))
    stage.run(1)
    assert stage.ready(first) == 1
    assert stage.backends() == {NAME: 1}


def test_b08_needs_no_evidence() -> None:
    """Going back does not wait for Prometheus."""
    stage = serving()
    stage.release(2)
    stage.until_step("ten")
    stage.world.source.mode = Mode.DOWN
    stage.run(3)
    stage.apply(model=model(1))
    stage.run(1)
    assert stage.backends() == {NAME: 1}
    stage.until_phase("Healthy", 5)


def _promoting(stage: Stage) -> bool:
    return stage.world.rollouts(NAME)[-1].status.phase == "Promoting"


# B10


@pytest.mark.parametrize("at", ["starting", "ten", "half", "promoting"])
def test_b10_paused_nothing_advances(at: str) -> None:
    """Under a pause the candidate's share never rises and no step follows; then it goes on."""
    stage = serving(rollout=quick(step("ten", 10), step("half", 50)), replicas=2)
    first = stage.stable
    stage.release(2, Behaviour(startup_s=6))
    if at == "promoting":
        stage.until(lambda: stage.world.rollouts(NAME)[-1:] != [] and _promoting(stage))
    elif at == "starting":
        stage.run(2)
    else:
        stage.until_step(at)
    stage.apply(paused=True)
    weight = stage.weight_pct
    step_before = stage.world.rollouts(NAME)[-1].status.step.name
    for _ in range(60):
        stage.run(1)
        assert stage.weight_pct == weight
    assert stage.phase == "Paused"
    assert stage.stable == first
    assert stage.world.rollouts(NAME)[-1].status.step.name == step_before
    stage.apply(paused=False)
    stage.until_phase("Healthy")
    assert stage.stable == stage.desired


def test_b10_paused_the_weight_does_not_follow_new_pods() -> None:
    """A step that waits for capacity gets no more of it under a pause."""
    stage = serving(rollout=quick(step("ten", 10), step("all", 100, 60)), replicas=2)
    stage.release(2, Behaviour(startup_s=10))
    stage.until(lambda: stage.weight_pct == 50)
    stage.apply(paused=True)
    stage.run(30)
    assert stage.ready(stage.desired) == 2
    assert stage.weight_pct == 50
    stage.apply(paused=False)
    stage.until_step("all")


def test_b10_paused_nothing_is_promoted() -> None:
    """A pause that comes when the candidate has everything already still stops the promotion."""
    stage = serving(rollout=quick(step("half", 50)))
    first = stage.stable
    stage.release(2)
    stage.until(lambda: stage.weight_pct == 100)
    stage.world.cluster.refuse(SPACE, NAME, "busy")
    stage.run(5)
    stage.apply(paused=True)
    stage.run(5)
    stage.world.cluster.refuse(SPACE, NAME, "")
    stage.run(30)
    assert (stage.stable, stage.weight_pct, stage.phase) == (first, 100, "Paused")
    stage.apply(paused=False)
    stage.until_phase("Healthy")
    assert stage.stable == stage.desired


def test_b10_paused_failing_checks_still_roll_back() -> None:
    """A pause does not protect a bad candidate."""
    stage = serving(rollout=policy(step("half", 50, 300)))
    first = stage.stable
    bad = stage.release(2)
    stage.until_step("half")
    stage.apply(paused=True)
    stage.run(5)
    stage.harmed = True
    stage.world.behave(bad, BROKEN)
    stage.until_phase("RolledBack", 60)
    stage.heal()
    assert stage.backends() == {NAME: 1}
    assert stage.stable == first
    assert stage.world.condition(NAME, "Promoted") == "False"


def test_b10_paused_a_crashing_candidate_still_rolls_back() -> None:
    """Harm that the pods tell counts under a pause too."""
    stage = serving(rollout=quick(step("half", 50, 300)))
    bad = stage.release(2)
    stage.until_step("half")
    stage.apply(paused=True)
    stage.run(5)
    stage.harmed = True
    pod = stage.world.cluster.pods(SPACE, bad)[0]
    stage.world.cluster.crash(SPACE, pod.name, "OOMKilled")
    stage.run(2)
    assert stage.phase == "RolledBack"
    assert stage.backends() == {NAME: 1}


def test_b10_paused_before_the_first_revision_makes_nothing() -> None:
    """A ModelDeployment that is paused from the start waits."""
    stage = Stage(World())
    stage.apply(model=model(1), replicas=2, paused=True)
    stage.run(30)
    assert stage.deployments() == []
    assert "paused" in stage.world.status(NAME).message
    stage.apply(paused=False)
    stage.until_phase("Healthy")


# B12


def test_b12_replicas_changed_in_a_rollout_reach_both_revisions() -> None:
    """More replicas in mid-rollout: stable gets them at once, the candidate as its weight needs."""
    stage = serving(rollout=quick(step("half", 50, 60)), replicas=2)
    first, second = stage.stable, stage.release(2)
    stage.until_step("half")
    stage.apply(replicas=6)
    stage.run(30)
    assert (stage.ready(first), stage.ready(second)) == (6, 3)
    stage.until_phase("Healthy")
    assert stage.ready(second) == 6
    assert len(stage.world.rollouts(NAME)) == 1


def test_b12_fewer_replicas_in_a_rollout_reach_both_revisions() -> None:
    """Fewer replicas in mid-rollout: neither revision keeps more than all of them."""
    stage = serving(rollout=quick(step("most", 80, 60)), replicas=5)
    first, second = stage.stable, stage.release(2)
    stage.until_step("most")
    assert stage.ready(second) == 4
    stage.apply(replicas=2)
    stage.run(30)
    assert (stage.ready(first), stage.ready(second)) == (2, 2)
    assert stage.weight_pct == 80
