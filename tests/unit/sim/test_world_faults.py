"""What can happen to the simulated operator: outages, kills, a cut watch, an unready probe."""

from dataclasses import replace
from math import inf

import pytest
from simulation.stage import NAME, model, quick, step

from rampway.kube import kinds
from rampway.kube.errors import NotFound, Transient
from rampway.sim.api_faults import Call, Fault
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE, World


@pytest.fixture
def world() -> World:
    """Return a world in which v1 serves."""
    found = World()
    policy = quick(step("half", 50, 3))
    found.apply(NAME, {"model": model(1), "replicas": 2, "rollout": {"policy": policy}})
    found.run(20)
    assert found.status(NAME).phase == "Healthy"
    return found


def outage(world: World) -> Fault:
    """Let every call fail from now on."""
    fault = Fault(Transient("refused"), 0, lambda _call: True, "before", inf)
    world.api.faults.add(fault)
    return fault


def test_an_outage_lasts_until_it_is_ended_also_for_the_next_operator(world: World) -> None:
    """B30: nothing is written while it lasts, whoever calls; afterwards all of it is."""
    fault = outage(world)
    world.apply(NAME, {"model": model(2)})
    world.run(5)
    world.api.revive()
    world.start()
    world.run(5)
    assert world.rollouts(NAME) == []
    world.api.faults.end(fault)
    world.run(40)
    assert world.status(NAME).phase == "Healthy"
    assert len(world.rollouts(NAME)) == 1


def test_a_killed_operator_stays_away_as_long_as_it_is_told(world: World) -> None:
    """B33: after the time given it is back, by itself."""
    world.kill(back_s=4)
    world.apply(NAME, {"model": model(2)})
    world.run(3)
    assert world.rollouts(NAME) == []
    world.run(2)
    assert len(world.rollouts(NAME)) == 1


def test_an_operator_killed_by_a_call_comes_back_after_its_time(world: World) -> None:
    """B29: the call kills it; it is back after `restart_s` and not before."""
    world.restart_s = 3.0
    world.api.crash_after(1)
    world.apply(NAME, {"model": model(2)})
    world.run(1)
    assert not world.running
    assert world.restarts == 1
    world.run(3)
    assert world.running


def test_a_stalled_operator_does_nothing_until_its_call_ends(world: World) -> None:
    """It waits for an answer: no pass is made meanwhile."""
    world.stalled_until_s = world.clock() + 5
    world.apply(NAME, {"model": model(2)})
    world.run(4)
    assert world.rollouts(NAME) == []
    world.run(2)
    assert len(world.rollouts(NAME)) == 1


def test_a_cut_watch_hears_nothing_until_it_is_mended(world: World) -> None:
    """B30: what happened in between is found by the list that follows."""
    world.run(60)
    world.deaf = True
    world.apply(NAME, {"model": model(2)})
    world.run(10)
    assert world.rollouts(NAME) == []
    world.listen_again()
    world.run(1)
    assert len(world.rollouts(NAME)) == 1


def test_pods_are_unready_for_a_while_and_ready_again(world: World) -> None:
    """The probe fails, the container runs on, and afterwards the pod is ready without a restart."""
    digest = world.desired(NAME)
    world.behave(digest, replace(Behaviour(), unready_until_s=world.clock.elapsed_s + 5))
    world.run(2)
    assert [pod.ready for pod in world.cluster.pods(SPACE, digest)] == [False, False]
    assert world.status(NAME).phase == "Degraded"
    world.run(5)
    pods = world.cluster.pods(SPACE, digest)
    assert [(pod.ready, pod.restarts) for pod in pods] == [(True, 0), (True, 0)]


def test_listeners_hear_each_call_that_took_effect(world: World) -> None:
    """Calls that fail are not told; those whose answer is lost are."""
    heard: list[Call] = []
    world.api.listeners.append(heard.append)
    world.api.fail_next(Transient("busy"), predicate=lambda call: call.writes)
    world.api.fail_next(
        Transient("lost"), when="after", predicate=lambda call: call.kind is kinds.MODEL_ROLLOUT
    )
    world.apply(NAME, {"model": model(2)})
    world.run(5)
    created = [call for call in heard if call.verb == "create"]
    assert created[0].kind is kinds.MODEL_ROLLOUT
    assert all(world.store.get(c.kind, c.namespace, c.name) for c in created)


def test_a_view_shows_what_is_stored_now(world: World) -> None:
    """Objects come and go in it; a copy that was given out earlier is the caller's own."""
    first = world.store.get(kinds.HTTP_ROUTE, SPACE, NAME)
    first["spec"]["hostnames"] = ["changed"]
    view = world.store.view(kinds.HTTP_ROUTE)
    assert view[SPACE, NAME] == world.store.get(kinds.HTTP_ROUTE, SPACE, NAME) != first
    world.kill()
    world.store.delete(kinds.HTTP_ROUTE, SPACE, NAME)
    assert (SPACE, NAME) not in view
    with pytest.raises(NotFound):
        world.store.get(kinds.HTTP_ROUTE, SPACE, NAME)
