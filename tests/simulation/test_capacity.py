"""Capacity: scaling in the middle of a rollout, budgets for disruptions, zero (B12, B38)."""

import pytest
from simulation.autoscaler import Autoscaler
from simulation.stage import BROKEN, Stage, model, policy, quick, serving, step

from rampway.kube import kinds
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE, World

PER_POD = 25.0
"""Requests per second that the autoscaler wants on each pod; 100 are sent."""


def status(stage: Stage) -> dict[str, object]:
    """Return the ModelDeployment's status as it is written."""
    found = stage.world.store.get(kinds.MODEL_DEPLOYMENT, SPACE, stage.name)["status"]
    return dict(found)


def request(stage: Stage, **asked: object) -> None:
    """Ask something of the latest rollout, as a person does."""
    rollout = stage.world.rollouts(stage.name)[-1]
    patch = {"spec": {"requests": asked}}
    stage.world.store.patch(kinds.MODEL_ROLLOUT, SPACE, rollout.name, patch)


# Scaling, by hand and by an autoscaler (B12)


def test_b12_scale_tells_of_the_pods_that_answer() -> None:
    """The selector finds stable's pods, and a candidate's once their answers count."""
    mirror = {"name": "shadow", "mirror": "100%", "hold": "20s"}
    stage = serving(rollout=quick(mirror, step("half", 50, 90)), replicas=4)
    first, scaler = stage.stable, Autoscaler(stage, PER_POD)
    assert (len(scaler.selected()), status(stage)["replicas"]) == (4, 4)
    second = stage.release(2)
    stage.until_step("shadow")
    assert {pod.origin.revision for pod in scaler.selected()} == {first}
    stage.until_step("half")
    stage.run(2)
    assert {pod.origin.revision for pod in scaler.selected()} == {first}  # copies still show
    stage.run(65)
    assert {pod.origin.revision for pod in scaler.selected()} == {first, second}
    assert status(stage)["replicas"] == 4
    stage.until_phase("Healthy")
    stage.run(2)
    assert {pod.origin.revision for pod in scaler.selected()} == {second}


@pytest.mark.parametrize("kind", ["weight", "mirror", "BlueGreen"])
def test_b12_an_autoscaler_sees_the_load_whatever_the_split(kind: str) -> None:
    """Half the traffic on the candidate is not half the load, and a copy is not twice the load."""
    steps = [step("ten", 10, 60), step("half", 50, 90), step("most", 90, 60)]
    if kind == "mirror":
        steps = [{"name": "shadow", "mirror": "100%", "hold": "90s"}, step("half", 50, 120)]
    strategy = {"strategy": kind} if kind == "BlueGreen" else {}
    if strategy:
        steps = [{"name": "look", "approval": {}}]
    stage = serving(rollout={"steps": steps, "checks": []} | strategy, replicas=4)
    scaler = Autoscaler(stage, PER_POD, most=20)
    first = stage.stable
    stage.release(2)
    scaler.run(390)
    if strategy:
        request(stage, approve=[{"step": "look"}])
        scaler.run(240)
    assert stage.stable != first
    assert set(scaler.asked) <= {4, 5}


def test_b12_an_autoscaler_with_a_target_per_pod_does_not_creep() -> None:
    """A candidate's few pods beside stable's are no replicas that anybody asked for."""
    stage = serving(rollout=quick(step("five", 5, 60)), replicas=20)
    scaler = Autoscaler(stage, target_per_s=5.0, per_pod=True)
    stage.release(2)
    stage.until_step("five")
    scaler.run(45)
    assert scaler.asked == []


def test_b12_more_load_in_mid_rollout_brings_pods_to_both_revisions() -> None:
    """The load doubles at half: both revisions grow, the step goes on, and nothing is lost."""
    load = {"per_s": 100.0}
    stage = serving(
        rollout=quick(step("half", 50, 120)), replicas=4, rate_per_s=lambda _: load["per_s"]
    )
    first, scaler = stage.stable, Autoscaler(stage, PER_POD, most=20)
    second = stage.release(2, Behaviour(startup_s=8))
    stage.until_step("half")
    load["per_s"] = 200.0
    scaler.run(90)
    assert stage.spec()["replicas"] in {8, 9}
    assert stage.workload(first)["spec"]["replicas"] == stage.spec()["replicas"]
    assert stage.ready(second) >= 4
    stage.until_phase("Healthy")
    assert stage.stable == second
    assert max(scaler.asked) <= 9


