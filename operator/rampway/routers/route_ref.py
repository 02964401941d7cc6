"""Traffic by one rule of an HTTPRoute of the user's; nothing else in it is touched (B14)."""

from rampway.api.parse import ModelDeployment
from rampway.api.traffic import RouteRef
from rampway.core.traffic.route import Route
from rampway.core.traffic.split import Split
from rampway.kube.base import KubeApi, Obj
from rampway.kube.errors import NotFound
from rampway.kube.kinds import HTTP_ROUTE
from rampway.routers import chosen, managers, places, rules
from rampway.routers.parents import objection


class RouteRefRouter:
    """Implements `Router` by conditional patches to one rule of the user's route.

    A split by headers adds one rule while it lasts. The route is never made, nor mended elsewhere.
    """

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def observe(self, deployment: ModelDeployment) -> Route:
        """Return the split as the user's rule has it, or why there is no such rule."""
        ref = _ref(deployment)
        try:
            route = await self._api.get(HTTP_ROUTE, deployment.namespace, ref.name)
        except NotFound:
            where = f"HTTPRoute {deployment.namespace}/{ref.name} does not exist"
            return Route(problem=f"{where}; apply it, {_how(deployment, ref)}")
        return read(route, deployment)

    async def set_split(self, deployment: ModelDeployment, split: Split, now_s: float) -> None:
        """Change what splits the rule and nothing else; a rule that is gone is not made.

        At rest the rules belong to their writers again, as before.

        Raises:
            NotFound: the route or the rule is gone since it was observed.
        """
        ref = _ref(deployment)
        route = await self._api.get(HTTP_ROUTE, deployment.namespace, ref.name)
        index, problem = find(route, deployment)
        if index is None:
            raise NotFound(problem)
        version = route["metadata"]["resourceVersion"]
        patch = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}]
        patch += rules.changes(route, index, deployment.name, split, now_s)
        if len(patch) > 1:
            route = await self._api.patch(HTTP_ROUTE, deployment.namespace, ref.name, patch)
        done = split.at_rest and not rules.ajar(route, index, deployment.name)
        if done and managers.is_ours(route):
            change = managers.let_go(route)
            await self._api.patch(HTTP_ROUTE, deployment.namespace, ref.name, change)


def read(route: Obj, deployment: ModelDeployment) -> Route:
    """Return the split that the user's rule carries and what the gateways say of it."""
    index, problem = find(route, deployment)
    if index is None:
        return Route(exists=True, problem=problem)
    stable = deployment.name
    split = rules.read(route, index, stable)
    message = objection(route)
    writer, written_at = managers.foreign_writer(route)
    return Route(
        exists=True,
        writer=writer,
        written_at=written_at,
        in_shape=rules.tidy(route, index, stable)
        and not (split.at_rest and managers.is_ours(route)),
        at_rest=split.at_rest and rules.serves(route, index, stable),
        split=split,
        ajar=rules.ajar(route, index, stable),
        accepted=not message,
        message=message,
        strangers=rules.strangers(route, index, stable),
        guests=rules.beside(route, index, stable),
        headers=rules.headers(route, index),
        full=rules.is_full(route, index, stable),
        place=places.read(route, index),
    )


def find(route: Obj, deployment: ModelDeployment) -> tuple[int | None, str]:
    """Return the position of the rule, or None and what there is instead and what to do."""
    ref = _ref(deployment)
    every = list(route.get("spec", {}).get("rules") or [])
    mine = _meant(route, ref.rule, deployment.name)
    where = f"HTTPRoute {deployment.namespace}/{ref.name}"
    if len(mine) != 1:
        there = ", ".join(rule.get("name") or f"#{n + 1} (no name)" for n, rule in enumerate(every))
        many = f"{len(mine)} rules" if mine else "no rule"
        named = f" of the name {ref.rule}" if ref.rule else ""
        seen = f"{where} has {many}{named}; its rules: {there or 'none'}"
        return None, f"{seen}. Expected one rule {_how(deployment, ref)}"
    redirects = any(f.get("type") == "RequestRedirect" for f in every[mine[0]].get("filters") or [])
    if redirects:
        rule = f"rule {ref.rule}" if ref.rule else "the rule"
        return None, f"{rule} of {where} redirects requests, so it has no backend; name another"
    return mine[0], ""


def position(route: Obj, rule: str | None, stable: str) -> int | None:
    """Return the position of the rule of this name, or of the only one; None if there is none."""
    mine = _meant(route, rule, stable)
    return mine[0] if len(mine) == 1 else None


def _meant(route: Obj, name: str | None, stable: str) -> list[int]:
    found = enumerate(route.get("spec", {}).get("rules") or [])
    if name is None:  # the only one: the one that we add for headers does not count
        return [n for n, rule in found if not chosen.is_ours(rule, {}, stable)]
    return [n for n, rule in found if rule.get("name") == name]


def _how(deployment: ModelDeployment, ref: RouteRef) -> str:
    name = f"`name: {ref.rule}`" if ref.rule else "no other rule beside it (or set routeRef.rule)"
    return f"with {name} and Service {deployment.name}, port {chosen.PORT}, as its only backend"


def _ref(deployment: ModelDeployment) -> RouteRef:
    ref = deployment.spec.traffic.route_ref
    if ref is None:
        raise TypeError(f"{deployment.name} has no routeRef; choose its router by traffic.type")
    return ref
