"""HTTP's side of inference: binary bodies, compression, deadlines, and odd headers."""

import asyncio
import gzip
import json
import struct
import threading
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from unit.server.asgi import Reply, call, infer_body
from unit.server.conftest import ANY_SPEED, LIMITS, MAX_BODY_BYTES, MakeApp
from unit.server.waiting import DEADLINE_S, until

from rampway_server import http, protocol
from rampway_server.app import App, Limits
from rampway_server.errors import ClientFaultError
from rampway_server.estimators import describe
from rampway_server.request import InferRequest

INFER = "/v2/models/digits/infer"
ROW = np.arange(64.0) % 17
LENGTH = "Inference-Header-Content-Length"
COLOURS = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(
    np.array([["red"], ["blue"], ["red"], ["green"]], dtype=object),
    ["warm", "cold", "warm", "cold"],
)


def binary_body(
    raw: bytes, datatype: str, shape: list[int], **more: Any
) -> tuple[bytes, dict[str, str]]:
    """Return a body with one binary tensor, and its headers."""
    tensor: dict[str, Any] = {"name": "input-0", "shape": shape, "datatype": datatype}
    tensor["parameters"] = {"binary_data_size": len(raw)}
    text = json.dumps({"inputs": [tensor], **more}).encode()
    return text + raw, {LENGTH: str(len(text))}


