"""replay: what it prints, and what it refuses. What it judges: tests/simulation/test_replay.py."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result
from unit.cli import scenes
from unit.cli.conftest import Connect

from rampway.cli import measured, replaying
from rampway.cli.app import app
from rampway.core.checks.judged import CheckResult, CheckState, Judged
from rampway.metrics.base import MetricsUnavailable
from rampway.metrics.memory import MemorySource

POLICY = """\
apiVersion: rampway.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: careful}
spec: {}
"""
FAILED = replaying.Verdict(
    failures=[replaying.Failure("errors", 90.0, "tenth", "3 of 100 requests failed")],
    last=Judged(None, (CheckResult("errors", CheckState.FAIL, "3 of 100 requests failed"),)),
    lacking=["the beginning of the rollout is gone from Prometheus's history"],
)
PASSED = replaying.Verdict(passed={"tenth": 42.0, "quarter": None})


@pytest.fixture
def typed(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> Callable[[replaying.Verdict | Exception, list[str]], Result]:
    """Type `replay digits` where judging comes to this."""
    connect(scenes.mid_rollout)

    async def source(*_: object) -> MemorySource:
        return MemorySource()

    monkeypatch.setattr(measured, "source_of", source)

    def go(comes_to: replaying.Verdict | Exception, words: list[str]) -> Result:
        async def judged(*_: object) -> replaying.Verdict:
            if isinstance(comes_to, Exception):
                raise comes_to
            return comes_to

        monkeypatch.setattr(replaying, "replay", judged)
        return CliRunner().invoke(app, ["replay", "digits", *words])

    return go


def test_a_failure_is_told_with_its_moment(typed: Callable[..., Result], tmp_path: Path) -> None:
    """Which check, when, in which step, by whose policy; and what is lacking."""
    path = tmp_path / "a.yaml"
    path.write_text(POLICY)
    result = typed(FAILED, ["--under", str(path)])
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "by the checks of RolloutPolicy careful" in said
    assert "in step tenth, errors fails: 3 of 100 requests failed" in said
    assert "Lacking: the beginning of the rollout is gone" in said
    assert "read from the pods directly is not in it" in said


def test_without_failures_each_step_is_told() -> None:
    """After how long all checks passed in a step, or that they did not."""
    told = replaying.as_data(PASSED)
    assert told["stepsPassedAfterSeconds"] == {"tenth": 42.0, "quarter": None}


def test_programs_get_the_same(typed: Callable[..., Result]) -> None:
    """JSON has failures, steps and answers."""
    found = json.loads(typed(FAILED, ["-o", "json"]).stdout)
    assert found["failures"][0]["afterSeconds"] == 90.0
    assert found["policy"] == "its own policy"
    said = " ".join(typed(PASSED, []).stdout.split())
    assert "no check fails" in said
    assert "step tenth: all checks pass after 42 s" in said
    assert "step quarter: not all checks pass" in said


def test_mistakes_of_the_file_are_told_before_the_cluster_is_asked(tmp_path: Path) -> None:
    """Whoever writes another policy needs no cluster to learn what is wrong with it."""
    path = tmp_path / "a.yaml"
    path.write_text(POLICY.replace("spec: {}", "spec: {steps: 3}"))
    result = CliRunner().invoke(app, ["replay", "digits", "--under", str(path)])
    assert result.exit_code == 4
    assert result.stderr.startswith("error: the file has mistakes")
    gone = CliRunner().invoke(app, ["replay", "digits", "--under", str(tmp_path / "no.yaml")])
    assert gone.exit_code == 4
    assert (
        gone.stderr == f"error: {tmp_path / 'no.yaml'} cannot be read: no such file or directory\n"
    )
    idle = CliRunner().invoke(app, ["replay", "digits", "--policy", "careful"])
    assert idle.exit_code == 2
    assert "--policy: is for a FILE that --under names" in idle.stderr


@pytest.mark.parametrize(
    ("comes_to", "words", "said"),
    [
        (replaying.NoHistory("the history is gone"), [], "refused: the history is gone"),
        (MetricsUnavailable("no answer"), [], "port-forward"),
        (PASSED, ["7"], "no rollout with attempt 7; kept: 1"),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    typed: Callable[..., Result],
    comes_to: replaying.Verdict | Exception,
    words: list[str],
    said: str,
) -> None:
    """Exit code 1 with the reason and what to do."""
    result = typed(comes_to, words)
    assert result.exit_code == 1
    assert said in result.stderr


def test_help_says_what_prometheus_has_not() -> None:
    """Else a replay that passes later than the rollout did looks like a fault."""
    said = " ".join(CliRunner().invoke(app, ["replay", "--help"]).stdout.split())
    assert "read from the pods directly is not in Prometheus" in said
    assert "or not before the end" in said
