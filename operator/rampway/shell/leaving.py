"""What outlives its ModelDeployment: the route is put at rest, pods stay while it names them (B34).

With `RouteRef` or `deletionPolicy: Orphan` no owner reference lets the garbage collector take pods
away under a route that goes on. Nothing waits for an operator either: there is no finalizer. What
is left bears a label, by which it is found on the event or at the next start.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import structlog

from rampway.api import labels
from rampway.core.model.keeping import DRAIN_S
from rampway.core.traffic.split import STABLE_ONLY
from rampway.kube.base import JsonPatch, KubeApi, Lister, Obj
from rampway.kube.errors import NotFound
from rampway.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    MODEL_DEPLOYMENT,
    MODEL_ROLLOUT,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Kind,
)
from rampway.kube.together import OneForAll
from rampway.routers import guests, managers, naming, replicas, route_ref, rules
from rampway.shell.claims import followed
from rampway.shell.fence import Fence, is_stamped
from rampway.shell.followers import Followers, Key

log = structlog.get_logger("rampway.leaving")

LEFT = (
    SERVICE,
    HORIZONTAL_POD_AUTOSCALER,
    DEPLOYMENT,
    CONFIG_MAP,
    POD_DISRUPTION_BUDGET,
    MODEL_ROLLOUT,
)
LOOK_AGAIN_S = 10.0


@dataclass(slots=True)
class Leaver:
    """Takes leave of what ModelDeployments left behind.

    Attributes:
        clock: Seconds since the epoch.
    """

    api: KubeApi
    lister: Lister
    fence: Fence
    followers: Followers
    clock: Callable[[], float]
    _unnamed_since: dict[Key, float] = field(default_factory=dict)
    _following: defaultdict[str, OneForAll[Collection[Key]]] = field(
        default_factory=lambda: defaultdict(OneForAll)
    )

    async def leave(self, key: Key) -> float | None:
        """Put the route at rest; delete what is left once no route has named it for `DRAIN_S`.

        Returns:
            After how many seconds to come again, None if nothing is left to be done.

        Raises:
            Deposed: somebody else leads.
        """
        left = await self._left(key)
        services = {_name(obj): obj for kind, obj in left if kind is SERVICE}
        service, live = (services.get(name) for name in (key[1], labels.live_name(key[1])))
        told = service or next(iter(services.values()), None)  # in an adoption there is no stable
        if told is not None and await self._put_at_rest(key, told):
            return 1.0
        if service is not None and live is not None and await self._close(live, service):
            return 1.0
        if not any(_kept_until_drained(obj) for _, obj in left):
            self._unnamed_since.pop(key, None)
            return None
        route = await self._named_by(key)
        if route:
            self.followers.follow(key, route)
            self._unnamed_since.pop(key, None)
            log.info("kept: a route still sends requests to it", namespace=key[0], name=key[1],
                     route=route)  # fmt: skip
            return LOOK_AGAIN_S
        left_s = self._unnamed_since.setdefault(key, self.clock()) + DRAIN_S - self.clock()
        if left_s > 0:
            return left_s
        for kind, obj in left:
            await self._delete(kind, obj)
        log.info("deleted: no route named it any more", namespace=key[0], name=key[1])
        return LOOK_AGAIN_S

    async def _left(self, key: Key) -> list[tuple[Kind, Obj]]:
        """Return what bears the ModelDeployment's name and our label, and no owner."""
        ours = {labels.DEPLOYMENT: key[1]}
        found = await asyncio.gather(*(self.lister.list(kind, key[0], ours) for kind in LEFT))
        return [
            (kind, obj)
            for kind, objects in zip(LEFT, found, strict=True)
            for obj in objects
            if not obj["metadata"].get("ownerReferences")
        ]

    async def _put_at_rest(self, key: Key, service: Obj) -> bool:
        """Take the route from a candidate, if there was one; return whether there is more to do.

        The user's route gives up our stamp last of all.
        """
        space, name = key
        notes = service["metadata"].get("annotations") or {}
        ref = labels.read_route_ref(notes.get(labels.ROUTE_REF, ""))
        where = ref[0] if ref else name
        try:
            route = await self.api.get(HTTP_ROUTE, space, where)
        except NotFound:
            return False
        self.fence.check(route)
        patch, more = _restoring(route, ref, name, self.clock())
        rests = not patch and not more
        if ref and rests and is_stamped(route) and not await self._is_followed(space, where):
            patch = self.fence.release(route)
        if not patch:
            return more
        await self.api.patch(HTTP_ROUTE, space, where, patch)
        log.info(
            "put at rest: its ModelDeployment is gone", namespace=space, name=name, route=where
        )
        return True

    async def _is_followed(self, namespace: str, route: str) -> bool:
        """Whether a ModelDeployment that is there splits a rule of a user's route."""

        async def read() -> Collection[Key]:
            return {followed(obj) async for obj in self.lister.walk(MODEL_DEPLOYMENT, namespace)}

        return (namespace, route) in await self._following[namespace].ask(read)

    async def _close(self, live: Obj, service: Obj) -> bool:
        """Let callers without a gateway reach stable alone; return whether that was a write."""
        change = replicas.at_rest(live, service)
        if not change:
            return False
        self.fence.check(live)
        meta = live["metadata"]
        await self.api.patch(SERVICE, meta["namespace"], meta["name"], change)
        return True

    async def _named_by(self, key: Key) -> str:
        """Return the name of a route that sends requests to what is left, empty if none does."""
        naming_it = [_name(r) async for r in self.api.walk(HTTP_ROUTE) if naming.names_any(r, *key)]
        return next(iter(naming_it), "")

    async def _delete(self, kind: Kind, obj: Obj) -> None:
        self.fence.check(obj)
        meta = obj["metadata"]
        uid, version = meta["uid"], meta["resourceVersion"]
        try:
            await self.api.delete(kind, meta["namespace"], meta["name"], uid=uid, version=version)
        except NotFound:
            return


def _restoring(
    route: Obj, ref: tuple[str, str | None] | None, name: str, now_s: float
) -> tuple[JsonPatch, bool]:
    """Return the JSON patch that puts a route at rest, empty if it is, and whether that takes more.

    Args:
        route: The route.
        ref: The user's route and rule; None for a route of our own.
        name: Of the ModelDeployment that is gone.
        now_s: The present.
    """
    index = route_ref.position(route, ref[1], name) if ref else 0
    if index is None:
        return [], False
    adopted = guests.is_noted(route, name)
    rest = replace(STABLE_ONLY, guests=adopted)
    change = rules.changes(route, index, name, rest, now_s)
    ajar = rules.ajar(route, index, name)
    given_back = ajar or not (ref and managers.is_ours(route))
    theirs = not adopted and not rules.is_of(route, index, name)
    if (not change and given_back) or theirs:
        return [], ajar and not theirs
    version = route["metadata"]["resourceVersion"]
    bound = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}, *change]
    return (bound if change else managers.let_go(route)), True


def _name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def _kept_until_drained(obj: Obj) -> bool:
    found = (obj["metadata"].get("labels") or {}).get(labels.ON_DELETION)
    return bool(found == labels.DRAIN)
