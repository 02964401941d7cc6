"""The real server's sockets: whatever bytes come, there is an answer or an end, and it lives on."""

import contextlib
import json
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.server.asgi import infer_body
from unit.server.conftest import Process

from rampway_server import connection

BODY = json.dumps(infer_body([[1.0] * 64])).encode()
INFER = b"/v2/models/digits/infer"


def exchange(server: Process, sent: bytes, idle_s: float = 10) -> list[tuple[int, bytes]]:
    """Send bytes; return the statuses and bodies of what comes until the end, or silence."""
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=idle_s) as client:
        client.sendall(sent)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while piece := client.recv(65536):
                received += piece
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        (length,) = (int(x.split(b":")[1]) for x in lines if x.startswith(b"content-length:"))
        answers.append((int(lines[0].split()[1]), rest[:length]))
        received = rest[length:]
    return answers


def post(body: bytes, headers: bytes = b"") -> bytes:
    """Return an inference request as it is sent; a last one, so that the server closes."""
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n"
    return head % (INFER, len(body), headers) + body


def test_no_http_is_told_in_the_protocols_form(digits_server: Process) -> None:
    """What is no HTTP gets 400 and an error object."""
    ((status, body),) = exchange(digits_server, b"HELO there\r\n\r\n")
    assert (status, json.loads(body)) == (
        400,
        {"error": "Invalid HTTP request received. Expected HTTP/1.1."},
    )


@pytest.mark.parametrize("what", ["one header", "many headers", "path"])
def test_too_large_a_head_is_431(what: str, digits_server: Process) -> None:
    """Headers and the path are bounded together."""
    size = connection.HEADER_BYTES
    sent = {
        "one header": post(BODY, b"x: " + b"a" * size + b"\r\n"),
        "many headers": post(BODY, b"".join(b"x%d: a\r\n" % i for i in range(size // 3))),
        "path": b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    }[what]
    ((status, body), *_) = exchange(digits_server, sent)
    assert status == 431
    assert b"expected at most 65536 bytes" in body
    ((status, _),) = exchange(digits_server, post(BODY, b"x: " + b"a" * (size // 2) + b"\r\n"))
    assert status == 200


def test_pipelined_requests_are_answered_in_order(digits_server: Process) -> None:
    """A bad one in between changes nothing for the others."""
    open_ended = post(BODY).replace(b"Connection: close\r\n", b"")
    sent = open_ended + post(b"{").replace(b"Connection: close\r\n", b"") + post(BODY)
    assert [status for status, _ in exchange(digits_server, sent)] == [200, 400, 200]


def test_body_cut_short_holds_nobody(digits_server: Process) -> None:
    """The client is gone or silent: the connection ends within the time for bodies."""
    sent = post(BODY)[:-5]
    assert [status for status, _ in exchange(digits_server, sent)] in ([], [408])
    with socket.create_connection(("127.0.0.1", digits_server.port), timeout=10) as client:
        client.sendall(sent)
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_bytes_are_answered_or_ended(digits_server: Process, data: st.DataObject) -> None:
    """A good request with a piece replaced: no 500, no hang, and the next request is served."""
    good = post(BODY)
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 20)))
    sent = good[:start] + data.draw(st.binary(max_size=12)) + good[end:]
    for status, body in exchange(digits_server, sent, idle_s=0.3):
        assert status < 500, (sent, body)
        assert status == 200 or set(json.loads(body)) == {"error"}
    assert [status for status, _ in exchange(digits_server, good)] == [200]


def test_a_head_that_does_not_come_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends half a head, or nothing, is sent away in time."""
    import asyncio

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    monkeypatch.setattr(connection, "HEADER_TIMEOUT_S", 0.05)

    async def app(_scope: object, _receive: object, _send: object) -> None:
        raise AssertionError("no request was complete")

    async def statuses() -> list[bytes]:
        config = Config(app, http=connection.Connection, ws="none", lifespan="off")
        config.load()
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(
            lambda: connection.Connection(config=config, server_state=ServerState(), app_state={}),
            "127.0.0.1",
        )
        port = listening.sockets[0].getsockname()[1]
        found = []
        for sent in (b"", b"GET / HTTP/1.1\r\nHo"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            found.append((await asyncio.wait_for(reader.read(), 5))[9:12])
            writer.close()
        listening.close()
        return found

    assert asyncio.run(statuses()) == [b"408", b"408"]
