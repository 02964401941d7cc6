"""The payload log: what was asked and answered, sampled and bounded, without an answer waiting."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sklearn.linear_model import LogisticRegression
from structlog.testing import capture_logs
from unit.server.asgi import call, infer_body
from unit.server.conftest import StartServer, made
from unit.server.test_workers import post
from unit.server.waiting import DEADLINE_S, until

from rampway_server import parquet, payload, payloads, places
from rampway_server.app import App
from rampway_server.automation import Dial
from rampway_server.batching import Batcher
from rampway_server.errors import StartError
from rampway_server.estimators import describe
from rampway_server.metrics import Metrics
from rampway_server.payloads import Payloads
from rampway_server.repository import Repository
from rampway_server.request import InferRequest, Output
from rampway_server.sheet import Sheet

INFER = "/v2/models/m/infer"
ROWS = np.arange(8.0).reshape(4, 2)
CLASSIFIER = LogisticRegression().fit(ROWS, [0, 1, 0, 1])
Serve = Callable[..., tuple[App, Payloads, Metrics]]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Return a maker of applications with a payload log in a folder."""
    monkeypatch.setattr(payloads, "_LAST_S", DEADLINE_S)
    batchers = []

    def make(
        place: str = "", form: str = "jsonl", estimator: Any = CLASSIFIER, **more: float
    ) -> tuple[App, Payloads, Metrics]:
        page = Sheet().page()
        metrics = Metrics(page)
        given: dict[str, Any] = {"share": 1.0, "queue_bytes": 1 << 20, "interval_s": 3600.0, **more}
        put = places.place(place or str(tmp_path / "log"))
        log = Payloads(put, payload.form(form), page, **given)
        metrics.show(log)
        repository = Repository(metrics, Dial(""), log)
        repository.expect("m", "2", "m-abc")
        repository.load("m", "2", describe(estimator, ""))
        batchers.append(Batcher(1, 8))
        return made(repository, metrics, batchers[-1]), log, metrics

    yield make
    for batcher in batchers:
        batcher.close()


async def ask(app: App, rows: list[list[float]], **more: Any) -> dict[str, Any]:
    """Return what is answered to a request."""
    reply = await call(app, INFER, json.dumps(infer_body(rows, **more)).encode())
    assert reply.status == 200
    return reply.document


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return what is in the log."""
    files = sorted((folder / "log").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def rows(folder: Path, form: str) -> list[dict[str, Any]]:
    """Return what is in the log, whatever its form, with times as text."""
    if form == "jsonl":
        return lines(folder)
    files = sorted((folder / "log").glob("*.parquet"))
    found = [row for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]
    return [row | {"time": row["time"].isoformat()} for row in found]


def counts(metrics: Metrics) -> dict[str, float]:
    """Return payloads by their end."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        sample.labels["outcome"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "rampway_payloads_total"
    }


async def test_each_row_is_a_line(serve: Serve, tmp_path: Path) -> None:
    """With what was asked, what was answered, by which revision, and when."""
    began_s = time.time()
    app, log, metrics = serve()
    outputs = [{"name": "predict"}, {"name": "predict_proba"}]
    answer = await ask(app, [[1.0, 2.0], [3.0, 4.5]], id="x1", outputs=outputs)
    await ask(app, [[0.0, 0.0]])
    assert (await call(app, INFER, b"{")).status == 400
    log.close()
    first, second, third = lines(tmp_path)
    given = {"model": "m", "version": "2", "revision": "m-abc"}
    assert {key: first[key] for key in given} == given
    assert began_s <= datetime.fromisoformat(first["time"]).timestamp() <= time.time()
    assert [(x["id"], x["row"]) for x in (first, second, third)] == [("x1", 0), ("x1", 1), ("", 0)]
    assert second["inputs"] == {"input-0": [3.0, 4.5]}
    labels, shares = (output["data"] for output in answer["outputs"])
    assert second["outputs"] == {"predict": labels[1], "predict_proba": shares[2:]}
    assert counts(metrics) == {"written": 2, "dropped": 0, "failed": 0}


