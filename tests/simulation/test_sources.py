"""Metric sources: one that fails touches only who named it, and the list decides what is asked."""

from typing import Any

from simulation.stage import BROKEN, ERRORS, NAME, Stage, model, policy, serving, step

from rampway.api import labels
from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.sources import Allowed
from rampway.kube.base import Obj
from rampway.kube.kinds import CLUSTER_METRIC_SOURCE, METRIC_SOURCE
from rampway.metrics.memory import MemorySource, Mode
from rampway.sim.world import SPACE

ADDRESS = "http://team:9090"
TEAMS = Allowed(ADDRESS, frozenset({SPACE}))
MAIN = {"metrics": {"sourceRef": {"name": "main"}}}


def put(stage: Stage, address: str = ADDRESS, name: str = "main") -> None:
    """Create a MetricSource."""
    meta = {"name": name, "namespace": SPACE}
    stage.world.store.create(METRIC_SOURCE, {"metadata": meta, "spec": {"address": address}})


def accepted(stage: Stage) -> tuple[str, str]:
    """Return status and reason of the condition Accepted."""
    conditions = stage.world.status(stage.name).conditions
    return next((c.status, c.reason) for c in conditions if c.type == "Accepted")


def judged(**spec: Any) -> Stage:
    """Return a stage whose next rollout is judged for errors."""
    return serving(rollout=policy(step("half", 50, 20), checks=(ERRORS,)), **spec)


def test_b36_a_refused_address_is_never_asked() -> None:
    """B36: the list is empty; the candidate gets no request, and Accepted says why."""
    stage = judged()
    put(stage)
    stage.apply(**MAIN)
    stage.run(2)
    assert accepted(stage) == ("False", "MetricSourceRefused")
    assert stage.phase == "Healthy"
    stage.release(2)
    stage.run(60)
    assert stage.weight_pct == 0
    told = stage.world.status(NAME)
    assert (told.phase, told.reason) == ("Holding", "MetricSourceRefused")
    assert "is not on the list" in told.message
    stage.world.allowed = (TEAMS,)
    stage.until_phase("Healthy", 200)
    assert accepted(stage) == ("True", "Valid")


def test_b36_a_query_is_not_asked_of_a_prometheus_that_confines_none() -> None:
    """B36: told at rest and held with a candidate; opened by the administrator, it goes on."""
    orders = {"name": "orders", "threshold": {"query": "orders", "min": "1"}}
    stage = serving(rollout=policy(step("half", 50, 20), checks=(ERRORS, orders)))
    stage.world.allowed, opened = (), stage.world.allowed
    stage.apply(info={"version": "again"})
    stage.run(2)
    assert accepted(stage) == ("False", "MetricSourceRefused")
    stage.world.source.answers = lambda _, at_s: Answer(AnswerKind.VALUE, 5.0, at_s=at_s)
    stage.release(2)
    stage.run(60)
    assert stage.weight_pct == 0
    assert "confines none to its namespace" in stage.world.status(NAME).message
    stage.world.allowed = opened
    stage.until_phase("Healthy", 200)


def test_b36_closed_in_mid_rollout_its_query_is_asked_no_more() -> None:
    """B36: it counts for the rollout's copy of the policy, which may be no one's any more."""
    orders = {"name": "orders", "threshold": {"query": "orders", "min": "1"}}
    stage = serving(rollout=policy(step("half", 50, 600), checks=(orders,)))
    asked: list[float] = []

    def answer(_: str, at_s: float) -> Answer:
        asked.append(at_s)
        return Answer(AnswerKind.VALUE, 5.0, at_s=at_s)

    stage.world.source.answers = answer
    stage.release(2)
    stage.until_step("half")
    stage.apply(rollout={"policy": {"checks": []}})
    stage.run(5)
    stage.world.allowed = ()
    stage.run(60)
    asked.clear()
    stage.run(60)
    assert not asked
    assert stage.weight_pct == 50
    assert stage.phase == "Holding"


def test_a_missing_source_goes_on_by_itself() -> None:
    """Its own arrival ends the wait; stable serves on until then."""
    stage = judged(**MAIN)
    stage.world.allowed = (TEAMS,)
    assert accepted(stage) == ("False", "MetricSourceNotFound")
    stage.release(2)
    stage.run(60)
    assert stage.weight_pct == 0
    put(stage)
    stage.run(2)
    assert accepted(stage) == ("True", "Valid")
    stage.until_phase("Healthy", 200)


def test_b17_a_source_that_fails_touches_only_who_named_it() -> None:
    """B17: one team's Prometheus is away: its rollout holds, the other one is promoted."""
    stage = judged()
    world = stage.world
    world.allowed = (TEAMS,)
    world.elsewhere[ADDRESS] = MemorySource(mode=Mode.UNREACHABLE)
    put(stage)
    other = Stage(world, name="numbers")
    hosts = {"ownedRoute": {"parentRefs": [{"name": "eg"}], "hostnames": ["numbers.example"]}}
    rollout = {"policy": policy(step("half", 50, 20), checks=(ERRORS,))}
    other.apply(model=model(7), replicas=1, traffic=hosts, rollout=rollout, **MAIN)
    other.until_phase("Healthy", 60)
    other.release(8)
    stage.release(2)
    stage.until_phase("Healthy", 200)
    assert other.weight_pct == 0
    assert "no route to host" in world.status("numbers").message
    assert accepted(other) == ("True", "Valid")


def test_b23_a_rollback_needs_no_source() -> None:
    """B23: the source is deleted in mid-rollout; a candidate that crashes is rolled back."""
    stage = serving(rollout=policy(step("half", 50, 600), checks=(ERRORS,)))
    stage.world.allowed = (TEAMS,)
    stage.world.direct_look = True
    put(stage)
    stage.apply(**MAIN)
    bad = stage.release(2)
    stage.until_step("half")
    stage.world.store.delete(METRIC_SOURCE, SPACE, "main")
    stage.run(3)
    assert accepted(stage) == ("False", "MetricSourceNotFound")
    assert stage.weight_pct == 50
    stage.harmed = True
    stage.world.behave(bad, BROKEN)
    stage.until_phase("RolledBack", 60)


def test_the_clusters_default_is_asked_where_none_is_named() -> None:
    """And what it does not know, the operator's own Prometheus is not asked instead."""
    stage = judged()
    stage.world.allowed = (TEAMS,)
    stage.world.elsewhere[ADDRESS] = MemorySource(mode=Mode.UNREACHABLE)
    meta: Obj = {"name": "ours", "annotations": {labels.DEFAULT: "true"}}
    made = {"metadata": meta, "spec": {"address": ADDRESS}}
    stage.world.store.create(CLUSTER_METRIC_SOURCE, made)
    stage.release(2)
    stage.run(60)
    assert stage.weight_pct == 0
    note = {"metadata": {"annotations": {labels.DEFAULT: "false"}}}
    stage.world.store.patch(CLUSTER_METRIC_SOURCE, None, "ours", note)
    stage.until_phase("Healthy", 200)
