"""The program as a person calls it: words, output, exit codes."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console, RenderableType
from typer.main import get_command
from typer.testing import CliRunner, Result
from unit.cli import scenes

from rampway.cli import cluster, exits, follow, view
from rampway.cli import status as verb
from rampway.cli import terminal as cli_terminal
from rampway.cli.app import app
from rampway.cli.exits import ExitCode
from rampway.cli.facts import Facts
from rampway.kube.base import KubeApi
from rampway.kube.errors import Forbidden, KubeError, Transient
from rampway.sim.apiserver import MemoryApi

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the program against an API server with a scene's objects, or one that fails."""
    monkeypatch.setattr(follow, "INTERVAL_S", 0.001)
    monkeypatch.setattr(cluster.Cluster, "namespace", lambda _self, named: named or scenes.SPACE)

    def go(scene: scenes.Scene, *words: str, error: KubeError | None = None) -> Result:
        api = MemoryApi(scene.store())
        if error:
            api.fail_next(error)

        @asynccontextmanager
        async def connected(_self: cluster.Cluster) -> AsyncIterator[KubeApi]:
            yield api

        monkeypatch.setattr(cluster.Cluster, "api", connected)
        return CliRunner().invoke(app, words)

    return go


def test_the_status_as_text(run: Run) -> None:
    """Without a terminal there is no colour, and lines have at most 100 columns."""
    result = run(scenes.mid_rollout, "status", "digits")
    assert result.exit_code == 0
    assert "◔ Progressing  step 2/3 quarter  EvidenceWaiting" in result.output
    assert "\x1b" not in result.output
    assert not [line for line in result.output.splitlines() if line != line.rstrip()]
    assert max(map(len, result.output.splitlines())) <= 100


@pytest.mark.parametrize(("form", "parse"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_the_status_for_programs(run: Run, form: str, parse: Callable[[str], Any]) -> None:
    """JSON and YAML carry the same facts."""
    result = run(scenes.mid_rollout, "status", "digits", "-o", form)
    assert result.exit_code == 0
    data = parse(result.output)
    assert data["status"]["phase"] == "Progressing"
    assert data["revisions"][1] == {
        "revision": scenes.V2,
        "role": "candidate",
        "version": "2",
        "podsReady": 1,
        "pods": 1,
        "restarts": 0,
        "weightSetPct": 25,
        "weightObservedPct": 25,
        "mirrorSetPct": 0,
        "mirrorObservedPct": 0,
        "matchSet": False,
        "matchObserved": False,
        "automation": "",
        "trouble": "",
    }
    assert data["route"] == {"exists": True, "accepted": True, "message": ""}
    assert data["rollout"]["stepRequests"] == 143
    assert data["rollout"]["evidenceAgeSeconds"] > 4
    assert [check["state"] for check in data["rollout"]["status"]["checks"]] == ["Pass", "Waiting"]
    assert "evidence" not in data["rollout"]["status"]


def test_at_rest_the_data_has_no_rollout(run: Run) -> None:
    """A key is always there, so that a program need not guess."""
    data = json.loads(run(scenes.healthy.but(route=None), "status", "digits", "-ojson").output)
    assert data["rollout"] is None
    assert data["notShown"] == []
    assert data["route"]["exists"] is False


@pytest.mark.parametrize("mode", [[], ["--watch"], ["--wait"]])
@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (Transient("get ModelDeployment ml/digits: no answer: refused"), "is the cluster up"),
        (Forbidden("get ModelDeployment ml/digits: 403: no"), "you need the right to get"),
    ],
)
def test_a_cluster_that_cannot_be_read_is_exit_code_4(
    run: Run, error: KubeError, hint: str, mode: list[str]
) -> None:
    """At the start nothing is tried again: a wrong context would wait for ever."""
    result = run(scenes.healthy, "status", "digits", *mode, error=error)
    assert result.exit_code == 4
    assert str(error) in result.stderr
    assert hint in result.stderr