def binary_outputs(reply: Reply) -> list[tuple[dict[str, Any], bytes]]:
    """Return each output's description and its bytes."""
    length = int(reply.headers[LENGTH.lower()])
    rest, found = reply.body[length:], []
    for output in json.loads(reply.body[:length])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        found.append((output, rest[:size]))
        rest = rest[size:]
    assert rest == b""
    return found


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [("FP16", "<f2"), ("FP32", "<f4"), ("FP64", "<f8"), ("BOOL", "?")]
    + [(f"{'U' * (sign == 'u')}INT{8 * n}", f"<{sign}{n}") for sign in "iu" for n in (1, 2, 4, 8)],
)
async def test_every_datatype_comes_as_bytes(
    datatype: str, dtype: str, make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """Little-endian values predict what the same values as JSON do."""
    app, _ = make_app(classifier)
    rows = np.stack([ROW, ROW[::-1]]).astype(dtype)
    body, headers = binary_body(rows.tobytes(), datatype, [2, 64])
    reply = await call(app, INFER, body, headers)
    (output,) = reply.document["outputs"]
    assert output["data"] == classifier.predict(rows.astype(float)).tolist()


async def test_outputs_come_as_bytes_where_asked(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """Per output by `binary_data`, for all by `binary_data_output`; both in one answer."""
    app, _ = make_app(classifier)
    outputs: list[dict[str, Any]] = [{"name": "predict_proba"}, {"name": "predict"}]
    body = infer_body([ROW.tolist()], outputs=outputs, parameters={"binary_data_output": True})
    reply = await call(app, INFER, json.dumps(body).encode())
    assert reply.headers["content-type"] == "application/octet-stream"
    (proba, raw), (label, raw_label) = binary_outputs(reply)
    assert (proba["datatype"], proba["shape"], "data" in proba) == ("FP64", [1, 10], False)
    assert np.frombuffer(raw, "<f8") == pytest.approx(classifier.predict_proba([ROW])[0])
    assert np.frombuffer(raw_label, "<i8") == classifier.predict([ROW])
    outputs[1]["parameters"] = {"binary_data": False}
    mixed = await call(app, INFER, json.dumps(body).encode())
    text = json.loads(mixed.body[: int(mixed.headers[LENGTH.lower()])])
    assert text["outputs"][1]["data"] == classifier.predict([ROW]).tolist()
    assert label["name"] == "predict"


async def test_text_goes_and_comes_as_bytes(make_app: MakeApp) -> None:
    """BYTES are lengths of four bytes and UTF-8, both ways, and plain strings in JSON."""
    app, _ = make_app(COLOURS)
    raw = b"".join(struct.pack("<I", len(text)) + text for text in (b"red", b"blue"))
    more = {"outputs": [{"name": "predict", "parameters": {"binary_data": True}}]}
    body, headers = binary_body(raw, "BYTES", [2, 1], **more)
    ((output, answered),) = binary_outputs(await call(app, INFER, body, headers))
    assert (output["datatype"], output["shape"]) == ("BYTES", [2])
    assert answered == struct.pack("<I", 4) + b"warm" + struct.pack("<I", 4) + b"cold"
    words = {"name": "input-0", "shape": [2, 1], "datatype": "BYTES", "data": ["red", "blue"]}
    reply = await call(app, INFER, json.dumps({"inputs": [words]}).encode())
    assert reply.document["outputs"][0]["data"] == ["warm", "cold"]


@pytest.mark.parametrize(
    ("raw", "datatype", "shape", "headers", "sentence"),
    [
        (b"\0" * 511, "FP64", [1, 64], {}, "has 511 bytes of data; shape [1, 64] in FP64 has 512"),
        (b"\0" * 512, "FP64", [1, 64], {LENGTH: "99999"}, "is 99999, but the body has"),
        (b"\0" * 512, "FP64", [1, 64], {LENGTH: "x"}, "expected a number of bytes"),
        (b"\0" * 512, "FP64", [1, 64], {LENGTH: "9" * 40}, "expected a number of bytes"),
        (b"\0" * 512, "FP64", [1, 64], {LENGTH: "3"}, "the body is not JSON"),
        (b"\0" * 512, "FP64", [10**17, 64], {}, "values; expected at most 25000"),
        (b"\0" * 512, "FP64", [2, 64], {}, "has 512 bytes of data; shape"),
        (b"\0" * 4, "BYTES", [1, 64], {}, "this model takes numbers"),
    ],
)
async def test_bad_binary_bodies_are_client_faults(  # noqa: PLR0917  # by pytest, by name
    raw: bytes,
    datatype: str,
    shape: list[int],
    headers: dict[str, str],
    sentence: str,
    make_app: MakeApp,
    classifier: LogisticRegression,
) -> None:
    """Sizes that do not agree are 400 with both of them."""
    app, _ = make_app(classifier)
    body, found = binary_body(raw, datatype, shape)
    reply = await call(app, INFER, body, found | headers)
    assert (reply.status, sentence in reply.error) == (400, True), reply.error


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"\x03\0\0\0red", "which is 2 values, but its data hold 1"),
        (b"\x09\0\0\0red", "ends within a value"),
        (b"\x03\0", "ends within a value"),
        (b"\xff\xff\xff\xffred", "ends within a value"),
        (b"\x01\0\0\0\xff\x01\0\0\0a", "text that is not UTF-8"),
    ],
)
async def test_bad_text_is_a_client_fault(raw: bytes, sentence: str, make_app: MakeApp) -> None:
    """Lengths that lie, and what is not UTF-8."""
    app, _ = make_app(COLOURS)
    body, headers = binary_body(raw, "BYTES", [2, 1])
    reply = await call(app, INFER, body, headers)
    assert (reply.status, sentence in reply.error) == (400, True), reply.error


