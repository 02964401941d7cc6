"""The HTTP side as a plain ASGI application: routes, bodies, counting."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from rampway_server import __version__, protocol
from rampway_server.automation import Dial
from rampway_server.errors import BusyError, ClientFaultError
from rampway_server.infer import Answer, Inferrer
from rampway_server.logs import logger
from rampway_server.metrics import CONTENT_TYPE, Attempt, Metrics
from rampway_server.model import PLATFORM, Model
from rampway_server.pool import Pool

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")
_RETRY = (b"retry-after", b"1")
# A body that is too large is read on and thrown away up to this many times the limit: a
# connection closed under a client that still sends would be reset before it reads the 413.
_DISCARDED_LIMITS = 4


class DisconnectError(Exception):
    """The client went away before it had sent its whole request."""


class NotLoadedError(Exception):
    """The model is not loaded yet."""


class App:
    """Serves one model; `load` makes it ready, `drain` makes it unready for good."""

    def __init__(
        self,
        *,
        name: str,
        revision: str,
        version: str,
        metrics: Metrics,
        pool: Pool,
        max_body_bytes: int,
        dial: Dial,
    ) -> None:
        self._dial = dial
        self._name = name
        self._revision = revision
        self._version = version or "1"
        self._metrics = metrics
        self._pool = pool
        self._max_body_bytes = max_body_bytes
        self._model: Model | None = None
        self._inferrer: Inferrer | None = None
        self._draining = False
        self._marks = ((b"rampway-revision", revision.encode()),) if revision else ()

    def load(self, model: Model) -> None:
        """Serve this model from now on."""
        self._inferrer = Inferrer(self._name, self._version, model, self._dial)
        self._model = model
        self._metrics.loaded(self._version, model.sha256)

    def drain(self) -> None:
        """Say not ready, and ask clients to close their connections after each answer."""
        self._draining = True

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        started_s = time.perf_counter()
        parts = tuple(scope["path"].strip("/").split("/"))
        if parts[:2] == ("v2", "models") and parts[-1] == "infer" and scope["method"] == "POST":
            await self._infer(parts, scope, receive, send, started_s)
            return
        try:
            answer = self._get(scope["method"], parts)
        except ClientFaultError as fault:
            answer = Answer(fault.status, protocol.error_body(fault.message))
        await self._send(send, answer)

    async def _infer(
        self,
        parts: tuple[str, ...],
        scope: Mapping[str, Any],
        receive: Receive,
        send: Send,
        started_s: float,
    ) -> None:
        self._metrics.in_flight.inc()
        try:
            headers = dict(scope["headers"])
            answer = await self._infer_answer(parts, headers, receive)
            # Counted before it leaves, both at once: no await in between.
            duration_s = time.perf_counter() - started_s
            self._metrics.answered(answer.outcome, _attempt(headers), duration_s)
            self._metrics.told(answer.uses)
            await self._send(send, answer)
        except DisconnectError:
            logger().debug("client went away before its request was complete")
        finally:
            self._metrics.in_flight.dec()

    async def _infer_answer(
        self, parts: tuple[str, ...], headers: Mapping[bytes, bytes], receive: Receive
    ) -> Answer:
        try:
            body = await self._body(headers, receive)
            inferrer = self._served(parts[:-1])[1]
            return await self._pool.run(lambda: inferrer.answer(body))
        except ClientFaultError as fault:
            close = (_CLOSE,) if fault.status == 413 else ()  # noqa: PLR2004  # HTTP's own number
            return Answer(fault.status, protocol.error_body(fault.message), "client_error", close)
        except (BusyError, NotLoadedError) as error:
            return Answer(503, protocol.error_body(str(error)), "server_error", (_RETRY,))
        except DisconnectError:
            raise
        except Exception:  # noqa: BLE001  # whatever it is, the client gets JSON and the log the rest
            logger().exception("internal error")
            message = "internal error of the model server; its log says more"
            return Answer(500, protocol.error_body(message), "server_error")

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """Return the request's body, at most the limit."""
        declared = int(headers.get(b"content-length", b"0"))
        if declared > self._max_body_bytes and b"expect" in headers:
            raise self._too_large(declared)  # the client has sent nothing yet
        chunks, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise DisconnectError
            size += len(message["body"])
            if size <= self._max_body_bytes:
                chunks.append(message["body"])
            more = message.get("more_body", False)
            if size > self._max_body_bytes * (1 if not more else _DISCARDED_LIMITS):
                raise self._too_large(max(size, declared))
            if not more:
                break
        for name in (b"content-encoding", b"inference-header-content-length"):
            _refuse(name, headers)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _too_large(self, size: int) -> ClientFaultError:
        return ClientFaultError(
            f"the body has {size} bytes or more; expected at most {self._max_body_bytes}", 413
        )

    def _served(self, parts: tuple[str, ...]) -> tuple[Model, Inferrer]:
        """Return the model that the path v2/models/NAME[/versions/VERSION] names."""
        match parts:
            case ("v2", "models", name):
                version = self._version
            case ("v2", "models", name, "versions", version):
                pass
            case _:
                raise ClientFaultError(f"no such path: /{'/'.join(parts)[:200]}", 404)
        if name != self._name:
            raise ClientFaultError(
                f"unknown model {name[:100]!r}; this server serves {self._name!r}", 404
            )
        if version not in {self._version, self._revision}:
            raise ClientFaultError(
                f"unknown version {version[:100]!r} of model {name!r}; "
                f"this server serves {self._version!r}",
                404,
            )
        if self._model is None or self._inferrer is None:
            raise NotLoadedError(f"model {name!r} is being loaded")
        return self._model, self._inferrer

    def _get(self, method: str, parts: tuple[str, ...]) -> Answer:
        """Return the answer to anything but an inference request."""
        if method not in {"GET", "HEAD"}:
            raise ClientFaultError(f"{method[:20]} is not allowed here; expected GET", 405)
        match parts:
            case ("metrics",):
                return Answer(200, self._metrics.render(), headers=(_METRICS,))
            case ("v2",):
                return Answer(200, orjson.dumps(_SERVER_METADATA))
            case ("v2", "health", "live"):
                return Answer(200, orjson.dumps({"live": True}))
            case ("v2", "health", "ready"):
                return self._readiness({})
        return self._get_model(method, parts)

    def _get_model(self, method: str, parts: tuple[str, ...]) -> Answer:
        if parts[-1] == "infer":
            raise ClientFaultError(f"{method} is not allowed here; expected POST", 405)
        asks_ready = parts[-1] == "ready" and len(parts) > len(("v2", "models", "ready"))
        try:
            model, _ = self._served(parts[:-1] if asks_ready else parts)
        except NotLoadedError as error:
            if not asks_ready:
                return Answer(503, protocol.error_body(str(error)), headers=(_RETRY,))
        if asks_ready:
            return self._readiness({"name": self._name})
        return Answer(200, orjson.dumps(self._metadata(model)))

    def _readiness(self, document: dict[str, Any]) -> Answer:
        ready = self._model is not None and not self._draining
        return Answer(200 if ready else 503, orjson.dumps({**document, "ready": ready}))

    def _metadata(self, model: Model) -> dict[str, Any]:
        return {
            "name": self._name,
            "versions": [self._version],
            "platform": PLATFORM,
            "inputs": [model.takes.as_json()],
            "outputs": [spec.as_json() for spec in model.offers],
            "parameters": {"sha256": model.sha256, "revision": self._revision},
        }

    async def _send(self, send: Send, answer: Answer) -> None:
        headers = [(b"content-length", b"%d" % len(answer.body)), *answer.headers, *self._marks]
        if not any(name == b"content-type" for name, _ in answer.headers):
            headers.append(_JSON)
        if self._draining:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


_METRICS = (b"content-type", CONTENT_TYPE.encode())
_SERVER_METADATA = {"name": "rampway", "version": __version__, "extensions": protocol.EXTENSIONS}


def _refuse(name: bytes, headers: Mapping[bytes, bytes]) -> None:
    value = headers.get(name, b"identity")
    if value != b"identity":
        raise ClientFaultError(
            f"header {name.decode()}: {value.decode('latin-1')[:100]} is not supported; "
            "send plain JSON",
            415,
        )


def _attempt(headers: Mapping[bytes, bytes]) -> Attempt:
    """Return whether the gateway says that it tries again; Envoy counts attempts from 1."""
    count = headers.get(b"x-envoy-attempt-count", b"1")
    return "retry" if count.isdigit() and int(count[:9]) > 1 else "first"
