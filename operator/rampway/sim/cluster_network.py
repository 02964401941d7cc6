"""Between client and pod: EndpointSlices, the gateway controller, and the gateway's data plane."""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from rampway.api import labels
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.sim.cluster_rules import Rule, Rules, met, rules_of
from rampway.sim.cluster_scene import Key, Scene
from rampway.sim.cluster_status import endpoint, endpoint_slice, route_parent
from rampway.sim.cluster_workloads import random_suffix
from rampway.sim.pods import Endpoint
from rampway.sim.traffic import Group, Load, binomial, evenly, multinomial

T = TypeVar("T")


class Line(Generic[T]):
    """A value that arrives with a delay, in order.

    Attributes:
        value: What has arrived last.
        arrived_s: When it did, which may be between two steps; lines in a row do not add up
            the steps' lengths.
    """

    def __init__(self, first: T, delay_s: float) -> None:
        self.value = first
        self.arrived_s = 0.0
        self._last = first
        self._delay_s = delay_s
        self._coming: deque[tuple[float, T]] = deque()

    def send(self, value: T, now_s: float) -> None:
        """Send a value off, unless it is the one sent last."""
        if value != self._last:
            self._last = value
            self._coming.append((now_s + self._delay_s, value))

    def arrive(self, now_s: float) -> bool:
        """Take in what has arrived by now; return whether anything has."""
        before = len(self._coming)
        while self._coming and self._coming[0][0] <= now_s:
            self.arrived_s, self.value = self._coming.popleft()
        return len(self._coming) < before


@dataclass(frozen=True, slots=True)
class Split:
    """What the gateway controller reads off a route, with its objections if it has any."""

    uid: str
    generation: int
    rules: Rules
    accepted: str = ""
    unresolved: str = ""


@dataclass(slots=True)
class Way:
    """One Service on its way from the pods to the data plane."""

    slice: Line[tuple[Endpoint, ...]]
    proxy: Line[tuple[Endpoint, ...]]


