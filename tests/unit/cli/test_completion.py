"""Completion: what shells and kubectl ask for, answered by the program itself."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner
from unit.cli import scenes
from unit.cli.conftest import Connect

from rampway.cli import completion
from rampway.cli.app import app
from rampway.kube.errors import Transient
from rampway.sim.apiserver import MemoryApi

ANSWERS = {
    "bash": {"COMP_WORDS": "kubectl-rampway st", "COMP_CWORD": "1"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "kubectl-rampway st"},
    "fish": {
        "_TYPER_COMPLETE_ARGS": "kubectl-rampway st",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    },
}


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """Put the program on a PATH of its own; return the environment."""
    path = tmp_path / "kubectl-rampway"
    path.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from rampway.cli import main; main()" "$@"\n'
    )
    path.chmod(0o755)
    return os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "KUBECONFIG": "/nowhere"}


def script(shell: str) -> str:
    """Return what `completion` prints."""
    result = CliRunner().invoke(app, ["completion", shell])
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("shell", ANSWERS)
def test_each_shell_gets_a_script_and_answers(shell: str, program: dict[str, str]) -> None:
    """The printed line names what prints the shell's own script, and that asks what is answered."""
    assert f"{completion.VARIABLE}=source_{shell} kubectl-rampway" in script(shell)
    asked = {completion.VARIABLE: f"source_{shell}"}
    own = subprocess.run(
        ["kubectl-rampway"], env=program | asked, capture_output=True, text=True, check=True
    )
    assert f"complete_{shell}" in own.stdout
    asked = {completion.VARIABLE: f"complete_{shell}"} | ANSWERS[shell]
    answer = subprocess.run(
        ["kubectl-rampway"], env=program | asked, capture_output=True, text=True, check=False
    )
    assert "status" in answer.stdout
    assert "approve" not in answer.stdout


@pytest.mark.parametrize(
    ("words", "found", "directive"),
    [
        (["p"], {"promote", "pause", "plan"}, ":4"),
        ([""], {"status", "list", "approve", "undo"}, ":4"),
        (["status", "digits", "--w"], {"--watch", "--wait"}, ":4"),
        (["list", "-o", ""], {"table", "wide", "json", "yaml"}, ":4"),
        (["lint", "f"], set(), ":0"),
        (["simulate", "f"], set(), ":0"),
        (["replay", "digits", "--un"], {"--under"}, ":0"),
        (["status", ""], set(), ":4"),  # no cluster: no names, and no error
    ],
)
def test_kubectl_is_answered_in_its_own_form(
    tmp_path: Path, program: dict[str, str], words: list[str], found: set[str], directive: str
) -> None:
    """Candidates a line each, then whether file names would do as well."""
    path = tmp_path / "kubectl_complete-rampway"
    path.write_text(script("kubectl"))
    path.chmod(0o755)
    answer = subprocess.run([path, *words], env=program, capture_output=True, text=True, check=True)
    *candidates, last = answer.stdout.splitlines()
    assert last == directive
    assert found <= set(candidates)
    if words != [""]:
        assert set(candidates) == found
    assert not answer.stderr


def test_names_are_those_of_the_cluster(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ModelDeployment's name is completed by asking; an API server that fails says nothing."""
    connect(scenes.healthy)
    ctx = SimpleNamespace(params={"namespace": "ml"})
    assert completion.names(ctx, "di") == ["digits"]  # type: ignore[arg-type]  # all it looks at
    assert completion.names(ctx, "x") == []  # type: ignore[arg-type]  # as above

    async def away(*_: object) -> list[object]:
        raise Transient("list: no answer")

    monkeypatch.setattr(MemoryApi, "list", away)
    assert completion.names(ctx, "di") == []  # type: ignore[arg-type]  # as above
