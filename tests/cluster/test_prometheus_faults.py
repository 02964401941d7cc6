"""Prometheus that answers badly, late or not at all, with a rollout running (B17)."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cluster.bench import Bench
from cluster.between import Between, before_prometheus
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.recorder import Recorder
from cluster.subject import Subject, evidence, share, step, turns

pytestmark = [pytest.mark.cluster, pytest.mark.faults]

FAULTS: Mapping[str, Mapping[str, Any]] = {
    "slow": {"fault": "slow", "slow_s": 8.0},
    "nan": {"fault": "nan"},
    "500": {"fault": "status", "status": 500},
    "truncated": {"fault": "truncated"},
    "partial": {"fault": "partial"},
}
GOOD = evidence(step(50, "6s"))


@pytest.fixture(scope="module")
def between(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Between]:
    """Put an interposer before Prometheus for this module."""
    with before_prometheus(bench, tmp_path_factory.mktemp("between")) as made:
        yield made


@pytest.fixture(autouse=True)
def healthy(between: Between) -> Iterator[None]:
    """Begin and end with a Prometheus that works."""
    between.plan()
    yield
    between.plan()


@pytest.mark.parametrize("name", FAULTS)
def test_b17_bad_answers_hold(
    name: str, between: Between, subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B17: an answer that cannot be believed holds the step, and says so; later it goes on."""
    subject.start("v1", GOOD)
    with calling() as caller:
        subject.apply("v2", GOOD)
        subject.in_force(50)
        began_s = time.time()
        between.plan(**FAULTS[name])
        subject.until(lambda: subject.status().get("phase") == "Holding", "phase Holding", 30)
        time.sleep(8)  # longer than the step's hold: it does not count
        told = subject.status()
        assert told["phase"] == "Holding"
        assert told["reason"] == "EvidenceUnknown"
        assert share(subject.route()) == 50
        between.plan()
        subject.promoted(90)
    assert between.met(str(FAULTS[name]["fault"]), began_s)
    assert not caller.failed()
    assert turns(share(c.object) for c in recorded.changes("HTTPRoute")) == [0, 50, 100, 0]


def test_b17_prometheus_stopped_for_a_minute(
    subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B17: a healthy candidate keeps its share for the minute, and is promoted afterwards."""
    subject.start("v1", GOOD)
    with calling() as caller:
        subject.apply("v2", GOOD)
        subject.in_force(50)
        subject.bench.scale("prometheus", 0)
        try:
            time.sleep(60)
            held = subject.status()
            assert share(subject.route()) == 50
        finally:
            subject.bench.scale("prometheus", 1)
        subject.promoted(120)
    assert (held["phase"], held["reason"]) == ("Holding", "EvidenceUnknown")
    assert not caller.failed()
    assert turns(share(c.object) for c in recorded.changes("HTTPRoute")) == [0, 50, 100, 0]


@pytest.mark.parametrize("name", ["500", "slow", "partial"])
def test_b17_b23_bad_candidate_without_prometheus(
    name: str, between: Between, subject: Subject, calling: Calling
) -> None:
    """B17, B23: a candidate that turns bad while Prometheus fails is seen by the direct look."""
    policy = evidence(step(50, "2m"))
    first = subject.start("v2", policy)
    with calling() as caller:
        subject.apply("v3", policy)
        subject.until(lambda: share(subject.route()) == 50, "a weight of 50 %")
        between.plan(**FAULTS[name])
        status = subject.rolled_back(60)
        after_s = settle()
        settle()
    assert status["reason"] == "CheckFailed"
    assert caller.revisions(after_s) == {f"{subject.name}-{first}"}
    assert not caller.failed(after_s)
