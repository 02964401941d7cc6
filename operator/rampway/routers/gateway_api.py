"""Traffic by an HTTPRoute of the Gateway API that the operator owns."""

from dataclasses import replace
from typing import Any

from rampway.api.parse import ModelDeployment
from rampway.api.traffic import OwnedRoute
from rampway.core.model.belonging import owned_meta
from rampway.core.traffic.route import Route
from rampway.core.traffic.split import Split
from rampway.kube.base import KubeApi, Obj
from rampway.kube.errors import NotFound
from rampway.kube.kinds import HTTP_ROUTE
from rampway.routers import rules
from rampway.routers.managers import foreign_writer
from rampway.routers.parents import objection


class GatewayApiRouter:
    """Implements `Router` by an HTTPRoute of one rule, named like the ModelDeployment.

    A split by headers adds a second rule while it lasts.
    """

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def observe(self, deployment: ModelDeployment) -> Route:
        """Return the split as the route has it."""
        try:
            route = await self._api.get(HTTP_ROUTE, deployment.namespace, deployment.name)
        except NotFound:
            return Route()
        return read(route, deployment)

    async def set_split(self, deployment: ModelDeployment, split: Split, now_s: float) -> None:
        """Make the route, or change what splits it and nothing else."""
        try:
            route = await self._api.get(HTTP_ROUTE, deployment.namespace, deployment.name)
        except NotFound:
            await self._api.create(HTTP_ROUTE, manifest(deployment, split))
            return
        version = route["metadata"]["resourceVersion"]
        patch = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}]
        # Traffic first: what takes it from a candidate waits for nothing, and touches no host that
        # another ModelDeployment may have by now (B15, B23). The next call mends the shape.
        takes_away = split.at_rest and not read(route, deployment).split.at_rest
        if takes_away or _in_shape(route, deployment):
            patch += rules.changes(route, 0, deployment.name, split, now_s)
        else:
            spec = manifest(deployment, split)["spec"]
            patch.append({"op": "replace", "path": "/spec", "value": spec})
        if len(patch) > 1:
            await self._api.patch(HTTP_ROUTE, deployment.namespace, deployment.name, patch)


def manifest(deployment: ModelDeployment, split: Split) -> Obj:
    """Return the HTTPRoute with this split."""
    wanted = _wanted(deployment)
    matches = [{"path": {"type": "PathPrefix", "value": wanted.path_prefix}}]
    spec: dict[str, Any] = {
        "parentRefs": [
            ref.model_dump(mode="json", by_alias=True, exclude_none=True)
            for ref in wanted.parent_refs
        ],
        "rules": rules.made(matches, deployment.name, split),
    }
    if wanted.hostnames:
        spec["hostnames"] = list(wanted.hostnames)
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": owned_meta(deployment, deployment.name),
        "spec": spec,
    }


def read(route: Obj, deployment: ModelDeployment) -> Route:
    """Return the split that a route carries and what its gateways say of it."""
    split = rules.read(route, 0, deployment.name)
    message = objection(route)
    writer, written_at = foreign_writer(route)
    return Route(
        exists=True,
        writer=writer,
        written_at=written_at,
        in_shape=_in_shape(route, deployment) and rules.tidy(route, 0, deployment.name),
        at_rest=split.at_rest and rules.serves(route, 0, deployment.name),
        split=split,
        ajar=rules.ajar(route, 0, deployment.name),
        accepted=not message,
        message=message,
    )


def _wanted(deployment: ModelDeployment) -> OwnedRoute:
    wanted = deployment.spec.traffic.owned_route
    if wanted is None:
        raise TypeError(f"{deployment.name} has no ownedRoute; choose its router by traffic.type")
    return wanted


def _in_shape(route: Obj, deployment: ModelDeployment) -> bool:
    """Whether everything but the split is as the spec wants it; defaults may be filled in."""
    split = replace(rules.read(route, 0, deployment.name), headers=())
    wanted = manifest(deployment, split)["spec"]
    spec = route.get("spec", {})
    if list(spec.get("hostnames") or []) != wanted.get("hostnames", []):
        return False
    if not rules.alike(rules.besides(route, 0, deployment.name), wanted["rules"]):
        return False
    parents = spec.get("parentRefs") or []
    return len(parents) == len(wanted["parentRefs"]) and all(
        want.items() <= have.items()
        for want, have in zip(wanted["parentRefs"], parents, strict=True)
    )
