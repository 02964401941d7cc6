"""uvicorn's HTTP connection, with bounds on headers and errors in the protocol's own form."""

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from rampway_server.protocol import error_body

HEADER_BYTES = 64 << 10
HEADER_TIMEOUT_S = 30.0
FAREWELL_S = 1.0
"""How long an idle client has to answer the end of TLS."""
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class Connection(HttpToolsProtocol):
    """One connection; a request whose head is too large, too slow or no HTTP ends it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and wait for the first request as long as for any head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Parse; another protocol that is offered is none that we speak.

        The parser would take what follows for that protocol: a request of Java's client, which
        offers HTTP/2 with each, would lose its body. A server may ignore the offer (RFC 9110, 7.8).
        """
        if self._request is None or not self._request.more_body:
            end = data.find(b"\r\n\r\n")
            head = data[:end] if end >= 0 else data
            if b"upgrade:" in head.lower():
                data = _UPGRADE.sub(b"\r\nx-upgrade:", head) + data[len(head) :]
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own returns one
        """Answer who has sent a whole request and says that it sends no more."""
        request = self._request
        if request is None or request.more_body or request.response_complete:
            return False
        if self.scheme == "https":  # which has no half of an end
            return False
        request.keep_alive = False
        return True

    def shutdown(self) -> None:
        """End after the answer under way, if there is one."""
        idle = self._request is None or self._request.response_complete
        super().shutdown()
        if idle and self.scheme == "https":  # who never reads would hold up the end
            self.loop.call_later(FAREWELL_S, self.transport.abort)

    @property
    def _request(self) -> RequestResponseCycle | None:
        return self.cycle

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._head_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Start the clock of a request's head."""
        super().on_message_begin()
        self._await_head()

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Stop the clock."""
        self._head_came()
        super().on_headers_complete()
        if self.scope["method"] != "HEAD":  # whose answer is a head alone
            self.cycle.transport = _Joining(self.cycle)  # type: ignore[assignment]

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(400, f"{msg} Expected HTTP/1.1.")

    def _await_head(self) -> None:
        self._head_came()
        self._head_bytes = 0
        self._head_due = self.loop.call_later(
            HEADER_TIMEOUT_S, self._refuse, 408, f"no request within {HEADER_TIMEOUT_S:g} s"
        )

    def _head_came(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEADER_BYTES:
            raise ValueError("too large a head")  # the parser stops, and tells of it below

    def _refuse(self, status: int, message: str) -> None:
        if self._head_bytes > HEADER_BYTES:
            status = 431
            message = f"the request's headers are too large; expected at most {HEADER_BYTES} bytes"
        body = error_body(message)
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head % len(body) + body)
        self.transport.close()


class _Joining:
    """A transport that sends a response's head with what follows it: in one system call, not two.

    Args:
        cycle: The request whose response it is.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Send data, but keep the first of a response until there is more."""
        if not self._cycle.response_started:  # 100 Continue
            self._transport.write(data)
        elif self._head is None:
            self._head = data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Send what was kept, and close."""
        self._transport.write(self._head or b"")
        self._transport.close()
