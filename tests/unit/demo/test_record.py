"""Each version of the rollouts is kept, and what the demo reads of them is whole."""

import json
from pathlib import Path
from typing import Any

import pytest

from demo import record
from demo.cluster import DemoError, Kubectl


def rollout(name: str, ended: str = "", **status: Any) -> dict[str, Any]:
    """A ModelRollout, ended or not."""
    return {"metadata": {"name": name}, "status": status | {"endedAt": ended}}


def printed(*found: dict[str, Any]) -> str:
    """What kubectl prints of them, one after the other."""
    return "".join(json.dumps(one, indent=4) + "\n" for one in found)


def kubectl(folder: Path, says: str) -> Kubectl:
    """A kubectl that prints a file and then does as a shell's line says."""
    program = folder / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\ncat {folder}/first\n{says}\n')
    program.chmod(0o755)
    return Kubectl({"PATH": f"{folder}:/usr/bin:/bin"})


def test_every_version_is_read_and_half_of_one_is_none() -> None:
    """Braces in a message are no object; the last one may still be on its way."""
    first, second = rollout("one", message="{{ a }} {"), rollout("one", "12:00")
    text = printed(first, second)
    assert record.versions(text) == [first, second]
    assert record.versions(text[:-20]) == [first]
    assert record.versions("") == []


def test_an_end_is_the_newest_word_about_each() -> None:
    """An object without a status has only just been made; nothing told yet is no end."""
    assert not record.all_ended([])
    assert record.all_ended([rollout("one"), rollout("two", "1"), rollout("one", "2")])
    assert not record.all_ended([rollout("one", "2"), rollout("two")])
    assert not record.all_ended([{"metadata": {"name": "one"}}])


def test_the_record_waits_for_the_end(tmp_path: Path) -> None:
    """The end may be told a moment later by the watch than by who asks."""
    end = rollout("one", "12:00")
    (tmp_path / "first").write_text(printed(rollout("one")))
    (tmp_path / "last").write_text(printed(end))
    kube = kubectl(tmp_path, f"sleep 0.5; cat {tmp_path}/last; exec sleep 60")
    with record.recording(kube, tmp_path / "out") as kept:
        assert kept.whole() == [rollout("one"), end]
    assert (tmp_path / "asked").read_text().split()[:2] == ["get", "modelrollouts"]
    assert "--watch" in (tmp_path / "asked").read_text()


@pytest.mark.parametrize(
    ("says", "error"), [("exec sleep 60", "no end within"), ("exit 3", "exit code 3")]
)
def test_a_record_with_gaps_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, error: str
) -> None:
    """A watch that ended, or that lags for long, is an error and no shorter story."""
    monkeypatch.setattr(record, "LAGS_S", 1.0)
    (tmp_path / "first").write_text(printed(rollout("one")))
    with (
        record.recording(kubectl(tmp_path, says), tmp_path / "out") as kept,
        pytest.raises(DemoError, match=error),
    ):
        kept.whole()