async def test_only_a_share_is_logged(serve: Serve, tmp_path: Path) -> None:
    """Chosen by chance, whole requests."""
    app, log, _ = serve(share=0.3)
    for _ in range(200):
        await ask(app, [[1.0, 2.0]])
    log.close()
    assert 20 < len(lines(tmp_path)) < 110


async def test_files_come_while_it_runs(serve: Serve, tmp_path: Path) -> None:
    """Each interval one, if there is anything to write."""
    app, log, _ = serve(interval_s=0.1)
    for expected in (1, 2):
        await ask(app, [[1.0, 2.0]])
        await until(lambda: len(lines(tmp_path)) == expected)  # noqa: B023  # waited for here
        assert len(list((tmp_path / "log").iterdir())) == expected
    log.close()


async def test_a_target_that_hangs_costs_payloads_and_no_answer(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is bounded, what is dropped is counted, and every request is answered."""
    go_on, held = threading.Event(), threading.Event()

    def hang(path: Path, content: bytes) -> None:
        held.set()
        assert go_on.wait(DEADLINE_S)
        path.write_bytes(content)

    monkeypatch.setattr(places, "_write_whole", hang)
    app, log, metrics = serve(interval_s=0.01, queue_bytes=4000)
    await ask(app, [[1.0, 2.0]])
    assert await asyncio.to_thread(held.wait, DEADLINE_S)
    for _ in range(20):
        await ask(app, [[1.0, 2.0]])
    found = counts(metrics)
    assert 10 < found["dropped"] < 20
    go_on.set()
    log.close()
    found = counts(metrics)
    assert (found["written"] + found["dropped"], found["failed"]) == (21, 0)
    assert len(lines(tmp_path)) == found["written"]


async def test_a_target_that_refuses_is_told_once(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says why, the counter how many, and the next file is tried."""

    def refuse(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(places, "_write_whole", refuse)
    with capture_logs() as logs:
        app, log, metrics = serve(interval_s=0.01)
        for times in (1, 2, 3):
            await ask(app, [[1.0, 2.0]])
            await until(lambda: sum(counts(metrics).values()) == times)  # noqa: B023  # as above
        log.close()
    assert counts(metrics) == {"written": 0, "dropped": 0, "failed": 3}
    assert [line["event"] for line in logs] == ["payloads cannot be written"]
    assert "No space left" in logs[0]["reason"]


def test_a_target_that_cannot_be_is_told(tmp_path: Path) -> None:
    """A folder below a file, a URL of no kind, and a store without a bucket."""
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"cannot make folder .*--payload-log"):
        places.place(str(tmp_path / "file/below"))
    with pytest.raises(StartError, match=r"cannot use gopher://x/y"):
        places.place("gopher://x/y")
    with pytest.raises(StartError, match=r"cannot use s3:///log .*expected s3://BUCKET/PREFIX"):
        places.place("s3:///log")


def test_the_slim_image_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is served, with what to do instead."""
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(StartError, match=r"memory://log need fsspec, .*or log to a folder"):
        places.place("memory://log")
    monkeypatch.setattr(parquet, "pa", None)
    with pytest.raises(StartError, match=r"need pyarrow, .*or log as jsonl"):
        payload.form("parquet")


async def test_other_urls_are_written_by_fsspec(serve: Serve) -> None:
    """Whatever file system of its it names."""
    app, log, metrics = serve(place="memory://payloads/digits")
    await ask(app, [[1.0, 2.0]])
    log.close()
    files = fsspec.filesystem("memory")
    (path,) = files.ls("/payloads/digits", detail=False)
    assert json.loads(files.cat_file(path))["inputs"] == {"input-0": [1.0, 2.0]}
    assert counts(metrics)["written"] == 1


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
async def test_a_file_that_is_large_enough_is_written(
    form: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However young it is; each row is in one file, once."""
    monkeypatch.setattr(payloads, "FILE_BYTES", 3000)
    app, log, metrics = serve(form=form)
    for number in range(60):
        await ask(app, [[float(number), 2.0]])
    log.close()
    assert len(list((tmp_path / "log").iterdir())) > 2
    found = [line["inputs"]["input-0"][0] for line in rows(tmp_path, form)]
    assert sorted(found) == list(range(60))
    assert counts(metrics) == {"written": 60, "dropped": 0, "failed": 0}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
async def test_the_end_waits_for_no_rest(
    form: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs the thread rests after each piece of work; at the end it writes all it has."""
    monkeypatch.setattr(payloads, "_RESTS", 1e9)
    monkeypatch.setattr(parquet, "_PIECE_PAYLOADS", 2)
    app, log, _ = serve(form=form)
    for _ in range(20):
        await ask(app, [[1.0, 2.0]])
    log.close()
    assert len(rows(tmp_path, form)) == 20


async def test_the_end_does_not_wait_for_ever(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that hangs is left, and that is said."""
    go_on = threading.Event()
    monkeypatch.setattr(places, "_write_whole", lambda *_: go_on.wait(DEADLINE_S))
    monkeypatch.setattr(payloads, "_LAST_S", 0.05)
    app, log, _ = serve()
    await ask(app, [[1.0, 2.0]])
    with capture_logs() as logs:
        log.close()
    assert [line["event"] for line in logs] == [
        "the last payloads are lost: the target took too long"
    ]
    go_on.set()


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
async def test_what_cannot_be_written_costs_its_file_alone(
    form: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of no kind that a file could hold is counted; those after it are written."""
    monkeypatch.setattr(parquet, "_PIECE_PAYLOADS", 1)
    app, log, metrics = serve(form=form)
    model = describe(CLASSIFIER, "")
    odd = InferRequest(None, (ROWS[:1],), (Output(model.offers[0], binary=False),))
    log.of(model, {"model": "m", "version": "2", "revision": "m-abc"})(
        odd, [np.array([object()], dtype=object)]
    )
    await until(lambda: counts(metrics)["failed"] == 1)
    await ask(app, [[1.0, 2.0]])
    log.close()
    assert counts(metrics) == {"written": 1, "dropped": 0, "failed": 1}
    assert len(rows(tmp_path, form)) == 1


def test_a_sampled_answer_holds_no_more_than_itself(serve: Serve) -> None:
    """Of a batch's answers the others go, and bytes are counted for what they are."""
    taken: list[payload.Payload] = []
    _, log, _ = serve()
    log._take = taken.append  # type: ignore[method-assign, assignment]
    model = describe(CLASSIFIER, "")
    asked = InferRequest(None, (ROWS[:1],), (Output(model.offers[0], binary=False),))
    batch = np.arange(64)
    log.of(model, {})(asked, [batch[3:4]])
    (value,) = taken[0].arrays
    assert (value.tolist(), value.base) == ([3], None)
    log.close()


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_sigterm_loses_no_payload(
    form: str, start_server: StartServer, model_file: Path, tmp_path: Path
) -> None:
    """What was answered before the end is in the files, of whichever worker, and nothing else."""
    server = start_server(
        f"file://{model_file}",
        RAMPWAY_WORKERS="2",
        RAMPWAY_PAYLOAD_LOG=str(tmp_path / "log"),
        RAMPWAY_PAYLOAD_FORMAT=form,
        RAMPWAY_PAYLOAD_INTERVAL_S="3600",
    )
    server.wait_ready()
    for number in range(60):
        body = infer_body([[float(number)] * 64, [0.5] * 64])
        assert post(server, body=json.dumps(body).encode())[0] == 200
    server.popen.terminate()
    code, stderr = server.end()
    assert code == 0, stderr
    found = [(row["inputs"]["input-0"][0], row["row"]) for row in rows(tmp_path, form)]
    assert sorted(found) == sorted(
        (value, row) for number in range(60) for row, value in enumerate((float(number), 0.5))
    )