def test_a_cluster_that_does_not_answer_is_exit_code_4(tmp_path: Path) -> None:
    """The whole way, by a kubeconfig whose server is not there."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{closed.getsockname()[1]}"
    names = {"cluster": "c", "user": "u", "namespace": "ml"}
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "night", "context": names}],
        "current-context": "night",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    asked = ["status", "digits", "--kubeconfig", str(path)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 4
    assert "error: get ModelDeployment ml/digits: no answer: " in result.stderr
    assert "is the cluster up" in result.stderr
    result = CliRunner().invoke(app, [*asked, "--context", "day"])
    assert result.exit_code == 4
    assert "has no context 'day'; it has: night" in result.stderr


def test_an_object_of_a_newer_api_is_exit_code_4(run: Run) -> None:
    """Fields this program does not know may change what the rest means."""
    scene = scenes.healthy.but(spec=scenes.spec("1") | {"shadow": True})
    result = run(scene, "status", "digits")
    assert result.exit_code == 4
    assert "spec.shadow: unknown field" in result.stderr


@pytest.mark.parametrize(
    ("scene", "code", "last"),
    [
        (scenes.healthy, 0, f"promoted: revision {scenes.V1} serves, 3 of 3 pods ready"),
        (scenes.rolled_back_by_crash, 1, "failed: CandidateCrashed: digits-"),
        (scenes.refused, 1, "failed: RouteConflict: host and path are already taken"),
        (scenes.holding, 1, "failed: stalled, EvidenceUnknown: holding without evidence"),
        (scenes.waiting_for_approval, 5, "waits for a person: WaitingForApproval: step look"),
        (scenes.just_applied, 3, "timed out: not promoted within 20ms: the operator has not"),
    ],
)
def test_waiting_has_an_exit_code_and_a_last_line(
    run: Run, scene: scenes.Scene, code: int, last: str
) -> None:
    """The documented codes, and a reason for each."""
    result = run(scene, "status", "digits", "--wait", "--timeout", "20ms")
    assert result.exit_code == code
    assert result.stdout.splitlines()[-1].startswith(last)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["status"], "Missing argument"),
        (["status", "Digits"], "expected a lower-case letter"),
        (["status", "a/b"], "expected a lower-case letter"),
        (["status", "digits", "-n", "a/b"], "expected the name of a namespace"),
        (["status", "digits", "--wait", "--timeout", "15"], "expected for example 90s"),
        (["status", "digits", "--wait", "--watch"], "choose one of --watch and --wait"),
        (["status", "digits", "-o", "json", "--watch"], "shows one moment"),
        (["status", "digits", "-o", "xml"], "xml"),
        (["status", "digits", "--timeout", "15m"], "--timeout is how long --wait waits: add"),
    ],
)
def test_wrong_usage_is_exit_code_2(run: Run, words: list[str], complaint: str) -> None:
    """What was expected is said before anything is asked of the cluster."""
    result = run(scenes.healthy, *words)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.replace("│", " ").split())


def test_on_a_terminal_the_status_is_in_colour(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Printed as rich prints it, to the terminal's width."""
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=100, color_system="standard")
    monkeypatch.setattr(cli_terminal, "console", lambda **_: terminal)
    assert run(scenes.healthy, "status", "digits").exit_code == 0
    assert "\x1b[1;32m✔ Healthy" in out.getvalue()


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C be heard also where whoever runs the tests has it ignored, as `nohup` does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize(("mode", "code"), [("--watch", 0), ("--wait", 130)])
def test_ctrl_c_ends_it(run: Run, monkeypatch: pytest.MonkeyPatch, mode: str, code: int) -> None:
    """It is the usual end of a watch, and no success of a wait."""
    real = follow.Lines.__call__

    def interrupt(self: follow.Lines, *shown: Any) -> None:
        real(self, *shown)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(follow.Lines, "__call__", interrupt)
    result = run(scenes.mid_rollout, "status", "digits", mode)
    assert result.exit_code == code
    assert result.stdout.count("Progressing") == 1


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_on_a_terminal_the_watch_redraws_in_colour(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view itself is shown, in place, not a line for each change."""
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=100, height=50, color_system="standard")
    monkeypatch.setattr(cli_terminal, "console", lambda **_: terminal)
    left = iter(range(3))

    def drawn(facts: Facts, now_s: float, trouble: str) -> RenderableType:
        if next(left, None) is None:
            signal.raise_signal(signal.SIGINT)
        return view.view(facts, now_s, trouble)

    monkeypatch.setattr(verb, "_view", drawn)
    result = run(scenes.mid_rollout, "status", "digits", "--watch")
    assert result.exit_code == 0
    assert out.getvalue().count("\x1b[1;36m◔ Progressing") >= 3
    assert "\x1b[1A" in out.getvalue()


def test_no_color_is_honoured_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """--no-color and NO_COLOR; the console decides the rest by whether it is a terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert cli_terminal.console(no_color=True).no_color
    assert not cli_terminal.console(no_color=False).no_color
    monkeypatch.setenv("NO_COLOR", "1")
    assert cli_terminal.console(no_color=False).no_color


def test_the_version() -> None:
    """Program and API; the option does as the verb."""
    result = CliRunner().invoke(app, ["version"])
    assert CliRunner().invoke(app, ["--version"]).output == result.output
    assert result.output == "kubectl-rampway 0.1.0 (API rampway.dev/v1alpha1)\n"


def test_the_help_says_what_is_so() -> None:
    """Whose namespace, and names that are typed as they stand there."""
    helps = {verb: CliRunner().invoke(app, [verb, "--help"]).output for verb in ("list", "lint")}
    assert "Those of this one" in helps["list"]
    assert "FILE..." in helps["lint"]


@pytest.mark.parametrize("called", list(getattr(get_command(app), "commands", {})))
def test_every_help_ends_with_the_exit_codes(called: str) -> None:
    """Each code that the verb can end with, and what it means there; 0 and 2 are of every verb."""
    text = CliRunner().invoke(app, [called, "--help"]).output
    end = text.split("Exit codes:", 1)[1]
    wanted = [(code, said) for code, verbs, said in exits.MEANINGS if not verbs or called in verbs]
    shown = re.findall(r"^ *(\d+)  (.*?)\n *\n", f"{end}\n", re.MULTILINE | re.DOTALL)
    assert [(int(code), " ".join(said.split())) for code, said in shown] == wanted
    assert [code for code, _ in wanted].count(ExitCode.OK) == 1
    assert len({code for code, _ in wanted}) == len(wanted)


def test_each_exit_code_means_something_of_a_verb_that_there_is() -> None:
    """No code without a meaning, no meaning of a verb that is not there."""
    assert {code for code, _, _ in exits.MEANINGS} == set(ExitCode)
    named = {verb for _, verbs, _ in exits.MEANINGS for verb in verbs}
    assert named == set(getattr(get_command(app), "commands", {}))


def test_help_loads_nothing_heavy() -> None:
    """`--help` answers at once: clients and models are loaded by the verb that needs them."""
    script = (
        "import sys; from rampway.cli.app import app; app(['status', '--help'], "
        "standalone_mode=False); "
        "heavy = {'kubernetes', 'aiohttp', 'yaml', 'rampway.api', 'rampway.core'}; "
        "print(*sorted(heavy & set(sys.modules)), 'end')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "--namespace" in done.stdout
    assert done.stdout.splitlines()[-1] == "end"


def test_a_terminal_without_utf_8_gets_question_marks_not_a_traceback() -> None:
    """The main function prepares the streams; kubectl calls it as a program."""
    done = subprocess.run(
        [sys.executable, "-c", "from rampway.cli import main; main()", "--help"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert b"Usage: kubectl rampway" in done.stdout


def test_the_reference_shows_what_the_program_prints() -> None:
    """A table, the verbs and every exit code of docs/reference/cli.md are the program's own."""
    page = (Path(__file__).parents[3] / "docs/reference/cli.md").read_text()
    history = (Path(__file__).parent / "snapshots/history.txt").read_text()
    assert f"```\n{history}```" in page
    commands = getattr(get_command(app), "commands", {})
    listed = re.findall(r"^\| (`.*?`) \|", page.split("## status", 1)[0], re.MULTILINE)
    assert [name for row in listed for name in re.findall(r"`(\w+)", row)] == list(commands)
    table = page.split("## Exit codes", 1)[1]
    wanted = [
        f"| {code:d} | {', '.join(f'`{verb}`' for verb in verbs) or 'every verb'} | {said} |"
        for code, verbs, said in exits.MEANINGS
    ]
    assert re.findall(r"^\| \d+ \|.*$", table, re.MULTILINE) == wanted


def test_the_usage_reads_as_the_reference_writes_it() -> None:
    """`NAME [ATTEMPT]`: what has to be there without brackets, and no brace of any kind."""
    usage = {}
    for called in get_command(app).commands:  # type: ignore[attr-defined]  # it is a group
        shown = CliRunner().invoke(app, [called, "--help"], env={"COLUMNS": "120"}).stdout
        (line,) = (part.strip() for part in shown.splitlines() if "Usage:" in part)
        usage[called] = line.removeprefix("Usage: ").split("[OPTIONS]")[1].strip()
    named = {"status": "NAME", "explain": "NAME", "undo": "NAME", "pause": "NAME", "abort": "NAME"}
    assert usage | named == usage
    assert usage["history"] == usage["replay"] == "NAME [ATTEMPT]"
    assert (usage["approve"], usage["completion"]) == ("NAME [STEP]", "SHELL")
    assert (usage["lint"], usage["simulate"]) == ("FILE...", "[FILE]")
    assert not any(brace in text for text in usage.values() for brace in "{}")
