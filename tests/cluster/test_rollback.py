"""Bad models are rolled back under traffic; each test reads what that showed."""

import json
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster.bench import REPLICAS, Bench, Obj
from cluster.caller import calling, settle
from cluster.conftest import Calling
from cluster.load import Answer
from cluster.prometheus import prometheus, replayed
from cluster.recorder import Recorder, recording
from cluster.subject import (
    SHARED_PROCESSES,
    Subject,
    backends,
    condition,
    evidence,
    identities,
    ready,
    share,
    step,
)

pytestmark = pytest.mark.cluster

POLICY = evidence(step(50, "1m"))
COUNTS = re.compile(r"(\d+) of (\d+) requests failed on the candidate, (\d+) of (\d+) on stable")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the rollout of v3 showed, which raises on a tenth of the digits."""

    subject: Subject
    first: str
    bad: str
    stable_pods: list[Obj]
    status: Obj
    rollout: Obj
    answers: list[Answer]
    after_s: float
    said: dict[str, tuple[int, str]]
    recorder: Recorder

    @property
    def candidate(self) -> str:
        """Name of the candidate's revision."""
        return f"{self.subject.name}-{self.bad}"


@pytest.fixture(scope="module")
def refusal(
    bench: Bench, story: Subject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Refusal]:
    """Roll v3 out over v2 under traffic."""
    folder: Path = tmp_path_factory.mktemp("refusal")
    with recording(bench.kube, story.namespace, folder) as recorder:
        first = story.start("v2", POLICY)
        stable_pods = story.pods(first)
        with calling(bench, story.name, folder / "answers.jsonl", story.tell) as caller:
            story.apply("v3", POLICY)
            target = (f"modeldeployment/{story.name}", "-n", story.namespace)
            waits = {
                "wait": bench.kube.start(
                    "kubectl", "wait", "--for=condition=Promoted=False", "--timeout=240s", *target
                ),
                "status": bench.kube.start(
                    "kubectl", "rampway", "status", story.name, *target[1:], "--wait",
                    "--timeout", "240s",
                ),
            }  # fmt: skip
            status = story.rolled_back(90)
            said = {}
            for name, process in waits.items():
                text, _ = process.communicate(timeout=300)
                said[name] = (process.returncode, text)
            after_s = settle()
            time.sleep(3)
        (rollout,) = story.rollouts()
        yield Refusal(
            story, first, status["candidate"]["revision"], stable_pods, status, rollout,
            caller.answers(), after_s, said, recorder,
        )  # fmt: skip


def test_b23_errors_put_the_weight_back_first(refusal: Refusal) -> None:
    """B23: the route is put back before anything is written or deleted for the rollback."""
    changes = refusal.recorder.changes()
    shares = [(c.revision, share(c.object)) for c in changes if c.kind == "HTTPRoute"]
    given = next(revision for revision, weight in shares if weight)
    taken = next(revision for revision, weight in shares if revision > given and not weight)
    told = next(
        c.revision
        for c in changes
        if c.kind == "ModelRollout" and _phase(c.object) in {"RollingBack", "RolledBack"}
    )
    assert taken < told
    assert [weight for _, weight in shares if weight] == [50] * sum(w > 0 for _, w in shares)


def _phase(obj: Obj) -> str:
    return str((obj.get("status") or {}).get("phase", ""))


def test_rollback_is_judged_again_from_the_history(refusal: Refusal, tmp_path: Path) -> None:
    """`kubectl rampway replay`: what Prometheus kept of it fails a policy that is quick to.

    Its own may ask for a look or two more than Prometheus has: the direct looks are not there.
    """
    subject = refusal.subject
    told = subject.bench, subject.name, subject.namespace
    own = json.loads(replayed(*told, "-o", "json"))
    assert (own["ended"], own["lacking"]) == ("RolledBack", [])
    (check,) = own["checks"]
    failed, requests, _, others = map(int, COUNTS.match(check["message"]).groups())  # type: ignore[union-attr]
    assert min(failed, requests, others) > 0
    quick: Obj = {"apiVersion": "rampway.dev/v1alpha1", "kind": "RolloutPolicy"}
    quick |= {"metadata": {"name": "quick"}, "spec": POLICY | {"falseRollbackRate": "20%"}}
    file = tmp_path / "quick.json"
    file.write_text(json.dumps(quick))
    (failure,) = json.loads(replayed(*told, "--under", str(file), "-o", "json"))["failures"]
    assert (failure["check"], failure["step"]) == ("errors", "w50")