async def test_bytes_that_nobody_claims_are_refused(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """Bytes after the last tensor mean that the client counted wrong."""
    app, _ = make_app(classifier)
    body, headers = binary_body(ROW.tobytes(), "FP64", [1, 64])
    reply = await call(app, INFER, body + b"more", headers)
    assert (reply.status, "4 bytes after the JSON" in reply.error) == (400, True)


async def test_more_bytes_than_there_are_cannot_be_claimed(make_app: MakeApp) -> None:
    """Not even where what is there would do."""
    app, _ = make_app(COLOURS)
    body, headers = binary_body(b"\x03\0\0\0red", "BYTES", [1, 1])
    body = body.replace(b'"binary_data_size": 7', b'"binary_data_size": 9')
    reply = await call(app, INFER, body, headers)
    assert (reply.status, "is 9, but 7 bytes are left" in reply.error) == (400, True)


PAIR = describe(LogisticRegression().fit([[0.0, 0.0], [1.0, 1.0]], [0, 1]), "")


@given(st.data())
@settings(ANY_SPEED, max_examples=300)
def test_any_binary_body_is_read_or_refused(data: st.DataObject) -> None:
    """Whatever lengths, sizes and bytes come, it is a request or a client fault."""
    raw = data.draw(st.binary(max_size=40))
    shape = data.draw(st.just([1, 2]) | st.lists(st.integers(-1, 2**66), max_size=3))
    size = data.draw(st.just(len(raw)) | st.integers(-2, 2**66))
    datatype = data.draw(st.sampled_from(["FP64", "FP16", "UINT8", "INT64", "BOOL", "BYTES"]))
    tensor: dict[str, Any] = {"name": "input-0", "shape": shape, "datatype": datatype}
    tensor["parameters"] = {"binary_data_size": size}
    text = json.dumps({"inputs": [tensor]}).encode()
    length = data.draw(st.just(len(text)) | st.integers(0, 2**63))
    found: InferRequest | ClientFaultError
    try:
        found = protocol.parse(text + raw, length, PAIR, 10_000)
    except ClientFaultError as fault:
        found = fault
    assert isinstance(found, ClientFaultError) or found.inputs[0].shape[1:] == (2,)


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("gzip", lambda body: gzip.compress(body[:50]) + gzip.compress(body[50:])),
    ],
)
async def test_compressed_bodies_are_read(
    encoding: str, compress: Any, make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """The protocol's lengths count what was compressed."""
    app, _ = make_app(classifier)
    body, headers = binary_body(ROW.tobytes(), "FP64", [1, 64])
    reply = await call(app, INFER, compress(body), headers | {"Content-Encoding": encoding})
    assert reply.status == 200, reply.error
    assert reply.document["outputs"][0]["data"] == classifier.predict([ROW]).tolist()


@pytest.mark.parametrize(
    ("body", "encoding", "status", "sentence"),
    [
        (b"{}", "br", 415, "content-encoding is 'br'; expected gzip or deflate"),
        (b"{}", "gzip", 400, "the body is not gzip"),
        (gzip.compress(b"{}", mtime=0)[:-9], "gzip", 400, "ends within its gzip data"),
        (gzip.compress(b"{}", mtime=0) + b"junk", "gzip", 400, "the body is not gzip"),
        (2 * gzip.compress(b" " * 99_999, mtime=0), "gzip", 413, "expected at most 100000"),
        (
            gzip.compress(b" " * (MAX_BODY_BYTES + 1), mtime=0),
            "gzip",
            413,
            "expected at most 100000",
        ),
    ],
)
async def test_bad_compression_is_a_client_fault(  # noqa: PLR0917  # by pytest, by name
    body: bytes,
    encoding: str,
    status: int,
    sentence: str,
    make_app: MakeApp,
    classifier: LogisticRegression,
) -> None:
    """Unknown, broken, cut short, or a bomb: never more memory than a plain body may take."""
    app, _ = make_app(classifier)
    reply = await call(app, INFER, body, {"Content-Encoding": encoding})
    assert (reply.status, sentence in reply.error) == (status, True), reply.error


async def test_packed_bombs_are_not_unpacked() -> None:
    """What is read of a body is bounded by what may be in it, not by what is."""
    bomb = gzip.compress(b" " * 50_000_000, mtime=0)
    tracemalloc.start()
    try:
        with pytest.raises(ClientFaultError, match="expected at most 100000"):
            await http.plain(bomb, {b"content-encoding": b"gzip"}, MAX_BODY_BYTES)
        assert tracemalloc.get_traced_memory()[1] < 10 * MAX_BODY_BYTES
    finally:
        tracemalloc.stop()


async def test_gzip_without_its_header_is_told(make_app: MakeApp) -> None:
    """Who forgot the header hears of that, not of UTF-8."""
    app, metrics = make_app(COLOURS)
    reply = await call(app, INFER, gzip.compress(b"{}"))
    expected = "the body is not JSON but looks like gzip; expected a header Content-Encoding: gzip"
    assert (reply.status, reply.error) == (400, expected)
    assert b'outcome="client_error",revision="digits-abc"} 1.0' in metrics.render()


async def test_long_answers_are_compressed_for_who_takes_it(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """Short answers never are: it would cost more than it saves."""
    app, _ = make_app(classifier)
    for rows, expected in ((1, None), (80, "gzip")):
        body = json.dumps(infer_body([ROW.tolist()] * rows, outputs=[{"name": "predict_proba"}]))
        accepted = {"Accept-Encoding": "gzip, deflate"}
        reply = await call(app, INFER, body.encode(), accepted)
        assert reply.headers.get("content-encoding") == expected
        text = gzip.decompress(reply.body) if expected else reply.body
        plain = await call(app, INFER, body.encode())
        assert text == plain.body
        for refused in ({}, {"Accept-Encoding": "deflate, gzip;q=0"}):
            plain = await call(app, INFER, body.encode(), refused)
            assert "content-encoding" not in plain.headers
    for weighed in ("gzip;q=0.5, *;q=0", "GZIP", "br;q=0, gzip"):
        reply = await call(app, INFER, body.encode(), {"Accept-Encoding": weighed})
        assert reply.headers["content-encoding"] == "gzip"


class Slow(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A model that answers when the test says so."""

    n_features_in_ = 2

    def __init__(self) -> None:
        self.go_on, self.started = threading.Event(), threading.Event()
        self.seen: list[float] = []

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Wait, and answer the first column."""
        self.seen += rows[:, 0].tolist()
        self.started.set()
        assert self.go_on.wait(DEADLINE_S)
        first: NDArray[Any] = rows[:, 0]
        return first


@pytest.mark.parametrize(
    ("limits", "headers"),
    [
        (Limits(timeout_s=0.05), {}),
        (LIMITS, {"x-envoy-expected-rq-timeout-ms": "50"}),
    ],
)
async def test_deadline_is_kept(limits: Limits, headers: dict[str, str], make_app: MakeApp) -> None:
    """The option's time, or Envoy's if that is shorter: 504, and who waited in vain is dropped."""
    slow = Slow()
    app, metrics = make_app(slow, limits=limits)
    first, second, third = (
        json.dumps(infer_body([[number, 2.0]])).encode() for number in (1.0, 2.0, 3.0)
    )
    late = [asyncio.create_task(call(app, INFER, first, headers))]
    await until(slow.started.is_set)  # the one is being predicted, the other waits
    late.append(asyncio.create_task(call(app, INFER, second, headers)))
    for reply in await asyncio.gather(*late):
        assert (reply.status, reply.error) == (504, "no answer within 0.05 s")
    assert 'outcome="server_error",revision="digits-abc"} 2.0' in metrics.render().decode()
    slow.go_on.set()
    async with asyncio.timeout(DEADLINE_S):
        while (await call(app, INFER, third)).status != 200:
            pass  # on a crowded machine this one may be late too
    assert 2.0 not in slow.seen, "who was late has been predicted"


async def test_body_that_does_not_come_is_408(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """A client that announces more than it sends is told so, and does not hold the server."""
    app, _ = make_app(classifier, limits=Limits(body_timeout_s=0.05))
    reply = await _stalled(app)
    assert reply["status"] == 408
    assert (b"connection", b"close") in reply["headers"], "the rest may still come"


async def _stalled(app: App) -> dict[str, Any]:
    sent: list[dict[str, Any]] = []
    pieces = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> dict[str, Any]:
        return pieces.pop() if pieces else await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-length", b"9")]
    scope = {"type": "http", "method": "POST", "path": INFER, "headers": headers}
    await app(scope, receive, send)
    return sent[0]
