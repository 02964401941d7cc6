"""The driver of `make bench-scale`: what is done is not done again, and a failure is told."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from bench.scale import __main__ as driver
from bench.scale.controller import Spoiled, TooLate
from bench.scale.figures import Plan
from bench.scale.measure import sizes

RESULT: dict[str, Any] = {
    "operator": {"cores": 0.1, "api_requests_per_s_by_verb": {}},
    "rollback": {"not_off": 0, "from_first_failing_sample_s": {"median": 5.0}},
}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the results of a test away from real ones."""
    monkeypatch.setattr(driver, "WORK", tmp_path / "scale")
    monkeypatch.setattr(driver, "RESULTS", tmp_path / "scale.jsonl")
    monkeypatch.setattr(sys, "argv", ["scale", "--sizes", "1,3", "--rest", "5"])
    return tmp_path / "scale.jsonl"


def write(results: Path, plan: Plan, *names: str) -> None:
    """Note cases as done."""
    with results.open("a") as out:
        for name in names:
            row = {"case": name, "settings": plan.settings(), **RESULT}
            out.write(json.dumps(row) + "\n")


def outcome(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the last line, read as JSON."""
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_only_what_is_missing_is_measured(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A case that is done under the same settings is kept; others are measured in order."""
    write(results, Plan(), "rollouts_3", "rollouts_100")
    write(results, Plan(window_s=7.0), "rollouts_1")
    asked: list[list[driver.Case]] = []

    async def run(plan: Plan, missing: Sequence[driver.Case]) -> None:
        asked.append(list(missing))
        write(results, plan, *map(driver.name_of, missing))

    monkeypatch.setattr(driver, "run", run)
    assert driver.main() == 0
    assert asked == [[("rollouts", 1), ("rest", 5)]]
    assert sorted(outcome(capsys)["cases"]) == ["rest_5", "rollouts_1", "rollouts_3"]
    assert driver.main() == 0
    assert len(asked) == 1


@pytest.mark.parametrize(
    "error",
    [TooLate("no pods"), ExceptionGroup("tasks", [ExceptionGroup("more", [Spoiled("no pods")])])],
)
def test_a_failure_keeps_what_is_done(
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    """The exit status says that it failed, the last line still has the figures so far."""
    write(results, Plan(), "rollouts_1")

    async def run(*_: object) -> None:
        raise error

    monkeypatch.setattr(driver, "run", run)
    assert driver.main() == 1
    said = capsys.readouterr()
    assert "FAILED: no pods" in said.err
    assert list(json.loads(said.out.splitlines()[-1])["cases"]) == ["rollouts_1"]


def test_an_interruption_is_told_by_the_exit_status(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends with 130 and what is done so far."""

    async def run(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "run", run)
    assert driver.main() == driver.INTERRUPTED
    assert outcome(capsys)["cases"] == {}
    assert not results.exists()


def test_a_defect_of_the_bench_is_not_hidden(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is none of the known failures comes with its traceback."""

    async def run(*_: object) -> None:
        raise ExceptionGroup("tasks", [TooLate("late"), KeyError("defect")])

    monkeypatch.setattr(driver, "run", run)
    with pytest.raises(ExceptionGroup):
        driver.main()
    assert not results.exists()


def test_sizes_are_ascending_numbers() -> None:
    """Each size is reached on top of the one before."""
    assert sizes("1,100, 300") == [1, 100, 300]
    assert sizes("") == []
    for text in ("3,1", "0", "5,5", "many"):
        with pytest.raises(ValueError, match=r"ascending|invalid literal"):
            sizes(text)


def test_the_time_left_grows_with_the_size() -> None:
    """A thousand rollouts take longer to make than a hundred."""
    assert driver.about_s(("rollouts", 1000)) > driver.about_s(("rollouts", 100))
    assert driver.name_of(("rest", 5000)) == "rest_5000"
