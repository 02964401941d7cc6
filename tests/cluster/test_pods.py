"""Candidates that crash, run out of memory, or lose their pods to a drain, under traffic (B25)."""

import signal
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from multiprocessing.pool import ThreadPool
from urllib.request import urlopen

import pytest
from cluster.bench import Obj, forwarded
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.recorder import Recorder
from cluster.subject import SHARED_PROCESSES, Subject, condition, ready, share, step

pytestmark = pytest.mark.cluster

LONG = {
    "steps": [step(50, "2m")],
    "checks": [],
    "rollback": {"keepCandidate": "1m"},
}
EVERYTHING = {**LONG, "steps": [step(100, "2m")]}


def test_b25_crash_of_the_only_pod(subject: Subject, calling: Calling, recorded: Recorder) -> None:
    """B25: a candidate that loses its last ready pod by a crash is rolled back, weight first."""
    first = subject.start("a", LONG)
    with calling() as caller:
        subject.apply("b", LONG, server=SHARED_PROCESSES)
        subject.in_force(50)
        bad = subject.status()["candidate"]["revision"]
        (pod,) = subject.pods(bad)
        subject.signal(pod, signal.SIGKILL)
        status = subject.rolled_back()
        after_s = settle()
        settle()
    assert status["reason"] in {"CandidateNotReady", "CandidateCrashed"}
    assert bad in condition(status, "Promoted")["message"]
    assert caller.revisions(after_s) == {f"{subject.name}-{first}"}
    assert not caller.failed(after_s)
    ended = next(
        c.revision
        for c in recorded.changes("ModelRollout")
        if (c.object.get("status") or {}).get("phase") in {"RollingBack", "RolledBack"}
    )
    routes = [c for c in recorded.changes("HTTPRoute") if c.revision < ended]
    assert share(routes[-1].object) == 0


def test_b25_two_crashes(subject: Subject, recorded: Recorder) -> None:
    """B25: one crash of two pods lowers the weight; the second crash rolls the candidate back."""
    subject.start("a", EVERYTHING, replicas=2)
    subject.apply("b", EVERYTHING, replicas=2, server=SHARED_PROCESSES)
    subject.in_force(100)
    bad = subject.status()["candidate"]["revision"]
    pod, other = subject.pods(bad)
    subject.signal(pod, signal.SIGKILL)
    # Recorded, as the container may be back before anybody asks for the route.
    subject.until(lambda: 50 in map(share, _routes(recorded)), "a weight of 50 %, once")
    assert subject.last()["phase"] == "Stepping"
    subject.until(lambda: sum(map(ready, subject.pods(bad))) == 2, "the crashed pod is back")
    subject.signal(other, signal.SIGKILL)
    status = subject.rolled_back()
    assert status["reason"] == "CandidateCrashed"
    assert condition(status, "Ready")["status"] == "True"


def _routes(recorded: Recorder) -> Iterator[Obj]:
    return (change.object for change in recorded.changes("HTTPRoute"))


def test_b25_out_of_memory(subject: Subject) -> None:
    """B25: a candidate killed for its memory is rolled back, and the status says what to change."""
    subject.start("a", LONG)
    tight = {"resources": {"requests": {"memory": "96Mi"}, "limits": {"memory": "256Mi"}}}
    subject.apply("b", LONG, server=tight)
    subject.in_force(50)
    (pod,) = subject.pods(subject.status()["candidate"]["revision"])
    name = f"pod/{pod['metadata']['name']}"
    with forwarded(subject.bench.kube, subject.namespace, name, 8080) as url, ThreadPool(4) as pool:
        pool.map(_ask_for_much, [f"{url}/v2/models/{subject.name}/infer"] * 4)
    status = subject.rolled_back()
    assert status["reason"] == "CandidateOutOfMemory"
    assert "limits.memory" in status["message"]


def _ask_for_much(url: str) -> None:
    """Ask for so many predictions at once that four such requests are too much for a candidate."""
    rows = 60_000
    numbers = ",".join(["0.5"] * (64 * rows))
    tensor = f'"name":"input-0","datatype":"FP64","shape":[{rows},64],"data":[{numbers}]'
    body = f'{{"inputs":[{{{tensor}}}]}}'.encode()
    with suppress(OSError, HTTPException):  # its server is to be killed
        urlopen(url, body, timeout=30).close()


def test_b25_a_drained_pod_is_not_the_models_fault(subject: Subject, calling: Calling) -> None:
    """B25: a deleted pod lowers the weight to the ready capacity; it goes on, none fails."""
    policy = {**LONG, "steps": [step(50, "8s")]}
    subject.start("a", policy)
    with calling() as caller:
        subject.apply("b", policy)
        subject.in_force(50)
        revision = subject.status()["candidate"]["revision"]
        (pod,) = subject.pods(revision)
        subject.bench.kube(
            "delete", "pod", pod["metadata"]["name"], "-n", subject.namespace, "--wait=false"
        )
        subject.weighs(0)
        assert subject.last()["phase"] == "Stepping"
        subject.promoted()
    (rollout,) = subject.rollouts()
    assert rollout["status"]["phase"] == "Promoted"
    assert not caller.failed()
