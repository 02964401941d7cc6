"""The ModelDeployments of `make bench-scale`: valid, on fake nodes alone, with known revisions."""

from typing import Any

from bench.scale.api import Obj
from bench.scale.objects import (
    CANDIDATE,
    STABLE,
    Member,
    changed,
    kept_deployment,
    kept_rollout,
    manifest,
)
from bench.scale.place import LABELS, NODES, TAINT, nodes

from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.core.model import revision
from rampway.shell.reading import known_sha256

KEY = ("team", "m00001")


def raw(**spec: Any) -> Obj:
    """Return the ModelDeployment as the API server has it."""
    found = manifest(KEY, "gateways", 2)
    found["metadata"] |= {"uid": "u-1", "generation": 1, "resourceVersion": "1"}
    found["spec"] |= spec
    return found


def candidate() -> ModelDeployment:
    """Return it after the change that begins a rollout."""
    return parse_deployment(raw(**changed()["spec"]))


def test_a_rollout_is_active_for_hours_with_three_checks() -> None:
    """One step of 20 %, three kinds of checks, no look at pods that nobody runs."""
    spec = parse_deployment(raw()).spec
    assert spec.rollout.policy is not None
    (step,) = spec.rollout.policy.steps
    assert step.weight == "20%"
    assert step.hold_s >= 3 * 3600
    kinds = [(c.error_rate, c.latency, c.threshold) for c in spec.rollout.policy.checks]
    assert [[part is not None for part in kind].index(True) for kind in kinds] == [0, 1, 2]
    assert not spec.metrics.direct_look.enabled
    assert spec.model.sha256 == STABLE * 64


def test_the_names_of_both_revisions_are_known_beforehand() -> None:
    """They are those that the operator gives, so that the exporter can name its series."""
    member = Member.of(raw())
    stable = revision.revision_hash(parse_deployment(raw()).spec)
    other = revision.revision_hash(candidate().spec)
    assert stable != other
    assert (member.stable, member.candidate) == (f"m00001-{stable}", f"m00001-{other}")
    assert candidate().spec.info.version == CANDIDATE


def test_digests_are_given_so_that_no_pod_is_asked() -> None:
    """A pod that nobody runs cannot say what it loaded; nor is it asked then."""
    for deployment, version in ((parse_deployment(raw()), STABLE), (candidate(), CANDIDATE)):
        made = revision.workload(deployment, "image", 2)
        assert known_sha256(made, {}) == version * 64


def test_pods_run_on_fake_nodes_alone() -> None:
    """The pod template selects the bench's nodes and tolerates their taint."""
    deployment = parse_deployment(raw())
    pod = revision.workload(deployment, "image", 2)["spec"]["template"]["spec"]
    fakes = [obj for _, obj in nodes()]
    assert len(fakes) == NODES
    for node in fakes:
        assert pod["nodeSelector"].items() <= node["metadata"]["labels"].items()
        (taint,) = node["spec"]["taints"]
        assert taint == {"key": TAINT, "value": "fake", "effect": "NoSchedule"}
    assert pod["nodeSelector"] == LABELS
    assert [t["key"] for t in pod["tolerations"]] == [TAINT]


def test_only_a_status_about_the_present_spec_counts_as_promoted() -> None:
    """A status of an earlier generation says nothing."""
    done = {"observedGeneration": 2, "phase": "Healthy", "message": "2 of 2",
            "conditions": [{"type": "Promoted", "status": "True"}]}  # fmt: skip
    found = {"metadata": {"generation": 2}, "status": done}
    assert kept_deployment(found)["promoted"] is True
    assert kept_deployment({**found, "metadata": {"generation": 3}})["promoted"] is False
    assert kept_deployment({"metadata": {"generation": 1}})["promoted"] is False


def test_a_rollout_counts_as_active_when_its_weight_is_in_force() -> None:
    """Stepping, at its weight, accepted by the gateway: all three."""
    check = {"name": "errors", "state": "Pass", "message": "fine"}
    status = {"phase": "Stepping", "weightPct": 20, "step": {"inForceSince": "now"},
              "checks": [check]}  # fmt: skip
    found = {"spec": {"deployment": "m"}, "status": status}
    assert kept_rollout(found)["active"] is True
    assert kept_rollout(found)["checks"] == [check]
    for change in ({"phase": "RollingBack"}, {"weightPct": 0}, {"step": {"inForceSince": ""}}):
        assert kept_rollout({**found, "status": {**status, **change}})["active"] is False
    assert kept_rollout({"spec": {"deployment": "m"}})["active"] is False
