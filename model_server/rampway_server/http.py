"""What travels over HTTP: bodies and their encodings, answers, and the headers that matter."""

import asyncio
import gzip
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from rampway_server import protocol
from rampway_server.automation import Verdict
from rampway_server.errors import ClientFaultError
from rampway_server.metrics import Attempt, Outcome
from rampway_server.model import Model
from rampway_server.request import InferRequest
from rampway_server.tensors import most_values

Headers = Mapping[bytes, bytes]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
JSON = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
_BYTES = (b"content-type", b"application/octet-stream")
_JSON_BYTES = b"inference-header-content-length"
# A body that is too large is read on and thrown away up to this many times the limit: a
# connection closed under a client that still sends would be reset before it reads the 413.
_DISCARDED_LIMITS = 4
_COMPRESSED_FROM_BYTES = 4096
_COMPRESSION = 1  # the fastest: answers are small, and the processor is for predictions
# On the event loop: 4 KiB become 4 MiB at most, which takes less time than a thread is given.
_INFLATED_AT_ONCE_BYTES = 4096
_GZIP = re.compile(rb"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)
"""Of the header Accept-Encoding: gzip, but not as what is unwanted."""
_WINDOW_BITS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
_WINDOW_BITS[b"x-gzip"] = _WINDOW_BITS[b"gzip"]


class DisconnectError(Exception):
    """The client went away before it had sent its whole request."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    Attributes:
        outcome: What it counts as if it answers an infer.
        verdict: What to do with each row's answer; None where there is none.
    """

    status: int
    body: bytes
    outcome: Outcome = "ok"
    headers: tuple[tuple[bytes, bytes], ...] = (JSON,)
    verdict: Verdict | None = None


def error(status: int, message: str, outcome: Outcome = "client_error") -> Answer:
    """Return the protocol's error object as an answer."""
    if status in {408, 413}:  # the rest of the body is not read
        return Answer(status, protocol.error_body(message), outcome, (JSON, CLOSE))
    if status == 503:  # noqa: PLR2004  # as above
        return Answer(status, protocol.error_body(message), outcome, (JSON, (b"retry-after", b"1")))
    return Answer(status, protocol.error_body(message), outcome)


async def read_body(headers: Headers, receive: Receive, max_bytes: int, timeout_s: float) -> bytes:
    """Return a request's body.

    Raises:
        ClientFaultError: 413, it is too large; 408, it does not come.
        DisconnectError: the client went away.
    """
    declared = int(headers.get(b"content-length", b"0"))
    if declared > max_bytes and b"expect" in headers:
        raise _too_large(declared, max_bytes)  # the client has sent nothing yet
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(declared, receive, max_bytes)
    except TimeoutError:
        raise ClientFaultError(
            f"the body did not come within {timeout_s:g} s; {declared} bytes were announced", 408
        ) from None


async def _read(declared: int, receive: Receive, max_bytes: int) -> bytes:
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectError
        size += len(message["body"])
        if size <= max_bytes:
            chunks.append(message["body"])
        more = message.get("more_body", False)
        if size > max_bytes * (_DISCARDED_LIMITS if more else 1):
            raise _too_large(max(size, declared), max_bytes)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(size: int, max_bytes: int) -> ClientFaultError:
    return ClientFaultError(f"the body has {size} bytes or more; expected at most {max_bytes}", 413)


@dataclass(frozen=True)
class HttpCall:
    """An inference request over HTTP."""

    name: str
    version: str
    content: bytes
    accepted: bytes
    json_bytes: int | None
    most_values: int

    @classmethod
    def of(
        cls, name: str, version: str, content: bytes, headers: Headers, max_bytes: int
    ) -> "HttpCall":
        """Return the call that a body, decompressed, and its headers make.

        Raises:
            ClientFaultError: a header cannot be understood.
        """
        return cls(
            name,
            version,
            content,
            headers.get(b"accept-encoding", b""),
            _length(headers.get(_JSON_BYTES)),
            most_values(max_bytes),
        )

    @property
    def size(self) -> int:
        """How many bytes came, as they are without compression."""
        return len(self.content)

    def read(self, model: Model) -> InferRequest:
        """Return what is asked; raises ClientFaultError."""
        return protocol.parse(self.content, self.json_bytes, model, self.most_values)

    def write(
        self, asked: InferRequest, arrays: Sequence[NDArray[Any]], verdict: Verdict
    ) -> Answer:
        """Return the answer, compressed if the client takes that and it is worth it."""
        body, json_bytes = protocol.write(self.name, self.version, asked, arrays, verdict)
        headers = [JSON, (b"rampway-automation", verdict.use.encode())]
        if json_bytes is not None:
            headers[0] = _BYTES
            headers.append((_JSON_BYTES, b"%d" % json_bytes))
        if len(body) >= _COMPRESSED_FROM_BYTES and _GZIP.search(self.accepted):
            body = gzip.compress(body, _COMPRESSION, mtime=0)
            headers.append((b"content-encoding", b"gzip"))
        return Answer(200, body, headers=tuple(headers), verdict=verdict)


def _known_encoding(encoding: bytes) -> bytes:
    if encoding != b"identity" and encoding not in _WINDOW_BITS:
        raise ClientFaultError(
            f"header content-encoding is {_text(encoding)}; expected gzip or deflate, or none", 415
        )
    return encoding


def _length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > len(str(1 << 63)):
        raise ClientFaultError(
            f"header {_JSON_BYTES.decode()} is {_text(value)}; expected a number of bytes"
        )
    return int(value)


def _text(value: bytes) -> str:
    return repr(value[:100].decode("latin-1"))


async def plain(content: bytes, headers: Headers, max_bytes: int) -> bytes:
    """Return a body without its compression, so that what waits is bounded as it really is.

    Raises:
        ClientFaultError: 415, the encoding is none that is known; 413, it is too large; 400.
    """
    encoding = _known_encoding(headers.get(b"content-encoding", b"identity").lower())
    if encoding == b"identity":
        return content
    if len(content) <= _INFLATED_AT_ONCE_BYTES:
        return _decompressed(content, encoding, max_bytes)
    return await asyncio.to_thread(_decompressed, content, encoding, max_bytes)


def _decompressed(content: bytes, encoding: bytes, max_bytes: int) -> bytes:
    found: list[bytes] = []
    left = max_bytes
    while content:  # gzip may have several members, one behind the other
        stream = zlib.decompressobj(_WINDOW_BITS[encoding])
        try:
            found.append(stream.decompress(content, max(1, left)))
        except zlib.error as fault:
            raise ClientFaultError(f"the body is not {encoding.decode()}: {fault}") from None
        left -= len(found[-1])
        if left < 0 or stream.unconsumed_tail:
            raise _too_large(max_bytes + 1, max_bytes)
        if not stream.eof:
            raise ClientFaultError(f"the body ends within its {encoding.decode()} data")
        content = stream.unused_data
    return b"".join(found)


def attempt(headers: Headers) -> Attempt:
    """Return whether the gateway says that it tries again; Envoy counts attempts from 1."""
    count = headers.get(b"x-envoy-attempt-count", b"1")
    return "retry" if count.isdigit() and int(count[:9]) > 1 else "first"


def timeout_s(headers: Headers, longest_s: float) -> float:
    """Return how long somebody waits for the answer: what Envoy says, if that is shorter."""
    wait_ms = headers.get(b"x-envoy-expected-rq-timeout-ms", b"")
    if wait_ms.isdigit():
        return min(longest_s, max(1, int(wait_ms[:9])) / 1000)
    return longest_s
