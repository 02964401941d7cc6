"""The server's life: listen, load, serve, drain, end."""

import asyncio
import functools
import gc
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rampway_server import loading, payload, places, store, tracing
from rampway_server.app import App, Limits
from rampway_server.automation import Dial
from rampway_server.batching import Batcher
from rampway_server.control import Control
from rampway_server.door import Door
from rampway_server.errors import StartError
from rampway_server.folder import Folder
from rampway_server.lineage import Lineage
from rampway_server.logs import logger, tell_end
from rampway_server.metrics import Metrics
from rampway_server.payloads import Payloads
from rampway_server.repository import Repository
from rampway_server.settings import Settings, thread_count
from rampway_server.workers import FAILED, Place

_WAIT_S = 0.05
Load = Callable[[], Coroutine[Any, Any, None]]


async def run(settings: Settings, place: Place) -> int:
    """Serve until SIGTERM or SIGINT; return the process's exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics(place.page, place.leader)
    batcher = Batcher(thread_count(settings), settings.max_queue)
    try:
        await _serve(settings, place, metrics, batcher, stop)
    except StartError as error:
        tell_end(str(error), settings.termination_log)
        return FAILED
    except Exception as error:  # noqa: BLE001  # whatever it is, its words must reach the user
        logger().exception("internal error")
        tell_end(f"cannot start: {type(error).__name__}: {error}", settings.termination_log)
        return FAILED
    finally:
        ended = batcher.close()
    logger().info("ended")
    if not ended:
        # A prediction that never returns would keep the interpreter waiting for its thread.
        os._exit(0)
    return 0


async def _serve(
    settings: Settings, place: Place, metrics: Metrics, batcher: Batcher, stop: asyncio.Event
) -> None:
    """Answer requests, before the model is loaded with `not ready`, until `stop` and the drain."""
    dial, lineage = Dial(settings.automation_file), Lineage(settings.lineage_file)
    payloads = _payloads(settings, place, metrics)
    repository = Repository(metrics, dial, payloads, lineage)
    folder = None
    if settings.path:
        folder = _folder(settings, repository)
        load: Load = folder.load_all
        place.team.follow(folder.change)
    else:
        repository.expect(settings.name, settings.version or "1", settings.revision)
        load = functools.partial(_load, settings, repository)
    limits = Limits(
        body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.body_timeout_s,
        timeout_s=settings.timeout_s,
    )
    control = Control(repository, folder, place.team)
    traced = tracing.tracer()
    app = App(
        repository, metrics, batcher, limits, control, revision=settings.revision, tracer=traced
    )
    door = Door(settings, place, app, (repository, batcher, limits, traced))
    following = [asyncio.create_task(one.follow()) for one in (dial, lineage)]
    if place.leader is not None:
        following.append(asyncio.create_task(_outlive_nobody(place.leader, stop)))
    try:
        load = functools.partial(_in_turn, load, place, door)
        await _load_and_wait(load, app, settings, stop, door)
    finally:
        for task in following:
            task.cancel()
        await door.close()
        for aside in (payloads, traced):
            if aside is not None:
                await asyncio.to_thread(aside.close)


def _payloads(settings: Settings, place: Place, metrics: Metrics) -> Payloads | None:
    if not settings.payload_log:
        return None
    found = Payloads(
        places.place(settings.payload_log),
        payload.form(settings.payload_format),
        place.page,
        share=settings.payload_share,
        queue_bytes=settings.payload_queue_bytes,
        interval_s=settings.payload_interval_s,
    )
    metrics.show(found)
    return found


async def _outlive_nobody(leader: int, stop: asyncio.Event) -> None:
    """Stop when the leader is gone, killed as it must be."""
    while os.getppid() == leader:  # noqa: ASYNC110  # it is another process
        await asyncio.sleep(1)
    stop.set()


async def _in_turn(load: Load, place: Place, door: Door) -> None:
    """Load the model; of several workers the first does, and answers meanwhile, then the others.

    So what is wrong with a model is told once, what the first has fetched is at hand for the
    others, and nobody that is not ready takes a connection from one that is.
    """
    loaded = place.page.cells("loaded", size=1)
    if place.number == 0 and not loaded.total()[0]:
        await door.open()
    while place.number and not loaded.total()[0]:  # noqa: ASYNC110  # it is another process
        await asyncio.sleep(_WAIT_S)
    await load()
    loaded.own[0] = 1
    await door.open()


async def _load_and_wait(
    load: Load, app: App, settings: Settings, stop: asyncio.Event, door: Door
) -> None:
    stopping = asyncio.create_task(stop.wait())
    loaded = asyncio.create_task(load())
    await asyncio.wait({loaded, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not loaded.done():
        loaded.cancel()
        return
    loaded.result()
    await asyncio.wait({stopping, *door.serving}, return_when=asyncio.FIRST_COMPLETED)
    app.drain()
    logger().info("draining", delay_s=settings.drain_delay_s)
    # Until every proxy has heard that this pod is not ready, requests still come.
    await asyncio.wait(door.serving, timeout=settings.drain_delay_s)


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
