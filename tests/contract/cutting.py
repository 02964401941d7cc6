"""A relay in front of a store that cuts connections in the middle of an answer."""

import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

AFTER = 200_000
ALL = 1 << 40
LINGER_NOT = b"\x01\0\0\0\0\0\0\0"


class Relay(socketserver.ThreadingTCPServer):
    """Ends so many connections after AFTER bytes of their answers; relays all others whole."""

    daemon_threads = True

    def __init__(self, target: int, cuts: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target = target
        self.cuts = cuts


class _Connection(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        cut = self.server.cuts > 0
        self.server.cuts -= 1
        with socket.create_connection(("127.0.0.1", self.server.target)) as store:
            there = threading.Thread(target=_pump, args=(self.request, store, ALL), daemon=True)
            there.start()
            _pump(store, self.request, AFTER if cut else ALL)
            if cut:  # else a store that ends its connection would take back what is not read yet
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)


def _pump(source: socket.socket, target: socket.socket, left: int) -> None:
    with suppress(OSError):
        while left > 0 and (data := source.recv(65536)):
            target.sendall(data)
            left -= len(data)


@contextmanager
def cutting(
    environment: Mapping[str, str], cuts: int, patch: pytest.MonkeyPatch
) -> Iterator[Relay]:
    """Put a relay between the clients of this environment's endpoint and the store behind it."""
    variable, endpoint = next(
        (key, value) for key, value in environment.items() if value.startswith("http")
    )
    with Relay(urlsplit(endpoint).port or 0, cuts) as relay:
        port = relay.server_address[1]
        patch.setenv(variable, endpoint.replace(f":{relay.target}", f":{port}"))
        serving = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield relay
        relay.shutdown()
        serving.join()
