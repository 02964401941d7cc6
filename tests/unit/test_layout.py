"""The shape of the checkout: what must never be there, and what every reader may rely on."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRACKED = [
    Path(name)
    for name in subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]
PYTHON = [path for path in TRACKED if path.suffix == ".py"]
# Put together here, so that this file does not hold what it forbids.
FORBIDDEN = [
    "." + "./shared",
    "/work" + "/main",
    "pypi" + ".org",
    "proxy.golang" + ".org",
    "deb.debian" + ".org",
    "docker" + ".io",
    "registry-1." + "docker",
    "files.python" + "hosted",
]


def test_nothing_lies_directly_in_operator() -> None:
    """A Python file in operator/ could replace the standard module of that name."""
    assert [p for p in PYTHON if p.parent == Path("operator")] == []


def test_nothing_shadows_the_standard_module() -> None:
    """No file or package is called operator but the folder that holds the package."""
    named = [p for p in PYTHON if p.stem == "operator"]
    packages = [p for p in PYTHON if p.name == "__init__.py" and p.parent.name == "operator"]
    in_tests = [p for p in PYTHON if p.name == "__init__.py" and p.parts[0] == "tests"]
    assert [*named, *packages, *in_tests] == []
    import operator

    assert Path(operator.__file__ or "").parent == Path(sys.modules["os"].__file__ or "").parent


def test_files_keep_their_size() -> None:
    """Files stay under 300 lines, tests under 500."""
    long = {}
    for path in PYTHON:
        lines = len((ROOT / path).read_text().splitlines())
        if lines > (500 if path.parts[0] == "tests" else 300):
            long[str(path)] = lines
    assert long == {}


def test_functions_keep_their_size() -> None:
    """No function is longer than 40 lines, docstring included."""
    long = {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in PYTHON
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= 40
    }
    assert long == {}


@pytest.mark.parametrize("word", FORBIDDEN)
def test_no_committed_file_names_a_registry_or_this_machine(word: str) -> None:
    """Registries, the machine's folders and the neighbour folder are never named."""
    found = [str(path) for path in TRACKED if word in (ROOT / path).read_text(errors="ignore")]
    assert found == []


def test_make_help_lists_every_target() -> None:
    """An important target that `make help` does not list is a mistake."""
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    listed = {line.split()[0] for line in shown.stdout.splitlines() if line.strip()}
    assert set(phony[1].split()) == listed
    wanted = {"demo", "test", "check", "cluster-up", "cluster-down", "images", "crds", "clean"}
    assert wanted <= listed
