"""What a small request may become: numbers, rows and answers are bounded, not bytes alone."""

import gzip
import json
import re
import struct
import tracemalloc
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from tritonclient.grpc import service_pb2
from unit.server.asgi import call
from unit.server.conftest import MAX_BODY_BYTES, MakeApp, Process, starter
from unit.server.waiting import DEADLINE_S

INFER = "/v2/models/digits/infer"
LENGTH = "Inference-Header-Content-Length"
MOST = MAX_BODY_BYTES // 4
BODY_BYTES = 16 << 20
COLOURS = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(
    np.array([["red"], ["blue"]], dtype=object), ["warm", "cold"]
)


def one_feature() -> LogisticRegression:
    """Return a classifier of one number and ten classes: each byte may become eleven numbers."""
    return LogisticRegression().fit(np.arange(100.0).reshape(-1, 1), np.arange(100) % 10)


def body(shape: Any, datatype: str, raw: bytes = b"", **more: Any) -> tuple[bytes, dict[str, str]]:
    """Return a body, of JSON if `data` is given, else with these bytes, and its headers."""
    tensor: dict[str, Any] = {"name": "input-0", "shape": shape, "datatype": datatype} | more
    if "data" not in more:
        tensor["parameters"] = {"binary_data_size": len(raw)}
    text = json.dumps({"inputs": [tensor]}).encode()
    return text + raw, {} if "data" in more else {LENGTH: str(len(text))}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (body([1e12, 1], "FP64", data=[1.0]), "expected positive integers"),
        (body([10**12, 1], "FP64", data=[1.0]), f"expected at most {MOST}"),
        (body([2**63, 1], "FP64", data=[1.0]), f"expected at most {MOST}"),
        (body([10**12, 1], "FP64", b"\0" * 8), f"expected at most {MOST}"),
        (body([MOST + 1, 1], "UINT8", bytes(MOST + 1)), f"expected at most {MOST}"),
        (body([MOST // 10 + 1, 1], "UINT8", bytes(MOST // 10 + 1)), "rows are too many"),
        (body([MOST + 1, 1], "FP64", data=[0] * (MOST + 1)), f"expected at most {MOST}"),
        (body([1, 1], "FP64", data=[[]] * (MOST // 4)), "lists and objects; expected at most"),
        (body([1, 1], "FP64", data=[{}] * (MOST // 4)), "lists and objects; expected at most"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
async def test_more_values_than_a_request_may_have(
    asked: tuple[bytes, dict[str, str]], sentence: str, compressed: bool, make_app: MakeApp
) -> None:
    """400 before anything is made of them, whatever the shape says and the bytes are."""
    app, _ = make_app(one_feature())
    content, headers = asked
    if compressed:
        content, headers = gzip.compress(content), headers | {"Content-Encoding": "gzip"}
    tracemalloc.start()
    try:
        reply = await call(app, INFER, content, headers)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (reply.status, sentence in reply.error) == (400, True), reply.error
    assert peak_bytes < 20 * MAX_BODY_BYTES


@pytest.mark.parametrize(("rows", "status"), [(MOST // 10, 200), (MOST // 10 + 1, 400)])
async def test_the_widest_output_counts(rows: int, status: int, make_app: MakeApp) -> None:
    """Also where it is not asked for: the class comes from ten probabilities."""
    app, _ = make_app(one_feature())
    content, headers = body([rows, 1], "UINT8", bytes(rows))
    assert (await call(app, INFER, content, headers)).status == status


async def test_text_that_claims_to_be_huge(make_app: MakeApp) -> None:
    """A length of four bytes may say 4 GiB, and a shape 10^12 texts."""
    app, _ = make_app(COLOURS)
    for shape, raw, sentence in (
        ([1, 1], struct.pack("<I", 2**32 - 1) + b"red", "ends within a value"),
        ([10**12, 1], struct.pack("<I", 3) + b"red", f"expected at most {MOST}"),
        ([MOST, 1], b"\0" * (4 * MOST - 200), "values, but its data hold"),
    ):
        content, headers = body(shape, "BYTES", raw)
        reply = await call(app, INFER, content[:MAX_BODY_BYTES], headers)
        assert (reply.status, sentence in reply.error) == (400, True), reply.error


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server of the classifier of one feature, with its own limits."""
    folder = tmp_path_factory.mktemp("limits")
    skops.io.dump(one_feature(), folder / "model.skops")
    with starter(folder) as start:
        found = start(f"file://{folder / 'model.skops'}")
        found.wait_ready()
        yield found


def peak_mib(server: Process) -> float:
    """Return the most memory that a server has had so far."""
    text = Path(f"/proc/{server.popen.pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.parametrize("kind", ["bytes", "numbers", "lists"])
def test_a_small_body_that_expands(server: Process, kind: str) -> None:
    """16 KiB of gzip that are 16 MiB: without the bound they took 3 GB and a minute."""
    before_mib = peak_mib(server)
    if kind == "bytes":
        count = BODY_BYTES - 300
        content, headers = body([count, 1], "UINT8", bytes(count))
    elif kind == "lists":
        content, headers = b"[" * BODY_BYTES, {}
    else:
        count = BODY_BYTES // 2 - 300
        content, headers = body([count, 1], "UINT8", data=[])
        content = content.replace(b"[]", b"[" + b"0," * (count - 1) + b"0]")
    small = gzip.compress(content)
    assert len(small) < 20_000
    headers |= {"Content-Encoding": "gzip"}
    url = f"http://127.0.0.1:{server.port}{INFER}"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, small, headers), timeout=DEADLINE_S)
    with refused.value:
        text = refused.value.read()
    assert (refused.value.code, b"expected at most" in text) == (400, True)
    assert peak_mib(server) - before_mib < 300, "of which reading JSON takes 200"


def test_a_small_message_that_expands(server: Process) -> None:
    """The library of gRPC bounds what it decompresses by the same limit."""
    before_mib = peak_mib(server)
    asked = service_pb2.ModelInferRequest(model_name="digits")
    asked.inputs.add(name="input-0", datatype="UINT8", shape=[8 * BODY_BYTES, 1])
    asked.raw_input_contents.append(bytes(8 * BODY_BYTES))
    assert infer(server, asked, compression=grpc.Compression.Gzip) == "RESOURCE_EXHAUSTED"
    assert peak_mib(server) - before_mib < 100


@pytest.mark.parametrize("rows", [5_000_000, 500_000])
def test_more_values_than_a_message_may_have(server: Process, rows: int) -> None:
    """The same bounds as over HTTP, on values and on rows."""
    asked = service_pb2.ModelInferRequest(model_name="digits")
    asked.inputs.add(name="input-0", datatype="UINT8", shape=[rows, 1])
    asked.raw_input_contents.append(bytes(rows))
    assert infer(server, asked) == "INVALID_ARGUMENT"


def infer(server: Process, asked: Any, **how: Any) -> str:
    """Return the status of a call."""
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options=options) as channel:
        ask = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelInferResponse.FromString,
        )
        with pytest.raises(grpc.RpcError) as refused:
            ask(asked, timeout=DEADLINE_S, **how)
    status: str = refused.value.code().name
    return status