# What zero replicas mean


def ready_condition(stage: Stage) -> tuple[str, str]:
    """Return status and reason of Ready."""
    found = next(c for c in stage.world.status(stage.name).conditions if c.type == "Ready")
    return found.status, found.reason


def everything_is_down(stage: Stage) -> bool:
    """Return whether no pod of any revision is asked for or there."""
    asked = [d["spec"]["replicas"] for d in stage.deployments()]
    return not any(asked) and not stage.world.cluster.pods(SPACE)


def test_b38_at_zero_nothing_serves_and_it_comes_back() -> None:
    """Scaled to zero at rest: told by phase and Ready, nothing is promoted anew, and it is back."""
    stage = serving()
    first = stage.stable
    stage.harmed = True
    stage.apply(replicas=0)
    stage.run(30)
    assert everything_is_down(stage)
    assert (stage.phase, ready_condition(stage)) == ("ScaledToZero", ("False", "ScaledToZero"))
    state = {c.type: c.status for c in stage.world.status(stage.name).conditions}
    assert (state["Promoted"], state["Reconciling"], state["Stalled"]) == ("True", "False", "False")
    assert stage.backends() == {stage.name: 1}
    stage.apply(replicas=3)
    stage.until_phase("Healthy", 60)
    stage.until(lambda: stage.ready(first) == 3, 60)
    stage.heal()
    stage.run(20)
    assert (stage.stable, stage.world.rollouts(stage.name)) == (first, [])


@pytest.mark.parametrize("killed", [False, True])
def test_b38_a_rollout_waits_at_zero_and_goes_on(killed: bool) -> None:
    """No step ends and nothing is held against the candidate, however long; then it goes on."""
    patience = {"after": "30s", "then": "Rollback"}
    wanted = policy(step("ten", 10), step("half", 50, 40), onUnknown=patience)
    stage = serving(rollout=wanted, replicas=2, rate_per_s=200)
    second = stage.release(2)
    stage.until_step("half")
    stage.run(10)
    stage.harmed = True
    stage.apply(replicas=0)
    stage.run(2)
    if killed:
        stage.world.kill(5.0)
    for _ in range(15):
        stage.run(60)
        rollout = stage.world.rollouts(stage.name)[-1].status
        assert (stage.phase, rollout.phase, rollout.step.name) == (
            "ScaledToZero", "Stepping", "half",
        )  # fmt: skip
        assert (stage.weight_pct, everything_is_down(stage)) == (0, True)
    stage.apply(replicas=2)
    stage.until(lambda: stage.ready(second) > 0 and stage.ready(stage.stable) == 2, 60)
    stage.heal()
    stage.until_phase("Healthy")
    assert stage.stable == second
    assert len(stage.world.rollouts(stage.name)) == 1


def test_b38_a_new_revision_at_zero_is_rolled_out_once_there_are_pods() -> None:
    """It is recorded, not promoted unchecked; back from zero it is judged, and found bad."""
    stage = serving(rollout=policy(step("half", 50, 10)))
    first = stage.stable
    stage.harmed = True
    stage.apply(replicas=0)
    stage.run(20)
    second = stage.release(2, BROKEN)
    stage.run(120)
    assert (stage.stable, stage.phase, everything_is_down(stage)) == (first, "ScaledToZero", True)
    assert stage.world.condition(stage.name, "Promoted") == "Unknown"
    assert second in stage.world.status(stage.name).message
    stage.apply(replicas=2)
    stage.until_phase("RolledBack")
    stage.run(20)
    assert (stage.stable, stage.ready(second) > 0) == (first, True)  # kept to be looked at
    stage.apply(replicas=0)
    stage.run(20)
    assert everything_is_down(stage)


