"""OpenTelemetry traces, by the standard environment variables, to a collector on loopback."""

import http.client
import http.server
import json
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from unit.server.asgi import infer_body
from unit.server.conftest import StartServer
from unit.server.waiting import DEADLINE_S

from rampway_server.errors import StartError
from rampway_server.tracing import tracer

INFER = "/v2/models/digits/infer"
BODY = json.dumps(infer_body([[1.0] * 64])).encode()
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector() -> Iterator[tuple[str, "queue.Queue[bytes]"]]:
    """An OTLP collector's endpoint, and what it is sent."""
    received: queue.Queue[bytes] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the standard library's name
            received.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def attributes(attached: Any) -> dict[str, str]:
    """Return attributes as a dictionary."""
    return {one.key: one.value.string_value for one in attached}


def test_each_request_is_a_span_of_its_callers_trace(
    start_server: StartServer, model_file: Path, collector: tuple[str, "queue.Queue[bytes]"]
) -> None:
    """Over HTTP and gRPC, with model, revision, outcome and duration; the last go at the end."""
    endpoint, received = collector
    server = start_server(
        f"file://{model_file}", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_SERVICE_NAME="digits"
    )
    server.wait_ready()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
    asked_ns = time.time_ns()
    for body in (BODY, b"{"):
        connection.request("POST", INFER, body, {"traceparent": f"00-{TRACE}-{PARENT}-01"})
        connection.getresponse().read()
    answered_ns = time.time_ns()
    connection.close()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError):
            infer(b"\x0a\x06digits", timeout=DEADLINE_S)  # the model's name, and no inputs
    server.popen.terminate()
    assert server.end()[0] == 0
    spans = []
    while not received.empty():
        request = ExportTraceServiceRequest.FromString(received.get())
        for resource in request.resource_spans:
            assert attributes(resource.resource.attributes)["service.name"] == "digits"
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    assert [attributes(span.attributes)["rampway.outcome"] for span in spans] == [
        "ok", "client_error", "client_error",
    ]  # fmt: skip
    good = spans[0]
    assert attributes(good.attributes)["rampway.revision"] == "digits-0"
    assert (good.trace_id.hex(), good.parent_span_id.hex()) == (TRACE, PARENT)
    duration_ns = good.end_time_unix_nano - good.start_time_unix_nano
    assert 0 < duration_ns < answered_ns - asked_ns
    assert spans[2].trace_id.hex() != TRACE


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"},
    ],
)
def test_there_are_none_unless_asked_for(environ: Mapping[str, str]) -> None:
    """OpenTelemetry is not even imported."""
    assert tracer(environ) is None


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "by exporter 'zipkin' and protocol"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "protocol 'http/json'; expected console or otlp",
        ),
    ],
)
def test_what_there_is_not_is_told(environ: Mapping[str, str], sentence: str) -> None:
    """One sentence, before anything is served."""
    with pytest.raises(StartError, match=sentence):
        tracer(environ)
