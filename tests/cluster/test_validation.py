"""The real API server refuses what users get wrong, and agrees with the models on the rest."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from secrets import token_hex
from subprocess import CompletedProcess
from typing import Any, Protocol

import pytest
from mistakes import MISTAKES, Mistake, changed, full, minimal, rollout

from rampway.api.conditions import Condition
from rampway.api.definitions import DEFINITIONS
from rampway.api.deployment import ModelDeploymentStatus, RevisionStatus
from rampway.api.parse import parse_deployment, parse_rollout
from rampway.api.rollout import CheckStatus, Decision, ModelRolloutStatus, StepStatus
from rampway.core.model.revision import revision_hash

pytestmark = pytest.mark.cluster

CRDS = Path(__file__).parents[2] / "crds"
NOW = "2026-01-01T00:00:00Z"
Change = tuple[tuple[str | int, ...], Any]


class Kubectl(Protocol):
    """Runs kubectl; the fixture of conftest.py."""

    def __call__(self, *args: str, input: str | None = None) -> CompletedProcess[str]:  # noqa: A002
        """Return what it printed and its exit code."""


@pytest.fixture(scope="module")
def space(kubectl: Kubectl) -> Iterator[str]:
    """Return a namespace of this module's own, with the CRDs in place."""
    assert_done(kubectl("apply", "-k", str(CRDS)))
    names = [f"crd/{definition.plural}.rampway.dev" for definition in DEFINITIONS]
    assert_done(kubectl("wait", "--for=condition=Established", *names, "--timeout=240s"))
    # Unlike its predecessor, which may still be on its way out.
    name = f"rampway-test-validation-{token_hex(3)}"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    assert_done(kubectl("apply", "-f", "-", input=json.dumps(namespace)))
    yield name
    assert_done(kubectl("delete", "namespace", name, "--wait=false"))


def assert_done(run: CompletedProcess[str]) -> str:
    """Return what kubectl printed, or fail with what it said."""
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture
def send(kubectl: Kubectl, space: str) -> Callable[..., CompletedProcess[str]]:
    """Return a function that runs a kubectl command with an object as its input."""

    def run(obj: Mapping[str, Any], *args: str) -> CompletedProcess[str]:
        return kubectl("-n", space, *args, "-f", "-", input=json.dumps(obj))

    return run


Send = Callable[..., CompletedProcess[str]]
TRY = ("apply", "--dry-run=server", "-o", "json")


@pytest.mark.parametrize(
    "way", [(), ("--server-side", "--force-conflicts")], ids=["client", "server"]
)
def test_crds_apply_from_either_side(kubectl: Kubectl, way: tuple[str, ...]) -> None:
    """The CRDs apply client-side (they fit the annotation) and server-side, and are established."""
    assert_done(kubectl("apply", *way, "-k", str(CRDS)))
    for definition in DEFINITIONS:
        said = kubectl(
            "get", "crd", f"{definition.plural}.rampway.dev",
            "-o", "jsonpath={.status.conditions[?(@.type=='Established')].status}"
            "/{.status.conditions[?(@.type=='NonStructuralSchema')].status}",
        )  # fmt: skip
        assert assert_done(said) == "True/"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.name)
def test_mistakes_are_refused_with_the_field_named(send: Send, mistake: Mistake) -> None:
    """Each mistake is refused in the words in which pydantic refuses it offline.

    A malformed value gets its own sentence, never a failed conversion inside a rule.
    """
    run = send(mistake.made(), *TRY)
    assert run.returncode != 0, f"accepted: {run.stdout}"
    for words in mistake.words:
        assert words in run.stderr
    for words in ("conversion error", "no such key", "no such overload", "runtime error"):
        assert words not in run.stderr


GOOD: dict[str, Change] = {
    "all of it": (("spec", "replicas"), 1000),
    "a name of 52": (("metadata", "name"), "d" * 52),
    "a name of one letter": (("metadata", "name"), "d"),
    "a limit alone": (
        ("spec", "rollout", "policy", "checks"),
        [{"name": "a", "threshold": {"query": "q", "max": "0"}}],
    ),
    "equal limits": (("spec", "rollout", "policy", "checks", 2, "threshold", "min"), "3.0"),
    "no check": (("spec", "rollout", "policy", "checks"), []),
    "the smallest weight": (("spec", "rollout", "policy", "steps", 0, "weight"), "1%"),
    "half of all rollbacks false": (("spec", "rollout", "policy", "falseRollbackRate"), "50%"),
    "a whole week": (("spec", "rollout", "policy", "steps", 0, "hold"), "168h"),
    "the last percentile": (
        ("spec", "rollout", "policy", "checks", 1, "latency", "percentile"),
        "99.99",
    ),
    "a null for a default": (("spec", "server"), None),
    "a patch of anything": (("spec", "server", "podTemplatePatch"), {"a": [{"b": 1.5}, "c"]}),
    "a plain URL": (("spec", "model", "uri"), "http://models.example:8080/digits?v=2"),
}


@pytest.mark.parametrize("sentence", GOOD)
def test_good_objects_are_accepted_by_both(send: Send, sentence: str) -> None:
    """What the API server accepts, the operator understands, and the other way round."""
    obj = changed(full(), *GOOD[sentence])
    kept = json.loads(assert_done(send(obj, *TRY)))
    assert parse_deployment(kept).spec == parse_deployment(obj).spec


