"""Without a gateway: shares are numbers of pods behind one Service of a real cluster."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cluster import caller
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.subject import Subject, condition, evidence, step

from rampway.api.labels import DEPLOYMENT, REVISION

pytestmark = pytest.mark.cluster

WITHOUT: dict[str, Any] = {"traffic": {"type": "Replicas"}, "replicas": 3}
STEPS = {
    "steps": [step(30, "15s"), step(50, "5s")],
    "checks": [],
    "rollback": {"keepCandidate": "10m"},
}


@pytest.fixture
def calling(subject: Subject, tmp_path: Path) -> Calling:
    """Return a context manager under which each request opens a connection to the Service."""

    def begin(rate_per_s: float = caller.RATE_PER_S) -> Any:
        words = ("get", "service", f"{subject.name}-live", "-n", subject.namespace)
        address = subject.bench.kube.json(*words)["spec"]["clusterIP"]
        return caller.calling(
            subject.bench, subject.name, tmp_path / "answers.jsonl", subject.tell, rate_per_s,
            header="Connection: close", url=f"http://{address}",
        )  # fmt: skip

    return begin


def selector(subject: Subject, name: str) -> dict[str, str]:
    """Return what a Service selects."""
    found = subject.bench.kube.json("get", "service", name, "-n", subject.namespace)
    selected: dict[str, str] = found["spec"]["selector"]
    return selected


def test_b14_a_rollout_by_numbers_of_pods(subject: Subject, calling: Calling) -> None:
    """B14: 30 % of three is one pod, 25 %; it is said, it is so, and no request fails."""
    first = subject.start("a", STEPS, **WITHOUT)
    live = f"{subject.name}-live"
    with calling() as client:
        subject.apply("b", STEPS, **WITHOUT)
        subject.until(lambda: (subject.last().get("step") or {}).get("inForceSince"), "a step")
        assert subject.status()["weightPct"] == 25
        assert selector(subject, live) == {DEPLOYMENT: subject.name}
        assert selector(subject, subject.name)[REVISION] == first
        since_s = settle()
        time.sleep(10)
        seen = Counter(answer.revision for answer in client.answers(since_s))
        subject.promoted(90)
        after_s = settle()
        settle()
        assert client.revisions(after_s) == {f"{subject.name}-{subject.stable()}"}
    assert not client.failed()
    share = 1 - seen[f"{subject.name}-{first}"] / sum(seen.values())
    assert 0.15 <= share <= 0.35, seen  # of about 400: four deviations
    begun = [d["message"] for d in subject.last()["decisions"] if d["action"] == "StepStarted"]
    assert begun[0].endswith("25% (30% asked)")
    assert selector(subject, live) == selector(subject, subject.name)


@pytest.mark.faults
def test_b23_a_bad_candidate_loses_its_connections_too(subject: Subject, calling: Calling) -> None:
    """B23, B24: the Service lets go of a bad candidate, and its pods end whatever is to be kept."""
    policy = evidence(step(50, "5m"), rollback={"keepCandidate": "10m"})
    first = subject.start("v2", policy, **WITHOUT)
    with calling() as client:
        subject.apply("v3", policy, **WITHOUT)
        status = subject.rolled_back(120)
        assert status["stable"]["revision"] == first
        bad = status["candidate"]["revision"]
        subject.until(lambda: not subject.pods(bad), "the candidate's pods are gone", 30)
        after_s = settle()
        time.sleep(3)
        assert client.revisions(after_s) == {f"{subject.name}-{first}"}
        assert not client.failed(after_s)
    assert selector(subject, f"{subject.name}-live")[REVISION] == first


def test_b18_a_share_too_small_for_a_pod_begins_nothing(subject: Subject) -> None:
    """B18: a step of 10 % beside three pods is refused, with the replicas that would do."""
    policy = {**STEPS, "steps": [step(10)]}
    first = subject.start("a", policy, **WITHOUT)
    subject.apply("b", policy, **WITHOUT)
    subject.until(lambda: subject.status().get("phase") == "Refused", "phase Refused")
    accepted = condition(subject.status(), "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "StepsNotPossible")
    assert "or 9 replicas" in accepted["message"]
    assert (subject.stable(), subject.rollouts()) == (first, [])
