"""Whatever is sent: nothing is answered with 500, nothing hangs, every error is one sentence."""

import asyncio
import gzip
import json
import re
import socket
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from unit.server import described
from unit.server.asgi import call, infer_body
from unit.server.conftest import ANY_SPEED, MakeApp, Process
from unit.server.waiting import DEADLINE_S

MANY = settings(ANY_SPEED, max_examples=300)
ROWS = [[0.0, 1.0], [2.0, 3.0]]
MODELS: dict[str, Any] = {
    "numbers": LogisticRegression().fit(ROWS, [0, 1]),
    "text and numbers": make_pipeline(
        make_column_transformer((OneHotEncoder(), [0]), remainder="passthrough"),
        LinearRegression(),
    ).fit(np.array([["a", 1.0], ["b", 2.0]], dtype=object), [0.0, 1.0]),
}
COLUMN = {"shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
GOOD: dict[str, dict[str, Any]] = {
    "numbers": infer_body(ROWS, id="1", outputs=[{"name": "predict"}], parameters={"a": 1}),
    "text and numbers": {
        "inputs": [
            {"name": "column-0", **COLUMN},
            {"name": "column-1", "shape": [2], "datatype": "FP64", "data": [1.0, 2.0]},
        ]
    },
}
LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, 2**64, -1, 10**30, 0, 1, 64])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["FP32", "FP64", "INT64", "BYTES", "BOOL", "predict", "input-0"])
)
JSON = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "shape", "datatype", "data", "parameters", "binary_data_size"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "content-encoding",
            "accept-encoding",
            "inference-header-content-length",
            "x-envoy-attempt-count",
            "x-envoy-expected-rq-timeout-ms",
            "content-type",
            "expect",
        ]
    ),
    st.sampled_from(["gzip", "deflate", "identity", "0", "1", "-1", "17", "9" * 30, "1e3", "nan"])
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
    max_size=3,
)
WORDS = "v2 models digits versions 2 infer ready health live repository index load unload metrics"
PARTS = st.sampled_from([*WORDS.split(), "", "..", "%2e", "é"])


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a document, as container and key."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += _places(value[key])
    return found


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """Return a good body of which up to three places have become something else, or nothing."""
    body = json.loads(json.dumps(GOOD[name]))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(body)
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        if draw(st.booleans()):
            container[key] = draw(JSON)
        else:
            del container[key]
    return json.dumps(body).encode()


@pytest.mark.parametrize("name", list(MODELS))
@MANY
@given(data=st.data())
async def test_any_body_is_predicted_or_refused(
    name: str, data: st.DataObject, make_app: MakeApp
) -> None:
    """A good request with anything anywhere in it, under any headers: 200 or the client's fault."""
    app, _ = make_app(MODELS[name])
    body = data.draw(changed(name) | JSON.map(lambda found: json.dumps(found).encode()))
    if data.draw(st.booleans()):
        body = gzip.compress(body)[: data.draw(st.sampled_from([None, -1, 9]))]
    headers = data.draw(HEADERS)
    path = "/v2/models/digits/infer"
    async with asyncio.timeout(DEADLINE_S):
        reply = await call(app, path, body, headers)
    assert reply.status < 500 or _hurried(headers, reply.status), (reply.status, reply.body)
    if reply.headers["content-type"] == "application/json" and not _packed(reply.headers):
        described.check("POST", path, reply)


def _hurried(headers: dict[str, str], status: int) -> bool:
    """Say whether the client itself asked for an answer in no time."""
    return status == 504 and "x-envoy-expected-rq-timeout-ms" in headers


def _packed(headers: Any) -> bool:
    return "content-encoding" in headers or "inference-header-content-length" in headers


@MANY
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X"]),
    parts=st.lists(PARTS | st.text(max_size=6), max_size=7),
    body=st.binary(max_size=60),
    headers=HEADERS,
)
async def test_any_path_is_answered(
    method: str, parts: list[str], body: bytes, headers: dict[str, str], make_app: MakeApp
) -> None:
    """Any method on any path, with any body: answered in one of the protocol's forms."""
    app, _ = make_app(MODELS["numbers"])
    async with asyncio.timeout(DEADLINE_S):
        reply = await call(app, "/" + "/".join(parts), body, headers, method)
    assert reply.status < 500 or _hurried(headers, reply.status)
    if reply.status >= 400 and method != "HEAD":
        assert reply.error


_TEXT = json.dumps(infer_body([[1.0] * 64])).encode()
REQUEST = (
    b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_TEXT), _TEXT)
)
LINES = st.sampled_from(
    [
        b"Content-Length: 5\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Connection: close\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Inference-Header-Content-Length: 7\r\n",
        b"X: " + b"a" * 70_000 + b"\r\n",
        b" folded\r\n",
        b"\0: \xff\r\n",
    ]
)


@settings(ANY_SPEED, max_examples=150)
@given(data=st.data())
def test_any_bytes_on_a_connection_end_well(data: st.DataObject, digits_server: Process) -> None:
    """Broken HTTP: answered without 500 or closed, and the server lives on."""
    sent = REQUEST
    for line in data.draw(st.lists(LINES, max_size=3)):
        at = sent.index(b"Content-Type")
        sent = sent[:at] + line + sent[at:]
    if data.draw(st.booleans()):
        start = data.draw(st.integers(0, len(sent)))
        end = data.draw(st.integers(start, min(len(sent), start + 30)))
        sent = sent[:start] + data.draw(st.binary(max_size=12)) + sent[end:]
    answer = _exchange(digits_server.port, sent * data.draw(st.integers(1, 2)))
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
    assert [status for status in statuses if status >= 500] == []
    assert digits_server.get("/v2/health/live")[0] == 200


def _exchange(port: int, sent: bytes) -> bytes:
    """Send, end the sending half, and return all that comes until the server ends its own."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                answer += data
        except TimeoutError:
            raise  # it hangs
        except OSError:
            return answer  # closed before it was all there
    return answer
