"""Who else claims the same requests at a Gateway: the ModelDeployments and users' routes (B15)."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from rampway.api.conditions import ConditionType
from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.core.traffic.conflicts import Claim, conflicting
from rampway.core.traffic.route import Place
from rampway.kube.base import Lister, Obj
from rampway.kube.errors import NotFound, Transient
from rampway.kube.kinds import HTTP_ROUTE, MODEL_DEPLOYMENT
from rampway.kube.together import OneForAll
from rampway.routers import places, route_ref

Routes = Mapping[tuple[str, str], Obj]
"""Users' routes by namespace and name."""
READ_S = 30.0
"""Reading all claims may take so long: passes wait for it, and with them their workers.

A pass may wait for four (one that is under way and the next, once more after a stamp); what tells
whether this process is alive is more patient than that.
"""


@dataclass(frozen=True, slots=True)
class Claims:
    """What ModelDeployments claim, read once per version: each new one asks all the others.

    Of thousands of them no more than a page is in memory as a whole. Whoever is answered that
    nobody has its place is promised it: a reading shows the grant only once a status is written,
    and whoever asks until then must hear of it too.
    """

    _known: dict[str, "_Known"] = field(default_factory=dict)
    _promised: dict[str, tuple[str, Claim]] = field(default_factory=dict)
    """By uid: the version that was promised its place, and what it claims."""
    _reading: OneForAll[Collection[Claim]] = field(default_factory=OneForAll)

    async def conflict(
        self, lister: Lister, deployment: ModelDeployment, place: Place | None
    ) -> str:
        """Return who has the same requests already; asked while the answer can still matter.

        Args:
            lister: What lists.
            deployment: Who asks.
            place: Where requests for its rule of the user's route arrive, if it has one.
        """
        mine, status = Claim.of(deployment, place), deployment.status
        granted = status.address == mine.address
        accepted = any(
            c.type == ConditionType.ACCEPTED and c.status == "True" for c in status.conditions
        )
        judged = status.observed_generation == deployment.generation
        moved = place is not None and not granted  # the user's route changes by itself
        # Whoever was granted this place keeps it, whatever else its spec asks for by now: an undo
        # does not wait until thousands have been read.
        if accepted and (granted or (judged and not moved)):
            return ""
        others = await self._reading.ask(lambda: self._read(lister))
        promise = (deployment.resource_version, replace(mine, granted=True))
        if self._promised.get(deployment.uid) == promise:
            mine = promise[1]
        found = conflicting(mine, [*others, *(claim for _, claim in self._promised.values())])
        if not found:
            self._promised[deployment.uid] = promise
        return found

    async def _read(self, lister: Lister) -> Collection[Claim]:
        """Return what all ModelDeployments claim at this instant.

        Raises:
            Transient: that took more than `READ_S`.
        """
        try:
            async with asyncio.timeout(READ_S):
                await self._walk(lister)
                await self._reach(lister)
        except TimeoutError:
            words = f"list ModelDeployment: what all claim could not be read within {READ_S:g} s"
            raise Transient(words) from None
        for uid, (version, _) in list(self._promised.items()):
            known = self._known.get(uid)
            if known is None or known.version != version:
                del self._promised[uid]  # what was read shows what became of it
        return [one.claim for one in self._known.values() if one.claim]

    async def _walk(self, lister: Lister) -> None:
        there = set[str]()
        async for obj in lister.walk(MODEL_DEPLOYMENT):
            uid, version = obj["metadata"]["uid"], obj["metadata"]["resourceVersion"]
            there.add(uid)
            if uid not in self._known or self._known[uid].version != version:
                self._known[uid] = _understood(obj)
        for gone in self._known.keys() - there:
            del self._known[gone]

    async def _reach(self, lister: Lister) -> None:
        """Find out where requests reach those who split a route of the user's, if anybody does."""
        followers = [known for known in self._known.values() if known.follower]
        routes = await _routes(lister, {known.route for known in followers}) if followers else {}
        for known in followers:
            known.reach(routes.get(known.route))


@dataclass(slots=True)
class _Known:
    """What one version of a ModelDeployment claims; None if it is refused by itself.

    Attributes:
        follower: The ModelDeployment, if it names a route of the user's: its claim leans on that.
        route: Namespace and name of that route.
    """

    version: str
    claim: Claim | None = None
    follower: ModelDeployment | None = None
    route: tuple[str, str] = ("", "")
    route_version: str = ""

    def reach(self, route: Obj | None) -> None:
        """Take in the route that it follows, None if there is none."""
        version = route["metadata"]["resourceVersion"] if route else ""
        if self.follower and self.route_version != version:
            self.route_version = version
            self.claim = Claim.of(self.follower, _reached(self.follower, route))


def _understood(obj: Obj) -> _Known:
    version = obj["metadata"]["resourceVersion"]
    try:
        parsed = parse_deployment(obj)
    except ValueError:
        return _Known(version)  # it is refused by itself and so has no route
    follows = parsed if parsed.spec.traffic.route_ref else None
    return _Known(version, Claim.of(parsed), follows, followed(obj))


def _reached(follower: ModelDeployment, route: Obj | None) -> Place | None:
    ref = follower.spec.traffic.route_ref
    index = route_ref.position(route, ref.rule, follower.name) if route and ref else None
    return None if route is None or index is None else places.read(route, index)


async def _routes(lister: Lister, wanted: Collection[tuple[str, str]]) -> Routes:
    """Return the routes of these names that are there."""
    found = dict[tuple[str, str], Obj]()
    try:
        async for route in lister.walk(HTTP_ROUTE):
            key = (route["metadata"]["namespace"], route["metadata"]["name"])
            if key in wanted:
                found[key] = route
    except NotFound:  # the Gateway API is not installed
        return {}
    return found


def followed(obj: Obj) -> tuple[str, str]:
    """Return namespace and name of the user's route that a ModelDeployment names, empty of none."""
    traffic = (obj.get("spec") or {}).get("traffic") or {}
    name = (traffic.get("routeRef") or {}).get("name", "")
    return (obj["metadata"].get("namespace", ""), str(name)) if name else ("", "")
