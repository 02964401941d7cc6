"""What a rollout does to the route: when a weight counts, and what is left alone (B13, B14)."""

from typing import Any

import pytest
from simulation.stage import BROKEN, NAME, Stage, quick, serving, step

from rampway.kube import kinds
from rampway.kube.base import JsonPatch, Obj
from rampway.sim.api_store import Change
from rampway.sim.world import SPACE

BACKENDS = "/spec/rules/0/backendRefs"


def untouched(stage: Stage) -> Obj:
    """Return what a rollout must leave alone: all of the route but backends and bookkeeping."""
    route = stage.route()
    route.pop("status", None)
    for key in ("resourceVersion", "generation", "managedFields"):
        route["metadata"].pop(key, None)
    del route["spec"]["rules"][0]["backendRefs"]
    return route


def write_route(stage: Stage, patch: JsonPatch) -> None:
    """Write the route as somebody else does."""
    stage.world.store.patch(kinds.HTTP_ROUTE, SPACE, NAME, patch)


def backend(name: str, weight: int) -> dict[str, Any]:
    """Return one backend."""
    return {"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight}


def stable_alone(stage: Stage) -> JsonPatch:
    """Return the patch of a GitOps sync that knows of no candidate."""
    del stage
    return [{"op": "replace", "path": BACKENDS, "value": [backend(NAME, 1)]}]


# B13


def refuse_at(stage: Stage, weight_pct: int, words: str) -> None:
    """Let the Gateway refuse the route from the moment on when the candidate gets this weight."""

    def watch(change: Change) -> None:
        if change.kind is kinds.HTTP_ROUTE and change.type == "MODIFIED":
            refs = change.obj["spec"]["rules"][0]["backendRefs"]
            if any(ref["weight"] == weight_pct and ref["name"] != NAME for ref in refs):
                stage.world.store.watchers.remove(watch)
                stage.world.cluster.refuse(SPACE, NAME, words)

    stage.world.store.watchers.append(watch)


def test_b13_a_refused_weight_does_not_count() -> None:
    """A Gateway that refuses the route: the step waits, says why, and its hold does not run."""
    stage = serving(rollout=quick(step("ten", 10, 10), step("half", 50, 10)))
    first, second = stage.stable, stage.release(2)
    refuse_at(stage, 50, "the listener is full")
    stage.until_step("ten")
    stage.run(60)
    rollout = stage.world.rollouts(NAME)[-1]
    assert (rollout.status.step.name, rollout.status.step.in_force_since) == ("half", "")
    assert "the listener is full" in stage.world.status(NAME).message
    assert stage.world.status(NAME).reason == "RoutePending"
    assert stage.world.cluster.weights(SPACE, NAME) == {NAME: 90, f"{NAME}-{second}": 10}
    assert stage.stable == first
    stage.world.cluster.refuse(SPACE, NAME, "")
    stage.until_step("half", 10)
    assert stage.until_phase("Healthy") >= 10
    assert stage.stable == second


def test_b13_nothing_is_promoted_on_a_route_that_is_not_in_force() -> None:
    """The last weight counts like the others: refused, the candidate does not become stable."""
    stage = serving(rollout=quick(step("half", 50, 10)))
    first, second = stage.stable, stage.release(2)
    refuse_at(stage, 100, "no certificate")
    stage.run(90)
    assert (stage.stable, stage.weight_pct) == (first, 100)
    assert stage.world.cluster.weights(SPACE, NAME) == {NAME: 50, f"{NAME}-{second}": 50}
    stage.world.cluster.refuse(SPACE, NAME, "")
    stage.until_phase("Healthy", 30)
    assert stage.stable == second


def test_b13_every_parent_has_to_accept() -> None:
    """With two Gateways one answer is not enough."""
    parents = {"ownedRoute": {"parentRefs": [{"name": "eg"}, {"name": "second"}]}}
    stage = serving(rollout=quick(step("ten", 10, 5)), traffic=parents)
    stage.release(2)
    stage.until_step("ten")
    second = stage.route()["status"]["parents"][1]["parentRef"]["name"]
    assert second == "second"
    write_status(stage, 1, {"status": "False", "message": "not allowed from this namespace"})
    stage.run(2)
    status = stage.world.rollouts(NAME)[-1].status
    assert status.step.in_force_since == ""
    assert "Gateway second" in status.message
    assert "not allowed from this namespace" in status.message


@pytest.mark.parametrize("condition", ["Accepted", "ResolvedRefs"])
@pytest.mark.parametrize("found", [{"status": "False"}, {"observedGeneration": 1}])
def test_b13_accepted_and_resolved_at_this_generation(
    condition: str, found: dict[str, Any]
) -> None:
    """Either condition missing, False, or about an older generation: the weight does not count."""
    stage = serving(rollout=quick(step("ten", 10, 60)))
    stage.release(2)
    stage.until_step("ten")
    write_status(stage, 0, found, condition)
    stage.run(2)
    assert stage.world.rollouts(NAME)[-1].status.step.in_force_since == ""
    assert stage.world.status(NAME).reason == "RoutePending"


def test_b13_b26_a_rollback_that_the_gateway_refuses_is_not_called_done() -> None:
    """A gateway that goes on sending keeps it RollingBack, with its words, until it obeys."""
    stage = serving(rollout=quick(step("half", 50, 300)))
    first, bad = stage.stable, stage.release(2)
    stage.until_step("half")
    stage.world.cluster.refuse(SPACE, NAME, "the listener is gone")
    stage.harmed = True
    for pod in stage.world.cluster.pods(SPACE, bad):
        stage.world.cluster.crash(SPACE, pod.name, "Error")
    stage.run(30)
    status = stage.world.status(NAME)
    assert stage.weight_pct == 0
    assert (status.phase, stage.stable) == ("RollingBack", first)
    assert "the gateway has not confirmed that all traffic is back" in status.message
    assert "the listener is gone" in status.message
    stage.world.cluster.refuse(SPACE, NAME, "")
    stage.until_phase("RolledBack", 10)
    assert "listener" not in stage.world.status(NAME).message


def write_status(
    stage: Stage, parent: int, found: dict[str, Any], condition: str = "Accepted"
) -> None:
    """Let one parent say something else in one of its conditions."""
    parents = stage.route()["status"]["parents"]
    for known in parents[parent]["conditions"]:
        if known["type"] == condition:
            known.update(found)
    patch: Obj = {"status": {"parents": parents}}
    stage.world.store.patch(kinds.HTTP_ROUTE, SPACE, NAME, patch, subresource="status")


# B14


def test_b14_at_rest_exactly_one_backend() -> None:
    """Before, after a promotion and after a rollback the rule holds the Service `<name>` alone."""
    stage = serving()
    assert stage.route()["spec"]["rules"][0]["backendRefs"] == [backend(NAME, 1)]
    stage.release(2)
    stage.until_phase("Healthy")
    assert stage.route()["spec"]["rules"][0]["backendRefs"] == [backend(NAME, 1)]
    stage.harmed = True
    stage.release(3, BROKEN)
    stage.until_phase("RolledBack")
    assert stage.route()["spec"]["rules"][0]["backendRefs"] == [backend(NAME, 1)]


def test_b14_a_rollout_changes_backends_only() -> None:
    """Matches, hosts, parents, labels, owners and what others added stay byte for byte."""
    owned = {
        "parentRefs": [{"name": "eg"}],
        "hostnames": ["digits.example"],
        "pathPrefix": "/models/digits",
    }
    stage = serving(traffic={"ownedRoute": owned})
    notes = {"metadata": {"annotations": {"team": "vision"}, "labels": {"cost": "42"}}}
    stage.world.store.patch(kinds.HTTP_ROUTE, SPACE, NAME, notes)
    write_route(
        stage,
        [{"op": "add", "path": "/spec/rules/0/timeouts", "value": {"request": "30s"}}],
    )
    before = untouched(stage)
    assert before["spec"]["hostnames"] == ["digits.example"]
    stage.release(2)
    first, weights = stage.stable, set()
    while stage.phase != "Healthy" or stage.stable == first:
        stage.run(1)
        weights.add(stage.weight_pct)
        assert untouched(stage) == before
    assert weights == {0, 10, 50, 100}
    stage.harmed = True
    stage.release(3, BROKEN)
    stage.until_phase("RolledBack")
    assert untouched(stage) == before


def test_b14_writes_of_weights_are_conditional() -> None:
    """Each change of the route tests the version that was read and names the backends alone."""
    stage = serving()
    stage.world.api.calls.clear()
    stage.release(2)
    stage.until_phase("Healthy")
    calls = [c for c in stage.world.api.calls if c.kind is kinds.HTTP_ROUTE and c.writes]
    assert len(calls) >= 4
    for call in calls:
        test, change = call.body
        assert (test["op"], test["path"]) == ("test", "/metadata/resourceVersion")
        assert (change["op"], change["path"]) == ("replace", BACKENDS)


def test_b14_weights_of_a_stale_read_are_refused() -> None:
    """Somebody writes the route between our read and our write: ours fails and is done anew."""
    stage = serving(rollout=quick(step("ten", 10, 10)))
    stage.release(2)
    struck: list[int] = []

    def meddle(change: Change) -> None:
        # The status write comes right before the weights; see `rolling.roll`.
        if change.kind is kinds.MODEL_ROLLOUT and len(struck) < 3:
            struck.append(1)
            mark: Obj = {"metadata": {"annotations": {"sync": str(len(struck))}}}
            stage.world.store.patch(kinds.HTTP_ROUTE, SPACE, NAME, mark)

    stage.world.store.watchers.append(meddle)
    stage.until_phase("Healthy")
    assert struck == [1, 1, 1]
    assert stage.route()["metadata"]["annotations"] == {"sync": "3"}
    assert stage.stable == stage.desired


def test_b14_a_foreign_write_in_a_rollout_is_put_back() -> None:
    """A sync sends everything to stable; within 2 s the step's weight is there again."""
    stage = serving(rollout=quick(step("ten", 10, 5), step("half", 50, 60)))
    stage.release(2)
    stage.until_step("half")
    write_route(stage, stable_alone(stage))
    assert stage.until(lambda: stage.weight_pct == 50, 2) <= 2


@pytest.mark.parametrize("weight_pct", [1, 99, 100])
def test_b14_a_foreign_weight_is_put_back(weight_pct: int) -> None:
    """Nobody else decides what the candidate gets: more or less of it lasts 2 s at most."""
    stage = serving(rollout=quick(step("half", 50, 60)), replicas=2)
    second = stage.release(2)
    stage.until_step("half")
    value = [backend(NAME, 100 - weight_pct), backend(f"{NAME}-{second}", weight_pct)]
    write_route(stage, [{"op": "replace", "path": BACKENDS, "value": value}])
    stage.run(1)
    assert stage.weight_pct == 50
    assert stage.world.rollouts(NAME)[-1].status.phase == "Stepping"


def test_b14_a_stranger_beside_the_right_share_is_put_out() -> None:
    """A third backend that leaves the candidate its share takes stable's: it is put out."""
    stage = serving(rollout=quick(step("half", 50, 60)), replicas=2)
    second = stage.release(2)
    stage.until_step("half")
    stage.harmed = True
    value = [backend(NAME, 25), backend(f"{NAME}-{second}", 50), backend("stranger", 25)]
    write_route(stage, [{"op": "replace", "path": BACKENDS, "value": value}])
    stage.world.step()
    stage.run(1)
    assert stage.backends() == {NAME: 50, f"{NAME}-{second}": 50}


@pytest.mark.parametrize("paused", [False, True])
def test_b14_a_deleted_route_is_made_again(paused: bool) -> None:
    """Somebody deletes the route in a rollout: it is there again with the step's weight."""
    stage = serving(rollout=quick(step("half", 50, 60)), replicas=2)
    stage.release(2)
    stage.until_step("half")
    stage.apply(paused=paused)
    before = untouched(stage)
    stage.harmed = True
    stage.world.store.delete(kinds.HTTP_ROUTE, SPACE, NAME)
    stage.run(2)
    assert stage.weight_pct == 50
    assert untouched(stage)["spec"] == before["spec"]
    stage.run(3)
    stage.heal()
    stage.run(5)


def test_b14_a_foreign_write_under_a_pause_is_put_back() -> None:
    """A pause stops advances; it does not hand the route to others."""
    stage = serving(rollout=quick(step("half", 50, 10)))
    stage.release(2)
    stage.until_step("half")
    stage.apply(paused=True)
    stage.run(20)
    write_route(stage, stable_alone(stage))
    stage.run(2)
    assert stage.weight_pct == 50
    stage.run(20)
    assert stage.weight_pct == 50


@pytest.mark.parametrize(
    "change",
    [
        {"op": "add", "path": f"{BACKENDS}/-", "value": backend("stranger", 1)},
        {"op": "replace", "path": BACKENDS, "value": [backend("stranger", 1)]},
        {"op": "replace", "path": "/spec/rules/0/matches/0/path/value", "value": "/other"},
        {"op": "add", "path": "/spec/hostnames", "value": ["stranger.example"]},
        {"op": "replace", "path": "/spec/parentRefs/0/name", "value": "stranger"},
    ],
    ids=["backend-added", "backend-replaced", "path", "host", "gateway"],
)
def test_b14_a_foreign_write_at_rest_is_put_back(change: dict[str, Any]) -> None:
    """At rest the route is as the spec wants it again within 2 s, whatever somebody wrote."""
    stage = serving()
    spec = stage.route()["spec"]
    stage.harmed = True
    write_route(stage, [change])
    assert stage.route()["spec"] != spec
    stage.world.step()  # the stranger stands in the route for less than this second
    stage.run(1)
    assert stage.route()["spec"] == spec
    stage.heal()
    stage.run(5)
