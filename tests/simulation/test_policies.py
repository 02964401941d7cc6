"""Shared policies: copied at the start, edited and deleted in mid-rollout, missing, doubled."""

from typing import Any

from simulation.stage import BROKEN, ERRORS, NAME, Stage, model, policy, quick, serving, step

from rampway.api import labels
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.errors import Forbidden
from rampway.kube.kinds import CLUSTER_ROLLOUT_POLICY, ROLLOUT_POLICY, Kind
from rampway.sim.apiserver import Call
from rampway.sim.world import SPACE

CAREFUL = {"kind": "RolloutPolicy", "name": "careful"}


def put(stage: Stage, kind: Kind, name: str, spec: Obj, *, default: bool = False) -> None:
    """Create a shared policy."""
    meta: Obj = {"name": name}
    if kind.namespaced:
        meta["namespace"] = SPACE
    if default:
        meta["annotations"] = {labels.DEFAULT: "true"}
    stage.world.store.create(kind, {"metadata": meta, "spec": spec})


def sharing(spec: Obj | None = None, **rollout: Any) -> Stage:
    """Return a stage on which v1 serves, and which from now on goes by a shared policy."""
    stage = serving(rollout=quick())
    if spec is not None:
        put(stage, ROLLOUT_POLICY, "careful", spec)
    stage.apply(rollout={"policy": None, "policyRef": CAREFUL, **rollout})
    stage.run(2)
    return stage


def elsewhere(name: str) -> dict[str, Any]:
    """Return the traffic of a neighbour."""
    return {"ownedRoute": {"parentRefs": [{"name": "eg"}], "hostnames": [f"{name}.example"]}}


def accepted(stage: Stage) -> tuple[str, str]:
    """Return status and reason of the condition Accepted."""
    conditions = stage.world.status(NAME).conditions
    return next((c.status, c.reason) for c in conditions if c.type == "Accepted")


def test_b36_a_rollout_goes_by_a_copy_of_the_shared_policy() -> None:
    """B36: steps and checks are those of the RolloutPolicy; where they are from is on record."""
    stage = sharing(quick(step("ten", 10), step("all", 100)))
    stage.release(2)
    stage.until_phase("Progressing", 10)
    (rollout,) = stage.world.rollouts(NAME)
    assert [s.name for s in rollout.spec.policy.steps] == ["ten", "all"]
    assert rollout.spec.policy_from == "RolloutPolicy careful, generation 1"
    stage.until_phase("Healthy")


def test_b36_an_edit_in_mid_rollout_counts_from_the_next_rollout_on() -> None:
    """B36: an edited policy changes nothing that is under way; the next rollout has the new one."""
    stage = sharing(quick(step("half", 50, 30)))
    stage.release(2)
    stage.until_step("half")
    edited = quick(step("tenth", 10), step("all", 100, 20))
    stage.world.store.patch(ROLLOUT_POLICY, SPACE, "careful", {"spec": edited})
    stage.run(10)
    assert stage.weight_pct == 50
    assert [s.name for s in stage.world.rollouts(NAME)[0].spec.policy.steps] == ["half"]
    stage.until_phase("Healthy")
    stage.release(3)
    stage.until_step("tenth")
    assert stage.world.rollouts(NAME)[-1].spec.policy_from == "RolloutPolicy careful, generation 2"


def test_b36_deleting_a_policy_in_use_is_safe() -> None:
    """B36: the rollout under way goes by its copy to its end, a rollback included."""
    stage = sharing(policy(step("half", 50, 600), checks=(ERRORS,)))
    bad = stage.release(2)
    stage.until_step("half")
    stage.world.store.delete(ROLLOUT_POLICY, SPACE, "careful")
    stage.run(20)
    assert (stage.weight_pct, accepted(stage)) == (50, ("True", "Valid"))
    stage.harmed = True
    stage.world.behave(bad, BROKEN)
    stage.until_phase("RolledBack")
    stage.run(5)
    assert accepted(stage) == ("False", "PolicyNotFound")


def test_b23_a_rollback_needs_no_right_to_read_policies() -> None:
    """B23: an operator that may not read policies starts nothing, and still puts traffic back."""
    stage = sharing(policy(step("half", 50, 600), checks=(ERRORS,)))
    bad = stage.release(2)
    stage.until_step("half")

    def policies(call: Call) -> bool:
        return call.kind is ROLLOUT_POLICY

    stage.world.api.fail_next(Forbidden("no right"), times=10_000, predicate=policies)
    stage.harmed = True
    stage.world.behave(bad, BROKEN)
    stage.until_phase("RolledBack")
    stage.heal()
    stage.release(3)
    stage.until(lambda: accepted(stage) == ("False", "PolicyUnreadable"), 60)
    stage.run(30)
    assert len(stage.world.rollouts(NAME)) == 1


