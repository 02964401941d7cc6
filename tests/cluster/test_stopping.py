"""A check that fails stops and asks a person, where the policy says so."""

import time
from typing import Any

import pytest
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.subject import Subject, backends, condition, evidence, share, step

pytestmark = pytest.mark.cluster

# Passes only once 5 % of failures would have been seen: v3's 9 % stop it in its first step.
FINE = {"name": "errors", "errorRate": {"ignoreBelow": "1%", "detect": "5x"}}
ASKS = evidence(
    step(20, "5s"),
    step(50, "1m"),
    checks=[FINE],
    rollback={"mode": "Manual", "keepCandidate": "30s"},
)
WAITS_FOR_A_PERSON = 5


def asked_again(status: dict[str, Any]) -> bool:
    """Whether the second step has its share, and a person is asked again."""
    step = status.get("step", {})
    where = (step.get("name"), bool(step.get("inForceSince")), status.get("reason"))
    return where == ("w50", True, "StoppedByCheck")


def test_b26_mode_manual_stops_asks_and_is_aborted(subject: Subject, calling: Calling) -> None:
    """B11, B26: a bad model goes as far as people say, step by step; abort takes it off."""
    about = (subject.name, "-n", subject.namespace)
    first = subject.start("v1", ASKS)
    with calling() as caller:
        subject.apply("v3", ASKS)
        subject.until(lambda: subject.last().get("reason") == "StoppedByCheck", "asked", 90)
        time.sleep(3)
        assert share(subject.route()) == 20
        subject.bench.kube("rampway", "approve", *about, "w20", "-m", "look once more")
        subject.until(lambda: asked_again(subject.last()), "asked again, at 50 %", 60)
        assert share(subject.route()) == 50
        waited = subject.bench.kube.run("kubectl-rampway", "status", *about, "--wait")
        assert waited.returncode == WAITS_FOR_A_PERSON, waited.stderr
        assert "Approve step w50 to go on all the same, or abort" in waited.stdout
        explained = subject.bench.kube("rampway", "explain", *about)
        assert f"kubectl rampway abort {subject.name}" in explained
        subject.bench.kube("rampway", "abort", *about, "-m", "as bad as it looks")
        status = subject.rolled_back(30)
        agreed = [d for d in subject.last()["decisions"] if d["action"] == "Approved"]
        assert [d["reason"] for d in agreed] == ["StoppedByCheck"]
        assert "step w20 approved over check errors by " in agreed[0]["message"]
        assert condition(status, "Promoted")["reason"] == "AbortedByPerson"
        subject.until(lambda: backends(subject.route()) == {subject.name: 1}, "all to stable", 15)
        since_s = settle()
        settle()
    assert caller.revisions(since_s) == {f"{subject.name}-{first}"}
