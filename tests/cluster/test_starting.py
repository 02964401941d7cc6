"""What keeps a revision from starting is in status, in the kubelet's or the server's words (B28).

All kinds of trouble are applied together, so that they are awaited together.
"""

import shutil
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster.bench import Bench, Obj
from cluster.conftest import Calling
from cluster.subject import Subject, condition, evidence, ready, step

pytestmark = pytest.mark.cluster

WITHIN_S = 40.0
"""Pods start one after the other on two cores; the promise of 10 s is about one of them alone."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong, and the words that the status must have."""

    name: str
    words: tuple[str, ...]
    spec: Mapping[str, Any]


def _patched(**pod: Any) -> dict[str, Any]:
    return {"server": {"podTemplatePatch": {"spec": pod}}}


_SECRET = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "no-such-secret", "key": "t"}}}
TROUBLES = (
    Trouble(
        "image", ("rampway.local/no-such-image", "ErrImagePull|ImagePullBackOff"),
        {"server": {"image": "rampway.local/no-such-image:1"}},
    ),
    Trouble(
        "secret", ("CreateContainerConfigError", 'secret "no-such-secret" not found'),
        _patched(containers=[{"name": "server", "env": [_SECRET]}]),
    ),
    Trouble(
        "unschedulable", ("Unschedulable", "didn't match Pod's node affinity/selector"),
        _patched(nodeSelector={"rampway.dev/no-such-node": "yes"}),
    ),
    Trouble(
        "digest", ("wrong digest: got ", f"expected {'0' * 64}"),
        {"model": {"sha256": "0" * 64}},
    ),
    Trouble(
        "store", ("model store refused http://", "/no-such-model.skops: 404"),
        {"model": {"uri": "{store}/no-such-model.skops"}},
    ),
    Trouble(
        "claim", ('persistentvolumeclaim "no-such-claim" not found',),
        {"model": {"uri": "pvc://no-such-claim/a.skops"}},
    ),
    Trouble(
        "quota", ("exceeded quota: pods", "forbidden"),
        _patched(priorityClassName="rampway-bench-low"),
    ),
)  # fmt: skip


def _with(manifest: Obj, change: Mapping[str, Any], store: str) -> Obj:
    """Return the manifest with some fields of its spec changed."""
    made = deepcopy(manifest)
    for part, fields in change.items():
        for key, value in fields.items():
            made["spec"][part][key] = value.format(store=store) if part == "model" else value
    return made


@pytest.fixture(scope="module")
def troubled(bench: Bench, story: Subject) -> Iterator[dict[str, Subject]]:
    """Apply a ModelDeployment for each trouble, and a candidate with one."""
    found = {trouble.name: story.sibling(trouble.name) for trouble in TROUBLES}
    _limit_pods(bench, story.namespace)
    for trouble in TROUBLES:
        made = found[trouble.name].manifest("a")
        bench.kube.apply(_with(made, trouble.spec, bench.store))
    yield found
    bench.kube("delete", "priorityclass", "rampway-bench-low", "--ignore-not-found")


def _limit_pods(bench: Bench, namespace: str) -> None:
    """Allow no pod of one priority in a namespace."""
    priority = {
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": -1,
        "metadata": {"name": "rampway-bench-low"}, "preemptionPolicy": "Never",
    }  # fmt: skip
    scope = {"operator": "In", "scopeName": "PriorityClass", "values": ["rampway-bench-low"]}
    quota = {
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "pods", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}, "scopeSelector": {"matchExpressions": [scope]}},
    }  # fmt: skip
    bench.kube.apply(priority, quota)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_b28_trouble_is_in_status(trouble: Trouble, troubled: Mapping[str, Subject]) -> None:
    """B28: the status has the words of whoever could not go on; nothing is promoted."""
    subject = troubled[trouble.name]

    def told() -> bool:
        message = str(subject.status().get("message", ""))
        return all(any(one in message for one in words.split("|")) for words in trouble.words)

    subject.until(told, f"{trouble.words} in the status' message", WITHIN_S)
    assert subject.condition("Ready")["status"] == "False"
    assert subject.condition("Promoted")["status"] == "Unknown"
    assert subject.status()["phase"] == "Pending"


def test_b25_b28_candidate_that_cannot_start(subject: Subject) -> None:
    """B25, B28: a candidate that never gets ready is told of, then given up; it got no request."""
    first = subject.start("a")
    made = subject.manifest("b", deadline="25s")
    subject.put(_with(made, {"model": {"sha256": "0" * 64}}, subject.bench.store))
    subject.until(
        lambda: "wrong digest: got " in str(subject.last().get("message", "")),
        "the server's words in the rollout's message",
    )
    status = subject.rolled_back()
    assert status["reason"] == "ProgressDeadlineExceeded"
    assert "wrong digest: got " in status["message"]
    assert status["stable"]["revision"] == first
    assert not subject.last().get("trafficSince")


