"""Payload logs in real object stores: whole, by whoever may write there, and else counted."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet
import pytest
import skops.io
from contract.stores_place import STORES, Place, s3
from sklearn.linear_model import LogisticRegression
from structlog.testing import capture_logs
from unit.server.asgi import infer_body
from unit.server.conftest import free_port, starter
from unit.server.test_workers import post
from unit.server.waiting import DEADLINE_S, wait_until

from rampway_server import objects, payloads, places
from rampway_server.estimators import describe
from rampway_server.payload import form
from rampway_server.payloads import Payloads
from rampway_server.request import InferRequest, Output
from rampway_server.sheet import Sheet

# Google's double takes no upload as its real API does: see the test of it below.
WRITABLE = pytest.mark.parametrize("store", ["s3", "az"], indirect=True)
ROWS = np.arange(8.0).reshape(4, 2)
CLASSIFIER = LogisticRegression().fit(ROWS, [0, 1, 0, 1])
MODEL = describe(CLASSIFIER, "")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait at the end as long as a crowded machine may take."""
    monkeypatch.setattr(payloads, "_LAST_S", DEADLINE_S)


@pytest.fixture
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A store with an empty bucket, and its credentials in the environment."""
    (tmp_path / "store/models").mkdir(parents=True)
    (tmp_path / "store/models/first.txt").touch()  # some make a bucket of a folder with a file
    with STORES[request.param](tmp_path / "store", free_port()) as found:
        _enter(found, monkeypatch)
        yield found


def _enter(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in place.environment.items():
        monkeypatch.setenv(key, value)


def logging(place: str, name: str = "jsonl", interval_s: float = 3600.0) -> Payloads:
    """Return a payload log to a place."""
    return Payloads(
        places.place(place),
        form(name),
        Sheet().page(),
        share=1.0,
        queue_bytes=64 << 20,
        interval_s=interval_s,
    )


def take(log: Payloads, rows: Any = ROWS) -> None:
    """Have the log take a request that the model has answered."""
    asked = InferRequest("x1", (rows,), (Output(MODEL.offers[0], binary=False),))
    about = {"model": "m", "version": "2", "revision": "m-abc"}
    log.of(MODEL, about)(asked, MODEL.predict([rows], MODEL.offers[:1]))


def counts(log: Payloads) -> dict[str, float]:
    """Return payloads by their end."""
    (family,) = log.collect()
    return {sample.labels["outcome"]: sample.value for sample in family.samples}


def contents(place: str) -> dict[str, bytes]:
    """Return the files below a place, by their names."""
    parts = urlsplit(place)
    reached = objects.Object(f"{place}/any", 60.0)._store(tries=1)
    found = obstore.list(reached, prefix=parts.path.strip("/")).collect()
    return {one["path"]: bytes(obstore.get(reached, one["path"]).bytes()) for one in found}


@WRITABLE
@pytest.mark.parametrize("name", ["jsonl", "parquet"])
def test_rows_arrive(store: Place, name: str) -> None:
    """Below a prefix, one file each interval and the last at the end."""
    place = f"{store.base}/log/digits"
    log = logging(f"{place}/", name, interval_s=0.05)
    for times in (1, 2):
        take(log)
        wait_until(lambda: counts(log)["written"] == times)  # noqa: B023  # waited for here
    take(log)
    log.close()
    files = contents(place)
    assert len(files) == 3
    assert all(path.startswith("log/digits/2") and path.endswith(name) for path in files)
    for content in files.values():
        if name == "jsonl":
            found = [json.loads(line)["inputs"]["input-0"] for line in content.splitlines()]
        else:
            table = pyarrow.parquet.read_table(pa.BufferReader(content))
            found = [row["input-0"] for row in table["inputs"].to_pylist()]
        assert found == ROWS.tolist()


@WRITABLE
def test_a_large_file_arrives_whole(store: Place) -> None:
    """In one piece, so that a store never keeps parts of what broke off."""
    log = logging(f"{store.base}/log")
    rows = np.random.default_rng(0).random((200_000, 2))
    take(log, rows)
    log.close()
    (content,) = contents(f"{store.base}/log").values()
    assert len(content) > 20 << 20
    found = [json.loads(line)["inputs"]["input-0"] for line in content.splitlines()]
    assert found == rows.tolist()


@WRITABLE
def test_a_store_that_refuses_is_told_without_its_secret(
    store: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the store's own words, once; payloads are counted; what comes after is tried."""
    monkeypatch.setenv(store.secret, store.environment[store.secret].replace("ZX", "ZY"))
    log = logging(f"{store.base}/log", interval_s=0.05)
    with capture_logs() as lines:
        for times in (1, 2):
            take(log)
            wait_until(lambda: counts(log)["failed"] == times)  # noqa: B023  # waited for here
        monkeypatch.setenv(store.secret, store.environment[store.secret])
        take(log)
        log.close()
    assert counts(log) == {"written": 1, "dropped": 0, "failed": 2}
    (line,) = lines
    assert line["event"] == "payloads cannot be written"
    assert line["reason"].startswith(f"store refused {store.base}/log/2"), line["reason"]
    assert "403 Forbidden (" in line["reason"]
    assert store.environment[store.secret][:8] not in line["reason"]


@pytest.mark.parametrize("store", ["gs"], indirect=True)
def test_google_is_asked_and_its_double_refuses(store: Place) -> None:
    """fake-gcs-server knows uploads by signed URL and by JSON only; what it says is told."""
    log = logging(f"{store.base}/log")
    with capture_logs() as lines:
        take(log)
        log.close()
    assert counts(log) == {"written": 0, "dropped": 0, "failed": 1}
    (line,) = lines
    assert line["reason"].startswith("store refused gs://models/log/2"), line["reason"]
    assert line["reason"].endswith("400 Bad Request"), line["reason"]


def test_a_store_that_comes_back_gets_what_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that nobody takes at first is tried again before it is given up."""
    (tmp_path / "store/models").mkdir(parents=True)
    port = free_port()
    with s3(tmp_path / "store", port) as place:
        _enter(place, monkeypatch)
    log = logging("s3://models/log", interval_s=0.05)
    with capture_logs() as lines:
        take(log)
        wait_until(lambda: counts(log)["failed"] == 1)
        with s3(tmp_path / "store", port):
            take(log)
            log.close()
            assert len(contents("s3://models/log")) == 1
    (line,) = lines
    assert line["reason"].startswith("store unreachable s3://models/log/2"), line["reason"]
    assert line["reason"].endswith("Connection refused"), line["reason"]


def test_sigterm_loses_no_payload(tmp_path: Path) -> None:
    """A real server, its model and its log in one store, ends with all that it answered there."""
    (tmp_path / "s3/models").mkdir(parents=True)
    skops.io.dump(CLASSIFIER, tmp_path / "s3/models/m.skops")
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(s3(tmp_path / "s3", free_port()))
        start = stack.enter_context(starter(tmp_path))
        server = start(
            "s3://models/m.skops",
            RAMPWAY_PAYLOAD_LOG="s3://models/log",
            RAMPWAY_PAYLOAD_FORMAT="parquet",
            **place.environment,
        )
        server.wait_ready()
        for number in range(40):
            body = json.dumps(infer_body([[float(number), 0.5]])).encode()
            assert post(server, body=body)[0] == 200
        server.popen.terminate()
        assert server.end()[0] == 0
    (path,) = (tmp_path / "s3/models/log").glob("*.parquet")
    found = pyarrow.parquet.read_table(path)["inputs"].to_pylist()
    assert [row["input-0"] for row in found] == [[float(number), 0.5] for number in range(40)]
