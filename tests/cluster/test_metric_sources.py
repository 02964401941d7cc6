"""A Prometheus that asks for a login, confined to a namespace, as the guide sets it up (B36)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cluster.bench import SYSTEM, Bench, Obj
from cluster.between import beside_prometheus, fingerprint, patched
from cluster.conftest import Calling
from cluster.subject import Subject, evidence, share, step

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.faults]

API = "rampway.dev/v1alpha1"
NAME = "confined"
FIRST, ROTATED = "the-first-token", "the-rotated-token"
KUBELET_S = 120.0
"""By then a changed Secret or ConfigMap is in the pods."""
ORDERS = {"query": 'sum(rampway_requests_total{revision="{{ candidate }}"})', "min": "0"}
ERRORS = evidence()["checks"][0]
POLICY = evidence(step(50, "8s"), checks=[ERRORS, {"name": "orders", "threshold": ORDERS}])


def give_token(bench: Bench, token: str) -> None:
    """Put a token into the Secret that is mounted."""
    meta = {"name": NAME, "namespace": SYSTEM}
    bench.kube.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"token": token}}
    )


def mounting() -> list[Obj]:
    """Return the guide's patch that mounts the Secret into the operator's pods."""
    volume = {"name": NAME, "secret": {"secretName": NAME}}
    mount = {"name": NAME, "mountPath": f"/etc/rampway/credentials/{NAME}", "readOnly": True}
    spec = "/spec/template/spec"
    return [
        {"op": "add", "path": f"{spec}/volumes/-", "value": volume},
        {"op": "add", "path": f"{spec}/containers/0/volumeMounts/-", "value": mount},
    ]


@contextmanager
def listed(bench: Bench, address: str) -> Iterator[None]:
    """Allow an address with the login, and name it in a source, while the block runs."""
    sources = json.dumps([{"prefix": address, "credentials": [NAME]}])
    meta = {"name": "rampway-metric-sources", "namespace": SYSTEM}
    spec = {
        "address": address, "credentials": NAME, "namespaceEnforcement": {"header": "X-Namespace"},
    }  # fmt: skip
    bench.kube.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta,
         "data": {"sources.yaml": sources}},
        {"apiVersion": API, "kind": "ClusterMetricSource", "metadata": {"name": NAME},
         "spec": spec},
    )  # fmt: skip
    try:
        yield
    finally:
        bench.kube("delete", "clustermetricsource", NAME)
        bench.kube("delete", "configmap", meta["name"], "-n", SYSTEM)


def test_b36_a_listed_source_is_asked_with_its_login_for_one_namespace(
    bench: Bench, subject: Subject, calling: Calling, tmp_path: Path
) -> None:
    """B36, B30: a good model passes, the token is rotated in mid-rollout, a bad one is seen."""
    give_token(bench, FIRST)
    metrics = {"sourceRef": {"kind": "ClusterMetricSource", "name": NAME}}
    with (
        beside_prometheus(bench, tmp_path) as (between, address),
        patched(bench, "json", mounting()),
        listed(bench, address),
    ):
        between.plan(fault="demand", tokens=[fingerprint(FIRST)])
        subject.start("v1", POLICY, metrics=metrics)
        subject.until(
            lambda: subject.condition("Accepted").get("status") == "True", "the list read",
            KUBELET_S,
        )  # fmt: skip
        with calling():
            subject.apply("v2", POLICY, metrics=metrics)
            subject.in_force(50)
            assert not between.met("demand"), "a query without the login"
            between.plan(fault="demand", tokens=[fingerprint(ROTATED)])
            give_token(bench, ROTATED)
            subject.until(lambda: between.met("demand"), "the old token refused")
            subject.promoted(KUBELET_S)
            subject.apply("v3", POLICY, metrics=metrics)
            assert subject.rolled_back(90)["reason"] == "CheckFailed"
            assert share(subject.route()) == 0
        asked = {one["space"] for one in between.seen() if one.get("status") == 200}
        assert asked == {subject.namespace}
    bench.kube("delete", "secret", NAME, "-n", SYSTEM)
