"""A web server on loopback that hands out a model, or does not."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web as aio

CONTENT = b"model bytes" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = "0" * 64
Handler = Callable[[aio.Request], Awaitable[aio.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Give the URL of a file that the handler answers for; so it does for all others."""
    application = aio.Application()
    application.router.add_get("/{path:.*}", handler)
    runner = aio.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = aio.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/m"
    finally:
        await runner.cleanup()
