"""Where requests come in: the listening sockets, HTTP's and gRPC's servers, with TLS or without."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from rampway_server.app import App
from rampway_server.connection import Connection
from rampway_server.errors import StartError
from rampway_server.settings import Settings
from rampway_server.tls import Certificate
from rampway_server.workers import Place

_BACKLOG = 2048


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: at SIGTERM it would stop listening at once."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Door:
    """What takes connections, once it is open.

    Args:
        place: Whose socket is HTTP's.
        app: Answers HTTP.
        parts: What else answers gRPC: repository, batcher, limits, tracer.

    Raises:
        StartError: the certificate cannot be used.
    """

    def __init__(self, settings: Settings, place: Place, app: App, parts: Sequence[Any]) -> None:
        self._settings = settings
        self._listening = place.listening
        self._shared = place.team.size > 1
        self._parts = (app, *parts)
        self._certificate = certificate(settings)
        self._http = http_server(settings, app, self._certificate)
        self._grpc: Any = None
        self._following: asyncio.Task[None] | None = None
        self.serving: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Take connections from now on.

        Raises:
            StartError: gRPC's port cannot be had.
        """
        if self.serving:
            return
        self._grpc = await self._start_grpc()
        self.serving.add(asyncio.create_task(self._http.serve(sockets=[self._listening])))
        if self._certificate is not None:
            self._following = asyncio.create_task(self._certificate.follow())

    async def close(self) -> None:
        """Take no more, and wait for requests in flight."""
        self._http.should_exit = True
        if self._following is not None:
            self._following.cancel()
        if self._grpc is not None:
            await self._grpc.stop(self._settings.drain_timeout_s)
        await asyncio.gather(*self.serving)

    async def _start_grpc(self) -> Any:
        """Return a gRPC server, if one is wanted."""
        settings = self._settings
        if not settings.grpc_port:
            return None
        from rampway_server import grpcserver  # memory and time that few need

        host = f"[{settings.host or '::'}]" if ":" in (settings.host or ":") else settings.host
        address = f"{host}:{settings.grpc_port}"
        credentials = self._certificate.for_grpc() if self._certificate else None
        try:
            servicer = grpcserver.Servicer(*self._parts)
            return await grpcserver.start(
                servicer, address, settings.max_body_bytes, credentials, shared=self._shared
            )
        except RuntimeError as error:
            raise StartError(f"cannot listen on {address} for gRPC (--grpc-port)") from error


def certificate(settings: Settings) -> Certificate | None:
    """Return the certificate that is to be used, if any.

    Raises:
        StartError: it cannot be.
    """
    if not settings.tls_cert and not settings.tls_key:
        return None
    if not settings.tls_cert or not settings.tls_key:
        raise StartError("a certificate needs its key: expected both --tls-cert and --tls-key")
    return Certificate(Path(settings.tls_cert), Path(settings.tls_key))


def http_server(settings: Settings, app: App, shown: Certificate | None) -> uvicorn.Server:
    """Return a server of HTTP that is to be given its socket; with a certificate it is TLS."""
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
    config.load()
    config.ssl = shown.context if shown else None
    return _Server(config)


def listen(settings: Settings) -> socket.socket:
    """Return a listening socket: on the given address, else on all, IPv6 too where there is any.

    Raises:
        StartError: it cannot be had.
    """
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
        # Python adds the address to the system's words; unknown hosts have numbers below 0.
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else error.strerror
        raise StartError(f"cannot listen on {where}: {why} (--host, --port)") from error
