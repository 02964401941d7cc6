"""The cache of built parts: whole or not there, and named by everything that goes into it."""

import os
from pathlib import Path

import pytest

from tools.localcluster import parts
from tools.localcluster.parts import Part, digest
from tools.localcluster.paths import Layout
from tools.localcluster.progress import Progress, clock_text


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return folders below the test's own."""
    return Layout(cache=tmp_path / "cache", state=tmp_path / "state")


def part_that(build: object) -> Part:
    """Return a part with the given recipe."""
    return Part("thing", "1", "a thing", 1.0, build)  # type: ignore[arg-type]


def test_a_part_is_built_once(layout: Layout) -> None:
    """The second call finds the folder of the first."""
    built: list[Path] = []

    def fill(folder: Path, _log: Path) -> None:
        built.append(folder)
        (folder / "file").write_text("whole")

    part = part_that(fill)
    first = parts.build(part, layout, Progress(1))
    second = parts.build(part, layout, Progress(1))
    assert first == second == part.folder(layout)
    assert (first / "file").read_text() == "whole"
    assert len(built) == 1


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_an_interrupted_build_leaves_nothing(layout: Layout, error: BaseException) -> None:
    """Neither a failure nor Ctrl-C leaves a half-built part that a later start would use."""

    def fail(folder: Path, _log: Path) -> None:
        (folder / "half").write_text("half")
        raise error

    part = part_that(fail)
    with pytest.raises(type(error)):
        parts.build(part, layout, Progress(1))
    assert not part.is_built(layout)
    assert list(layout.parts.iterdir()) == []


def test_what_a_killed_build_left_is_swept(layout: Layout) -> None:
    """A folder of a process that is gone goes; one of a living process stays."""
    dead = layout.parts / ".unfinished-thing-4194999"
    alive = layout.parts / f".unfinished-thing-{os.getpid()}"
    finished = layout.parts / "thing-1"
    for folder in (dead, alive, finished):
        folder.mkdir(parents=True)
    parts.sweep(layout)
    assert sorted(layout.parts.iterdir()) == sorted([alive, finished])


def test_a_part_that_another_command_finished_first_is_used(layout: Layout) -> None:
    """Two commands that build the same part end with one whole folder."""
    part = part_that(lambda folder, _log: (folder / "file").write_text("mine"))

    def fill_while_other_wins(folder: Path, _log: Path) -> None:
        (folder / "file").write_text("mine")
        part.folder(layout).mkdir()
        (part.folder(layout) / "file").write_text("other's")

    folder = parts.build(part_that(fill_while_other_wins), layout, Progress(1))
    assert (folder / "file").read_text() == "other's"
    assert list(layout.parts.iterdir()) == [folder]


def test_the_digest_covers_contents_and_names(tmp_path: Path) -> None:
    """A changed byte and a renamed file both give another key; bytecode does not count."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.py").write_text("one")
    before = digest([source])
    (source / "__pycache__").mkdir()
    (source / "__pycache__/a.pyc").write_text("bytecode")
    assert digest([source]) == before
    (source / "a.py").write_text("two")
    changed = digest([source])
    (source / "a.py").rename(source / "b.py")
    assert len({before, changed, digest([source])}) == 3


def test_the_digest_keeps_texts_apart() -> None:
    """Two texts are not the same as their concatenation."""
    assert digest(["ab", "c"]) != digest(["a", "bc"])


def test_progress_says_which_part_how_far_and_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    """A part's lines name its number, the total and the expected duration."""
    progress = Progress(total=7)
    with progress.part("Kubernetes", 360):
        pass
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[1/7] Kubernetes: started, takes about 6:00"
    assert lines[1].startswith("[1/7] Kubernetes: done in 0:0")


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (65, "1:05"), (3600, "60:00")])
def test_durations_read_as_minutes_and_seconds(seconds: float, text: str) -> None:
    """Durations are written as M:SS."""
    assert clock_text(seconds) == text
