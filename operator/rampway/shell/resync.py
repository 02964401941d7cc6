"""List everything now and then: what a watch lost is found again (B30)."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import structlog

from rampway.api import labels
from rampway.kube.base import KubeApi, Obj
from rampway.kube.errors import KubeError
from rampway.kube.kinds import MODEL_DEPLOYMENT, SERVICE
from rampway.shell.looks import Key

log = structlog.get_logger("rampway.resync")
RETRY_S = 2.0


Found = Callable[[Key, str], None]
"""Told of every ModelDeployment that is there: its key and its version; of one that is gone and
left something behind, no version."""


async def resync(api: KubeApi, found: Found) -> bool:
    """Tell of every ModelDeployment, the endangered ones first (B31).

    Returns:
        Whether they could be listed; if not, why is in the log.
    """
    try:
        listed = [_seen(obj) async for obj in api.walk(MODEL_DEPLOYMENT)]
        marked = {labels.ON_DELETION: (labels.DRAIN, labels.KEEP)}
        left = {_owner_of(obj) async for obj in api.walk(SERVICE, None, marked)}
    except KubeError as error:
        log.warning("resync failed, trying again", why=str(error), retry_s=RETRY_S)
        return False
    for seen in sorted(listed, key=lambda seen: seen.safety):
        found(seen.key, seen.version)
    for key in sorted(left - {seen.key for seen in listed}):
        found(key, "")  # gone, and what it left waits for us (B34)
    return True


class _Seen(NamedTuple):
    """What of a ModelDeployment is looked at; of thousands nothing else is kept."""

    key: Key
    version: str
    safety: int


def _seen(obj: Obj) -> _Seen:
    meta = obj["metadata"]
    return _Seen((meta["namespace"], meta["name"]), meta["resourceVersion"], _safety(obj))


def _owner_of(obj: Obj) -> Key:
    meta = obj["metadata"]
    return meta["namespace"], meta["labels"].get(labels.DEPLOYMENT, "")


def _safety(obj: Obj) -> int:
    """Return 0 for a candidate under traffic, 1 for a rollout, 2 for what is at rest."""
    status = obj.get("status") or {}
    if status.get("weightPct"):
        return 0
    return 1 if status.get("candidate") else 2


async def keep_resyncing(
    api: KubeApi,
    found: Found,
    interval_s: float,
    done: Callable[[], None],
) -> None:
    """Resync again and again until cancelled; `done` is called after each one that worked."""
    while True:
        if not await resync(api, found):
            await asyncio.sleep(RETRY_S)
            continue
        done()
        await asyncio.sleep(interval_s)