def test_b24_errors_put_everything_back_at_once(refusal: Refusal) -> None:
    """B24: after the rollback not one request reaches the candidate and none fails."""
    after = [answer for answer in refusal.answers if answer.sent_s >= refusal.after_s]
    assert len(after) > 50
    assert {answer.revision for answer in after} == {f"{refusal.subject.name}-{refusal.first}"}
    assert not [answer for answer in after if answer.failed]
    failed = [answer for answer in refusal.answers if answer.failed]
    assert failed
    assert {answer.revision for answer in failed} == {refusal.candidate}
    assert backends(refusal.subject.route()) == {refusal.subject.name: 1}


def test_b26_after_a_rollback(refusal: Refusal) -> None:
    """B26: Ready, Promoted=False, the bad revision named; stable untouched, no second attempt."""
    assert condition(refusal.status, "Ready")["status"] == "True"
    promoted = condition(refusal.status, "Promoted")
    assert (promoted["status"], promoted["reason"]) == ("False", "CheckFailed")
    assert refusal.candidate in promoted["message"]
    assert condition(refusal.status, "Stalled")["status"] == "True"
    assert condition(refusal.status, "Reconciling")["status"] == "False"
    assert identities(refusal.subject.pods(refusal.first)) == identities(refusal.stable_pods)
    generation = refusal.subject.object()["metadata"]["generation"]
    target = ("modeldeployment", refusal.subject.name, "-n", refusal.subject.namespace)
    kube = refusal.subject.bench.kube
    kube("patch", *target, "--type=merge", "-p", '{"spec":{"info":{"lineage":{"run":"again"}}}}')
    refusal.subject.until(
        lambda: refusal.subject.status().get("observedGeneration") == generation + 1,
        "the operator has seen the new generation",
    )
    assert refusal.subject.condition("Promoted")["status"] == "False"
    assert len(refusal.subject.rollouts()) == 1
    assert backends(refusal.subject.route()) == {refusal.subject.name: 1}


def test_rollback_ends_waits(refusal: Refusal) -> None:
    """`kubectl wait` for Promoted=False ends with 0, `kubectl rampway status --wait` with 1."""
    assert refusal.said["wait"][0] == 0, refusal.said
    assert refusal.said["status"][0] == 1, refusal.said
    last = refusal.said["status"][1].splitlines()[-1]
    assert last.startswith("failed: CheckFailed: ")


def test_evidence_agrees_with_prometheus_and_client(refusal: Refusal) -> None:
    """The counts in the rollout's sentence are those of Prometheus, and Prometheus' the client's.

    Prometheus is read by a library of others. The sentence leaves out what was counted while the
    weight changed and after the verdict, so it may say less, never more.
    """
    (check,) = refusal.rollout["status"]["checks"]
    assert check["state"] == "Fail"
    events, n, stable_events, _ = map(int, COUNTS.match(check["message"]).groups())  # type: ignore[union-attr]  # no match is a failure
    with prometheus(refusal.subject.bench) as read:
        chosen = f'namespace="{refusal.subject.namespace}",attempt="first"'
        mine = f'{chosen},revision="{refusal.candidate}"'
        total = read(f"sum(rampway_requests_total{{{mine}}})")
        errors = read(f'sum(rampway_requests_total{{{mine},outcome="model_error"}})')
        grown = read(f"sum(increase(rampway_requests_total{{{mine}}}[10m]))")
        first = read(f"sum(min_over_time(rampway_requests_total{{{mine}}}[10m]))")
    got = [answer for answer in refusal.answers if answer.revision == refusal.candidate]
    assert total == len(got)
    assert errors == sum(answer.failed for answer in got)
    assert 0 < events <= errors
    assert stable_events == 0
    assert n <= total
    # increase() extrapolates at both ends, and knows nothing of what was counted before the first
    # scrape; the pods' own pages, which are read directly, do.
    assert n <= 1.25 * grown + first
    assert abs(events / n - errors / total) < 0.1


