"""The operator's own HTTP server: health, readiness, metrics."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


async def serve(port: int, alive: Callable[[], str], ready: Callable[[], str]) -> web.AppRunner:
    """Serve /healthz, /readyz and /metrics until the runner is cleaned up.

    Args:
        port: TCP port on all addresses of the pod.
        alive: Returns why the process should be restarted, empty if all is well.
        ready: Returns what it still waits for, empty if it works.
    """

    def say(trouble: str) -> web.Response:
        return web.Response(text=trouble or "ok", status=503 if trouble else 200)

    async def healthz(_: web.Request) -> web.Response:
        return say(alive())

    async def readyz(_: web.Request) -> web.Response:
        return say(ready())

    async def metrics(_: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(), headers=headers)

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