@pytest.mark.parametrize("way", [(), ("--server-side",)], ids=["client", "server"])
def test_b3_defaults_agree_and_leave_the_hash_alone(send: Send, way: tuple[str, ...]) -> None:
    """B3: the API server fills in what the models fill in; the revision's hash is the same."""
    kept = json.loads(assert_done(send(minimal(), *TRY, *way)))
    offline = parse_deployment(minimal()).spec
    assert parse_deployment(kept).spec == offline
    assert _filled(kept["spec"]) == _filled(
        offline.model_dump(mode="json", by_alias=True, exclude_none=True)
    )
    assert revision_hash(parse_deployment(kept).spec) == revision_hash(offline)


def _filled(value: Any) -> Any:
    """Return a value without the empty maps and lists in it, which say nothing."""
    if isinstance(value, dict):
        inner = {key: _filled(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item not in ({}, [])}
    return [_filled(item) for item in value] if isinstance(value, list) else value


def test_a_rollout_never_changes(send: Send, kubectl: Kubectl, space: str) -> None:
    """Nothing but requests can be changed, down to what the schema does not know."""
    assert_done(send(rollout(), "apply"))
    patch = ("spec", "candidate", "server", "podTemplatePatch", "spec", "nodeSelector", "disk")
    for at, value in ((("spec", "attempt"), 2), (patch, "slow")):
        run = send(changed(rollout(), at, value), *TRY)
        assert run.returncode != 0
        assert "nothing but requests can be changed" in run.stderr
    me = assert_done(kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"))
    asked = changed(rollout(), ("spec", "requests"), {"abort": {"by": me, "message": "enough"}})
    assert_done(send(asked, *TRY))
    read = kubectl("-n", space, "get", "modelrollout", rollout()["metadata"]["name"], "-o", "json")
    assert parse_rollout(json.loads(assert_done(read))).spec == parse_rollout(rollout()).spec


def test_b26_a_retry_is_asked_for_after_the_end(send: Send) -> None:
    """B26: asked for beforehand it would undo the abort that follows it, so it is refused."""
    assert_done(send(rollout(), "apply"))
    run = send(changed(rollout(), ("spec", "requests"), {"retry": {"by": "ann"}}), *TRY)
    assert run.returncode != 0
    assert "expected a rollout that has been rolled back" in run.stderr


ROLLOUT_STATUS = ModelRolloutStatus(
    phase="Stepping",
    reason="StepRunning",
    message="m" * 9000,
    started_at=NOW,
    step=StepStatus(index=1, name="five", total=4, in_force_since=NOW, not_counted_s=1.5),
    weight_pct=5,
    crashes=("pod/1",),
    checks=(CheckStatus(name="errors", state="Pass", message="fine"),),
    decisions=(Decision(at=NOW, actor="rampway", action="Step", reason="StepRunning"),),
    evidence="{}" * 1000,
)
DEPLOYMENT_STATUS = ModelDeploymentStatus(
    observed_generation=1,
    phase="Progressing",
    reason="StepRunning",
    message="m" * 9000,
    stable=RevisionStatus(revision="9876543210"),
    candidate=RevisionStatus(revision="0123456789", version="2", ready_replicas=1),
    step="2/4",
    weight_pct=5,
    conditions=(
        Condition(type="Ready", status="True", reason="Serving", last_transition_time=NOW),
    ),
)


def test_a_rollouts_status_is_kept_as_written(send: Send, kubectl: Kubectl, space: str) -> None:
    """Neither refused nor pruned: every field comes back, and `kubectl get` shows it."""
    assert_done(send(rollout(), "apply"))
    name = ("modelrollout", rollout()["metadata"]["name"])
    for status in (ModelRolloutStatus(), ROLLOUT_STATUS):
        body = status.model_dump(mode="json", by_alias=True)
        kept = _patched(kubectl, space, name, body)
        assert kept["status"] == body
        assert parse_rollout(kept).status == status
    shown = assert_done(kubectl("-n", space, "get", *name))
    for word in (
        "DEPLOYMENT",
        "CANDIDATE",
        "WEIGHT",
        "0123456789",
        "2/4",
        "Stepping",
        "StepRunning",
    ):
        assert word in shown


def test_a_deployments_status_is_kept_as_written(send: Send, kubectl: Kubectl, space: str) -> None:
    """Neither refused nor pruned: every field comes back, and `kubectl get` has its columns."""
    # An operator in this cluster may act on it; it is deleted before a pod of it can serve.
    made = minimal() | {"metadata": {"name": "status"}}
    assert_done(send(made, "apply"))
    name = ("modeldeployment", "status")
    for status in (ModelDeploymentStatus(), DEPLOYMENT_STATUS):
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        kept = _patched(kubectl, space, name, body)
        assert kept["status"] == body
        assert parse_deployment(kept).status == status
    heading = assert_done(kubectl("-n", space, "get", "mldep")).splitlines()[0].split()
    assert heading == ["NAME", "PHASE", "STABLE", "CANDIDATE", "STEP", "WEIGHT%", "REASON", "AGE"]
    assert_done(kubectl("-n", space, "delete", *name, "--wait=false"))


def _patched(
    kubectl: Kubectl, space: str, name: tuple[str, str], status: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the object as the API server kept it, at once: an operator may write next."""
    body = json.dumps([{"op": "add", "path": "/status", "value": status}])
    run = kubectl(
        "-n", space, "patch", *name, "--subresource=status", "--type=json", "-p", body, "-o", "json"
    )
    found: dict[str, Any] = json.loads(assert_done(run))
    return found


def test_explain_reads_like_documentation(kubectl: Kubectl, space: str) -> None:
    """`kubectl explain` has the sentences of the models, for the kind and for a field deep down."""
    assert space
    said = assert_done(kubectl("explain", "modeldeployment"))
    assert "A model that is served" in " ".join(said.split())
    said = assert_done(kubectl("explain", "modeldeployment.spec.rollout.policy.checks.errorRate"))
    assert "The harm that must not be missed" in " ".join(said.split())
