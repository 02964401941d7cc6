"""Why the operator does not read evidence by prometheus-api-client (decision record 1).

Each case shows what the client makes of an answer. One that fails after an update says that the
client learned to tell what we need told, and the decision is worth another look.
"""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException

SAMPLE = {"metric": {}, "value": [0, "1"]}
Handler = http.server.BaseHTTPRequestHandler


@dataclass
class Server:
    """Answers every query as the test says, and counts them."""

    respond: Callable[[Handler], None] | None = None
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def answers(self, status: int, body: object) -> None:
        """Answer with JSON."""

        def respond(handler: Handler) -> None:
            handler.send_response(status)
            handler.end_headers()
            handler.wfile.write(json.dumps(body).encode())

        self.respond = respond


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve on loopback."""
    found = Server()

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            assert found.respond is not None
            found.respond(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    found.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield found
    listening.shutdown()
    thread.join()
    listening.server_close()


def success(kind: str, result: object) -> dict[str, object]:
    """Return an answer of Prometheus."""
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def test_partial_answer_looks_whole(server: Server) -> None:
    """B17: the warnings, which say that a store is missing, are dropped."""
    server.answers(200, success("vector", [SAMPLE]) | {"warnings": ["store 2 is missing"]})
    assert PrometheusConnect(server.url).custom_query("up") == [SAMPLE]


def test_type_is_lost(server: Server) -> None:
    """B21: of a string, a scalar and a matrix only the bare result is left."""
    for kind, result in (("string", [0, "1"]), ("scalar", [0, "1"]), ("matrix", [])):
        server.answers(200, success(kind, result))
        assert PrometheusConnect(server.url).custom_query("up") == result


def test_no_deadline_for_the_whole(server: Server) -> None:
    """B17: its time-out is the longest pause between two bytes: a trickle outlasts it."""

    def trickle(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for byte in json.dumps(success("vector", [])).encode()[:10]:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.1)
        handler.wfile.write(json.dumps(success("vector", [])).encode()[10:])

    server.respond = trickle
    began_s = time.monotonic()
    PrometheusConnect(server.url, timeout=0.3).custom_query("up")
    assert time.monotonic() - began_s > 0.9


def test_overloaded_server_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 503 makes it ask more than once by default; what it raises then names no status."""
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    server.answers(503, {"status": "error", "errorType": "timeout", "error": "query timed out"})
    with pytest.raises(Exception, match="too many 503 error responses"):
        PrometheusConnect(server.url).custom_query("up")
    assert len(server.asked) == 4


def test_users_mistake_and_prometheus_trouble_are_one_exception(server: Server) -> None:
    """B21: a query that cannot be parsed and one that failed differ in the message only."""
    for status in (400, 422):
        server.answers(status, {"status": "error", "errorType": "x", "error": "y"})
        with pytest.raises(PrometheusApiClientException) as raised:
            PrometheusConnect(server.url).custom_query("sum(")
        assert raised.value.args[0].startswith(f"HTTP Status Code {status}")
        assert not hasattr(raised.value, "status_code")