@pytest.mark.alone
def test_b1_verdict_outlives_the_status(refusal: Refusal) -> None:
    """B1: without status the rolled-back revision is named again, and never promoted or tried.

    Both objects lose it, as by a restore from a backup while the operator is away.
    """
    refusal.subject.bench.scale("rampway-operator", 0)
    _wipe(refusal.subject, "modeldeployment", refusal.subject.name)
    _wipe(refusal.subject, "modelrollout", refusal.rollout["metadata"]["name"])
    refusal.subject.bench.scale("rampway-operator", REPLICAS)
    again = refusal.subject.rolled_back()
    assert again["candidate"]["revision"] == refusal.bad
    assert again["stable"]["revision"] == refusal.first
    assert len(refusal.subject.rollouts()) == 1
    assert backends(refusal.subject.route()) == {refusal.subject.name: 1}


def _wipe(subject: Subject, kind: str, name: str) -> None:
    patch = json.dumps([{"op": "replace", "path": "/status", "value": {}}])
    subject.bench.kube(
        "patch", kind, name, "-n", subject.namespace, "--subresource=status", "--type=json",
        "-p", patch,
    )  # fmt: skip


@pytest.mark.faults
def test_b24_errors_do_not_wait_for_all_of_stable(subject: Subject, calling: Calling) -> None:
    """B24: with one of stable's two pods hung, a candidate with errors is put back all the same."""
    server = dict(SHARED_PROCESSES)
    first = subject.start("v2", POLICY, replicas=2, server=server)
    subject.until(lambda: sum(map(ready, subject.pods(first))) == 2, "two ready pods of stable")
    hung = subject.pods(first)[0]
    subject.signal(hung, signal.SIGSTOP)
    subject.until(lambda: sum(map(ready, subject.pods(first))) == 1, "one pod of stable unready")
    with calling() as caller:
        subject.apply("v3", POLICY, replicas=2, server=server)
        status = subject.rolled_back()
        assert sum(map(ready, subject.pods(first))) == 1
        assert backends(subject.route()) == {subject.name: 1}
        after_s = settle()
        time.sleep(2)
    assert condition(status, "Promoted")["reason"] == "CheckFailed"
    assert caller.revisions(after_s) == {f"{subject.name}-{first}"}
    assert not caller.failed(after_s)


HALF_SOON = {"against": "Value", "percentile": "50", "value": "2ms"}


@pytest.mark.alone  # others make both models slow
@pytest.mark.parametrize(
    ("asked", "reason"),
    [({"maxIncrease": "30%", "detect": "5x"}, "CheckFailed"), (HALF_SOON, "UnpairedCheckFailed")],
    ids=["beside stable", "against a value"],
)
def test_slow_model_is_rolled_back(
    subject: Subject, calling: Calling, asked: dict[str, str], reason: str
) -> None:
    """A model that is right but twice as slow is put back by the check of latency, none failing."""
    policy = evidence(step(50, "2m"))
    policy["checks"].append({"name": "latency", "latency": asked})
    first = subject.start("v2", policy)
    with calling() as caller:
        subject.until(lambda: len(caller.answers()) > 150, "150 answers")
        subject.apply("v4", policy)
        status = subject.rolled_back(90)
        after_s = settle()
        time.sleep(2)
    assert condition(status, "Promoted")["reason"] == reason
    checks = {check["name"]: check for check in subject.last()["checks"]}
    assert checks["latency"]["state"] == "Fail"
    assert checks["errors"]["state"] != "Fail"
    assert caller.revisions(after_s) == {f"{subject.name}-{first}"}
    assert not caller.failed()