@dataclass(slots=True)
class Network:
    """Routes requests as the cluster's network would at this instant.

    Attributes:
        loads: The clients of each route, by namespace and name.
        refusals: Routes that the Gateway does not accept from now on, and its words.
    """

    scene: Scene
    loads: dict[Key, Load] = field(default_factory=dict)
    refusals: dict[Key, str] = field(default_factory=dict)
    _ways: dict[Key, Way] = field(default_factory=dict)
    _splits: dict[Key, Line[Split | None]] = field(default_factory=dict)
    _rules: dict[Key, Line[Rules | None]] = field(default_factory=dict)

    _sent_of: tuple[object, ...] = ()
    _news: bool = True

    def step(self) -> None:
        """Let endpoints and routes arrive where they are due by now.

        What is sent off follows from what is in the store, once the kubelets have spoken.
        """
        sight = (self.scene.store.revision, *self.refusals.items())
        self._news, self._sent_of = sight != self._sent_of, sight
        for key in sorted(self._ways.keys() | self.scene.objects[kinds.SERVICE].keys()):
            self._step_service(key)
        for key in sorted(self._splits.keys() | self.scene.objects[kinds.HTTP_ROUTE].keys()):
            self._step_route(key)

    def in_force(self, namespace: str, route: str) -> dict[str, int] | None:
        """Return the weights by which the data plane now splits a route, None without one.

        They are those of requests that bear no headers that a rule asks for.
        """
        rule = self._met((namespace, route), None)
        return None if rule is None else dict(rule.backends)

    def serve(self, dt_s: float) -> None:
        """Send the requests of one step, which begins now, and count how they ended."""
        clock = self.scene.clock
        for key, load in self.loads.items():
            n = load.requests(self.scene.rng, clock.elapsed_s, dt_s)
            for group, share in load.grouped(self.scene.rng, n):
                self._route(key, load, group, share, dt_s)

    def _met(self, route: Key, group: Group | None) -> Rule | None:
        line = self._rules.get(route)
        rules = None if line is None else line.value
        return None if rules is None else met(rules, group.headers if group else ())

    def _route(self, key: Key, load: Load, group: Group | None, n: int, dt_s: float) -> None:
        if load.direct:
            self._balance(key, load, group, n, dt_s)
            return
        at_s = self.scene.clock.now_s + dt_s
        rule = self._met(key, group)
        weights = [weight for _, weight in rule.backends] if rule else []
        if rule is None or not sum(weights):
            load.count(group, at_s, "", n, {"no route": n})
            return
        shares = multinomial(self.scene.rng, n, weights)
        for (name, _), share in zip(rule.backends, shares, strict=True):
            if share:
                self._balance((key[0], name), load, group, share, dt_s)
        for name, percent in rule.mirrors:
            self._copy((key[0], name), load, binomial(self.scene.rng, n, percent / 100), dt_s)

    def _balance(self, service: Key, load: Load, group: Group | None, n: int, dt_s: float) -> None:
        at_s = self.scene.clock.now_s + dt_s
        found = self.scene.objects[kinds.SERVICE].get(service)
        if found is None:
            load.count(group, at_s, "", n, {"no Service": n})
            return
        targets = self._targets(service)
        if not targets:
            revision = (found["spec"].get("selector") or {}).get(labels.REVISION, "")
            load.count(group, at_s, revision, n, {"no endpoints": n})
            return
        shares = evenly(self.scene.rng, n, len(targets))
        for target, share in zip(targets, shares, strict=True):
            if share:
                failures = self._answer(service[0], target, share, dt_s)
                load.count(group, at_s, target.revision, share, failures)

    def _copy(self, service: Key, load: Load, n: int, dt_s: float) -> None:
        """Send copies of requests: the pods count them, their answers are thrown away."""
        targets = self._targets(service) if n else []
        if not targets:
            return
        for target, share in zip(targets, evenly(self.scene.rng, n, len(targets)), strict=True):
            if share:
                self._answer(service[0], target, share, dt_s)
                load.ledger.copies[target.revision] += share

    def _targets(self, service: Key) -> list[Endpoint]:
        way = self._ways.get(service)
        return [e for e in way.proxy.value if e.ready] if way else []

    def _answer(self, namespace: str, target: Endpoint, n: int, dt_s: float) -> dict[str, int]:
        pod = self.scene.pods.get((namespace, target.pod))
        if pod is None or pod.uid != target.uid or not pod.serving:
            return {"no answer": n}
        return pod.answer(self.scene.rng, n, self.scene.how(pod), dt_s)

    def _step_service(self, key: Key) -> None:
        now_s, around = self.scene.clock.now_s, self.scene.surroundings
        service = self.scene.objects[kinds.SERVICE].get(key)
        way = self._ways.get(key)
        if way is None:
            way = Way(Line((), around.endpoints_delay_s), Line((), around.proxy_delay_s))
            self._ways[key] = way
        if service is None:
            del self._ways[key]  # its slices are the garbage collector's
            return
        if self._news:
            way.slice.send(self._selected(key[0], service), now_s)
        if way.slice.arrive(now_s) or (self._news and not self._slice_of(key)):
            self._write_slice(key, service, way.slice.value)
        way.proxy.send(way.slice.value, way.slice.arrived_s)
        way.proxy.arrive(now_s)

    def _selected(self, namespace: str, service: Obj) -> tuple[Endpoint, ...]:
        wanted = (service["spec"].get("selector") or {}).items()
        if not wanted:
            return ()
        found = [
            pod.endpoint
            for (space, _), pod in self.scene.pods.items()
            if space == namespace and wanted <= pod.labels.items()
        ]
        return tuple(sorted((e for e in found if e is not None), key=lambda e: e.pod))

    def _slice_of(self, key: Key) -> str:
        """Return the name of a Service's EndpointSlice, empty if there is none."""
        for (namespace, name), found in self.scene.objects[kinds.ENDPOINT_SLICE].items():
            marks = found["metadata"]["labels"]
            if namespace == key[0] and marks.get("kubernetes.io/service-name") == key[1]:
                return name
        return ""

    def _write_slice(self, key: Key, service: Obj, found: tuple[Endpoint, ...]) -> None:
        namespace, name = key
        endpoints = [endpoint(one, namespace) for one in found]
        known = self._slice_of(key)
        if known:
            store = self.scene.store
            store.patch(kinds.ENDPOINT_SLICE, namespace, known, {"endpoints": endpoints})
            self.scene.follow()
            return
        suffix = random_suffix(self.scene)
        made = endpoint_slice(service, f"{name}-{suffix}", endpoints)
        self.scene.store.create(kinds.ENDPOINT_SLICE, made)
        self.scene.follow()

    def _step_route(self, key: Key) -> None:
        now_s, around = self.scene.clock.now_s, self.scene.surroundings
        route = self.scene.objects[kinds.HTTP_ROUTE].get(key)
        if key not in self._splits:
            self._splits[key] = Line(None, around.route_delay_s)
            self._rules[key] = Line(None, around.proxy_delay_s)
        splits, rules = self._splits[key], self._rules[key]
        if self._news:
            splits.send(self._read(key, route) if route else None, now_s)
        if splits.arrive(now_s):
            split = splits.value
            if split is None:
                rules.send(None, splits.arrived_s)
            elif route:
                self._write_route(key, route, split)
                if not split.accepted:
                    rules.send(split.rules, splits.arrived_s)
        rules.arrive(now_s)

    def _read(self, key: Key, route: Obj) -> Split:
        rules = rules_of(route["spec"].get("rules") or [{}])
        services = self.scene.objects[kinds.SERVICE]
        named = (name for rule in rules for name in rule.services)
        missing = [name for name in named if (key[0], name) not in services]
        words = f"Service {key[0]}/{missing[0]} not found" if missing else ""
        meta = route["metadata"]
        refusal = self.refusals.get(key, "")
        return Split(meta["uid"], int(meta["generation"]), rules, refusal, words)

    def _write_route(self, key: Key, route: Obj, split: Split) -> None:
        at_s = self.scene.clock.now_s
        parents = [
            route_parent(ref, split.generation, split.accepted, split.unresolved, at_s)
            for ref in route["spec"].get("parentRefs") or []
        ]
        self.scene.store.patch(
            kinds.HTTP_ROUTE, *key, {"status": {"parents": parents}}, subresource="status"
        )
        self.scene.follow()
