"""Run the operator: `python -m rampway`. The one place where all parts are put together."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import kopf
import structlog

from rampway import __version__, handlers
from rampway.core.observation import Defaults
from rampway.kube.base import KubeApi
from rampway.kube.client import connect
from rampway.metrics.prometheus import PrometheusSource
from rampway.routers.gateway_api import GatewayApiRouter
from rampway.shell import http, telemetry
from rampway.shell.events import Recorder
from rampway.shell.execute import Executor
from rampway.shell.gather import Gatherer
from rampway.shell.looks import Key, Looks
from rampway.shell.probe import DigestProbe
from rampway.shell.queue import WorkQueue
from rampway.shell.reconcile import Reconciler
from rampway.shell.resync import keep_resyncing
from rampway.shell.settings import BadSetting, Settings

log = structlog.get_logger("rampway")
STOP_S = 20.0
"""Passes under way get so long to end."""
BOUND_S = 180.0
"""Without a complete list of all ModelDeployments for so long the process restarts."""


@dataclass(slots=True)
class Operator:
    """The running operator."""

    settings: Settings
    queue: WorkQueue[Key] = field(default_factory=lambda: WorkQueue(clock=time.monotonic))
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    failed: bool = False
    listed_at_s: float | None = None
    began_s: float = field(default_factory=time.monotonic)

    def alive(self) -> str:
        """Return why the process should be restarted, empty if all is well."""
        since_s = time.monotonic() - (self.listed_at_s or self.began_s)
        return f"nothing listed for {since_s:.0f} s" if since_s > BOUND_S else ""

    def ready(self) -> str:
        """Return what it waits for, empty if it works."""
        return "" if self.listed_at_s is not None else "waiting for the first list"

    def listed(self) -> None:
        """Note that all ModelDeployments were listed just now."""
        self.listed_at_s = time.monotonic()

    def watch(self, task: "asyncio.Task[Any]") -> None:
        """Stop the operator when a task that must never end does: a restart beats deafness."""

        def ended(finished: "asyncio.Task[Any]") -> None:
            if finished.cancelled() or self.stop.is_set():
                return
            self.failed = True
            log.error("a part of the operator ended", part=finished.get_name(),
                      why=repr(finished.exception()))  # fmt: skip
            self.stop.set()

        task.add_done_callback(ended)


async def run(settings: Settings) -> int:
    """Run until a signal says stop; exit code 1 if a part of the operator broke."""
    api = await connect()
    session = aiohttp.ClientSession()
    source = PrometheusSource(settings.prometheus_url)
    operator = Operator(settings)
    looks = Looks(source, time.time, operator.queue.add)
    reconciler = _reconciler(api, session, looks, settings)
    runner = await http.serve(settings.http_port, operator.alive, operator.ready)
    # Our tasks come before kopf's: at its exit kopf cancels every task made after it began.
    parts = _parts(operator, reconciler, looks, api)
    tasks = [_start(operator, name, part) for name, part in parts]
    watcher = _start(operator, "kopf", _kopf(operator))
    log.info("operator started", version=__version__, prometheus=settings.prometheus_url)
    await operator.stop.wait()
    log.info("stopping")
    for task in tasks:
        task.cancel()
    await asyncio.wait([*tasks, watcher], timeout=STOP_S)
    await runner.cleanup()
    await source.close()
    await session.close()
    await api.close()
    return 1 if operator.failed else 0


def _reconciler(
    api: KubeApi, session: aiohttp.ClientSession, looks: Looks, settings: Settings
) -> Reconciler:
    router = GatewayApiRouter(api)
    defaults = Defaults(settings.server_image, settings.checkpoint_interval_s)
    recorder = Recorder(api, time.time, os.environ.get("HOSTNAME", "operator"))
    return Reconciler(
        api,
        Gatherer(api, router, defaults, DigestProbe(session)),
        Executor(api, router, recorder),
        looks,
        time.time,
    )


def _parts(
    operator: Operator, reconciler: Reconciler, looks: Looks, api: KubeApi
) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    queue, settings = operator.queue, operator.settings

    async def handle(key: Key) -> float | None:
        with telemetry.reconcile(key):
            return await reconciler.reconcile(key)

    every_s = settings.resync_interval_s
    return [
        ("clock of the queue", queue.keep_time()),
        ("resync", keep_resyncing(api, queue.add, every_s, operator.listed)),
        ("looks", looks.run(settings.look_interval_s)),
        *((f"worker {n}", queue.work(handle)) for n in range(settings.workers)),
    ]


def _start(operator: Operator, name: str, part: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    task = asyncio.create_task(part, name=name)
    operator.watch(task)
    return task


async def _kopf(operator: Operator) -> None:
    """Watch by kopf until told to stop; it is stopped by its flag, never by a cancel."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    watching = asyncio.create_task(
        kopf.operator(
            registry=handlers.registry(operator.queue.add),
            settings=handlers.settings(),
            clusterwide=True,
            standalone=True,
            identity=_identity(),
            stop_flag=operator.stop,
            ready_flag=ready,
        )
    )
    await asyncio.wait([watching, asyncio.create_task(ready.wait())],
                       return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
    # kopf took the signals over when it started; they mean our orderly stop.
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, operator.stop.set)
    await watching


def _identity() -> Any:
    """Name this process for kopf; it would look for a user's name, and a pod may have none."""
    return os.environ.get("HOSTNAME", "operator")


def main() -> int:
    """Run until told to stop; exit code 2 for a wrong setting."""
    try:
        settings = Settings.from_env()
        telemetry.configure(settings.log_level)
    except (BadSetting, ValueError) as mistake:
        logging.getLogger("rampway").critical("%s", mistake)
        return 2
    return asyncio.run(run(settings))


if __name__ == "__main__":
    sys.exit(main())
