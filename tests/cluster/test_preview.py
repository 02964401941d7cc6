"""Blue-green's preview: a Service of a fixed name reaches the candidate, and nobody else does."""

import time
from pathlib import Path

import pytest
from cluster import caller
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.subject import Subject

pytestmark = pytest.mark.cluster

DOOR = {
    "strategy": "BlueGreen",
    "steps": [{"name": "go", "approval": {"message": "tested?"}}],
    "checks": [],
}


def test_a_preview_reaches_the_candidate_alone(
    subject: Subject, calling: Calling, tmp_path: Path
) -> None:
    """Tests ask the candidate by `<name>-preview`, users get stable; promoted, the Service goes."""
    first = subject.start("a", DOOR)
    kube, space, name = subject.bench.kube, subject.namespace, f"{subject.name}-preview"
    with calling() as users:
        subject.apply("b", DOOR)
        subject.until(
            lambda: subject.last().get("reason") == "WaitingForApproval", "waiting for approval"
        )
        address = kube.json("get", "service", name, "-n", space)["spec"]["clusterIP"]
        out = tmp_path / "previewed.jsonl"
        with caller.calling(
            subject.bench, subject.name, out, subject.tell, 10.0, url=f"http://{address}"
        ) as tests:
            time.sleep(3)
        candidate = f"{subject.name}-{subject.status()['candidate']['revision']}"
        assert tests.revisions() == {candidate}
        assert not tests.failed()
        assert users.revisions() == {f"{subject.name}-{first}"}
        kube("rampway", "approve", subject.name, "go", "-n", space)
        subject.promoted()
        subject.until(
            lambda: not kube("get", "service", name, "-n", space, "--ignore-not-found"),
            "no preview",
        )
        settle()
    assert not users.failed()
    assert candidate in users.revisions()
