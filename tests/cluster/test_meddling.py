"""People and controllers meddle with a rollout under traffic; each promise is named."""

import json
import random
import secrets
import time

import pytest
from cluster.bench import Obj
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.recorder import Recorder
from cluster.subject import Subject, backends, evidence, ready, share, step, turns

pytestmark = pytest.mark.cluster

LONG = {"steps": [step(50, "10s")], "checks": [], "rollback": {"keepCandidate": "1m"}}
ENDLESS = {**LONG, "steps": [step(50, "5m")]}
GRACE_S = 5.0


def _delete(subject: Subject, kind: str, name: str) -> None:
    subject.bench.kube("delete", kind, name, "-n", subject.namespace, "--timeout=240s")


def test_b14_weights_edited_by_hand(subject: Subject, calling: Calling, recorded: Recorder) -> None:
    """B14: weights set by another hand are put back, and the rollout goes on to its end."""
    subject.start("a", LONG)
    with calling() as caller:
        subject.apply("b", LONG)
        subject.in_force(50)
        refs = subject.route()["spec"]["rules"][0]["backendRefs"]
        changed = [{**ref, "weight": 10 if ref["name"] == subject.name else 90} for ref in refs]
        patch = [{"op": "replace", "path": "/spec/rules/0/backendRefs", "value": changed}]
        target = ("httproute", subject.name, "-n", subject.namespace)
        subject.bench.kube("patch", *target, "--type=json", "-p", json.dumps(patch))
        subject.weighs(50, GRACE_S)
        subject.promoted(90)
    assert not caller.failed()
    weights = turns(share(c.object) for c in recorded.changes("HTTPRoute"))
    assert weights == [0, 50, 90, 50, 100, 0]


@pytest.mark.faults
def test_b14_route_deleted(subject: Subject, calling: Calling) -> None:
    """B14: a deleted route is made again, all on stable, and the rollout goes on to its end."""
    subject.start("a", LONG)
    with calling() as caller:
        subject.apply("b", LONG)
        subject.in_force(50)
        uid = subject.route()["metadata"]["uid"]
        _delete(subject, "httproute", subject.name)
        subject.until(lambda: _route_uid(subject) not in {"", uid}, "another route", GRACE_S)
        after_s = settle()
        subject.promoted(90)
    assert not caller.failed(after_s), "what failed came after the route was there again"
    assert subject.last()["phase"] == "Promoted"
    assert backends(subject.route()) == {subject.name: 1}


def _route_uid(subject: Subject) -> str:
    found = subject.bench.kube.items("httproutes", subject.namespace)
    return str(found[0]["metadata"]["uid"]) if found else ""


