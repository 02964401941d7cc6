"""The server as a library."""

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import structlog
from sklearn.linear_model import LogisticRegression
from unit.server.asgi import infer_body
from unit.server.waiting import DEADLINE_S

import rampway_server
from rampway_server.errors import StartError


def ask(url: str, body: Any = None) -> tuple[int, bytes]:
    """Return status and body."""
    try:
        sent = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(url, sent, DEADLINE_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_an_estimator_is_served_while_the_block_runs(classifier: LogisticRegression) -> None:
    """As on a cluster: predictions, errors, metrics; afterwards nothing of it is left."""
    with rampway_server.serving(classifier, "digits", version="3") as url:
        status, answer = ask(f"{url}/v2/models/digits/versions/3/infer", infer_body([[0.0] * 64]))
        expected = classifier.predict([[0.0] * 64]).tolist()
        assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, expected)
        assert ask(f"{url}/v2/models/digits/infer", {})[0] == 400
        assert b'outcome="ok",revision="3"} 1.0' in ask(f"{url}/metrics")[1]
    assert "serving" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(urllib.error.URLError):
        ask(f"{url}/v2")


def test_tracebacks_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    """What a model raises is told without everybody's variables."""

    class Broken:
        n_features_in_ = 1

        def predict(self, rows: Any) -> Any:
            local = "a variable"
            raise ValueError(f"on purpose, {len(rows)} {len(local)}")

    before = structlog.get_config()
    structlog.reset_defaults()
    try:
        with rampway_server.serving(Broken()) as url:
            assert ask(f"{url}/v2/models/model/infer", infer_body([[0.0]]))[0] == 500
    finally:
        structlog.configure(**before)
    told = capsys.readouterr().out
    assert "ValueError: on purpose, 1 10" in told
    assert "a variable" not in told.replace('local = "a variable"', "")


def test_files_are_served_too(model_file: Path, tmp_path: Path) -> None:
    """Several servers at once, in ports of their own; what cannot be loaded is told."""
    with rampway_server.serving(model_file) as one, rampway_server.serving(str(model_file)) as two:
        assert one != two
        for url in (one, two):
            assert ask(f"{url}/v2/models/model/ready")[0] == 200
    with pytest.raises(StartError, match=r"cannot read model file .*: No such file or directory"):
        rampway_server.serving(tmp_path / "none.skops").__enter__()
    (tmp_path / "model.pkl").write_bytes(b"\x80\x05junk")
    with pytest.raises(StartError, match="looks like a pickle"):
        rampway_server.serving(tmp_path / "model.pkl").__enter__()
