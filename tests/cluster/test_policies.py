"""Shared policies on a cluster: the API server's part, and edits and deletions in mid-rollout."""

import json
from collections.abc import Callable, Iterator, Mapping
from secrets import token_hex
from typing import Any

import pytest
from cluster.bench import Bench, Obj
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.subject import QUICK, Subject, evidence, share, step

pytestmark = pytest.mark.cluster

API = "rampway.dev/v1alpha1"
POLICY = evidence(step(20, "5s"), step(50, "20s"))
Put = Callable[[Mapping[str, Any]], str]


def shared(subject: Subject, spec: Mapping[str, Any], name: str = "careful") -> Obj:
    """Return a RolloutPolicy in the test's namespace."""
    meta = {"name": name, "namespace": subject.namespace}
    return {"apiVersion": API, "kind": "RolloutPolicy", "metadata": meta, "spec": dict(spec)}


def sharing(subject: Subject, model: str, **rollout: Any) -> Obj:
    """Return the ModelDeployment with a policy that it shares; by default `careful`."""
    made = subject.manifest(model)
    policy = rollout or {"policyRef": {"name": "careful"}}
    made["spec"]["rollout"] = {"progressDeadline": "2m", **policy}
    return made


def accepted(subject: Subject) -> tuple[str, str]:
    """Return status and reason of Accepted."""
    found = subject.condition("Accepted")
    return found.get("status", ""), found.get("reason", "")


@pytest.fixture
def put_default(bench: Bench) -> Iterator[Put]:
    """Return a function that makes a default ClusterRolloutPolicy; all are gone afterwards."""
    names: list[str] = []

    def put(spec: Mapping[str, Any]) -> str:
        name = f"rampway-test-{token_hex(3)}"
        meta = {"name": name, "annotations": {"rampway.dev/default": "true"}}
        names.append(name)
        bench.kube.apply(
            {"apiVersion": API, "kind": "ClusterRolloutPolicy", "metadata": meta, "spec": spec}
        )
        return name

    yield put
    for name in names:
        bench.kube("delete", "clusterrolloutpolicy", name, "--ignore-not-found")


def test_b36_edited_and_deleted_in_mid_rollout_under_traffic(
    bench: Bench, subject: Subject, calling: Calling
) -> None:
    """B36: neither changes what is under way, no request fails, and the next one takes the edit."""
    bench.kube.apply(shared(subject, POLICY))
    subject.put(sharing(subject, "v1"))
    subject.promoted()
    with calling() as caller:
        subject.put(sharing(subject, "v2"))
        subject.in_force(20)
        bench.kube.apply(shared(subject, evidence(step(1, "10m"))))
        subject.in_force(50)
        bench.kube("delete", "rolloutpolicy", "careful", "-n", subject.namespace)
        subject.promoted(120)
        settle()
        (rollout,) = subject.rollouts()
        assert [s["weight"] for s in rollout["spec"]["policy"]["steps"]] == ["20%", "50%"]
        assert rollout["spec"]["policyFrom"] == "RolloutPolicy careful, generation 1"
        subject.until(lambda: accepted(subject) == ("False", "PolicyNotFound"), "the deletion told")
        subject.put(sharing(subject, "v1"))
        subject.until(lambda: subject.status().get("phase") == "Refused", "no rollout begins")
        assert len(subject.rollouts()) == 1
        assert share(subject.route()) == 0
        bench.kube.apply(shared(subject, evidence(step(40, "2s"))))
        subject.in_force(40, 30)
        subject.promoted(120)
        settle()
    assert caller.failed() == []
    assert caller.left_out() < len(caller.answers()) / 10, "the machine was too busy to ask"


