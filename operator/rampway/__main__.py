"""Run the operator: `python -m rampway`. The one place where all parts are put together."""

import asyncio
import functools
import gc
import logging
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import structlog

from rampway import __version__, handlers
from rampway.api import labels
from rampway.core.observation import Defaults
from rampway.kube.base import KubeApi
from rampway.kube.client import connect
from rampway.kube.kinds import MODEL_DEPLOYMENT
from rampway.kube.together import Together
from rampway.metrics.base import MetricSource
from rampway.metrics.direct import HttpPodReader
from rampway.metrics.prometheus import PrometheusSource
from rampway.routers.by_type import RouterByType
from rampway.shell import http, identity, telemetry
from rampway.shell.allowed import AllowList
from rampway.shell.authors import Stamping
from rampway.shell.events import Recorder
from rampway.shell.execute import Executor
from rampway.shell.fence import Deposed, Fence
from rampway.shell.followers import Followers
from rampway.shell.gather import Gatherer
from rampway.shell.hooks import HookCaller
from rampway.shell.leader import Elector
from rampway.shell.looks import Key, Looks
from rampway.shell.memory import Name
from rampway.shell.pool import Pool
from rampway.shell.probe import DigestProbe
from rampway.shell.queue import WorkQueue
from rampway.shell.reconcile import Reconciler
from rampway.shell.resync import RETRY_S, keep_resyncing, resync
from rampway.shell.settings import BadSetting, Settings
from rampway.shell.shared import Shared

log = structlog.get_logger("rampway")
LEASE = "rampway-operator"
STOP_S = 20.0
"""Passes under way get so long to end."""
GARBAGE = (50_000, 10, 10)
"""Thresholds of the garbage collector. An answer of Prometheus is hundreds of thousands of lists,
none of them garbage: looking for it took more than half of the time of a look."""
BOUND_S = 180.0
"""Without a complete list of all ModelDeployments for so long the process restarts."""


@dataclass(slots=True)
class Operator:
    """The running operator.

    Attributes:
        stop: Set to end the process in order.
        deaf: Set when nothing needs to be watched any more.
        met: Set by the first whole list: there is an API server, and it knows our kinds.
        leading: Whether the Lease is ours; only then there is work.
        news: Whether a change is one that we did not make.
        leaning_on: Whom a shared object concerns.
    """

    settings: Settings
    queue: WorkQueue[Key] = field(
        default_factory=lambda: WorkQueue(time.monotonic, telemetry.QUEUE_WAIT.observe)
    )
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    deaf: asyncio.Event = field(default_factory=asyncio.Event)
    met: asyncio.Event = field(default_factory=asyncio.Event)
    failed: bool = False
    leading: bool = False
    news: Callable[[Key, str, str, str], bool] = lambda *_: True
    followers: Followers = field(default_factory=Followers)
    leaning_on: Callable[[Name], list[Key]] = lambda _: []
    listed_at_s: float | None = None
    began_s: float = field(default_factory=time.monotonic)

    def alive(self) -> str:
        """Return why the process should be restarted, empty if all is well."""
        since_s = time.monotonic() - (self.listed_at_s or self.began_s)
        if since_s > BOUND_S:
            return f"nothing listed for {since_s:.0f} s"
        stuck_s = self.queue.longest_s()
        return f"a pass has not ended for {stuck_s:.0f} s" if stuck_s > BOUND_S else ""

    def ready(self) -> str:
        """Return what it waits for, empty if it works."""
        return "" if self.listed_at_s is not None else "waiting for the first list"

    def listed(self) -> None:
        """Note that all ModelDeployments were listed just now."""
        self.listed_at_s = time.monotonic()
        self.met.set()

    def add(self, key: Key) -> None:
        """Have a ModelDeployment looked at, if we lead; who takes over lists all of them."""
        if self.leading:
            self.queue.add(key)

    def changed(self, key: Key, kind: str, name: str, version: str) -> None:
        """Have a ModelDeployment looked at because of a change, unless we made it ourselves."""
        known = key[1] != handlers.WHO_FOLLOWS
        for mine in (key,) if known else self.followers.of(key[0], name):
            if self.news(mine, kind, name, version):
                self.add(mine)

    def answered(self, key: Key) -> None:
        """Have a ModelDeployment looked at whose hook was answered: no event tells of that."""
        self.changed(key, "Hook", "", "")

    def shared_changed(self, shared: Name, version: str) -> None:
        """Have all ModelDeployments looked at that lean on a shared object."""
        for key in self.leaning_on(shared):
            self.changed(key, shared[0], shared[2], version)

    def found(self, key: Key, version: str) -> None:
        """Have a ModelDeployment looked at that a list holds: its last event may be lost."""
        self.news(key, MODEL_DEPLOYMENT.kind, key[1], version)
        self.add(key)

    def fail(self, why: str) -> None:
        """End the process with an error: a restart beats going on like this."""
        self.failed = True
        log.error("ending", why=why)
        self.stop.set()

    def watch(self, task: "asyncio.Task[Any]") -> None:
        """Stop the operator when a task that must never end does: a restart beats deafness."""

        def ended(finished: "asyncio.Task[Any]") -> None:
            if not finished.cancelled() and not self.stop.is_set():
                self.fail(f"{finished.get_name()} ended: {finished.exception()!r}")

        task.add_done_callback(ended)


