"""Who else claims the same requests at a Gateway: the ModelDeployments and users' routes (B15)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rampway.api.conditions import ConditionType
from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.core.traffic.conflicts import Claim, conflicting
from rampway.core.traffic.route import Place
from rampway.kube.base import Lister, Obj
from rampway.kube.errors import NotFound
from rampway.kube.kinds import HTTP_ROUTE, MODEL_DEPLOYMENT
from rampway.routers import places, route_ref

Routes = Mapping[tuple[str, str], Obj]
"""Users' routes by namespace and name."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What ModelDeployments claim, read once per version: each new one asks all the others."""

    _known: dict[str, tuple[str, Claim | None]] = field(default_factory=dict)

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
        # Whoever was granted this place keeps it, whatever others ask for meanwhile: only of two
        # grants at the same instant one has to go, and that may take a moment.
        granted = status.address == mine.address
        accepted = any(
            c.type == ConditionType.ACCEPTED and c.status == "True" for c in status.conditions
        )
        moved = place is not None and not granted  # the user's route changes by itself
        if accepted and not moved and status.observed_generation == deployment.generation:
            return ""
        listed = await lister.list(MODEL_DEPLOYMENT, cached=granted)
        uid = deployment.uid
        others = [obj for obj in listed if obj["metadata"]["uid"] != uid]
        routes = await _routes(lister, others, cached=granted)
        for gone in self._known.keys() - {obj["metadata"]["uid"] for obj in others}:
            del self._known[gone]
        found = [self._claim(obj, routes) for obj in others]
        return conflicting(mine, [claim for claim in found if claim is not None])

    def _claim(self, obj: Obj, routes: Routes) -> Claim | None:
        meta, route = obj["metadata"], routes.get(followed(obj))
        version = (
            f"{meta['resourceVersion']}/{route['metadata']['resourceVersion'] if route else ''}"
        )
        known, claim = self._known.get(meta["uid"], ("", None))
        if known != version:
            claim = claim_of(obj, route)
            self._known[meta["uid"]] = version, claim
        return claim


def claim_of(obj: Mapping[str, Any], route: Obj | None = None) -> Claim | None:
    """Return what a ModelDeployment claims at the gateways, None if it cannot be read.

    Args:
        obj: The ModelDeployment.
        route: The user's route that it names, if there is one.
    """
    try:
        parsed = parse_deployment(obj)
    except ValueError:
        return None  # it is refused by itself and so has no route
    ref = parsed.spec.traffic.route_ref
    index = route_ref.position(route, ref.rule, parsed.name) if route and ref else None
    return Claim.of(parsed, None if route is None or index is None else places.read(route, index))


async def _routes(lister: Lister, others: list[Obj], *, cached: bool) -> Routes:
    """Return the routes that users gave a rule of; none are read where nobody did."""
    wanted = {followed(obj) for obj in others} - {_NONE}
    if not wanted:
        return {}
    try:
        listed = await lister.list(HTTP_ROUTE, cached=cached)
    except NotFound:  # the Gateway API is not installed
        return {}
    named = {(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj for obj in listed}
    return {key: named[key] for key in wanted & named.keys()}


_NONE = ("", "")


def followed(obj: Obj) -> tuple[str, str]:
    """Return namespace and name of the user's route that a ModelDeployment names, empty of none."""
    traffic = (obj.get("spec") or {}).get("traffic") or {}
    name = (traffic.get("routeRef") or {}).get("name", "")
    return (obj["metadata"].get("namespace", ""), str(name)) if name else _NONE
