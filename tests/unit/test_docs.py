"""The documents say what is so: examples are valid, links lead somewhere, commands exist."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from rampway.api.parse import parse_deployment
from rampway.api.policy import Policy

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_to_files(page: Path) -> None:
    """Every relative link names a file or folder that exists."""
    links = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_yaml_examples_are_valid(page: Path) -> None:
    """A ModelDeployment or policy in a page is one that the API accepts."""
    for block in blocks(page, "yaml"):
        for found in yaml.safe_load_all(block):
            if found.get("kind") == "ModelDeployment":
                parse_deployment(_complete(found))
            elif "steps" in found:
                Policy.model_validate(found)


def test_the_example_file_is_valid() -> None:
    """examples/digits.yaml is a ModelDeployment that the API accepts."""
    found = yaml.safe_load((ROOT / "examples/digits.yaml").read_text())
    assert parse_deployment(_complete(found)).spec.replicas == 2


def test_the_readme_names_only_targets_that_exist() -> None:
    """Every `make` command of the README is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert named
    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_every_promise_in_the_list_names_tests_that_exist() -> None:
    """docs/reference/behaviour.md names real tests, and every test of a promise is in it."""
    text = (ROOT / "docs/reference/behaviour.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    existing: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        existing |= {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
    promised = {name for name in existing if re.match(r"test_b\d", name)}
    assert named - existing == set()
    assert promised - named == set()


def _complete(found: dict[str, object]) -> dict[str, object]:
    meta = {"namespace": "default", "uid": "u", "generation": 1, "resourceVersion": "1"}
    named = found["metadata"]
    assert isinstance(named, dict)
    return found | {"metadata": meta | named}
