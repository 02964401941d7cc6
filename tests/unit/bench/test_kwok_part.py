"""kwok is built by the local cluster's tool, but belongs to no cluster."""

from pathlib import Path

import pytest

from tools.localcluster import catalog, cli
from tools.localcluster.parts import Part
from tools.localcluster.paths import Layout, layout


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Keep every test away from the user's own parts."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return layout()


def test_kwok_is_no_part_of_a_cluster(folders: Layout) -> None:
    """`up` neither builds it nor calls a cluster outdated because of it."""
    built = catalog.catalog(folders)
    assert "kwok" in built.extras
    assert "kwok" not in dict(built.keys())
    assert "kwok" not in [part.name for part in built.everything()]
    assert built.folder("kwok").name.startswith("kwok-v0.")


def test_kwok_is_built_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folders: Layout
) -> None:
    """The verb prints where it lies; the second time nothing is built."""
    times: list[Path] = []
    part = Part("kwok", "1", "kwok", 1.0, lambda folder, _log: times.append(folder))
    found = catalog.Catalog(folders, {}, {}, {}, {"kwok": part})
    monkeypatch.setattr(catalog, "catalog", lambda _layout: found)
    for _ in range(2):
        assert cli.main(["build", "kwok"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == str(part.folder(folders))
    assert len(times) == 1


@pytest.mark.parametrize("words", [[], ["kubernetes"], ["kwok", "kubernetes"]])
def test_parts_of_the_cluster_are_not_built_alone(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what can be built."""
    assert cli.main(["build", *words]) == 1
    assert "expected some of: kwok" in capsys.readouterr().err
