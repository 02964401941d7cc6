"""The API server frozen, or behind an interposer that misbehaves, with a rollout running (B30)."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cluster.bench import SYSTEM, Bench
from cluster.between import Between, before_api, fingerprint
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.recorder import Recorder
from cluster.subject import Subject, backends, evidence, share, step, terms, turns

pytestmark = pytest.mark.cluster

GOOD = evidence(step(50, "6s"))
BAD = evidence(step(50, "1m"))
FAULT_S = 8.0
"""Longer than the operator's deadline to renew its Lease: it loses it where it cannot reach it."""

FAULTS: Mapping[str, Mapping[str, Any]] = {
    "429": {"fault": "status", "status": 429, "retry_after_s": 2},
    "500": {"fault": "status", "status": 500},
    "hang": {"fault": "hang"},
}
WATCHES: Mapping[str, Mapping[str, Any]] = {
    "cut": {"fault": "cut", "cut_s": 1.0},
    "late": {"fault": "delay", "delay_s": 10.0},
}
RARELY = 0.1
PATIENCE_S = 300.0
"""A call that hangs costs its whole deadline, and now and then the Lease."""


@pytest.fixture(scope="module")
def between(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Between]:
    """Put an interposer before the API server for this module."""
    with before_api(bench, tmp_path_factory.mktemp("between")) as made:
        yield made


@pytest.fixture(autouse=True)
def healthy(bench: Bench, between: Between) -> Iterator[None]:
    """Begin with an API server that works, and operators that have got over the last fault."""
    between.plan()
    bench.await_operator()
    bench.await_leader()
    yield
    between.plan()


def _once(subject: Subject, recorded: Recorder) -> None:
    """Assert that no decision was made twice and no object is there twice."""
    for rollout in subject.rollouts():
        actions = Counter(d["action"] for d in rollout["status"]["decisions"])
        assert set(actions.values()) == {1}, actions
    found = subject.bench.kube.items("deployments", subject.namespace)
    assert len(found) == 2
    numbers = terms(recorded.changes("HTTPRoute"))
    assert numbers == sorted(numbers), f"terms of the route's writes: {numbers}"


@pytest.mark.faults
@pytest.mark.parametrize("name", ["429", "500", "hang"])
def test_b30_good_candidate_while_calls_fail(
    name: str, between: Between, subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B30: no call works for 8 s, then every tenth fails: promoted, nothing lost, nothing twice."""
    subject.start("v1", GOOD)
    with calling() as caller:
        subject.apply("v2", GOOD)
        subject.in_force(50)
        began_s = time.time()
        between.plan(**FAULTS[name])
        time.sleep(FAULT_S)
        assert share(subject.route()) == 50
        between.plan(**FAULTS[name], share=RARELY)
        subject.promoted(PATIENCE_S)
        between.plan()
    assert len(between.met(str(FAULTS[name]["fault"]), began_s)) > 5
    assert not caller.failed()
    assert subject.last()["phase"] == "Promoted"
    assert turns(share(c.object) for c in recorded.changes("HTTPRoute")) == [0, 50, 100, 0]
    _once(subject, recorded)


@pytest.mark.faults
@pytest.mark.parametrize("name", FAULTS)
def test_b30_bad_candidate_while_calls_fail(
    name: str, between: Between, subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B30, B23: with every tenth call failing, a bad candidate is taken off all the same."""
    first = subject.start("v2", BAD)
    with calling() as caller:
        between.plan(**FAULTS[name], share=RARELY)
        subject.apply("v3", BAD)
        subject.rolled_back(PATIENCE_S)
        between.plan()
        after_s = settle()
        settle()
    assert caller.revisions(after_s) == {f"{subject.name}-{first}"}
    assert not caller.failed(after_s)
    assert backends(subject.route()) == {subject.name: 1}
    _once(subject, recorded)


@pytest.mark.faults
@pytest.mark.parametrize("name", WATCHES)
def test_b30_broken_watches(
    name: str, between: Between, subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B30: watches cut each second, or 10 s late: one rollout promoted, the next rolled back."""
    subject.start("v1", GOOD)
    began_s = time.time()
    between.plan(**WATCHES[name])
    bench = subject.bench
    with calling() as caller:
        # The watches that are open end with the operator that has them.
        bench.replace_operator()
        subject.apply("v2", GOOD)
        subject.promoted(120)
        good_s = time.time()
        assert not caller.failed()
        second = subject.stable()
        subject.apply("v3", BAD)
        subject.rolled_back(120)
        after_s = settle()
        settle()
    if name == "cut":
        assert len(between.met("cut", began_s)) > 10
    assert good_s > began_s
    assert caller.revisions(after_s) == {f"{subject.name}-{second}"}
    assert not caller.failed(after_s)
    assert [one["status"]["phase"] for one in subject.rollouts()] == ["Promoted", "RolledBack"]
    weights = turns(share(c.object) for c in recorded.changes("HTTPRoute"))
    assert weights == [0, 50, 100, 0, 50, 0]


@pytest.mark.faults
def test_b30_token_refused_until_the_rotated_file_is_read(
    between: Between, subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B30: the tokens in use get 401; with new ones in the files the rollout goes on."""
    bench = subject.bench
    subject.start("v1", GOOD)
    files = {pod["metadata"]["name"]: _token_file(bench, pod["metadata"]["uid"])
             for pod in bench.operator_pods()}  # fmt: skip
    old = [fingerprint(file.read_text()) for file in files.values()]
    with calling() as caller:
        subject.apply("v2", GOOD)
        subject.in_force(50)
        began_s = time.time()
        between.plan(fault="refuse", tokens=old)
        time.sleep(2.0)
        for name, file in files.items():
            words = ("create", "token", "rampway-operator", "-n", SYSTEM, "--bound-object-kind",
                     "Pod", "--bound-object-name", name)  # fmt: skip
            file.write_text(bench.kube(*words).strip())
        subject.promoted(120)
    assert between.met("refuse", began_s)
    assert not caller.failed()
    assert turns(share(c.object) for c in recorded.changes("HTTPRoute")) == [0, 50, 100, 0]
    _once(subject, recorded)


def _token_file(bench: Bench, uid: str) -> Path:
    """Return where a pod's token lies on this machine."""
    state = Path(bench.kube.env["KUBECONFIG"]).parent
    volumes = state / "kubelet" / "pods" / uid / "volumes" / "kubernetes.io~projected"
    (token,) = volumes.glob("kube-api-access-*/..data/token")
    return token


@pytest.mark.faults
def test_b30_api_server_frozen_for_30_s(
    subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B30, B33: while no API server answers traffic stays as it is; then the rollout goes on."""
    subject.start("v1", GOOD)
    state = Path(subject.bench.kube.env["KUBECONFIG"]).parent
    pid = int(json.loads((state / "processes" / "kube-apiserver.json").read_text())["pid"])
    with calling() as caller:
        subject.apply("v2", GOOD)
        subject.in_force(50)
        began_s = time.time()
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(30)
        finally:
            os.kill(pid, signal.SIGCONT)
        ended_s = time.time()
        subject.promoted(150)
    during = [a for a in caller.answers(began_s) if a.sent_s < ended_s]
    candidate = f"{subject.name}-{subject.stable()}"
    candidates = sum(answer.revision == candidate for answer in during)
    assert 0.3 < candidates / len(during) < 0.7
    assert not caller.failed()
    assert turns(share(c.object) for c in recorded.changes("HTTPRoute")) == [0, 50, 100, 0]
    _once(subject, recorded)
