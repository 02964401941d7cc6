"""Revisions on a real cluster: the first one, going back to known ones, what serves at rest."""

import json

import pytest
from cluster.recorder import Recorder
from cluster.subject import Subject, backends, identities, share, step, turns

from demo.cluster import ROOT

pytestmark = pytest.mark.cluster

SLOW_STEPS = {"steps": [step(50, "2m")], "checks": [], "rollback": {"keepCandidate": "1m"}}


def test_b1_b14_first_revision_serves_without_checks(subject: Subject, recorded: Recorder) -> None:
    """B1, B14: a first apply goes straight to 100 %, by one backend `<name>`, and no rollout."""
    revision = subject.start("a", policy={})
    route = subject.route()
    assert backends(route) == {subject.name: 1}
    assert subject.condition("Ready")["status"] == "True"
    assert not subject.rollouts()
    service = subject.bench.kube.json("get", "service", subject.name, "-n", subject.namespace)
    assert service["spec"]["selector"]["rampway.dev/revision"] == revision
    for change in recorded.changes("HTTPRoute"):
        assert backends(change.object) == {subject.name: 1}


def test_b4_b8_back_to_known_content_takes_its_running_pods(
    subject: Subject, recorded: Recorder
) -> None:
    """B4: known content takes its running pods. B8: back to stable's is at once 100 % stable."""
    first = subject.start("a")
    subject.apply("b", SLOW_STEPS)
    subject.in_force(50)
    candidate = subject.status()["candidate"]["revision"]
    running = identities(subject.pods())
    subject.apply("a", SLOW_STEPS)  # B8: the step had two minutes to go
    subject.promoted()
    assert subject.last()["phase"] == "Aborted"
    assert not subject.last().get("checks")
    assert backends(subject.route()) == {subject.name: 1}
    assert subject.stable() == first
    subject.apply("b", SLOW_STEPS)  # B4: its pods are kept for a minute
    subject.in_force(50)
    assert subject.status()["candidate"]["revision"] == candidate
    assert identities(subject.pods()) == running
    weights = [share(change.object) for change in recorded.changes("HTTPRoute")]
    assert turns(weights) == [0, 50, 0, 50]


def test_b9_back_with_plain_kubectl_as_the_guide_says(subject: Subject) -> None:
    """B4, B9: the commands of docs/guides/people.md go back to what a rollout had released."""
    first = subject.start("a")
    subject.apply("b")
    subject.promoted()
    second = subject.stable()
    subject.apply("a")
    subject.promoted()
    assert subject.stable() == first
    page = (ROOT / "docs" / "guides" / "people.md").read_text()
    (commands,) = (part for part in page.split("```sh\n") if part.startswith("was=modelrollout"))
    typed = commands.split("```")[0].replace("digits-5b29612952-1", f"{subject.name}-{second}-1")
    typed = typed.replace("-n ml", f"-n {subject.namespace}").replace(
        " digits ", f" {subject.name} "
    )
    done = subject.bench.kube.run("bash", "-euc", typed)
    assert done.returncode == 0, done.stderr
    subject.promoted()
    assert subject.stable() == second


def test_b1_lost_status_is_rebuilt_from_the_revisions(subject: Subject, recorded: Recorder) -> None:
    """B1: an object that lost its status gets it back; nothing is promoted anew or rolled out."""
    subject.start("a")
    subject.apply("b")
    subject.promoted()
    second = subject.stable()
    before = subject.status()
    pods = identities(subject.pods(second))
    (rollout,) = subject.rollouts()
    marked = subject.bench.kube.json(
        "get", "deployment", f"{subject.name}-{second}", "-n", subject.namespace
    )["metadata"]["annotations"]
    assert marked["rampway.dev/verdict"] == "Promoted"
    _wipe(subject, "modeldeployment", subject.name)
    subject.promoted()
    after = subject.status()
    assert after["stable"]["revision"] == second
    assert after["phase"] == before["phase"] == "Healthy"
    assert identities(subject.pods(second)) == pods
    assert [one["metadata"]["uid"] for one in subject.rollouts()] == [rollout["metadata"]["uid"]]
    annotations = subject.bench.kube.json(
        "get", "deployment", f"{subject.name}-{second}", "-n", subject.namespace
    )["metadata"]["annotations"]
    assert annotations == marked
    assert {share(change.object) for change in recorded.changes("HTTPRoute")} == {0, 50, 100}


def _wipe(subject: Subject, kind: str, name: str) -> None:
    """Take an object's status away, as a restore from a backup does."""
    patch = json.dumps([{"op": "replace", "path": "/status", "value": {}}])
    subject.bench.kube(
        "patch", kind, name, "-n", subject.namespace, "--subresource=status", "--type=json",
        "-p", patch,
    )  # fmt: skip
