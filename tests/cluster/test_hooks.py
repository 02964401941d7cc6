"""Hooks that fail, and hooks that run while a candidate fails (B23, B29)."""

import signal
from typing import Any

import pytest
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.subject import SHARED_PROCESSES, Subject, evidence, share, step

pytestmark = [pytest.mark.cluster, pytest.mark.faults]


def hooked(subject: Subject, script: str, timeout: str) -> dict[str, Any]:
    """Return a policy whose second step waits for a Job that runs this Python script."""
    image = subject.bench.images["model-server"]
    job = {"image": image, "command": ["python3", "-c", script]}
    hook = {"name": "smoke", "when": "BeforeStep", "step": "w50", "job": job, "timeout": timeout}
    return evidence(step(20), step(50), hooks=[hook])


def job_of(subject: Subject) -> dict[str, Any]:
    """Return the status of the one Job that the hook made."""
    (found,) = subject.bench.kube("get", "jobs", "-n", subject.namespace, "-o", "name").split()
    status: dict[str, Any] = subject.bench.kube.json("get", found, "-n", subject.namespace)[
        "status"
    ]
    return status


def test_b29_a_job_that_fails_asks_and_consent_goes_on(subject: Subject, calling: Calling) -> None:
    """B29: the share stays where it was, status says what failed, approval passes the hook by."""
    policy = hooked(subject, "raise SystemExit('the classes are swapped')", "15s")
    subject.start("v1", policy)
    with calling() as caller:
        subject.apply("v2", policy)
        subject.until(lambda: subject.last().get("reason") == "HookFailed", "asked", 90)
        assert share(subject.route()) == 20
        (run,) = subject.last()["hooks"]
        assert (run["key"], run["state"]) == ("smoke.w50", "Failed")
        assert run["message"]
        about = (subject.name, "w50", "-n", subject.namespace)
        subject.bench.kube("rampway", "approve", *about, "-m", "known")
        subject.promoted()
    assert not caller.failed()
    made = [d["action"] for d in subject.last()["decisions"]]
    assert made.count("Asked") == made.count("Approved") == 1


def test_b23_a_running_hook_delays_no_rollback(subject: Subject, calling: Calling) -> None:
    """B23: the candidate's only pod dies while a Job runs: it is off, and the Job runs on."""
    policy = hooked(subject, "import time; time.sleep(600)", "10m")
    first = subject.start("v1", policy)
    with calling() as caller:
        subject.apply("v2", policy, server=SHARED_PROCESSES)
        subject.until(lambda: subject.last().get("reason") == "HookRunning", "the hook runs", 90)
        subject.until(lambda: job_of(subject).get("active"), "its pod is there", 30)
        (pod,) = subject.pods(subject.status()["candidate"]["revision"])
        subject.signal(pod, signal.SIGKILL)
        status = subject.rolled_back()
        assert job_of(subject).get("active") == 1
        since_s = settle()
        settle()
    assert status["reason"] in {"CandidateNotReady", "CandidateCrashed"}
    assert caller.revisions(since_s) == {f"{subject.name}-{first}"}