def test_b36_a_missing_policy_starts_nothing_and_goes_on_by_itself() -> None:
    """B36: stable serves on; the policy's own arrival starts the rollout, without a resync."""
    stage = sharing()
    assert accepted(stage) == ("False", "PolicyNotFound")
    assert stage.phase == "Healthy"
    stage.release(2)
    stage.until_phase("Refused", 5)
    stage.run(70)
    assert stage.world.rollouts(NAME) == []
    assert stage.world.condition(NAME, "Ready") == "True"
    assert stage.world.condition(NAME, "Stalled") == "True"
    assert "there is no RolloutPolicy careful" in stage.world.status(NAME).message
    put(stage, ROLLOUT_POLICY, "careful", quick())
    stage.run(2)
    assert len(stage.world.rollouts(NAME)) == 1
    assert accepted(stage) == ("True", "Valid")
    stage.until_phase("Healthy")


def test_b36_a_policy_of_another_namespace_is_not_it() -> None:
    """B36: a reference never leaves its namespace."""
    stage = sharing()
    stage.world.store.create(kinds.NAMESPACE, {"metadata": {"name": "other"}})
    meta = {"name": "careful", "namespace": "other"}
    stage.world.store.create(ROLLOUT_POLICY, {"metadata": meta, "spec": quick()})
    stage.release(2)
    stage.run(70)
    assert stage.world.rollouts(NAME) == []


def test_a_first_revision_waits_for_no_policy() -> None:
    """B1: nothing is rolled out at the first apply, so it serves; the missing policy is told."""
    stage = Stage(serving(rollout=quick()).world, name="numbers")
    stage.apply(
        model=model(7), replicas=1, traffic=elsewhere("numbers"), rollout={"policyRef": CAREFUL}
    )
    stage.until_phase("Healthy", 60)
    found = {c.type: c.reason for c in stage.world.status("numbers").conditions}
    assert found["Accepted"] == "PolicyNotFound"


def test_a_cluster_policy_by_name_and_by_default() -> None:
    """Named it is found from any namespace; marked as default it is for who names none."""
    stage = sharing(policyRef={"kind": "ClusterRolloutPolicy", "name": "ours"})
    put(stage, CLUSTER_ROLLOUT_POLICY, "ours", quick(step("ours", 50)))
    put(stage, CLUSTER_ROLLOUT_POLICY, "strict", quick(step("strict", 50)), default=True)
    stage.release(2)
    stage.until_step("ours")
    stage.until_phase("Healthy")
    stage.apply(rollout={"policyRef": None}, model=model(3))
    stage.until_step("strict")
    assert stage.world.rollouts(NAME)[-1].spec.policy_from.startswith("ClusterRolloutPolicy strict")


def test_b36_two_defaults_start_nothing_until_there_is_one() -> None:
    """B36: which of them was meant is not guessed; the one left starts the rollout at once."""
    stage = sharing(policyRef=None)
    for name in ("a", "b"):
        put(stage, CLUSTER_ROLLOUT_POLICY, name, quick(step(name, 50)), default=True)
    stage.release(2)
    stage.until_phase("Refused", 5)
    assert accepted(stage) == ("False", "SeveralDefaults")
    note = {"metadata": {"annotations": {labels.DEFAULT: "false"}}}
    stage.world.store.patch(CLUSTER_ROLLOUT_POLICY, None, "a", note)
    stage.until_step("b")


def test_a_change_of_a_shared_policy_wakes_only_who_names_it() -> None:
    """An event about a policy costs a pass of those that lean on it, and of nobody else."""
    stage = sharing(quick())
    other = Stage(stage.world, name="numbers")
    other.apply(
        model=model(7), replicas=1, traffic=elsewhere("numbers"), rollout={"policy": quick()}
    )
    other.until_phase("Healthy", 60)
    stage.run(20)
    leaning = stage.world.reconciler.leaning_on
    assert leaning(("RolloutPolicy", SPACE, "careful")) == [(SPACE, NAME)]
    assert leaning(("RolloutPolicy", SPACE, "other")) == []
    assert leaning(("RolloutPolicy", "other", "careful")) == []
    before = len(stage.world.api.calls)
    stage.world.store.patch(ROLLOUT_POLICY, SPACE, "careful", {"spec": quick(step("x", 10))})
    stage.run(1)
    calls = stage.world.api.calls[before:]
    assert [c.name for c in calls if c.kind is kinds.MODEL_DEPLOYMENT] == [NAME]


def test_a_policy_in_the_spec_costs_no_call() -> None:
    """Who shares nothing never asks for what is shared."""
    stage = serving(rollout=quick())
    stage.release(2)
    stage.until_phase("Healthy")
    asked = {call.kind.kind for call in stage.world.api.calls}
    assert not asked & {ROLLOUT_POLICY.kind, CLUSTER_ROLLOUT_POLICY.kind}
