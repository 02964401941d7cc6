"""The HTTP side as a plain ASGI application: routes, and counting."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from rampway_server import __version__, http, protocol
from rampway_server.batching import Batcher
from rampway_server.control import EXTENSION, Control
from rampway_server.errors import ClientFaultError, LateError, ModelError, UnavailableError
from rampway_server.http import Answer, DisconnectError, Headers, HttpCall, Receive
from rampway_server.logs import logger
from rampway_server.metrics import CONTENT_TYPE, Metrics
from rampway_server.repository import Ready, Repository
from rampway_server.tracing import Tracer

Send = Callable[[dict[str, Any]], Awaitable[None]]
_METRICS = (b"content-type", CONTENT_TYPE.encode())
SERVER_METADATA = {
    "name": "rampway",
    "version": __version__,
    "extensions": [*protocol.EXTENSIONS, EXTENSION],
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may take.

    Attributes:
        body_bytes: The largest body, compressed or not.
        body_timeout_s: How long the body may be on its way.
        timeout_s: How long a request may wait and be predicted.
    """

    body_bytes: int = 16 << 20
    body_timeout_s: float = 60.0
    timeout_s: float = 60.0


class App:
    """Answers HTTP for the models of a repository; `drain` makes it unready for good.

    Args:
        control: Answers what is asked of the repository itself.
        revision: Told in a header of each answer, if there is one.
        tracer: Hears of each inference request, if there is one.
    """

    def __init__(
        self,
        repository: Repository,
        metrics: Metrics,
        batcher: Batcher,
        limits: Limits,
        control: Control,
        *,
        revision: str = "",
        tracer: Tracer | None = None,
    ) -> None:
        self._repository = repository
        self._metrics = metrics
        self._batcher = batcher
        self._limits = limits
        self._control = control
        self._tracer = tracer
        self._draining = False
        self._marks = ((b"rampway-revision", revision.encode()),) if revision else ()

    def drain(self) -> None:
        """Say not ready, and ask clients to close their connections after each answer."""
        self._draining = True

    @property
    def ready(self) -> bool:
        """Whether all models are served, and nobody is to be sent away."""
        return self._repository.ready and not self._draining

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        started_s = time.perf_counter()
        parts = tuple(scope["path"].strip("/").split("/"))
        if parts[:2] == ("v2", "models") and parts[-1] == "infer" and scope["method"] == "POST":
            await self._infer(parts[:-1], scope, receive, send, started_s)
            return
        try:
            if parts[:2] == ("v2", "repository"):
                headers, limits = dict(scope["headers"]), self._limits
                body = await http.read_body(
                    headers, receive, limits.body_bytes, limits.body_timeout_s
                )
                answer = await self._control.answer(scope["method"], parts[2:], body)
            else:
                answer = self._get(scope["method"], parts)
        except DisconnectError:
            return
        except ClientFaultError as fault:
            answer = http.error(fault.status, fault.message)
        except UnavailableError as error:
            answer = http.error(503, str(error))
        except Exception:  # noqa: BLE001  # as in _answer
            answer = _internal_error()
        await self._send(send, answer)

    async def _infer(
        self,
        parts: tuple[str, ...],
        scope: Mapping[str, Any],
        receive: Receive,
        send: Send,
        started_s: float,
    ) -> None:
        meters = self._repository.meters(parts)
        meters.begun()
        try:
            headers = dict(scope["headers"])
            answer = await self._answer(parts, headers, receive)
            # Counted before it leaves, both at once: no await in between.
            duration_s = time.perf_counter() - started_s
            code = str(answer.status)
            meters.answered(answer.outcome, http.attempt(headers), duration_s, code)
            if answer.verdict is not None:
                meters.told(answer.verdict)
            await self._send(send, answer)
            if self._tracer is not None:
                self._tracer.tell(meters.labels, answer.outcome, headers, duration_s)
        except DisconnectError:
            logger().debug("client went away before its request was complete")
        finally:
            meters.ended()

    async def _answer(self, parts: tuple[str, ...], headers: Headers, receive: Receive) -> Answer:
        limits = self._limits
        try:
            body = await http.read_body(headers, receive, limits.body_bytes, limits.body_timeout_s)
            body = await http.plain(body, headers, limits.body_bytes)
            ready = self._served(parts)
            call = HttpCall.of(ready.name, ready.version, body, headers, limits.body_bytes)
            wait_s = http.timeout_s(headers, limits.timeout_s)
            answered = await self._batcher.run(ready.inferrer, call, wait_s)
        except ClientFaultError as fault:
            return http.error(fault.status, fault.message)
        except ModelError as error:
            return http.error(500, error.told, "model_error")
        except UnavailableError as error:
            return http.error(503, str(error), "server_error")
        except LateError as error:
            return http.error(504, str(error), "server_error")
        except DisconnectError:
            raise
        except Exception:  # noqa: BLE001  # whatever it is, the client gets JSON and the log the rest
            return _internal_error()
        answer: Answer = answered.payload
        return answer

    def _served(self, parts: tuple[str, ...]) -> Ready:
        """Return what the path v2/models/NAME[/versions/VERSION] names."""
        return self._repository.get(*_named(parts))

    def _get(self, method: str, parts: tuple[str, ...]) -> Answer:
        """Return the answer to anything but an inference request."""
        if parts[:2] == ("v2", "models") and parts[-1] == "infer":
            raise ClientFaultError(f"{method[:20]} is not allowed here; expected POST", 405)
        if method not in {"GET", "HEAD"}:
            raise ClientFaultError(f"{method[:20]} is not allowed here; expected GET", 405)
        match parts:
            case ("metrics",):
                return Answer(200, self._metrics.render(), headers=(_METRICS,))
            case ("v2",):
                return Answer(200, orjson.dumps(SERVER_METADATA))
            case ("v2", "health", "live"):
                return Answer(200, orjson.dumps({"live": True}))
            case ("v2", "health", "ready"):
                return self._readiness({}, ready=self.ready)
            case ("v2", "models", _, *_, "ready"):
                name, version = _named(parts[:-1])
                found = self._repository.find(name, version)
                return self._readiness({"name": name}, ready=isinstance(found, Ready))
        return Answer(200, orjson.dumps(self._repository.metadata(*_named(parts))))

    def _readiness(self, document: dict[str, Any], *, ready: bool) -> Answer:
        ready = ready and not self._draining
        return Answer(200 if ready else 503, orjson.dumps({**document, "ready": ready}))

    async def _send(self, send: Send, answer: Answer) -> None:
        headers = [(b"content-length", b"%d" % len(answer.body)), *answer.headers, *self._marks]
        if self._draining and http.CLOSE not in headers:
            headers.append(http.CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def _internal_error() -> Answer:
    """Log the exception being handled, and return what the client hears of it."""
    logger().exception("internal error")
    message = "internal error of the model server; its log says more"
    return http.error(500, message, "server_error")


def _named(parts: tuple[str, ...]) -> tuple[str, str]:
    """Return the model and version (or "") that the path v2/models/NAME[/versions/VERSION] names.

    Raises:
        ClientFaultError: it is another path.
    """
    match parts:
        case ("v2", "models", name):
            return name, ""
        case ("v2", "models", name, "versions", version):
            return name, version
    raise ClientFaultError(f"no such path: /{'/'.join(parts)[:200]}", 404)
