"""People have their say under traffic: by the plugin and plain kubectl, stamped, on record."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from cluster.bench import Bench, CommandFailed, Obj, until
from cluster.caller import settle
from cluster.conftest import Calling
from cluster.subject import Subject, backends, condition, step

from demo.cluster import ROOT
from rampway.api.labels import CHANGED_BY, PAUSED_BY, RESUMED_BY
from rampway.shell.authors import FRESH_S

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

STAMP, CHECK = (str(ROOT / "manifests" / "people" / name) for name in ("stamp", "check"))
ALICE = ("--as=alice", "--as-group=system:masters")
NOTICED_S = FRESH_S + 2
"""By then the operator knows whether the API server stamps who it was."""
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
        kept = patched(subject, asked, *ALICE)
        assert [one["by"] for one in kept["approve"]] == ["alice"]
        time.sleep(3)
        assert subject.last()["phase"] == "Stepping"
        assert "goes on from look" in say(subject, "resume")
        subject.promoted()
        made = decided(subject, "Approved")
        assert made["actor"] == "alice"
        assert "the nines are fine" in made["message"]
        order = [one["action"] for one in subject.last()["decisions"]]
        assert order.index("Paused") < order.index("Approved") < order.index("Promoting")
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


def as_user(name: str) -> tuple[str, str]:
    """Return the words by which kubectl writes as somebody else."""
    return f"--as={name}", "--as-group=system:masters"


def changed(subject: Subject, spec: Obj, *words: str, notes: Obj | None = None) -> Obj:
    """Change the spec by plain kubectl, annotations as well; return who did what, as kept."""
    patch = json.dumps({"metadata": {"annotations": notes or {}}, "spec": spec})
    about = ("modeldeployment", subject.name, "-n", subject.namespace, "--type=merge", "-p", patch)
    return stamps(subject.bench.kube.json("patch", *about, *words))


def stamps(obj: Obj) -> Obj:
    """Return the users whose names are on a ModelDeployment, by annotation."""
    notes = obj["metadata"].get("annotations") or {}
    known = {key: notes[key] for key in (PAUSED_BY, RESUMED_BY, CHANGED_BY) if key in notes}
    return {key: text.rpartition(" at ")[0] for key, text in known.items()}


def forge(subject: Subject) -> None:
    """Write another's name by hand, take the names away, scale, and apply the file without them."""
    about = ("modeldeployment", subject.name, "-n", subject.namespace)
    keys = (PAUSED_BY, CHANGED_BY)
    written = [f"{key}=mallory at 2020-01-01T00:00:00Z" for key in keys]
    kube, mallory = subject.bench.kube, as_user("mallory")
    kube("annotate", *about, *written, "--overwrite", *mallory)
    kube("annotate", *about, *(f"{key}-" for key in keys), *mallory)
    kube("scale", *about, "--replicas=2", *mallory)
    subject.apply("a", POLICY)


@pytest.mark.usefixtures("stamping")
def test_b11_who_paused_released_and_undid_is_stamped_whatever_is_written(
    subject: Subject,
) -> None:
    """B9, B10, B11: by name in status, decisions and the plugin's words; no client forges it."""
    subject.start("a", POLICY)
    before, model = subject.object()["spec"]["model"], subject.manifest("b")["spec"]["model"]
    tried = ({"paused": True}, *as_user("eve"), "--dry-run=server")
    until(lambda: changed(subject, *tried).get(PAUSED_BY) == "eve", "a policy", subject.tell, 30)
    time.sleep(NOTICED_S)
    forged = {PAUSED_BY: "mallory at 2020-01-01T00:00:00Z"}
    assert changed(subject, {"paused": True}, *ALICE, notes=forged)[PAUSED_BY] == "alice"
    maker = stamps(subject.object()).get(CHANGED_BY)
    forge(subject)
    assert stamps(subject.object()) == {PAUSED_BY: "alice"} | ({CHANGED_BY: maker} if maker else {})
    known = subject.until(lambda: subject.status().get("pausedBy"), "the pause in the status")
    assert (known["by"], known["told"]) == ("alice", "Stamp")
    assert "paused by alice" in say(subject, "status")
    assert changed(subject, {"paused": False}, *as_user("bob"))[RESUMED_BY] == "bob"
    assert changed(subject, {"model": model}, *as_user("carol"))[CHANGED_BY] == "carol"
    waits(subject)
    released = attempt(subject)["spec"]["releasedBy"]
    assert (released["by"], released["told"]) == ("carol", "Stamp")
    changed(subject, {"paused": True}, *ALICE)
    subject.until(lambda: decided_by(subject, "Paused") == "alice", "alice's pause on record")
    changed(subject, {"paused": False}, *as_user("bob"))
    subject.until(lambda: decided_by(subject, "Resumed") == "bob", "bob's word on record")
    say(subject, "approve")
    subject.until(lambda: subject.status().get("phase") == "Watching", "the watch")
    changed(subject, {"model": before}, *as_user("dave"))
    subject.until(lambda: decided_by(subject, "RollingBack") == "dave", "dave's undo on record")
    assert "undone by dave" in subject.last()["message"]


def decided_by(subject: Subject, action: str) -> str:
    """Return who took the latest decision of this kind, empty if none was taken."""
    made = [one for one in subject.last().get("decisions", ()) if one["action"] == action]
    return str(made[-1]["actor"]) if made else ""


def test_b11_without_stamping_the_program_is_told_and_no_forged_name(
    bench: Bench, subject: Subject
) -> None:
    """B10, B11: what managedFields tell, and that it is no user's name."""
    with suppress(CommandFailed):  # an older API server knows no such kind
        bench.kube("delete", "-k", STAMP, "--ignore-not-found")
    subject.start("a", POLICY)
    time.sleep(NOTICED_S)
    forged = {PAUSED_BY: "mallory at 2020-01-01T00:00:00Z"}
    changed(subject, {"paused": True}, "--field-manager=some-tool", *ALICE, notes=forged)
    found = subject.until(lambda: subject.status().get("pausedBy"), "the pause in the status")
    assert (found["by"], found["told"]) == ("some-tool", "Manager")
    said = say(subject, "status")
    assert "paused by somebody with some-tool" in said
    assert "no names are stamped here" in said
    assert "mallory" not in said
