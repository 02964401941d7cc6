"""B36: the administrator's list, as it is at this moment."""

from pathlib import Path

import pytest

from rampway.core.sources import Allowed
from rampway.shell.allowed import AllowList, BadList


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
    path.write_text("- {prefix: 'http://b'}\n")
    assert found() == (Allowed("http://b"),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {prefix: 'http://a b'}", "expected http://host:port/path"),
        ("- {prefix: 'http://a', namespace: [ml]}", "unknown field"),
        ("{", "is no YAML"),
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
