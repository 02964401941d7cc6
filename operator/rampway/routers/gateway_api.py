"""Traffic by an HTTPRoute of the Gateway API that the operator owns."""

from collections.abc import Mapping
from typing import Any

from rampway.api.parse import ModelDeployment
from rampway.core import revision
from rampway.core.observation import Route
from rampway.kube.base import KubeApi, Obj
from rampway.kube.errors import NotFound
from rampway.kube.kinds import HTTP_ROUTE

PORT = 80


class GatewayApiRouter:
    """Implements `Router` by one rule of one HTTPRoute, named like the ModelDeployment."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def observe(self, deployment: ModelDeployment) -> Route:
        """Return the split as the route's one rule has it."""
        try:
            route = await self._api.get(HTTP_ROUTE, deployment.namespace, deployment.name)
        except NotFound:
            return Route()
        return read(route, deployment)

    async def set_weights(
        self, deployment: ModelDeployment, candidate: str, weight_pct: int
    ) -> None:
        """Make the route, or change its rule's backends and nothing else."""
        backends = backend_refs(deployment.name, candidate, weight_pct)
        try:
            route = await self._api.get(HTTP_ROUTE, deployment.namespace, deployment.name)
        except NotFound:
            await self._api.create(HTTP_ROUTE, manifest(deployment, backends))
            return
        patch: list[dict[str, Any]] = [
            {
                "op": "test",
                "path": "/metadata/resourceVersion",
                "value": route["metadata"]["resourceVersion"],
            }
        ]
        # Traffic first: what takes it from a candidate waits for nothing, and touches no host that
        # another ModelDeployment may have by now (B15, B23). The next call mends the shape.
        takes_away = weight_pct == 0 and bool(read(route, deployment).candidate)
        if takes_away or _in_shape(route, deployment):
            path = "/spec/rules/0/backendRefs"
            patch.append({"op": "replace", "path": path, "value": backends})
        else:
            spec = manifest(deployment, backends)["spec"]
            patch.append({"op": "replace", "path": "/spec", "value": spec})
        await self._api.patch(HTTP_ROUTE, deployment.namespace, deployment.name, patch)


def backend_refs(stable: str, candidate: str, weight_pct: int) -> list[dict[str, Any]]:
    """Return the backends of a rule: stable alone at rest, else both with weights of 100 in sum."""
    if weight_pct == 0:
        return [_backend(stable, 1)]
    return [_backend(stable, 100 - weight_pct), _backend(candidate, weight_pct)]


def manifest(deployment: ModelDeployment, backends: list[dict[str, Any]]) -> Obj:
    """Return the HTTPRoute with these backends."""
    wanted = deployment.spec.traffic.owned_route
    spec: dict[str, Any] = {
        "parentRefs": [
            ref.model_dump(mode="json", by_alias=True, exclude_none=True)
            for ref in wanted.parent_refs
        ],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": wanted.path_prefix}}],
                "backendRefs": backends,
            }
        ],
    }
    if wanted.hostnames:
        spec["hostnames"] = list(wanted.hostnames)
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": revision.owned_meta(deployment, deployment.name),
        "spec": spec,
    }


def read(route: Mapping[str, Any], deployment: ModelDeployment) -> Route:
    """Return the split that a route carries and what its gateways say of it."""
    weights = _weights(route)
    others = {name: weight for name, weight in weights.items() if name != deployment.name}
    total = sum(weights.values())
    candidate = next(iter(others), "")
    message = _objection(route)
    return Route(
        exists=True,
        in_shape=_in_shape(route, deployment),
        at_rest=not others and deployment.name in weights,
        candidate=candidate,
        candidate_weight_pct=round(100 * others[candidate] / total) if candidate and total else 0,
        accepted=not message,
        message=message,
    )


def _backend(name: str, weight: int) -> dict[str, Any]:
    # group and kind are the API server's defaults, written out so that a read equals a write.
    return {"group": "", "kind": "Service", "name": name, "port": PORT, "weight": weight}


def _rules(route: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(route.get("spec", {}).get("rules") or [])


def _weights(route: Mapping[str, Any]) -> dict[str, int]:
    rules = _rules(route)
    backends = rules[0].get("backendRefs") or [] if rules else []
    return {ref["name"]: ref.get("weight", 1) for ref in backends}


def _in_shape(route: Mapping[str, Any], deployment: ModelDeployment) -> bool:
    """Whether everything but the backends is as the spec wants it; defaults may be filled in."""
    wanted = manifest(deployment, [])["spec"]
    spec = route.get("spec", {})
    rules = _rules(route)
    if len(rules) != 1 or list(spec.get("hostnames") or []) != wanted.get("hostnames", []):
        return False
    if rules[0].get("matches") != wanted["rules"][0]["matches"] or "filters" in rules[0]:
        return False
    parents = spec.get("parentRefs") or []
    return len(parents) == len(wanted["parentRefs"]) and all(
        want.items() <= have.items()
        for want, have in zip(wanted["parentRefs"], parents, strict=True)
    )


def _objection(route: Mapping[str, Any]) -> str:
    """Return why the route is not in force at its generation, empty if it is (B13)."""
    generation = route["metadata"].get("generation", 0)
    parents = route.get("status", {}).get("parents") or []
    wanted = route.get("spec", {}).get("parentRefs") or []
    if len(parents) < len(wanted):
        missing = len(wanted) - len(parents)
        return f"{missing} of {len(wanted)} Gateways have not answered for the route yet"
    for parent in parents:
        name = parent.get("parentRef", {}).get("name", "?")
        conditions = {c["type"]: c for c in parent.get("conditions") or []}
        for kind in ("Accepted", "ResolvedRefs"):
            found = conditions.get(kind)
            if found is None or found.get("observedGeneration", 0) < generation:
                return f"Gateway {name} has not processed the route's latest change yet"
            if found["status"] != "True":
                words = found.get("message") or found.get("reason", "no reason given")
                return f"Gateway {name}: {kind} is {found['status']}: {words}"
    return ""
