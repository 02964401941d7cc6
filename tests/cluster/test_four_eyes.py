"""Two pairs of eyes, by the example's roles and gate, as an API server enforces them."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml
from cluster.bench import Bench, CommandFailed, Obj
from cluster.subject import QUICK, Subject, step

from demo.cluster import ROOT

pytestmark = pytest.mark.cluster

EXAMPLES = ROOT / "examples" / "people"
LOOK = {
    **QUICK,
    "steps": [step(50, "1s"), {"name": "look", "approval": {"message": "look at the nines"}}],
}
UNASKED = "a rollout needs a step with approval"


def acting(name: str, group: str) -> tuple[str, ...]:
    """Return the words that let kubectl act as a user of one group and nothing else."""
    return (f"--as={name}", f"--as-group={group}", "--as-group=system:authenticated")


SHIPPER, APPROVER = acting("sam", "shippers"), acting("anna", "approvers")


@pytest.fixture
def gated(bench: Bench, subject: Subject) -> Iterator[Subject]:
    """Put the namespace behind the example's gate and bind its two groups there."""
    bench.kube("label", "namespace", subject.namespace, "rampway.dev/four-eyes=true")
    roles: list[Obj] = list(yaml.safe_load_all((EXAMPLES / "roles.yaml").read_text()))
    for one in roles:
        one["metadata"]["namespace"] = subject.namespace
    bench.kube.apply(*roles)
    gate = str(EXAMPLES / "gate.yaml")
    bench.kube("apply", "-f", gate)
    yield subject
    bench.kube("delete", "-f", gate)


def refusal(subject: Subject, *words: str, given: str = "") -> str:
    """Return the API server's words against a command, empty if it was let through."""
    try:
        subject.bench.kube(*words, "-n", subject.namespace, given=given)
    except CommandFailed as refused:
        return str(refused)
    return ""


def applied(subject: Subject, model: str, policy: Any, who: Sequence[str], *words: str) -> str:
    """Apply the ModelDeployment as somebody; return what the API server has against it."""
    made = json.dumps(subject.manifest(model, policy))
    return refusal(subject, "apply", "-f", "-", *who, *words, given=made)


def patched(subject: Subject, target: str, spec: Obj, who: Sequence[str]) -> str:
    """Patch a spec as somebody; return what the API server has against it."""
    patch = json.dumps({"spec": spec})
    return refusal(subject, "patch", *target.split("/"), "--type=merge", "-p", patch, *who)


def test_b11_who_ships_a_model_does_not_approve_it(gated: Subject) -> None:
    """B11: shippers change the model and no approval, approvers the other way round."""
    gated.until(
        lambda: UNASKED in applied(gated, "a", QUICK, SHIPPER, "--dry-run=server"),
        "the gate refusing a policy that asks nobody", 30,
    )  # fmt: skip
    assert not applied(gated, "a", LOOK, SHIPPER)
    gated.promoted()
    assert not applied(gated, "b", LOOK, SHIPPER)
    gated.until(lambda: gated.last().get("reason") == "WaitingForApproval", "waiting for consent")
    rollout = f"modelrollout/{gated.rollouts()[-1]['metadata']['name']}"
    model = f"modeldeployment/{gated.name}"
    consent = {"requests": {"approve": [{"step": "look", "by": "sam"}]}}
    assert "cannot patch resource" in patched(gated, rollout, consent, SHIPPER)
    assert UNASKED in applied(gated, "b", QUICK, SHIPPER)
    assert "cannot delete resource" in refusal(gated, "delete", *model.split("/"), *SHIPPER)
    assert "cannot patch resource" in patched(gated, model, {"paused": True}, APPROVER)
    assert "expected your own name, anna" in patched(gated, rollout, consent, APPROVER)
    assert gated.last().get("reason") == "WaitingForApproval"
    consent["requests"]["approve"][0]["by"] = "anna"
    assert not patched(gated, rollout, consent, APPROVER)
    gated.promoted()
    made = [one for one in gated.last()["decisions"] if one["action"] == "Approved"]
    assert [one["actor"] for one in made] == ["anna"]
