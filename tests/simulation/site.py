"""A user's own HTTPRoute of three rules, one of which a ModelDeployment splits."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from simulation.stage import NAME, SETTLE_S, Stage, model, policy

from rampway.kube import kinds
from rampway.kube.base import JsonPatch, Obj
from rampway.kube.errors import NotFound
from rampway.sim.traffic import Ledger, Rate
from rampway.sim.world import SPACE, World

SITE = "site"
RULE = "predict"
PLACE = 1
"""Position of our rule among the user's."""
REWRITE = {"type": "URLRewrite", "urlRewrite": {"hostname": "inner.example"}}
ROUTE: Obj = {
    "metadata": {"name": SITE, "namespace": SPACE, "labels": {"team": "web"}},
    "spec": {
        "parentRefs": [{"name": "eg"}],
        "hostnames": ["shop.example"],
        "rules": [
            {
                "name": "tenants",
                "matches": [{"headers": [{"name": "tenant", "value": "a"}]}],
                "backendRefs": [{"name": "tenant-a", "port": 80, "weight": 1}],
            },
            {
                "name": RULE,
                "matches": [{"path": {"type": "PathPrefix", "value": "/v2"}}],
                "filters": [REWRITE],
                "timeouts": {"request": "9s"},
                "backendRefs": [{"name": NAME, "port": 80, "weight": 1}],
            },
            {
                "name": "beta",
                "matches": [{"headers": [{"name": "x-beta", "value": "1"}]}],
                "backendRefs": [{"name": f"{NAME}-web", "port": 80, "weight": 1}],
            },
        ],
    },
}
REF = {"type": "RouteRef", "routeRef": {"name": SITE, "rule": RULE}}


@dataclass(slots=True)
class Site(Stage):
    """A stage whose model serves by a rule of the user's route."""

    def send(self, rate_per_s: Rate = 100.0) -> Ledger:
        """Let clients send through the user's route."""
        self.ledger = self.world.cluster.send(SPACE, SITE, rate_per_s)
        return self.ledger

    def route(self) -> Obj:
        """Return the user's route with our rule first, empty if there is none."""
        try:
            found = self.raw()
        except NotFound:
            return {}
        found["spec"]["rules"].sort(key=lambda rule: rule.get("name") != RULE)
        return found

    def raw(self) -> Obj:
        """Return the user's route as it is."""
        return self.world.store.get(kinds.HTTP_ROUTE, SPACE, SITE)

    @property
    def owners(self) -> list[str]:
        """Field managers that the rules belong to."""
        entries = self.raw()["metadata"].get("managedFields") or []
        ours = [e for e in entries if "f:rules" in e.get("fieldsV1", {}).get("f:spec", {})]
        return [entry["manager"] for entry in ours]

    def write(self, patch: JsonPatch, manager: str = "") -> None:
        """Write the user's route as somebody else does."""
        more = {"manager": manager} if manager else {}
        self.world.store.patch(kinds.HTTP_ROUTE, SPACE, SITE, patch, **more)

    def _watch_shape(self, backends: dict[str, int]) -> None:
        if self.phase != "Refused":  # then the rule is none of ours
            Stage._watch_shape(self, backends)

    def untouched(self) -> Obj:
        """Return what must stay byte for byte: all but our rule's backends, and bookkeeping."""
        route = self.raw()
        meta = {key: route["metadata"].get(key) for key in ("name", "labels", "ownerReferences")}
        rules = deepcopy(route["spec"]["rules"])
        mine = next(rule for rule in rules if rule.get("name") == RULE)
        del mine["backendRefs"]
        return {"metadata": meta, "spec": route["spec"] | {"rules": rules}}


def route(**changes: Any) -> Obj:
    """Return the user's route; `changes` are of our rule."""
    found = deepcopy(ROUTE)
    found["spec"]["rules"][PLACE] |= changes
    return found


def site(world: World | None = None) -> Site:
    """Return a stage with the user's other Services, and no route yet."""
    stage = Site(world or World())
    for name in ("tenant-a", f"{NAME}-web"):
        service: Obj = {"metadata": {"name": name, "namespace": SPACE}, "spec": {}}
        stage.world.store.create(kinds.SERVICE, service)
    return stage


def served(rollout: dict[str, Any] | None = None, *, world: World | None = None,
           rate_per_s: Rate = 100.0, **spec: Any) -> Site:  # fmt: skip
    """Return a stage on which v1 serves by the user's rule, under traffic."""
    stage = site(world)
    stage.world.store.create(kinds.HTTP_ROUTE, route())
    begin(stage, rollout, **spec)
    stage.until_phase("Healthy", SETTLE_S)
    stage.run(10)
    stage.send(rate_per_s)
    stage.run(10)
    return stage


def begin(stage: Stage, rollout: dict[str, Any] | None = None, **spec: Any) -> None:
    """Apply the ModelDeployment."""
    wanted: Obj = {"model": model(1), "replicas": 2, "traffic": REF}
    stage.apply(**wanted | {"rollout": {"policy": rollout or policy()}} | spec)
