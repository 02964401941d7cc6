"""docs/guides/people.md and the files in examples/people say what is so."""

import re
from pathlib import Path
from typing import Any

import yaml
from typer.main import get_command

from rampway.api.parse import parse_deployment
from rampway.api.rollout import Requests
from rampway.cli.app import app
from rampway.kube.kinds import MODEL_DEPLOYMENT, MODEL_ROLLOUT

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/guides/people.md").read_text()
FILES = {path.stem: path for path in (ROOT / "examples/people").glob("*.yaml")}
Obj = dict[str, Any]


def objects(name: str) -> list[Obj]:
    """Return the objects of a file."""
    return list(yaml.safe_load_all(FILES[name].read_text()))


def test_the_page_names_every_file_and_only_verbs_that_exist() -> None:
    """What a reader types is there."""
    for path in FILES.values():
        assert f"(../../examples/people/{path.name})" in PAGE
    verbs = set(getattr(get_command(app), "commands", {}))
    typed = set(re.findall(r"kubectl rampway ([a-z]+)", PAGE))
    assert typed >= {"approve", "promote", "abort", "retry", "pause", "undo"}
    assert typed <= verbs
    assert {f"spec.requests.{name}" for name in Requests.model_fields} <= set(
        re.findall(r"spec\.requests\.[a-z]+", PAGE)
    )


def test_the_example_asks_a_person_and_passes_its_own_gate() -> None:
    """A step with approval, a check that asks, and a watch in which an undo is at once."""
    (found,) = objects("digits")
    meta = {"uid": "u", "generation": 1, "resourceVersion": "1"} | found["metadata"]
    policy = parse_deployment(found | {"metadata": meta}).spec.rollout.policy
    assert policy is not None
    assert [step.name for step in policy.steps if step.approval] == ["look"]
    assert [check.name for check in policy.checks if check.on_failure == "Pause"] == ["latency"]
    assert policy.watch is not None


def test_b11_nobody_ships_and_approves() -> None:
    """B11: the two groups are not one, and shippers have no right to change a rollout."""
    bindings = [obj for obj in objects("roles") if obj["kind"] == "RoleBinding"]
    groups = {obj["metadata"]["name"]: obj["subjects"][0]["name"] for obj in bindings}
    assert groups == {
        "shippers": "shippers",
        "approvers": "approvers",
        "approvers-look": "approvers",
    }
    (role,) = (obj for obj in objects("roles") if obj["kind"] == "Role")
    rights = {(kind, verb) for r in role["rules"] for kind in r["resources"] for verb in r["verbs"]}
    writing = {"create", "update", "patch", "delete"}
    assert {kind for kind, verb in rights if verb in writing} == {MODEL_DEPLOYMENT.plural}
    assert (MODEL_DEPLOYMENT.plural, "delete") not in rights
    assert (MODEL_ROLLOUT.plural, "get") in rights
    (approvers,) = (obj for obj in bindings if obj["metadata"]["name"] == "approvers")
    assert approvers["roleRef"]["name"] == "rampway-approve"


def test_the_gate_is_about_what_people_apply() -> None:
    """ModelDeployments made and changed, in namespaces that ask for it, and it denies."""
    policy, binding = objects("gate")
    constraints = policy["spec"]["matchConstraints"]
    assert constraints["namespaceSelector"]["matchLabels"] == {"rampway.dev/four-eyes": "true"}
    (rule,) = constraints["resourceRules"]
    assert rule["resources"] == [MODEL_DEPLOYMENT.plural]
    assert rule["operations"] == ["CREATE", "UPDATE"]
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]
