"""The server's life: listen, load, serve, drain, end."""

import asyncio
import contextlib
import functools
import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from rampway_server import loading, store
from rampway_server.app import App, Limits
from rampway_server.automation import Dial
from rampway_server.batching import Batcher
from rampway_server.connection import Connection
from rampway_server.errors import StartError
from rampway_server.folder import Folder
from rampway_server.logs import logger, tell_end
from rampway_server.metrics import Metrics
from rampway_server.repository import Repository
from rampway_server.settings import Settings, worker_count

_BACKLOG = 2048


Load = Callable[[], Coroutine[Any, Any, None]]


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: at SIGTERM it would stop listening at once."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return the process's exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics()
    batcher = Batcher(worker_count(settings), settings.max_queue, metrics.batch)
    try:
        await _serve(settings, metrics, batcher, stop)
    except StartError as error:
        tell_end(str(error), settings.termination_log)
        return 1
    except Exception as error:  # noqa: BLE001  # whatever it is, its words must reach the user
        logger().exception("internal error")
        tell_end(f"cannot start: {type(error).__name__}: {error}", settings.termination_log)
        return 1
    finally:
        ended = batcher.close()
    logger().info("ended")
    if not ended:
        # A prediction that never returns would keep the interpreter waiting for its thread.
        os._exit(0)
    return 0


async def _serve(
    settings: Settings, metrics: Metrics, batcher: Batcher, stop: asyncio.Event
) -> None:
    """Answer requests, before the model is loaded with `not ready`, until `stop` and the drain."""
    dial = Dial(settings.automation_file)
    repository = Repository(metrics, dial)
    folder = None
    if settings.path:
        folder = _folder(settings, repository)
        load: Load = folder.load_all
    else:
        repository.expect(settings.name, settings.version or "1", settings.revision)
        load = functools.partial(_load, settings, repository)
    limits = Limits(
        body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.body_timeout_s,
        timeout_s=settings.timeout_s,
    )
    app = App(repository, metrics, batcher, limits, revision=settings.revision, folder=folder)
    grpc_server = await _start_grpc(settings, (app, repository, batcher, limits))
    server = _server(settings, app)
    serving = asyncio.create_task(server.serve(sockets=[_listen(settings)]))
    following = asyncio.create_task(dial.follow())
    try:
        await _load_and_wait(load, app, settings, stop, serving)
    finally:
        following.cancel()
        server.should_exit = True
        if grpc_server is not None:
            await grpc_server.stop(settings.drain_timeout_s)
        await serving


async def _load_and_wait(
    load: Load,
    app: App,
    settings: Settings,
    stop: asyncio.Event,
    serving: asyncio.Task[None],
) -> None:
    stopping = asyncio.create_task(stop.wait())
    loaded = asyncio.create_task(load())
    await asyncio.wait({loaded, stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
    if not loaded.done():
        loaded.cancel()
        return
    loaded.result()
    await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
    app.drain()
    logger().info("draining", delay_s=settings.drain_delay_s)
    # Until every proxy has heard that this pod is not ready, requests still come.
    await asyncio.wait({serving}, timeout=settings.drain_delay_s)


async def _load(settings: Settings, repository: Repository) -> None:
    started_s = time.perf_counter()
    data, digest = await store.fetch(settings)
    fetched_s = time.perf_counter()
    model, told = await asyncio.to_thread(
        loading.load, data, digest, settings.trust, allow_pickle=settings.allow_pickle
    )
    for warning in told:
        logger().warning("loading the model gave a warning", warning=warning)
    del data
    reason = await asyncio.to_thread(model.warm_up)
    if reason is not None:
        logger().warning("no warm-up prediction; serving all the same", reason=reason)
    # The libraries' many objects live for ever; out of the collector's sight they cost no pauses.
    gc.collect()
    gc.freeze()
    repository.load(settings.name, settings.version or "1", model)
    logger().info(
        "serving",
        model=settings.name,
        revision=settings.revision,
        sha256=digest,
        fetch_s=round(fetched_s - started_s, 3),
        load_s=round(time.perf_counter() - fetched_s, 3),
    )


def _folder(settings: Settings, repository: Repository) -> Folder:
    path = Path(settings.path).absolute()
    return Folder(path, repository, settings.trust, allow_pickle=settings.allow_pickle)


async def _start_grpc(settings: Settings, parts: Sequence[Any]) -> Any:
    """Return a gRPC server of an application's parts, if one is wanted."""
    if not settings.grpc_port:
        return None
    from rampway_server import grpcserver  # memory and time that few need

    host = f"[{settings.host or '::'}]" if ":" in (settings.host or ":") else settings.host
    address = f"{host}:{settings.grpc_port}"
    try:
        servicer = grpcserver.Servicer(*parts)
        return await grpcserver.start(servicer, address, settings.max_body_bytes)
    except RuntimeError as error:
        raise StartError(f"cannot listen on {address} for gRPC (--grpc-port)") from error


def _server(settings: Settings, app: App) -> _Server:
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
        backlog=_BACKLOG,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.drain_timeout_s,
    )
    return _Server(config)


def _listen(settings: Settings) -> socket.socket:
    """Return a listening socket: on the given address, else on all, IPv6 too where there is any."""
    try:
        if settings.host:
            family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
            address = (settings.host, settings.port)
            return socket.create_server(address, family=family, backlog=_BACKLOG)
        with contextlib.suppress(OSError):
            return socket.create_server(
                ("", settings.port),
                family=socket.AF_INET6,
                backlog=_BACKLOG,
                dualstack_ipv6=True,
            )
        return socket.create_server(("", settings.port), backlog=_BACKLOG)
    except OSError as error:
        where = f"{settings.host or '*'}:{settings.port}"
        raise StartError(f"cannot listen on {where}: {error.strerror}") from error
