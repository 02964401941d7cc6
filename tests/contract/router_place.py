"""What the routers' contract is given: a router, a ModelDeployment, and who plays the gateway."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rampway.api import labels
from rampway.api.base import API_VERSION
from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.core.model import revision
from rampway.core.model.belonging import owned_meta
from rampway.core.traffic.route import Route
from rampway.core.traffic.split import Split
from rampway.kube.base import Obj
from rampway.kube.errors import AlreadyExists
from rampway.kube.kinds import DEPLOYMENT, ENDPOINT_SLICE, HTTP_ROUTE, SERVICE, Kind
from rampway.routers.base import Router
from rampway.routers.by_type import RouterByType
from rampway.routers.door import SETTLE_S
from rampway.routers.gateway_api import GatewayApiRouter
from rampway.routers.memory import MemoryRouter
from rampway.routers.replicas import ReplicasRouter
from rampway.sim.apiserver import MemoryApi, Store
from rampway.sim.cluster_status import route_parent

SPACE = "ml"
NOW_S = 1_800_000_000.0
STABLE = "00000000a1"
"""Hash of stable, where pods are counted."""


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
        objection: Words with which it can object.
        chooses: Whether requests can be copied, and chosen by their headers.
    """

    router: Router
    answer: Callable[[str], None]
    writes: Callable[[], int]
    make: Callable[[str], ModelDeployment] = deployment
    deployment: ModelDeployment = field(default_factory=deployment)
    objection: str = "no listener for this host"
    chooses: bool = True


def in_memory() -> RouterPlace:
    """Return the router in memory."""
    router = MemoryRouter()
    mine = deployment()
    return RouterPlace(
        router, lambda words: router.answer(mine, words), lambda: router.writes, deployment=mine
    )


async def reach(place: RouterPlace, split: Split) -> Route:
    """Set a split until all of it is there, the Gateways answering; return what is seen then."""
    for wait_s in (0.0, SETTLE_S, 2 * SETTLE_S):
        await place.router.set_split(place.deployment, split, NOW_S + wait_s)
        place.answer("")
    return await place.router.observe(place.deployment)


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


@dataclass
class WithPods:
    """The router that counts pods, and an operator that asks for as many as a split needs."""

    api: MemoryApi

    async def observe(self, deployment: ModelDeployment) -> Route:
        """Return the split as it is."""
        return await ReplicasRouter(self.api).observe(deployment)

    async def set_split(self, deployment: ModelDeployment, split: Split, now_s: float) -> None:
        """Have stable's Service, and the pods, then set the split."""
        name, space = deployment.name, deployment.namespace
        self._put(SERVICE, revision.service(deployment, name, STABLE))
        asked = {f"{name}-{STABLE}": 100 - split.weight_pct, split.candidate: split.weight_pct}
        for known in self.api.store.list(DEPLOYMENT, space, {labels.DEPLOYMENT: name}):
            asked.setdefault(known["metadata"]["name"], 0)
        for one, replicas in asked.items():
            if one:
                meta = owned_meta(deployment, one, one.removeprefix(f"{name}-"))
                workload = revision.workload(deployment, "server:1", replicas)
                self._put(DEPLOYMENT, workload | {"metadata": meta})
        await ReplicasRouter(self.api).set_split(deployment, split, now_s)

    def _put(self, kind: Kind, manifest: Obj) -> None:
        meta = manifest["metadata"]
        try:
            self.api.store.create(kind, manifest)
        except AlreadyExists:
            patch = {"spec": manifest["spec"]}
            self.api.store.patch(kind, meta["namespace"], meta["name"], patch)

    def answer(self, words: str = "") -> None:
        """Let the endpoints follow the selector; with words only stable's do."""
        live = self.api.store.get(SERVICE, SPACE, "digits-live")
        selector = live["spec"]["selector"]
        pods = [
            {"targetRef": {"name": f"{one['metadata']['name']}-{n}"}}
            for one in self.api.store.list(DEPLOYMENT, SPACE, {labels.DEPLOYMENT: "digits"})
            if selector.items() <= one["metadata"]["labels"].items()
            and not (words and one["metadata"]["name"] != f"digits-{STABLE}")
            for n in range(one["spec"]["replicas"])
        ]
        marks = live["metadata"]["labels"] | {"kubernetes.io/service-name": "digits-live"}
        meta = {"name": "digits-live-1", "namespace": SPACE, "labels": marks}
        slice_ = {"metadata": meta, "addressType": "IPv4", "endpoints": pods}
        try:
            self.api.store.create(ENDPOINT_SLICE, slice_)
        except AlreadyExists:
            self.api.store.patch(ENDPOINT_SLICE, SPACE, "digits-live-1", {"endpoints": pods})

    def writes(self) -> int:
        """Return the version of the Service that callers use."""
        live = self.api.store.get(SERVICE, SPACE, "digits-live")
        return int(live["metadata"]["resourceVersion"])


def counting(name: str = "digits") -> ModelDeployment:
    """Return a ModelDeployment without a gateway."""
    return _parsed(name, {"type": "Replicas"})


def over_replicas() -> RouterPlace:
    """Return the router that counts pods over an API server in memory."""
    router = WithPods(gateway().api)
    return RouterPlace(
        router, router.answer, router.writes, counting, counting(), "candidate pods", chooses=False
    )
