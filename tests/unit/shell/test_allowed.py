"""B36: the administrator's list, as it is at this moment."""

from pathlib import Path

import pytest
from unit.shell.place import Place

from rampway.core.checks.sources import Allowed
from rampway.kube.kinds import CLUSTER_METRIC_SOURCE
from rampway.shell.allowed import AllowList, BadList
from rampway.shell.shared import Shared


def test_b36_no_list_allows_nothing(tmp_path: Path) -> None:
    """B36: neither without a file nor with an empty one."""
    path = tmp_path / "list.yaml"
    assert AllowList("")() == AllowList(str(path))() == ()
    path.write_text("# nothing yet\n")
    assert AllowList(str(path))() == ()


def test_a_change_counts_at_once(tmp_path: Path) -> None:
    """The file is a mounted ConfigMap: an edit needs no restart."""
    path = tmp_path / "list.yaml"
    path.write_text("- {prefix: 'http://a:9090', namespaces: [ml], credentials: [team]}\n")
    found = AllowList(str(path))
    assert found() == (Allowed("http://a:9090", frozenset({"ml"}), frozenset({"team"})),)
    path.write_text("- {prefix: 'http://b', open: true}\n")
    assert found() == (Allowed("http://b", open=True),)


async def test_a_list_that_cannot_be_understood_holds_up_nobody_without_sources(
    tmp_path: Path,
) -> None:
    """Who names no source needs no list; queries of users' own are not open then."""
    path = tmp_path / "list.yaml"
    path.write_text("{")
    place = Place()
    shared = Shared(AllowList(str(path)), "http://own")
    found = await shared.sources(place.api, place.deployment, place.memory)
    assert (found.unreadable, found.allowed, found.own) == ("", (), "http://own")
    meta = {"metadata": {"name": "main"}, "spec": {"address": "http://a"}}
    place.store.create(CLUSTER_METRIC_SOURCE, meta)
    found = await shared.sources(place.api, place.deployment, place.memory)
    assert "is not YAML" in found.unreadable


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {prefix: 'http://a b'}", "expected http://host:port/path"),
        ("- {prefix: 'http://a', namespace: [ml]}", "unknown field"),
        ("- {prefix: 'http://a', open: 'yes'}", "open"),
        ("{", "is not YAML"),
    ],
)
def test_b36_a_list_that_cannot_be_understood_allows_nothing(
    tmp_path: Path, text: str, words: str
) -> None:
    """B36: and says what is wrong with it, each time it is asked."""
    path = tmp_path / "list.yaml"
    path.write_text("- {prefix: 'http://a'}\n")
    found = AllowList(str(path))
    assert len(found()) == 1
    path.write_text(text)
    for _ in range(2):
        with pytest.raises(BadList, match=words):
            found()
