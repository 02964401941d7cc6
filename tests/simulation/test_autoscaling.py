"""One autoscaler a revision (`spec.autoscaling`): its bounds, its pods, its end (B6, B12)."""

import math
from typing import Any

import pytest
from simulation.autoscaler import Controller
from simulation.stage import BROKEN, Stage, policy, quick, serving, step

from rampway.api import labels
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.errors import Forbidden
from rampway.sim.api_faults import Fault
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE

PER_POD = 25
"""Requests per second that the autoscaler wants on each pod; 100 are sent."""
POD = Behaviour(capacity_per_s=40)
"""A pod that fails requests beyond half as much again, and some."""


def plan(least: int = 2, most: int = 20) -> dict[str, Any]:
    """Return the spec's autoscaling."""
    metric = {"metric": "requests_per_second", "averageValue": PER_POD}
    return {"minReplicas": least, "maxReplicas": most, "metrics": [metric]}


def scaled(load: dict[str, float] | None = None, **more: Any) -> tuple[Stage, Controller]:
    """Return a stage whose model has found its size: four pods for 100 requests a second."""
    now = load if load is not None else {"per_s": 100.0}
    stage = serving(
        replicas=1, rate_per_s=lambda _: now["per_s"], autoscaling=plan(), **more
    )  # fmt: skip
    found = Controller(stage)
    found.until(lambda: stage.size == 4)
    found.run(90)
    stage.world.behave(stage.stable, POD)
    return stage, found


def hpas(stage: Stage) -> dict[str, Obj]:
    """Return the autoscalers by the revision that each is of."""
    found = stage.world.store.list(kinds.HORIZONTAL_POD_AUTOSCALER, SPACE)
    return {obj["metadata"]["labels"][labels.REVISION]: obj for obj in found}


def bounds(stage: Stage, revision: str) -> tuple[int, int]:
    """Return the bounds of a revision's autoscaler."""
    spec = hpas(stage)[revision]["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def pods(stage: Stage, revision: str) -> int:
    """Return the pods asked for of a revision."""
    return int(stage.workload(revision)["spec"]["replicas"])


def test_b12_each_revision_has_an_autoscaler_of_its_own() -> None:
    """Stable may not shrink, the candidate has its share of everything; it goes with its pods."""
    stage, scaler = scaled(rollout=quick(step("half", 50, 60)))
    first = stage.stable
    assert (bounds(stage, first), pods(stage, first)) == ((2, 20), 4)
    owner = hpas(stage)[first]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("ModelDeployment", stage.name)
    second = stage.release(2, POD)
    scaler.until(lambda: stage.weight_pct == 50)
    assert (bounds(stage, first), bounds(stage, second)) == ((4, 20), (2, 10))
    scaler.until(lambda: stage.phase == "Healthy")
    scaler.run(200)
    assert list(hpas(stage)) == [second]
    assert (bounds(stage, second), pods(stage, first)) == ((2, 20), 0)
    stage.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, stage.name)
    stage.harmed = True
    stage.run(5)
    assert hpas(stage) == {}


def test_b12_a_rollout_leaves_stable_at_its_size_and_ends() -> None:
    """Whatever share the candidate has, stable neither shrinks nor grows, and no request fails."""
    steps = [step("ten", 10, 90), step("half", 50, 90), step("most", 90, 90)]
    stage, scaler = scaled(rollout=quick(*steps))
    scaler.asked.clear()
    first, second = stage.stable, stage.release(2, POD)
    while stage.stable == first:
        scaler.run(1)
        assert pods(stage, first) == 4
    scaler.run(300)
    assert (stage.stable, pods(stage, second)) == (second, 4)
    assert f"{stage.name}-{first}" not in scaler.asked
    assert not stage.ledger.reasons


@pytest.mark.parametrize("how", ["rollback", "abort", "watch"])
def test_b12_what_returns_meets_the_pods_for_it(how: str) -> None:
    """Back from a candidate stable has its pods, also when it is measured with its small share."""
    wanted = policy(step("ten", 10), step("most", 90, 400))
    if how != "rollback":
        wanted = quick(step("most", 90, 90 if how == "watch" else 400))
    if how == "watch":
        wanted["watch"] = {"hold": "10m", "holdback": "0%"}
    stage, scaler = scaled(rollout=wanted)
    first, second = stage.stable, stage.release(2, POD)
    at_last = (
        (lambda: stage.phase == "Watching") if how == "watch" else (lambda: stage.weight_pct == 90)
    )
    scaler.until(at_last, 900)
    scaler.run(90)
    stage.harmed = True
    if how == "rollback":
        stage.world.behave(second, BROKEN)
    else:
        stage.ask(abort="no")
    scaler.until(lambda: stage.phase == "RolledBack")
    stage.heal()
    for _ in range(240):
        scaler.run(1)
        assert pods(stage, first) == 4
    assert stage.stable == first
    assert max(scaler.asked.get(f"{stage.name}-{second}", [0])) <= 5


