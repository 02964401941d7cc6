"""kopf's part: watch, and put keys into our queue. Nothing else happens here.

Declarations only: kopf keeps no state, writes nothing into objects and holds no finalizer.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import kopf

from rampway.api import labels
from rampway.kube.kinds import (
    DEPLOYMENT,
    ENDPOINT_SLICE,
    HTTP_ROUTE,
    MODEL_DEPLOYMENT,
    MODEL_ROLLOUT,
    POD,
    SERVICE,
    Kind,
)
from rampway.shell.login import login
from rampway.shell.memory import Name
from rampway.shell.shared import KINDS as SHARED_KINDS

Key = tuple[str, str]

OWNER = labels.DEPLOYMENT
WHO_FOLLOWS = ""
"""Instead of a ModelDeployment's name: a route of the user's changed, whoever may split it."""
RETRY_S = 10
"""kopf tries again at least so often."""
A_DAY = 24 * 3600 // RETRY_S
OWN_KINDS = (MODEL_ROLLOUT, DEPLOYMENT, POD, SERVICE, ENDPOINT_SLICE, HTTP_ROUTE)
"""Kinds whose objects name their ModelDeployment in a label; of routes, those that are ours."""


class NoProgress(kopf.ProgressStorage):
    """Keeps nothing: there are no handlers whose progress kopf could keep."""

    def fetch(self, **_: Any) -> None:
        """Nothing was stored."""

    def store(self, **_: Any) -> None:
        """Nothing is stored."""

    def purge(self, **_: Any) -> None:
        """Nothing is there to purge."""

    def touch(self, **_: Any) -> None:
        """Nothing is touched."""

    def clear(self, *, essence: Any) -> Any:
        """Return the essence as it is."""
        return essence


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing: we compare with what is, not with what was (halves the cost of an event)."""

    def build(self, **_: Any) -> Any:
        """Return an empty essence."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Nothing was stored."""

    def store(self, **_: Any) -> None:
        """Nothing is stored."""


Changed = Callable[[Key, str, str, str], None]
"""Told of every change: key of the ModelDeployment; kind, name and version of the object.

What is gone has no version.
"""


SharedChanged = Callable[[Name, str], None]
"""Told of every change of what ModelDeployments share: its name and version, if it is there."""


def registry(changed: Changed, shared_changed: SharedChanged) -> kopf.OperatorRegistry:
    """Return the handlers: each event is told, with the ModelDeployment that it concerns."""
    handlers = kopf.OperatorRegistry()

    kopf.on.login(retries=3, registry=handlers)(login)

    @kopf.on.event(**_selector(MODEL_DEPLOYMENT), registry=handlers)
    def on_deployment(*, namespace: str | None, name: str, event: kopf.RawEvent, **_: Any) -> None:
        changed((namespace or "", name), MODEL_DEPLOYMENT.kind, name, _version(event))

    for kind in OWN_KINDS:
        tell = kopf.on.event(**_selector(kind), id=f"on-{kind.plural}", registry=handlers)
        tell(_owned(kind, changed))
    for kind in SHARED_KINDS:
        tell = kopf.on.event(**_selector(kind), id=f"on-{kind.plural}", registry=handlers)
        tell(_shared(kind, shared_changed))

    return handlers


def _owned(kind: Kind, changed: Changed) -> Callable[..., None]:
    """Return the handler of a kind whose objects name their ModelDeployment."""

    def tell(
        *,
        namespace: str | None,
        name: str,
        labels: Mapping[str, str],
        event: kopf.RawEvent,
        **_: Any,
    ) -> None:
        if OWNER in labels:
            changed((namespace or "", labels[OWNER]), kind.kind, name, _version(event))
        elif kind is HTTP_ROUTE:
            changed((namespace or "", WHO_FOLLOWS), kind.kind, name, _version(event))

    return tell


def _shared(kind: Kind, changed: SharedChanged) -> Callable[..., None]:
    """Return the handler of a kind whose objects do not know who uses them."""

    def tell(*, namespace: str | None, name: str, event: kopf.RawEvent, **_: Any) -> None:
        changed((kind.kind, namespace or "", name), _version(event))

    return tell


def _version(event: kopf.RawEvent) -> str:
    gone = event["type"] == "DELETED"
    return "" if gone else str(event["object"]["metadata"].get("resourceVersion", ""))


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings: fixed kinds, short waits, no writes."""
    chosen = kopf.OperatorSettings()
    chosen.persistence.progress_storage = NoProgress()
    chosen.persistence.diffbase_storage = NoDiffBase()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True  # the kinds are known; no watch of CRDs and namespaces
    # kopf holds each object for so long, and so many of each kind: with thousands of them its first
    # list would take more memory than everything else.
    chosen.queueing.idle_timeout = 0.05
    chosen.queueing.error_delays = (1, 2, 5, 10, 30)
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 310
    chosen.watching.connect_timeout = 15
    chosen.watching.chunk_size = 100
    chosen.networking.request_timeout = 20
    # An API server that is away, also at the start, is waited for: kopf would give up, and end us.
    chosen.networking.error_backoffs = (*range(1, RETRY_S), *itertools.repeat(RETRY_S, A_DAY))
    # An embedded operator must never be killed by kopf's own timer (kopf arms it on a cancel).
    chosen.process.ultimate_exiting_timeout = None
    ours = f"{labels.MANAGED_BY}={labels.MANAGER}"
    for kind in OWN_KINDS[:-1]:  # users' routes bear no label of ours
        chosen.watching.label_selectors[kind.plural] = ours
    return chosen


async def watch(
    kinds: kopf.OperatorRegistry,
    identity: Any,
    stop_flag: asyncio.Event,
    started: Callable[[], None],
) -> None:
    """Watch until the flag is set; kopf is stopped by its flag, never by a cancel.

    `started` is called as soon as kopf runs: it has taken the process's signals over then.
    """
    ready = asyncio.Event()
    watching = asyncio.create_task(
        kopf.operator(
            registry=kinds,
            settings=settings(),
            clusterwide=True,
            standalone=True,
            identity=identity,
            stop_flag=stop_flag,
            ready_flag=ready,
        )
    )
    await asyncio.wait([watching, asyncio.create_task(ready.wait())],
                       return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
    started()
    await watching


def _selector(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = {"version": kind.version, "plural": kind.plural}
    if kind.group:
        found["group"] = kind.group
    return found