async def run(settings: Settings) -> int:
    """Run until a signal says stop; exit code 1 if a part of the operator broke or was deposed."""
    api = await connect(told=telemetry.api_call)
    session = aiohttp.ClientSession()
    source = PrometheusSource(settings.prometheus_url, told=telemetry.query)
    operator = Operator(settings)
    elector = Elector(
        api,
        settings.namespace,
        LEASE,
        identity.unique(settings.pod),
        settings.pod,
        time.monotonic,
        time.time,
    )
    runner = await http.serve(settings.http_port, operator.alive, operator.ready)
    # Our tasks come before kopf's: at its exit kopf cancels every task made after it began.
    tasks = [
        _start(operator, "clock of the queue", operator.queue.keep_time()),
        _start(operator, "resync", _resync(operator, api)),
        _start(operator, "leader", _lead(operator, elector, api, session, source)),
    ]
    watcher = _start(operator, "kopf", _kopf(operator))
    log.info("operator started", version=__version__, prometheus=settings.prometheus_url)
    await operator.stop.wait()
    log.info("stopping")
    await operator.queue.drain(STOP_S)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await elector.release()  # after the last write: whoever leads next begins at once
    operator.deaf.set()
    await asyncio.wait([watcher], timeout=STOP_S)
    await runner.cleanup()
    await source.close()
    await session.close()
    await api.close()
    return 1 if operator.failed else 0


async def _lead(
    operator: Operator,
    elector: Elector,
    api: KubeApi,
    session: aiohttp.ClientSession,
    source: MetricSource,
) -> None:
    """Wait for the Lease, then work for as long as it is ours; ends only with the process."""
    term = await elector.campaign()
    fence = Fence(api, term, elector.leads)
    reader = HttpPodReader(session, labels.SERVER_PORT, time.time, told=telemetry.pod_read)
    pool = Pool(source, operator.settings.credentials_folder, telemetry.query)
    looks = Looks(source, reader, time.time, operator.add, pool)
    reconciler = _reconciler(operator, api, session, looks, fence)

    async def handle(key: Key) -> float | None:
        try:
            with telemetry.reconcile(key):
                return await reconciler.reconcile(key)
        except Deposed as over:
            operator.fail(str(over))
            return None

    operator.news, operator.followers = reconciler.touch, reconciler.followers
    operator.leaning_on, operator.queue.presses = reconciler.leaning_on, looks.wanted_by
    operator.leading = True
    telemetry.LEADER.set(1)
    telemetry.TERM.set(term)
    telemetry.QUEUE_DEPTH.set_function(operator.queue.depth)
    async with asyncio.TaskGroup() as group:
        group.create_task(looks.run(operator.settings.look_interval_s))
        group.create_task(looks.run_directly(operator.settings.direct_look_interval_s))
        group.create_task(_take_over(operator, api))
        for _ in range(operator.settings.workers):
            group.create_task(operator.queue.work(handle))
        await elector.keep()
        operator.fail("the Lease is lost: another operator leads, or no API server answers")


async def _take_over(operator: Operator, api: KubeApi) -> None:
    """List everything once more: what happened while nobody led was not put into the queue."""
    while True:
        if await resync(api, operator.found):
            return
        await asyncio.sleep(RETRY_S)


async def _resync(operator: Operator, api: KubeApi) -> None:
    await keep_resyncing(api, operator.found, operator.settings.resync_interval_s, operator.listed)


def _reconciler(
    operator: Operator, api: KubeApi, session: aiohttp.ClientSession, looks: Looks, fence: Fence
) -> Reconciler:
    settings = operator.settings
    router, lister = RouterByType(api), Together(api, labels.DEPLOYMENT)
    stamping = Stamping(api, time.time)
    defaults = Defaults(settings.server_image, settings.checkpoint_interval_s)
    probe = DigestProbe(session)
    calls = HookCaller(session, settings.hook_urls, operator.answered)
    shared = Shared(AllowList(settings.metric_sources_file), settings.prometheus_url)
    return Reconciler(
        api,
        Gatherer(lister, router, defaults, probe, fence, calls, stamping, shared),
        Executor(api, router, Recorder(api, time.time, identity.host()), fence, calls),
        looks,
        fence,
        time.time,
    )


def _start(operator: Operator, name: str, part: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    task = asyncio.create_task(part, name=name)
    operator.watch(task)
    return task


async def _kopf(operator: Operator) -> None:
    """Watch once all could be listed: kopf looks only at its start which kinds there are."""
    _mind_signals(operator)
    told = [asyncio.create_task(event.wait()) for event in (operator.met, operator.deaf)]
    await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
    for waiting in told:
        waiting.cancel()
    if not operator.deaf.is_set():
        kinds = handlers.registry(operator.changed, operator.shared_changed)
        mind = functools.partial(_mind_signals, operator)
        await handlers.watch(kinds, identity.host(), operator.deaf, mind)


def _mind_signals(operator: Operator) -> None:
    """Let signals mean our orderly stop."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, operator.stop.set)


def main() -> int:
    """Run until told to stop; exit code 2 for a wrong setting."""
    gc.set_threshold(*GARBAGE)
    try:
        settings = Settings.from_env()
        telemetry.configure(settings.log_level)
    except (BadSetting, ValueError) as mistake:
        logging.getLogger("rampway").critical("%s", mistake)
        return 2
    return asyncio.run(run(settings))


if __name__ == "__main__":
    sys.exit(main())
