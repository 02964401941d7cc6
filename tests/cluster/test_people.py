"""People have their say under traffic: by the plugin and plain kubectl, stamped, on record."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from cluster.bench import Bench, CommandFailed, Obj, until
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.subject import Subject, backends, condition, step

from demo.cluster import ROOT
from rampway.core.instants import from_wire

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

STAMP, CHECK = (str(ROOT / "manifests" / "people" / name) for name in ("stamp", "check"))
ALICE = ("--as=alice", "--as-group=system:masters")
POLICY = {
    "steps": [step(50, "2s"), {"name": "look", "approval": {"message": "look at the nines"}}],
    "checks": [],
    "watch": {"hold": "10m"},
    "rollback": {"keepCandidate": "30s"},
}


@pytest.fixture
def stamping(bench: Bench) -> Iterator[None]:
    """Let the API server stamp who asked, as on Kubernetes from 1.36 on."""
    served = bench.kube("api-resources", "--api-group=admissionregistration.k8s.io", "-o", "name")
    if "mutatingadmissionpolicies." not in served:
        pytest.fail("this API server serves no MutatingAdmissionPolicy; Kubernetes 1.36 does")
    bench.kube("apply", "-k", STAMP)
    yield
    bench.kube("delete", "-k", STAMP)


def attempt(subject: Subject) -> Obj:
    """Return the latest rollout."""
    return subject.rollouts()[-1]


def patched(subject: Subject, requests: Obj, *words: str) -> Obj:
    """Ask something of the latest rollout by plain kubectl; return the requests as kept."""
    name = attempt(subject)["metadata"]["name"]
    patch = json.dumps({"spec": {"requests": requests}})
    kept = subject.bench.kube.json(
        "patch", "modelrollout", name, "-n", subject.namespace, "--type=merge", "-p", patch, *words
    )
    found: Obj = kept["spec"]["requests"]
    return found


def say(subject: Subject, verb: str, *words: str) -> str:
    """Type a verb of the plugin."""
    return subject.bench.kube("rampway", verb, subject.name, *words, "-n", subject.namespace)


def waits(subject: Subject) -> None:
    """Wait until the rollout waits for a person's approval."""
    subject.until(
        lambda: subject.last().get("reason") == "WaitingForApproval", "waiting for approval"
    )


def in_force(subject: Subject, seen: str) -> None:
    """Wait until the API server keeps, or says, this of a foreign name: it learns of policies."""

    def tried() -> bool:
        try:
            kept = patched(subject, {"abort": {"by": "mallory"}}, *ALICE, "--dry-run=server")
        except CommandFailed as refused:
            return " " in seen and seen in str(refused)
        return bool(kept["abort"] == {"by": seen, "message": ""})

    until(tried, f"an admission policy that says {seen!r}", subject.tell, 30)


def decided(subject: Subject, action: str) -> Obj:
    """Return the latest decision of this kind in the latest rollout."""
    made = attempt(subject)["status"]["decisions"]
    found: Obj = [one for one in made if one["action"] == action][-1]
    return found


@pytest.mark.usefixtures("stamping")
def test_b11_an_approval_is_stamped_counts_once_and_is_undone_at_once(
    subject: Subject, calling: Calling
) -> None:
    """B9, B10, B11: paused, approved with another's name, resumed, promoted, undone from the watch.

    No request fails, and after the undo only the old revision answers.
    """
    first = subject.start("a", POLICY)
    with calling() as caller:
        subject.apply("b", POLICY)
        waits(subject)
        assert f"kubectl rampway approve {subject.name} look" in say(subject, "status")
        say(subject, "pause")
        in_force(subject, "alice")
        asked = {"approve": [{"step": "look", "by": "mallory", "message": "the nines are fine"}]}
        began_s = datetime.now(UTC).timestamp()  # noqa: TID251 - a test of the real clock
        kept = patched(subject, asked, *ALICE)
        assert [one["by"] for one in kept["approve"]] == ["alice"]
        time.sleep(3)
        assert subject.last()["phase"] == "Stepping"
        assert "goes on from look" in say(subject, "resume")
        subject.promoted()
        made = decided(subject, "Approved")
        assert made["actor"] == "alice"
        assert "the nines are fine" in made["message"]
        assert (from_wire(made["at"]) or 0) > began_s + 2  # after the pause
        subject.until(lambda: subject.status().get("phase") == "Watching", "the watch")
        assert "takes all requests back at once" in say(subject, "undo")
        subject.until(
            lambda: (subject.status().get("stable") or {}).get("revision") == first,
            "the old revision stable again", 15,
        )  # fmt: skip
        subject.until(
            lambda: backends(subject.route()) == {subject.name: 1}, "the route at rest", 30
        )
        after_s = settle()
        time.sleep(2)
    assert caller.revisions(after_s) == {f"{subject.name}-{first}"}
    assert not caller.failed()
    assert subject.last()["phase"] == "Aborted"


@pytest.mark.usefixtures("stamping")
def test_b26_aborted_retried_and_promoted_by_the_plugin(subject: Subject, calling: Calling) -> None:
    """B26: an abort is a rollback by name; a retry begins anew; a promotion skips the approval."""
    subject.start("a", POLICY)
    with calling() as caller:
        subject.apply("b", POLICY)
        waits(subject)
        said = say(subject, "abort", "-m", "not today")
        me = said.split("on record for ", 1)[1].split("\n", 1)[0]
        status = subject.rolled_back()
        assert condition(status, "Promoted")["reason"] == "AbortedByPerson"
        made = decided(subject, "RollingBack")
        assert made["actor"] == me
        assert "not today" in made["message"]
        assert "attempt 2 begins" in say(subject, "retry")
        subject.until(lambda: len(subject.rollouts()) == 2, "a second attempt")
        waits(subject)
        assert "skipping 1 of 2 steps" in say(subject, "promote", "--attempt", "2")
        subject.promoted()
        assert decided(subject, "Promoting")["actor"] == me
    assert not caller.failed()


def test_b11_without_stamping_a_foreign_name_is_refused(bench: Bench, subject: Subject) -> None:
    """B11: where the API server only checks, a request must carry its user's own name."""
    with suppress(CommandFailed):  # an older API server knows no such kind
        bench.kube("delete", "-k", STAMP, "--ignore-not-found")
    bench.kube("apply", "-k", CHECK)
    subject.start("a", POLICY)
    subject.apply("b", POLICY)
    waits(subject)
    in_force(subject, "expected your own name, alice")
    with pytest.raises(CommandFailed, match="expected your own name, alice"):
        patched(subject, {"promote": {}}, *ALICE)
    kept = patched(subject, {"approve": [{"step": "look", "by": "alice"}]}, *ALICE)
    assert kept["approve"][0]["by"] == "alice"
    subject.promoted()
    assert decided(subject, "Approved")["actor"] == "alice"
