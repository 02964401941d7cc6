"""A client that calls the ASGI application directly, without a socket."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from rampway_server.app import App


@dataclass(frozen=True)
class Reply:
    """What came back; `document` is the JSON body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """Return the JSON body."""
        document: dict[str, Any] = orjson.loads(self.body)
        return document

    @property
    def error(self) -> str:
        """Return the protocol's error sentence, and insist that there is nothing else."""
        assert set(self.document) == {"error"}
        assert "Traceback" not in self.document["error"]
        return str(self.document["error"])


@dataclass
class _Exchange:
    chunks: list[bytes]
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def receive(self) -> dict[str, Any]:
        if not self.chunks:
            return {"type": "http.disconnect"}
        chunk = self.chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(self.chunks)}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


async def call(
    app: App,
    path: str,
    body: bytes | list[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "",
) -> Reply:
    """Send one request; with a body it is a POST, in several chunks if a list is given."""
    chunks = body if isinstance(body, list) else [body or b""]
    exchange = _Exchange(list(chunks))
    scope = {
        "type": "http",
        "method": method or ("GET" if body is None else "POST"),
        "path": path,
        "headers": [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()],
    }
    await app(scope, exchange.receive, exchange.send)
    start, end = exchange.sent
    received = {k.decode(): v.decode() for k, v in start["headers"]}
    assert int(received["content-length"]) == len(end["body"])
    return Reply(start["status"], received, end["body"])


def infer_body(rows: list[list[float]], **more: Any) -> dict[str, Any]:
    """Return a good request for some rows, plus or minus what the test wants of it."""
    tensor = {
        "name": "input-0",
        "shape": [len(rows), len(rows[0])],
        "datatype": "FP64",
        "data": rows,
    }
    return {"inputs": [tensor | more.pop("tensor", {})], **more}
