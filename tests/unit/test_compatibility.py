"""What the comparison with the last release's CRDs finds, and what it lets pass."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import compatibility
from tools.compatibility import of_crds

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["kind"],
    "properties": {
        "kind": {"type": "string", "enum": ["A", "B"], "default": "A"},
        "name": {"type": "string", "maxLength": 63, "minLength": 1, "pattern": "^[a-z]+$"},
        "size": {"type": "integer", "minimum": 1, "maximum": 9, "nullable": True},
        "tags": {"type": "array", "maxItems": 8, "items": {"type": "string"}},
        "notes": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "checks": {"type": "array", "default": [{"name": "a", "on": {"x": 1}}]},
    },
    "x-kubernetes-validations": [{"rule": "self.size > 0", "message": "expected a size"}],
}


def crd(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a CRD of one version."""
    version = {
        "name": "v1",
        "served": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "metadata": {"name": "things.example"},
        "spec": {"group": "example", "scope": "Namespaced", "names": {}, "versions": [version]},
    }


def put(path: str, value: Any) -> dict[str, Any]:
    """Return the schema with another value at a path; None takes away what is there."""
    changed = deepcopy(SCHEMA)
    *parents, last = path.split("/")
    at = changed
    for part in parents:
        at = at[part]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return changed


BROKEN: dict[str, tuple[str, Any, str]] = {
    "field gone": ("properties/name", None, ".name: the field is gone"),
    "newly required": ("required", ["kind", "name"], ".name: required, and was not"),
    "enum narrowed": ("properties/kind/enum", ["A"], ".kind: no longer one of its values: B"),
    "enum new": ("properties/name/enum", ["a"], ".name: no longer one of its values: anything"),
    "type changed": ("properties/size/type", "string", ".size: type was integer, is string"),
    "default changed": ("properties/kind/default", "B", ".kind: default was A, is B"),
    "default gone": ("properties/kind/default", None, ".kind: default was A, is not given"),
    "default less": (
        "properties/checks/default",
        [{"name": "a"}],
        ".checks: default was [{'name': 'a', 'on': {'x': 1}}], is [{'name': 'a'}]",
    ),
    "default of another type": (
        "properties/kind/default",
        ["A"],
        ".kind: default was A, is ['A']",
    ),
    "longest shorter": ("properties/name/maxLength", 9, ".name: maxLength was 63, is 9"),
    "shortest longer": ("properties/name/minLength", 2, ".name: minLength was 1, is 2"),
    "most fewer": ("properties/tags/maxItems", 7, ".tags: maxItems was 8, is 7"),
    "fewest new": ("properties/tags/minItems", 1, ".tags: minItems was not given, is 1"),
    "maximum lower": ("properties/size/maximum", 8, ".size: maximum was 9, is 8"),
    "pattern other": ("properties/name/pattern", "^a$", ".name: pattern was ^[a-z]+$, is ^a$"),
    "null refused": ("properties/size/nullable", False, ".size: nullable is gone"),
    "items other": (
        "properties/tags/items/type",
        "integer",
        ".tags[]: type was string, is integer",
    ),
    "map closed": ("properties/notes/additionalProperties", None, ".notes.*: gone"),
    "unknown pruned": (
        "properties/free/x-kubernetes-preserve-unknown-fields",
        None,
        ".free: x-kubernetes-preserve-unknown-fields is gone",
    ),
    "new rule": (
        "x-kubernetes-validations",
        [{"rule": "false", "message": "expected more"}],
        ": a new rule: expected more",
    ),
}


@pytest.mark.parametrize(("path", "value", "told"), BROKEN.values(), ids=BROKEN.keys())
def test_what_users_would_suffer_from_is_told(path: str, value: Any, told: str) -> None:
    """Each way to refuse or drop what was valid is one line that names the field."""
    found = list(of_crds({"things": crd(SCHEMA)}, {"things": crd(put(path, value))}))
    assert found == [f"things v1{told}"]


