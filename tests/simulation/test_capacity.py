"""Capacity: scaling in the middle of a rollout, budgets for disruptions, zero (B12, B38)."""

import pytest
from simulation.autoscaler import Autoscaler
from simulation.stage import Stage, quick, serving, step

from rampway.kube import kinds
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE

PER_POD = 25.0
"""Requests per second that the autoscaler wants on each pod; 100 are sent."""


def status(stage: Stage) -> dict[str, object]:
    """Return the ModelDeployment's status as it is written."""
    found = stage.world.store.get(kinds.MODEL_DEPLOYMENT, SPACE, stage.name)["status"]
    return dict(found)


def approve(stage: Stage, name: str) -> None:
    """Agree to a step of the latest rollout, as a person does."""
    rollout = stage.world.rollouts(stage.name)[-1]
    asked = {"spec": {"requests": {"approve": [{"step": name}]}}}
    stage.world.store.patch(kinds.MODEL_ROLLOUT, SPACE, rollout.name, asked)


# B12: /scale and the user's own autoscaler


def test_b12_scale_tells_of_the_pods_that_answer() -> None:
    """The selector finds stable's pods, and a candidate's once their answers count."""
    mirror = {"name": "shadow", "mirror": "100%", "hold": "20s"}
    stage = serving(rollout=quick(mirror, step("half", 50, 20)), replicas=4)
    first, scaler = stage.stable, Autoscaler(stage, PER_POD)
    assert (len(scaler.selected()), status(stage)["replicas"]) == (4, 4)
    second = stage.release(2)
    stage.until_step("shadow")
    assert {pod.origin.revision for pod in scaler.selected()} == {first}
    stage.until_step("half")
    stage.run(2)
    assert {pod.origin.revision for pod in scaler.selected()} == {first, second}
    assert status(stage)["replicas"] == len(scaler.selected())
    stage.until_phase("Healthy")
    stage.run(2)
    assert {pod.origin.revision for pod in scaler.selected()} == {second}


@pytest.mark.parametrize("kind", ["weight", "mirror", "BlueGreen"])
def test_b12_an_autoscaler_sees_the_load_whatever_the_split(kind: str) -> None:
    """Half the traffic on the candidate is not half the load, and a copy is not twice the load."""
    steps = [step("ten", 10, 60), step("half", 50, 90), step("most", 90, 60)]
    if kind == "mirror":
        steps = [{"name": "shadow", "mirror": "100%", "hold": "90s"}, step("half", 50, 60)]
    strategy = {"strategy": kind} if kind == "BlueGreen" else {}
    if strategy:
        steps = [{"name": "look", "approval": {}}]
    stage = serving(rollout={"steps": steps, "checks": []} | strategy, replicas=4)
    scaler = Autoscaler(stage, PER_POD, most=20)
    first = stage.stable
    stage.release(2)
    scaler.run(390)
    if strategy:
        approve(stage, "look")
        scaler.run(240)
    assert stage.stable != first
    assert set(scaler.asked) <= {4, 5}


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