@pytest.mark.faults
def test_b7_new_revision_in_mid_rollout(
    subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B7: a newer revision ends the rollout: back to stable, then a rollout of its own."""
    subject.start("a", LONG)
    with calling() as caller:
        subject.apply("b", ENDLESS)
        subject.in_force(50)
        subject.apply("c", LONG)
        subject.promoted(120)
    assert not caller.failed()
    assert [one["status"]["phase"] for one in subject.rollouts()] == ["Superseded", "Promoted"]
    weights = turns(share(c.object) for c in recorded.changes("HTTPRoute"))
    assert weights == [0, 50, 0, 50, 100, 0]


@pytest.mark.faults
def test_b7_newer_revision_is_queued(
    subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B7: it waits for the end, is told, and then has a rollout against what was promoted."""
    subject.put(_queueing(subject, "a"))
    subject.promoted()
    with calling() as caller:
        subject.put(_queueing(subject, "b"))
        subject.in_force(50)
        subject.put(_queueing(subject, "c"))
        told = subject.until(lambda: subject.status().get("queued"), "who waits is told", GRACE_S)
        assert told["version"] == "c"
        waits = subject.condition("Promoted")
        assert (waits["status"], waits["reason"]) == ("Unknown", "Queued")
        subject.promoted(180)
    assert not caller.failed()
    one, two = subject.rollouts()
    assert [r["status"]["phase"] for r in (one, two)] == ["Promoted", "Promoted"]
    assert two["spec"]["stable"]["revision"] == one["spec"]["candidate"]["revision"]
    assert two["spec"]["candidate"]["revision"] == told["revision"] == subject.stable()
    assert "Queued" in [made["action"] for made in one["status"]["decisions"]]
    weights = turns(share(c.object) for c in recorded.changes("HTTPRoute"))
    assert weights == [0, 50, 100, 0, 50, 100, 0]


def _queueing(subject: Subject, model: str) -> Obj:
    """Return the ModelDeployment whose newer revisions wait for the rollout under way to end."""
    made = subject.manifest(model, LONG)
    made["spec"]["rollout"]["onNewRevision"] = "Queue"
    return made


@pytest.mark.faults
def test_b8_reverted_in_mid_rollout(subject: Subject, calling: Calling) -> None:
    """B8: back to stable's content, and at once everything goes there; no request is lost."""
    first = subject.start("a", ENDLESS)
    with calling() as caller:
        subject.apply("b", ENDLESS)
        subject.in_force(50)
        subject.apply("a", ENDLESS)
        subject.weighs(0, GRACE_S)
        after_s = settle()
        subject.promoted()
        settle()
    assert not caller.failed()
    assert caller.revisions(after_s) == {f"{subject.name}-{first}"}
    assert subject.last()["phase"] == "Aborted"


@pytest.mark.faults
def test_b34_deleted_in_mid_rollout_then_applied_with_the_bad_version(
    subject: Subject, calling: Calling
) -> None:
    """B34, B1: deleted in mid-rollout all goes; the bad version applied anew is a first apply."""
    policy = evidence(step(50, "5m"))
    subject.start("v2", policy)
    with calling():
        subject.apply("v3", policy)
        status = subject.rolled_back(90)
    bad = status["candidate"]["revision"]
    _delete(subject, "modeldeployment", subject.name)
    kinds = "deployments,httproutes,modelrollouts,pods"
    kube, space = subject.bench.kube, subject.namespace
    subject.until(lambda: not kube.items(kinds, space, subject.label()), "everything is gone", 90)
    subject.apply("v3", policy)
    subject.promoted(90)
    assert subject.stable() == bad
    assert not subject.rollouts()
    assert backends(subject.route()) == {subject.name: 1}


@pytest.mark.faults
def test_b1_b34_deleted_and_applied_at_once(subject: Subject, calling: Calling) -> None:
    """B1, B34: deleted and applied again before anything is gone: one owner, and it serves."""
    policy = {**ENDLESS, "steps": [step(20, "5m")]}
    subject.start("a", policy)
    with calling() as caller:
        subject.apply("b", policy)
        subject.in_force(20)
        kube, space = subject.bench.kube, subject.namespace
        kube("delete", "modeldeployment", subject.name, "-n", space, "--wait=false")
        subject.apply("b", policy)
        subject.promoted(120)
        uid = subject.object()["metadata"]["uid"]
        subject.until(lambda: _owners(subject) == {uid}, "all belongs to the new one", 90)
        after_s = settle()
        time.sleep(3)
    answers = caller.answers(after_s)
    assert answers
    assert not caller.failed(after_s)
    assert caller.revisions(after_s) == {f"{subject.name}-{subject.stable()}"}


def _owners(subject: Subject) -> set[str]:
    kinds = "deployments,httproutes,services"
    found = subject.bench.kube.items(kinds, subject.namespace, subject.label())
    return {ref["uid"] for one in found for ref in one["metadata"].get("ownerReferences", [])}


@pytest.mark.faults
def test_b1_b29_statuses_wiped_in_mid_rollout(
    subject: Subject, calling: Calling, recorded: Recorder
) -> None:
    """B1, B29: both statuses lost in mid-rollout: it begins anew, and is never promoted sooner."""
    first = subject.start("a", LONG)
    with calling() as caller:
        subject.apply("b", LONG)
        subject.in_force(50)
        patch = json.dumps([{"op": "replace", "path": "/status", "value": {}}])
        (rollout,) = subject.rollouts()
        wiped_s = time.monotonic()
        for kind, name in (("modeldeployment", subject.name),
                           ("modelrollout", rollout["metadata"]["name"])):  # fmt: skip
            words = ("patch", kind, name, "-n", subject.namespace, "--subresource=status")
            subject.bench.kube(*words, "--type=json", "-p", patch)
        subject.promoted(90)
        took_s = time.monotonic() - wiped_s
    assert took_s >= 10.0, f"promoted {took_s:.1f} s after its 10 s were forgotten"
    assert not caller.failed()
    assert subject.stable() != first
    assert len(subject.rollouts()) == 1
    weights = turns(share(c.object) for c in recorded.changes("HTTPRoute"))
    assert weights[-2:] == [100, 0]


@pytest.mark.faults
def test_b25_pods_deleted_at_random(subject: Subject, calling: Calling) -> None:
    """B25: pods of both revisions deleted at random: promoted all the same, none fails."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - to try the same pods again
    chance = random.Random(seed)  # noqa: S311 - no secret
    policy = {**LONG, "steps": [step(50, "25s")]}
    subject.start("a", policy, replicas=2)
    with calling() as caller:
        subject.apply("b", policy, replicas=2)
        subject.in_force(50)
        for _ in range(4):
            time.sleep(chance.uniform(1.0, 5.0))
            pod = chance.choice(sorted(subject.pods(), key=lambda p: str(p["metadata"]["name"])))
            words = ("delete", "pod", pod["metadata"]["name"], "-n", subject.namespace)
            subject.bench.kube(*words, "--wait=false")
            subject.until(lambda: _spare(subject), "a ready pod of stable's")
        subject.promoted(150)
    assert not caller.failed(), f"seed {seed}"
    assert [one["status"]["phase"] for one in subject.rollouts()] == ["Promoted"]


def _spare(subject: Subject) -> bool:
    revision = str((subject.status().get("stable") or {}).get("revision", ""))
    return bool(revision) and sum(map(ready, subject.pods(revision))) >= 2
