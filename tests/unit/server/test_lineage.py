"""Where a model comes from: read from a file, bounded, shown while the server runs."""

import asyncio
import json
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression
from structlog.testing import capture_logs
from unit.server.asgi import call
from unit.server.conftest import MakeApp, StartServer
from unit.server.waiting import until, wait_until

from rampway_server import followed
from rampway_server.lineage import LONGEST, LONGEST_PART, Lineage, parse


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ""),
        ("{}", ""),
        ('{"run": "7", "commit": "1a2b"}', "commit=1a2b, run=7"),
        (r'{"a": "two\nlines", "b": "\u0007"}', "a=two\ufffdlines, b=\ufffd"),
    ],
)
def test_a_lineage_is_one_text(text: str, told: str) -> None:
    """By name, in the same order always; what no label can hold is replaced."""
    assert parse(text) == told


def test_a_lineage_is_bounded() -> None:
    """Names and values have a length, and so has the whole, however much a user writes."""
    (part,) = parse(json.dumps({"k" * 300: "v" * 300})).split(", ")
    assert [len(one) for one in part.split("=")] == [LONGEST_PART, LONGEST_PART]
    whole = parse(json.dumps({f"key-{n}": "v" * 300 for n in range(32)}))
    assert (len(whole), whole[-1]) == (LONGEST, "…")


@pytest.mark.parametrize("text", ["x", "[]", '"x"', '{"a": 1}', r'{"a": "\ud800"}', "[" * 10_000])
def test_what_is_no_lineage_is_refused(text: str, tmp_path: Path) -> None:
    """It is told in the log, and the server goes on without."""
    path = tmp_path / "lineage"
    path.write_text(text)
    with capture_logs() as logs:
        assert Lineage(str(path)).value == ""
    assert [log["event"] for log in logs] == ["cannot read the lineage"]


async def test_b02_a_changed_lineage_is_shown_without_a_restart(
    make_app: MakeApp,
    classifier: LogisticRegression,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B2: in metadata and metrics, within a poll, and gone once the file is empty."""
    monkeypatch.setattr(followed, "POLL_S", 0.01)
    path = tmp_path / "lineage"
    lineage = Lineage(str(path))
    app, metrics = make_app(classifier, lineage=lineage)
    following = asyncio.create_task(lineage.follow())
    for told in ("commit=1a", "commit=2b", ""):
        path.write_text(json.dumps(dict([told.split("=")])) if told else "")
        await until(lambda told=told: lineage.value == told)  # type: ignore[misc]
        metadata = (await call(app, "/v2/models/digits", method="GET")).document
        assert metadata["parameters"]["lineage"] == told
        assert f'lineage="{told}",model="digits"'.encode() in metrics.render()
    following.cancel()


def test_b02_a_server_follows_its_lineage(
    start_server: StartServer, model_file: Path, tmp_path: Path
) -> None:
    """B2: a real process, told by the operator's variable: an edit shows, and nothing restarts."""
    path = tmp_path / "lineage"
    path.write_text('{"commit": "1a"}')
    server = start_server(f"file://{model_file}", RAMPWAY_LINEAGE_FILE=str(path))
    server.wait_ready()
    for text, told in (('{"commit": "1a"}', "commit=1a"), ('{"run": "7"}', "run=7")):
        path.write_text(text)
        label = f'rampway_model_info{{lineage="{told}",model="digits"'.encode()
        wait_until(lambda label=label: label in server.get("/metrics")[1])  # type: ignore[misc]
    assert server.popen.poll() is None