def test_a_shared_policy_rolls_a_bad_model_back(
    bench: Bench, subject: Subject, calling: Calling
) -> None:
    """Checks of a shared policy judge as those in a spec do, also once it is deleted."""
    bench.kube.apply(shared(subject, evidence(step(50, "1m"))))
    subject.put(sharing(subject, "v1"))
    subject.promoted()
    with calling():
        subject.put(sharing(subject, "v3"))
        subject.in_force(50)
        bench.kube("delete", "rolloutpolicy", "careful", "-n", subject.namespace)
        status = subject.rolled_back(90)
    assert status["reason"] == "CheckFailed"
    subject.until(lambda: accepted(subject) == ("False", "PolicyNotFound"), "the deletion told")


@pytest.mark.alone
def test_b36_the_clusters_default_and_two_of_them(subject: Subject, put_default: Put) -> None:
    """B36: who names no policy gets the cluster's default; between two nobody chooses."""
    first = put_default({**QUICK, "steps": [step(30, "2s")]})
    subject.put(sharing(subject, "v1", policy=None))
    subject.promoted()
    second = put_default(QUICK)
    subject.put(sharing(subject, "v2", policy=None))
    subject.until(lambda: accepted(subject) == ("False", "SeveralDefaults"), "two defaults told")
    assert subject.rollouts() == []
    subject.bench.kube("annotate", "clusterrolloutpolicy", second, "rampway.dev/default-")
    subject.promoted()
    (rollout,) = subject.rollouts()
    assert rollout["spec"]["policyFrom"].startswith(f"ClusterRolloutPolicy {first}, ")


def test_a_policy_filled_in_by_an_older_api_server_goes_away_by_null(
    bench: Bench, subject: Subject
) -> None:
    """`policy: null` beside `policyRef` takes away what was stored; both together are refused."""
    bench.kube.apply(shared(subject, QUICK))
    subject.start("v1")
    reference = {"policyRef": {"name": "careful"}}
    both = json.dumps({"spec": {"rollout": reference}})
    target = ("modeldeployment", subject.name, "-n", subject.namespace, "--type=merge", "-p")
    said = bench.kube.run("kubectl", "patch", *target, both)
    assert said.returncode != 0
    assert "expected policy or policyRef, never both" in said.stderr
    bench.kube("patch", *target, json.dumps({"spec": {"rollout": {"policy": None, **reference}}}))
    assert "policy" not in subject.object()["spec"]["rollout"]


@pytest.mark.parametrize("kind", ["rolloutpolicies", "clusterrolloutpolicies"])
def test_explain_and_get_know_shared_policies(bench: Bench, kind: str) -> None:
    """`kubectl explain` has the same texts as for a policy in a spec; `kubectl get` has columns."""
    for field in ("steps", "checks.errorRate", "rollback.mode"):
        mine = bench.kube("explain", f"{kind}.spec.{field}")
        others = bench.kube("explain", f"modeldeployment.spec.rollout.policy.{field}")
        start = mine.index("DESCRIPTION:")
        assert mine[start:] == others[others.index("DESCRIPTION:") :]
    columns = bench.kube("get", kind, "-A", "-o", "wide", "--ignore-not-found")
    assert not columns or "FALSEROLLBACKS" in columns


@pytest.mark.faults
def test_b36_a_metric_source_that_nobody_allowed_is_not_asked(
    bench: Bench, subject: Subject, calling: Calling
) -> None:
    """B36: its rollout gives the candidate nothing; without the reference it goes on by itself."""
    meta = {"name": "mine", "namespace": subject.namespace}
    source = {"apiVersion": API, "kind": "MetricSource", "metadata": meta}
    bench.kube.apply({**source, "spec": {"address": "http://example.invalid:9090"}})
    subject.start("v1", POLICY)
    with calling():
        subject.apply("v2", POLICY, metrics={"sourceRef": {"name": "mine"}})
        subject.until(
            lambda: accepted(subject) == ("False", "MetricSourceRefused"), "the refusal told"
        )
        subject.until(lambda: "candidate" in subject.status(), "a candidate")
        subject.until(lambda: subject.pods(subject.status()["candidate"]["revision"]), "a pod")
        assert share(subject.route()) == 0
        subject.apply("v2", POLICY)
        subject.promoted(120)
