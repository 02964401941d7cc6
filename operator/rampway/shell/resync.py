"""List everything now and then: what a watch lost is found again (B30)."""

import asyncio
from collections.abc import Callable

import structlog

from rampway.kube.base import KubeApi
from rampway.kube.errors import KubeError
from rampway.kube.kinds import MODEL_DEPLOYMENT
from rampway.shell.looks import Key

log = structlog.get_logger("rampway.resync")
RETRY_S = 2.0


async def resync(api: KubeApi, enqueue: Callable[[Key], None]) -> int:
    """Put every ModelDeployment into the queue; return how many there are."""
    found = await api.list(MODEL_DEPLOYMENT)
    for obj in found:
        enqueue((obj["metadata"]["namespace"], obj["metadata"]["name"]))
    return len(found)


async def keep_resyncing(
    api: KubeApi,
    enqueue: Callable[[Key], None],
    interval_s: float,
    done: Callable[[], None],
) -> None:
    """Resync again and again until cancelled; `done` is called after each one that worked."""
    while True:
        try:
            await resync(api, enqueue)
        except KubeError as error:
            log.warning("resync failed, trying again", why=str(error), retry_s=RETRY_S)
            await asyncio.sleep(RETRY_S)
            continue
        done()
        await asyncio.sleep(interval_s)
