"""The CRDs as a whole: committed, small, described, bounded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rampway.api import crds
from rampway.api.base import GROUP, VERSION
from rampway.api.definitions import DEFINITIONS
from rampway.api.rules import VALIDATIONS
from rampway.kube import kinds

ROOT = Path(__file__).parents[3]
Node = dict[str, Any]


WELL_KNOWN = {
    "Kubernetes": "po svc deploy ds rs sts rc no ns pv pvc cm sa ep ing ic netpol hpa pdb quota "
    "limits pc sc csr cs cj ev crd crds all",
    "Cluster API": "md ms ma mp mhc cl",
    "others that split traffic or serve models": "gtw gc ro at cat ex ar isvc ksvc rev rt vs dr gw",
}
"""Short names that are taken."""


def test_no_short_name_is_somebody_elses() -> None:
    """Of a short name that two kinds have kubectl takes the first it meets, also to delete."""
    own = [definition.short_name for definition in DEFINITIONS]
    assert len({*own}) == len(own)
    assert not {*" ".join(WELL_KNOWN.values()).split()} & {*own}


def nodes(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """Yield every node of a schema with its path."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from nodes(node["additionalProperties"], f"{path}[*]")


def all_nodes() -> dict[str, Node]:
    """Return every node of both kinds by its path."""
    return {
        path: node
        for definition in DEFINITIONS
        for part in ("spec", "status")
        if part in crds.root_schema(definition)["properties"]
        for path, node in nodes(
            crds.root_schema(definition)["properties"][part], f"{definition.kind}.{part}"
        )
    }


def test_committed_files_are_what_the_models_say(capsys: pytest.CaptureFixture[str]) -> None:
    """crds/ and the reference page are up to date, and compared as `make check` does."""
    arguments = [str(ROOT / "crds"), "--docs", str(ROOT / "docs/reference/api.md"), "--check"]
    assert crds.main(arguments) == 0, capsys.readouterr().err


def test_a_difference_is_named_with_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed file and a missing one are both found; nothing is written."""
    assert crds.main([str(tmp_path)]) == 0
    assert crds.main([str(tmp_path), "--check"]) == 0
    (tmp_path / "modeldeployments.yaml").write_text("changed\n")
    (tmp_path / "kustomization.yaml").unlink()
    assert crds.main([str(tmp_path), "--check"]) == 1
    said = capsys.readouterr().err
    assert "modeldeployments.yaml: differs" in said
    assert "kustomization.yaml: differs" in said
    assert "make crds" in said
    assert not (tmp_path / "kustomization.yaml").exists()


def test_files_are_the_same_every_time() -> None:
    """Two runs write the same bytes, without YAML anchors."""
    assert crds.files() == crds.files()
    assert "&id" not in "".join(crds.files().values())


def test_the_kustomization_lists_every_crd() -> None:
    """B35: the CRDs are a kustomization of their own, so that removing the operator leaves them."""
    files = crds.files()
    listed = yaml.safe_load(files["kustomization.yaml"])["resources"]
    assert listed == sorted(set(files) - {"kustomization.yaml"})


def test_a_crd_that_outgrows_client_side_apply_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each CRD stays under 200 KiB, and one that does not is named."""
    crds.files()
    monkeypatch.setattr(crds, "MAX_BYTES", 1024)
    with pytest.raises(ValueError, match=r"modeldeployments\.yaml"):
        crds.files()


def test_names_agree_with_what_the_operator_asks_for() -> None:
    """Group, version and plural are those under which kube/ reads the objects."""
    ours = [k for k in vars(kinds).values() if isinstance(k, kinds.Kind) and k.group == GROUP]
    asked = {kind.kind: kind for kind in ours}
    for definition in DEFINITIONS:
        kind = asked.pop(definition.kind)
        assert (kind.group, kind.version, kind.plural) == (GROUP, VERSION, definition.plural)
        assert kind.namespaced == definition.namespaced
    assert not asked


def test_every_field_is_described() -> None:
    """`kubectl explain` has a sentence for every field."""
    for path, node in all_nodes().items():
        if not path.endswith(("[]", "[*]")):
            assert node.get("description", "").endswith((".", "…")), path


def test_every_printed_column_exists() -> None:
    """A column whose path is not in the schema would be blank for ever."""
    known = set(all_nodes())
    for definition in DEFINITIONS:
        for name, path in definition.columns.items():
            meta = path.startswith(".metadata.")
            assert meta or f"{definition.kind}{path}" in known, name


@pytest.mark.parametrize(
    ("kind", "bound"), [("string", "maxLength"), ("array", "maxItems")], ids=str
)
def test_every_string_and_list_is_bounded(kind: str, bound: str) -> None:
    """The API server estimates the cost of the rules by these bounds."""
    for path, node in all_nodes().items():
        if node.get("type") == kind:
            assert bound in node or "enum" in node, path


def test_every_map_is_bounded() -> None:
    """Maps too."""
    for path, node in all_nodes().items():
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


def test_specs_hold_no_floats() -> None:
    """Floats do not survive every tool: percentages, factors and limits are strings."""
    for path, node in all_nodes().items():
        if ".spec" in path:
            assert node.get("type") != "number", path


def test_rules_and_defaults_are_where_they_may_be() -> None:
    """A required field has no default, and every rule has a sentence for people."""
    for path, node in all_nodes().items():
        for name in node.get("required", ()):
            assert "default" not in node["properties"][name], f"{path}.{name}"
        for rule in node.get("x-kubernetes-validations", ()):
            assert rule["message"], path


def test_the_reference_page_has_every_field() -> None:
    """Each field of both kinds stands in a table of docs/reference/api.md."""
    text = crds.reference()
    for path in all_nodes():
        name = path.rstrip("[]*").rsplit(".", 1)[-1]
        assert name in {"spec", "status"} or f"| `{name}` |" in text, path


def test_of_a_rollouts_spec_requests_alone_can_be_changed() -> None:
    """Each field but `requests` is held by a rule that compares it with what it was."""
    (definition,) = (found for found in DEFINITIONS if found.kind == "ModelRollout")
    spec = crds.root_schema(definition)["properties"]["spec"]
    held = [rule["rule"] for rule in spec[VALIDATIONS] if "oldSelf" in rule["rule"]]
    fixed = {part.split(" == ")[0] for rule in held for part in rule.split(" && ")}
    assert fixed == {f"self.{name}" for name in spec["properties"] if name != "requests"}


def test_b12_a_model_deployment_can_be_scaled() -> None:
    """B12: `/scale` reads and writes fields that the schema has, of the types it asks for."""
    found = {d.kind: crds.crd(d)["spec"]["versions"][0] for d in DEFINITIONS}
    assert "scale" not in found["ModelRollout"]["subresources"]
    version = found["ModelDeployment"]
    types = {"specReplicasPath": "integer", "statusReplicasPath": "integer"}
    for name, path in version["subresources"]["scale"].items():
        node = version["schema"]["openAPIV3Schema"]
        for key in path.strip(".").split("."):
            node = node["properties"][key]
        assert node["type"] == types.get(name, "string"), path
