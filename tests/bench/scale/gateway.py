"""A gateway that serves nobody: it says of each route what a real one says, at once.

A real one would need as much of this machine as everything else together.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.scale.api import Api, Mirror, Obj, Refused

from rampway.api.labels import MANAGED_BY, MANAGER
from rampway.core.instants import to_wire
from rampway.kube.kinds import GATEWAY, HTTP_ROUTE, NAMESPACE, Kind

GATEWAY_CLASS = Kind(
    "gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass", namespaced=False
)
NAME = "rampway-bench-scale"
CONTROLLER = f"rampway.dev/{NAME}"
ACCEPTED = ("Accepted", "ResolvedRefs")
WRITERS = 8
Key = tuple[str, str]
"""Namespace and name of a route, and of its ModelDeployment."""


def manifests(namespace: str, labels: dict[str, str]) -> list[tuple[Kind, Obj]]:
    """Return the namespace, the class and the Gateway, in this order."""
    space = {"metadata": {"name": namespace, "labels": labels}}
    made = {"metadata": {"name": NAME, "labels": labels}, "spec": {"controllerName": CONTROLLER}}
    listener = {
        "name": "http", "protocol": "HTTP", "port": 80,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }  # fmt: skip
    gateway = {
        "metadata": {"name": NAME, "namespace": namespace, "labels": labels},
        "spec": {"gatewayClassName": NAME, "listeners": [listener]},
    }
    pairs = ((NAMESPACE, space), (GATEWAY_CLASS, made), (GATEWAY, gateway))
    return [(k, {"apiVersion": k.api_version, "kind": k.kind, **obj}) for k, obj in pairs]


def answer(route: Obj, now_s: float) -> Obj | None:
    """Return the status that a route lacks, None if it has been answered or is not ours."""
    generation = route["metadata"]["generation"]
    ours = [ref for ref in route["spec"].get("parentRefs") or [] if ref["name"] == NAME]
    parents = (route.get("status") or {}).get("parents") or []
    seen = [
        condition.get("observedGeneration")
        for parent in parents
        if parent.get("controllerName") == CONTROLLER
        for condition in parent["conditions"]
    ]
    if not ours or seen == [generation] * len(ACCEPTED):
        return None
    conditions = [
        {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime":
         to_wire(now_s), "observedGeneration": generation}
        for kind in ACCEPTED
    ]  # fmt: skip
    return {
        "parents": [
            {"parentRef": ref, "controllerName": CONTROLLER, "conditions": conditions}
            for ref in ours
        ]
    }


def split(route: Obj) -> tuple[str, int]:
    """Return the candidate's Service and its share in percent; none and 0 at rest."""
    backends = route["spec"]["rules"][0].get("backendRefs") or []
    weights = {ref["name"]: ref.get("weight", 1) for ref in backends}
    stable = weights.pop(route["metadata"]["name"], 0)
    candidate = next(iter(weights), "")
    given = sum(weights.values())
    return candidate, round(100 * given / (given + stable)) if given else 0


@dataclass(slots=True)
class Gateway:
    """Watches all routes, answers those of ours, and tells of each change of a split.

    Attributes:
        told: Hears of the key, the candidate's Service and its share whenever they change.
        splits: The splits, with the time at which each was seen first.
    """

    api: Api
    told: Callable[[Key, str, int], None]
    clock: Callable[[], float] = time.time
    splits: dict[Key, tuple[str, int, float]] = field(default_factory=dict)
    mirror: Mirror = field(init=False)
    _due: "asyncio.Queue[Obj]" = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        """Prepare the watch."""
        selector = f"{MANAGED_BY}={MANAGER}"
        self.mirror = Mirror(self.api, HTTP_ROUTE, selector, lambda _: {}, self._seen)

    def off_since(self, key: Key, after_s: float) -> float | None:
        """Return when the candidate's share became 0, None while it is not since an instant."""
        _, share_pct, at_s = self.splits.get(key, ("", 0, 0.0))
        return at_s if share_pct == 0 and at_s > after_s else None

    async def run(self) -> None:
        """Be the gateway until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.mirror.run())
            for _ in range(WRITERS):
                group.create_task(self._write())

    def _seen(self, route: Obj) -> None:
        meta = route["metadata"]
        key = meta["namespace"], meta["name"]
        if all(ref["name"] != NAME for ref in route["spec"].get("parentRefs") or []):
            return
        candidate, share_pct = split(route)
        if self.splits.get(key, ())[:2] != (candidate, share_pct):
            self.splits[key] = candidate, share_pct, self.clock()
            self.told(key, candidate, share_pct)
        if answer(route, self.clock()):
            self._due.put_nowait(route)

    async def _write(self) -> None:
        while True:
            route = await self._due.get()
            meta, status = route["metadata"], answer(route, self.clock())
            try:
                await self.api.patch(
                    HTTP_ROUTE, meta["namespace"], meta["name"], {"status": status},
                    subresource="status",
                )  # fmt: skip
            except Refused as error:
                # Its namespace may be on its way out; whatever is left over comes again.
                print(f"gateway: {error}", flush=True)  # noqa: T201 - a bench tells