GATED = {"podTemplatePatch": {"spec": {"readinessGates": [{"conditionType": "rampway.dev/test"}]}}}
"""A server whose pods are ready only once the test says so."""


def test_b06_b17_a_part_of_a_weight_is_judged(subject: Subject, calling: Calling) -> None:
    """B6, B17: one of its two pods is lost, so it has half of the requests, and fails some."""
    policy = evidence(step(80, "10m"))
    first = subject.start("v2", policy, replicas=2)
    subject.apply("v3", policy, replicas=2, server=GATED)
    revision = subject.until(lambda: _candidate(subject), "a candidate")
    found = subject.until(
        lambda: len(pods := list(filter(_serving, subject.pods(revision)))) == 2 and pods,
        "two containers that serve",
    )
    for pod in found:
        _gate(subject, pod)
    subject.in_force(80)
    _gate(subject, found[0], opened=False)
    subject.weighs(50)
    with calling():
        status = subject.rolled_back(90)
    assert condition(status, "Promoted")["reason"] == "CheckFailed"
    assert "requests failed on the candidate" in status["message"]
    assert status["stable"]["revision"] == first
    assert not subject.last()["step"].get("inForceSince")  # never its whole weight


def test_b6_late_candidate_gets_nothing_before_it_is_ready(subject: Subject) -> None:
    """B6: while the candidate's pods exist but are not ready, all requests go to stable."""
    subject.start("a")
    subject.apply("b", server=GATED)
    revision = subject.until(lambda: _candidate(subject), "a candidate")
    subject.until(
        lambda: any(_serving(pod) for pod in subject.pods(revision)),
        "the candidate's container ready, but not its pod",
    )
    (pod,) = subject.pods(revision)
    assert not ready(pod)
    assert not subject.last().get("trafficSince")
    assert len(subject.route()["spec"]["rules"][0]["backendRefs"]) == 1
    for one in (pod, *_later(subject, revision)):
        _gate(subject, one)
    subject.in_force(50)


def _candidate(subject: Subject) -> str:
    return str((subject.status().get("candidate") or {}).get("revision", ""))


def _serving(pod: Obj) -> bool:
    return all(c["ready"] for c in pod["status"].get("containerStatuses") or [{"ready": False}])


def _later(subject: Subject, revision: str) -> list[Obj]:
    """Return pods of a revision that were made meanwhile; none as a rule."""
    return subject.pods(revision)[1:]


def _gate(subject: Subject, pod: Obj, *, opened: bool = True) -> None:
    """Say of a pod what its readiness gate waits for, or that it is so no longer."""
    told = f'{{"type": "rampway.dev/test", "status": "{opened}"}}'
    subject.bench.kube(
        "patch", "pod", pod["metadata"]["name"], "-n", subject.namespace, "--subresource=status",
        "--type=strategic", "-p", f'{{"status": {{"conditions": [{told}]}}}}',
    )  # fmt: skip


@pytest.fixture
def claim(subject: Subject) -> Iterator[str]:
    """Give a claim on a folder of the node that holds model a."""
    folder = Path("/tmp") / subject.namespace  # noqa: S108 - the node must see it
    folder.mkdir()
    source = Path(subject.bench.holdout).parent / subject.bench.models["a"].file
    shutil.copy(source, folder / "a.skops")
    folder.chmod(0o755)
    volume = {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": subject.namespace},
        "spec": {
            "capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"],
            "storageClassName": "", "hostPath": {"path": str(folder)},
            "claimRef": {"name": "models", "namespace": subject.namespace},
        },
    }  # fmt: skip
    wanted = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models", "namespace": subject.namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "",
            "volumeName": subject.namespace, "resources": {"requests": {"storage": "1Mi"}},
        },
    }  # fmt: skip
    subject.bench.kube.apply(volume, wanted)
    yield "models"
    subject.bench.kube("delete", "pv", subject.namespace, "--wait=false")
    shutil.rmtree(folder)


def test_model_from_a_claim(subject: Subject, claim: str) -> None:
    """A model on a PersistentVolume is served, its digest recorded where none was given (B3)."""
    made = subject.manifest("a")
    made["spec"]["model"] = {"uri": f"pvc://{claim}/a.skops"}
    subject.put(made)
    subject.promoted()
    digest = subject.bench.models["a"].sha256
    subject.until(
        lambda: subject.status()["stable"].get("sha256") == digest, "the digest in the status"
    )
