"""Removing the operator removes no model (B35). The last file: all others need the operator."""

import pytest
from cluster.bench import SYSTEM
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.subject import Subject, identities

pytestmark = [pytest.mark.cluster, pytest.mark.alone]


def test_b35_removing_the_operator_removes_no_model(subject: Subject, calling: Calling) -> None:
    """B35: with the operator gone models serve on; once back, it takes them up as they are."""
    revision = subject.start("a", replicas=2)
    kube = subject.bench.kube
    subject.until(lambda: len(subject.status()["conditions"]) > 0, "conditions")
    with calling() as caller:
        pods = identities(subject.pods())
        try:
            kube("delete", "-k", "manifests/", "--wait=true", "--timeout=240s")
            assert not kube("get", "namespace", SYSTEM, "--ignore-not-found")
            since_s = settle()
            assert kube("get", "crd", "modeldeployments.rampway.dev", "-o", "name")
            assert subject.object()["spec"]["replicas"] == 2
            assert identities(subject.pods()) == pods
            settle()
            assert caller.revisions(since_s) == {f"{subject.name}-{revision}"}
        finally:
            subject.bench.install_operator()
        subject.apply("b", replicas=2)
        subject.promoted()
        settle()
    assert not caller.failed()
    assert len(subject.rollouts()) == 1