def test_b12_load_that_grows_in_a_rollout_brings_pods_to_both() -> None:
    """The load doubles at half: the sum of both says how large a revision has to be."""
    load = {"per_s": 100.0}
    stage, scaler = scaled(load, rollout=quick(step("half", 50, 500)))
    first, second = stage.stable, stage.release(2, POD)
    scaler.until(lambda: stage.weight_pct == 50)
    scaler.run(70)
    stage.harmed = True
    load["per_s"] = 200.0
    scaler.until(lambda: pods(stage, first) >= 7, 400)
    scaler.until(lambda: stage.ready(second) >= 4, 60)
    stage.heal()
    scaler.until(lambda: stage.stable == second, 900)
    assert max(scaler.asked.get(f"{stage.name}-{first}", [0])) <= 9
    assert pods(stage, second) <= 9


def test_b12_a_wasteful_candidate_does_not_drive_stable_to_its_maximum() -> None:
    """Its autoscaler gives it more pods, up to its share; stable's size follows what it wastes."""
    stage, scaler = scaled(rollout=quick(step("ten", 10, 400)))
    first = stage.stable
    second = stage.release(2)
    scaler.until(lambda: stage.weight_pct == 10)
    scaler.wasteful = f"{stage.name}-{second}"
    scaler.run(300)
    assert pods(stage, second) == 2
    assert pods(stage, first) <= 6


def test_b12_without_metrics_it_says_so_and_the_rollout_goes_on() -> None:
    """An autoscaler that measures nothing is named in the message, with its words; nobody waits."""
    stage, scaler = scaled(rollout=quick(step("half", 50, 30)))
    scaler.blind = True
    scaler.run(75)
    message = stage.world.status(stage.name).message
    assert "does not scale: FailedGetPodsMetric: no metrics returned" in message
    second = stage.release(2, POD)
    scaler.until(lambda: stage.stable == second)
    assert pods(stage, second) == 4


def test_b28_a_refused_autoscaler_is_told_and_holds_nothing_up() -> None:
    """A quota that has no place for it: the model has its least pods, a rollout goes on."""
    stage = serving(replicas=1, rollout=quick(step("half", 50, 10)))
    refusal = Forbidden("exceeded quota: scalers")
    made = (kinds.HORIZONTAL_POD_AUTOSCALER, "create")
    stage.world.api.faults.add(
        Fault(refusal, 0, lambda call: (call.kind, call.verb) == made, "before", math.inf)
    )
    stage.apply(autoscaling=plan())
    stage.until(lambda: stage.ready(stage.stable) == 2, 30)
    assert "does not scale: exceeded quota: scalers" in stage.world.status(stage.name).message
    second = stage.release(2)
    stage.until(lambda: stage.stable == second)


def test_b12_autoscaling_begins_and_ends_with_the_field() -> None:
    """Added, it takes over where the replicas stand; removed, `replicas` counts again."""
    stage = serving(replicas=6)
    stage.run(120)
    stage.apply(autoscaling=plan(most=8))
    stage.run(2)
    first = stage.stable
    assert (bounds(stage, first), pods(stage, first)) == ((2, 8), 6)
    stage.apply(autoscaling=plan(most=5) | {"metrics": [{"resource": "cpu", "utilization": "50%"}]})
    stage.run(2)
    assert (bounds(stage, first), pods(stage, first)) == ((2, 5), 5)
    target = {"type": "Utilization", "averageUtilization": 50}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    assert hpas(stage)[first]["spec"]["metrics"] == [cpu]
    stage.apply(autoscaling=None)
    stage.run(2)
    assert (hpas(stage), pods(stage, first)) == ({}, 6)


def test_b38_zero_switches_autoscalers_off() -> None:
    """At zero there is no autoscaler and no pod; back from zero there are both."""
    stage, scaler = scaled()
    first = stage.stable
    stage.harmed = True
    stage.apply(replicas=0)
    scaler.run(30)
    assert (hpas(stage), pods(stage, first), stage.phase) == ({}, 0, "ScaledToZero")
    stage.apply(replicas=1)
    scaler.until(lambda: stage.ready(first) >= 2)
    scaler.until(lambda: stage.size == 4)
    stage.heal()
    scaler.run(120)
    assert pods(stage, first) in {4, 5}