HARMLESS: dict[str, tuple[str, Any]] = {
    "another field": ("properties/more", {"type": "string", "maxLength": 1}),
    "no longer required": ("required", []),
    "another value": ("properties/kind/enum", ["A", "B", "C"]),
    "any value": ("properties/kind/enum", None),
    "longer": ("properties/name/maxLength", 64),
    "unbounded": ("properties/name/maxLength", None),
    "from zero": ("properties/size/minimum", 0),
    "no pattern": ("properties/name/pattern", None),
    "a text": ("description", "What it is."),
    "a rule put differently": (
        "x-kubernetes-validations",
        [{"rule": "!(self.size <= 0)", "message": "expected a size"}],
    ),
    "a default of a later field": (
        "properties/checks/default",
        [{"name": "a", "on": {"x": 1, "y": 2}}],
    ),
    "no rule": ("x-kubernetes-validations", None),
}


@pytest.mark.parametrize(("path", "value"), HARMLESS.values(), ids=HARMLESS.keys())
def test_what_only_widens_passes(path: str, value: Any) -> None:
    """What takes all that was taken before is compatible."""
    assert not list(of_crds({"things": crd(SCHEMA)}, {"things": crd(put(path, value))}))


def test_a_rule_about_a_new_field_passes_and_one_about_an_old_one_does_not() -> None:
    """Who does not use the new field cannot meet a rule that speaks of it."""
    rule = {"rule": "!has(self.mode) || self.mode != 'x'", "message": "expected no x"}
    changed = put("x-kubernetes-validations", [rule])
    assert list(of_crds({"things": crd(SCHEMA)}, {"things": crd(changed)}))
    changed["properties"]["mode"] = {"type": "string"}
    assert not list(of_crds({"things": crd(SCHEMA)}, {"things": crd(changed)}))


def test_kinds_versions_and_subresources_stay() -> None:
    """A kind, a served version, a subresource and a scope are promises as well."""
    old, new = crd(SCHEMA), crd(SCHEMA)
    assert list(of_crds({"things": old}, {})) == ["things: the kind is gone"]
    new["spec"]["versions"][0] |= {"subresources": {}}
    new["spec"]["scope"] = "Cluster"
    assert list(of_crds({"things": old}, {"things": new})) == [
        "things: scope changed",
        "things v1: the subresource status changed",
    ]
    new["spec"]["versions"][0]["served"] = False
    assert "version v1 is not served any more" in list(of_crds({"a": old}, {"a": new}))[-1]


def test_a_break_of_the_present_crds_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command compares all files of crds/, and says where and what to do."""
    monkeypatch.setattr("sys.argv", ["compatibility"])
    for path in compatibility.CRDS.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(compatibility, "CRDS", tmp_path)
    assert compatibility.main() == 0
    broken = yaml.load((tmp_path / "modeldeployments.yaml").read_text(), yaml.CSafeLoader)
    (version,) = broken["spec"]["versions"]
    del version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["paused"]
    (tmp_path / "modeldeployments.yaml").write_text(yaml.dump(broken, Dumper=yaml.CSafeDumper))
    assert compatibility.main() == 1
    said = capsys.readouterr().out
    assert "modeldeployments.rampway.dev v1alpha1.spec.paused: the field is gone\n" in said
    assert "serve a new version of the API" in said


def test_a_release_holds_every_kind_without_texts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is written down for a release is what is compared, and nothing that may be reworded."""
    monkeypatch.setattr(compatibility, "RELEASED", tmp_path)
    compatibility.write_release()
    version = compatibility.last_release()
    assert compatibility.released(version).keys() == compatibility.present().keys()
    assert not list(of_crds(compatibility.present(), compatibility.released(version)))
    assert not list(of_crds(compatibility.released(version), compatibility.present()))


def test_the_newest_release_is_compared_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Versions are ordered as numbers."""
    for name in ("0.9.0", "0.10.0", "0.2.11"):
        (tmp_path / f"{name}.yaml").touch()
    monkeypatch.setattr(compatibility, "RELEASED", tmp_path)
    assert compatibility.last_release() == "0.10.0"