def test_b38_a_rollback_is_over_at_zero() -> None:
    """A refused candidate does not go on serving because stable has no pod to take over."""
    stage = serving(rollout=quick(step("half", 50, 600)))
    first, second = stage.stable, stage.release(2)
    stage.until_step("half")
    stage.harmed = True
    stage.world.behave(first, Behaviour(unready_until_s=stage.world.clock.elapsed_s + 900))
    stage.until(lambda: not stage.ready(first))
    request(stage, abort={"message": "no"})
    stage.run(20)
    assert (stage.phase, stage.weight_pct) == ("RollingBack", 50)
    stage.apply(replicas=0)
    stage.until_phase("RolledBack", 20)
    stage.run(20)
    assert (stage.weight_pct, everything_is_down(stage)) == (0, True)
    assert stage.world.rollouts(stage.name)[-1].spec.candidate.revision == second


def test_b38_a_first_revision_at_zero_is_made_and_not_promoted() -> None:
    """Nothing has served, so the next change is a first apply again; with pods it serves."""
    stage = Stage(World())
    stage.apply(model=model(1), replicas=0, rollout={"policy": quick(step("half", 50))})
    stage.run(30)
    assert (stage.phase, stage.stable, everything_is_down(stage)) == ("ScaledToZero", "", True)
    stage.apply(model=model(2))
    stage.run(10)
    stage.apply(replicas=2)
    stage.until_phase("Healthy", 60)
    assert (stage.stable, stage.world.rollouts(stage.name)) == (stage.desired, [])


def test_b38_a_promotion_cut_short_by_zero_is_a_promotion() -> None:
    """Once it is stable it stays so, though nobody could be switched to it."""
    stage = serving(rollout=quick(step("half", 50)))
    second = stage.release(2)
    stage.until(lambda: stage.stable == second)
    stage.harmed = True
    stage.apply(replicas=0)
    stage.run(30)
    assert (stage.stable, stage.phase, everything_is_down(stage)) == (second, "ScaledToZero", True)
    assert stage.world.rollouts(stage.name)[-1].status.phase == "Promoted"


# Budgets for disruptions


def budgets(stage: Stage) -> dict[str, set[str]]:
    """Return the pods that each PodDisruptionBudget is about, by its name."""
    pods = stage.world.cluster.pods(SPACE)
    return {
        obj["metadata"]["name"]: {
            pod.name
            for pod in pods
            if obj["spec"]["selector"]["matchLabels"].items() <= pod.labels.items()
        }
        for obj in stage.world.store.list(kinds.POD_DISRUPTION_BUDGET, SPACE)
    }


def test_b38_each_serving_revision_has_a_budget_of_its_own() -> None:
    """Stable's and the candidate's, each of just its pods; one that somebody deletes comes back."""
    stage = serving(rollout=quick(step("half", 50, 90)))
    first, second = stage.stable, stage.release(2)
    stage.until_step("half")
    wanted = {
        f"{stage.name}-{digest}": {pod.name for pod in stage.world.cluster.pods(SPACE, digest)}
        for digest in (first, second)
    }
    assert budgets(stage) == wanted
    for name in wanted:
        stage.world.store.delete(kinds.POD_DISRUPTION_BUDGET, SPACE, name)
    stage.run(70)
    assert budgets(stage).keys() == wanted.keys()


def test_b38_a_budget_goes_with_its_revision() -> None:
    """Of the revisions that are deleted no budget stays, with the ModelDeployment all go."""
    stage = serving(rollout=quick(step("all", 100, 1)))
    for number in range(2, 10):
        stage.release(number)
        stage.until_phase("Healthy")
    stage.run(60)
    assert budgets(stage).keys() == {d["metadata"]["name"] for d in stage.deployments()}
    assert len(budgets(stage)) < 9
    stage.harmed = True
    stage.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, stage.name)
    stage.world.run(10)
    assert budgets(stage) == {}
