"""The real server's sockets: whatever bytes come, there is an answer or an end, and it lives on."""

import contextlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.server.asgi import infer_body
from unit.server.conftest import ANY_SPEED, Process, StartServer
from unit.server.waiting import DEADLINE_S

from rampway_server import connection

BODY = json.dumps(infer_body([[1.0] * 64])).encode()
INFER = b"/v2/models/digits/infer"


def exchange(server: Process, sent: bytes, idle_s: float = DEADLINE_S) -> list[tuple[int, bytes]]:
    """Send bytes; return the statuses and bodies of what comes until the end, or silence."""
    received, (found, rest) = b"", answers(b"")
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        with contextlib.suppress(ConnectionError):  # it may have ended before all was sent
            client.sendall(sent)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            client.settimeout(idle_s)
            while piece := client.recv(65536):
                received += piece
                found, rest = answers(received)
                client.settimeout(DEADLINE_S if rest else idle_s)
    assert rest == b"", "an answer ends in its middle"
    return found


def answers(received: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the statuses and bodies of whole answers, and what is left."""
    found: list[tuple[int, bytes]] = []
    while True:
        head, end, rest = received.partition(b"\r\n\r\n")
        if not end:
            return found, received
        lines = head.lower().split(b"\r\n")
        (length,) = (int(x.split(b":")[1]) for x in lines if x.startswith(b"content-length:"))
        if len(rest) < length:
            return found, received
        found.append((int(lines[0].split()[1]), rest[:length]))
        received = rest[length:]


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


@pytest.mark.parametrize("name", [b"Upgrade", b"upgrade"])
def test_an_offer_of_another_protocol_is_ignored(name: bytes, digits_server: Process) -> None:
    """Java's client offers HTTP/2 with its requests, and sends their bodies all the same."""
    offer = b"%s: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n" % name
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\n"
    last = b"Connection: Upgrade, HTTP2-Settings, close\r\n"
    first, second = (
        post(BODY, offer).replace(b"Connection: close\r\n", told) for told in (upgrade, last)
    )
    with socket.create_connection(("127.0.0.1", digits_server.port)) as client:
        client.settimeout(DEADLINE_S)
        for sent in (first, second):
            client.sendall(sent)
            received = b""
            while not (found := answers(received)[0]):
                received += client.recv(65536)
            assert [status for status, _ in found] == [200], found


def test_who_sends_no_more_is_answered(digits_server: Process) -> None:
    """The end of what a client sends is not the end of what it reads (`nc -N`)."""
    with socket.create_connection(("127.0.0.1", digits_server.port)) as client:
        client.settimeout(DEADLINE_S)
        client.sendall(post(BODY).replace(b"Connection: close\r\n", b""))
        client.shutdown(socket.SHUT_WR)
        received = b""
        while piece := client.recv(65536):
            received += piece
    assert [status for status, _ in answers(received)[0]] == [200]


def test_body_cut_short_holds_nobody(start_server: StartServer, model_file: Path) -> None:
    """A client falls silent: it is told so after the time for bodies, and the connection ends."""
    server = start_server(f"file://{model_file}", RAMPWAY_BODY_TIMEOUT_S="0.5")
    server.wait_ready()
    assert [status for status, _ in exchange(server, post(BODY)[:-5])] == [408]


@settings(ANY_SPEED, max_examples=60)
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

    monkeypatch.setattr(connection, "HEADER_TIMEOUT_S", 0.5)

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
            found.append((await asyncio.wait_for(reader.read(), DEADLINE_S))[9:12])
            writer.close()
        listening.close()
        return found

    assert asyncio.run(statuses()) == [b"408", b"408"]


class _Sent:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        if data:
            self.writes.append(data)

    def close(self) -> None:
        self.writes.append(b"end")


@dataclass
class _Cycle:
    transport: _Sent
    response_started: bool = False


def test_head_and_body_leave_together() -> None:
    """What invites the body leaves at once; a head waits for its body, or for the end."""
    sent = _Sent()
    cycle = _Cycle(sent)
    joining = connection._Joining(cycle)  # type: ignore[arg-type]
    joining.write(b"100;")
    cycle.response_started = True
    for data in (b"head;", b"body;", b"more;"):
        joining.write(data)
    assert sent.writes == [b"100;", b"head;body;", b"more;"]
    broken = connection._Joining(cycle)  # type: ignore[arg-type]
    broken.write(b"head;")
    broken.close()
    assert sent.writes[3:] == [b"head;", b"end"]


def test_answer_to_head_is_a_head(digits_server: Process) -> None:
    """It comes at once, though no body follows."""
    received = b""
    with socket.create_connection(("127.0.0.1", digits_server.port), timeout=10) as client:
        client.sendall(b"HEAD /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(TimeoutError):
            received = client.recv(65536)
    assert received.startswith(b"HTTP/1.1 200")
