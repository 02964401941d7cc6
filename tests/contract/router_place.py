"""What the routers' contract is given: a router, a ModelDeployment, and who plays the gateway."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rampway.api.base import API_VERSION
from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.kube.base import Obj
from rampway.kube.kinds import HTTP_ROUTE
from rampway.routers.base import Router
from rampway.routers.by_type import RouterByType
from rampway.routers.gateway_api import GatewayApiRouter
from rampway.routers.memory import MemoryRouter
from rampway.sim.apiserver import MemoryApi, Store
from rampway.sim.cluster_status import route_parent

SPACE = "ml"


PARENTS = [{"name": "eg"}, {"name": "in", "namespace": "gw"}]


def deployment(name: str = "digits", **route: object) -> ModelDeployment:
    """Return a ModelDeployment whose route has two Gateways and a path."""
    return _parsed(name, {"ownedRoute": {"parentRefs": PARENTS} | route})


def referring(name: str = "digits", rule: str | None = "predict") -> ModelDeployment:
    """Return a ModelDeployment that splits a rule of the user's route of its name."""
    ref = {"name": name} | ({"rule": rule} if rule else {})
    return _parsed(name, {"type": "RouteRef", "routeRef": ref})


def _parsed(name: str, traffic: Obj) -> ModelDeployment:
    return parse_deployment(
        {
            "apiVersion": API_VERSION,
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": SPACE, "uid": f"uid-{name}"},
            "spec": {"model": {"uri": "file:///m"}, "traffic": traffic},
        }
    )


@dataclass
class RouterPlace:
    """A router under test.

    Attributes:
        answer: Lets the gateway answer: accept (empty), or object with these words.
        writes: Returns how often the split was written.
        make: Returns another ModelDeployment of this router, by name.
    """

    router: Router
    answer: Callable[[str], None]
    writes: Callable[[], int]
    make: Callable[[str], ModelDeployment] = deployment
    deployment: ModelDeployment = field(default_factory=deployment)


def in_memory() -> RouterPlace:
    """Return the router in memory."""
    router = MemoryRouter()
    mine = deployment()
    return RouterPlace(
        router, lambda words: router.answer(mine, words), lambda: router.writes, deployment=mine
    )


@dataclass
class Gateway:
    """An API server in memory with the Gateways' controller played by hand."""

    api: MemoryApi

    def route(self) -> Obj:
        """Return the route."""
        return self.api.store.get(HTTP_ROUTE, SPACE, "digits")

    def answer(self, words: str = "", *, unresolved: str = "", parents: int = 2) -> None:
        """Let so many Gateways answer for the route's present generation."""
        route = self.route()
        found = [
            route_parent(ref, route["metadata"]["generation"], words, unresolved, 0.0)
            for ref in route["spec"]["parentRefs"][:parents]
        ]
        patch = {"status": {"parents": found}}
        self.api.store.patch(HTTP_ROUTE, SPACE, "digits", patch, subresource="status")

    def writes(self) -> int:
        """Return how many versions of the route's spec there were."""
        return int(self.route()["metadata"]["generation"])


def gateway() -> Gateway:
    """Return a server without any route."""
    return Gateway(MemoryApi(Store(lambda: datetime(2026, 1, 1, tzinfo=UTC), namespaces=(SPACE,))))


def over_gateway_api() -> RouterPlace:
    """Return the Gateway API's router over an API server in memory."""
    found = gateway()
    return RouterPlace(GatewayApiRouter(found.api), found.answer, found.writes)


def over_route_ref() -> RouterPlace:
    """Return the router of users' rules, by its type, with two such routes."""
    found = gateway()
    for name in ("digits", "iris"):
        route = {
            "metadata": {"name": name, "namespace": SPACE},
            "spec": {
                "parentRefs": PARENTS,
                "rules": [
                    {"name": "web", "backendRefs": [{"name": "web", "port": 80}]},
                    {"name": "predict", "backendRefs": [{"name": name, "port": 80}]},
                ],
            },
        }
        found.api.store.create(HTTP_ROUTE, route)
    router = RouterByType(found.api)
    return RouterPlace(router, found.answer, found.writes, referring, referring())
