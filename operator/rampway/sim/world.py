"""The real core and executor against the simulated cluster: rollouts on a clock of its own."""

import math
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from rampway.api import labels
from rampway.api.deployment import ModelDeploymentStatus
from rampway.api.parse import ModelRollout, parse_deployment, parse_rollout
from rampway.core.checks.sources import Allowed
from rampway.core.model import revision
from rampway.core.observation import Defaults
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.errors import KubeError
from rampway.metrics.base import MetricSource
from rampway.metrics.memory import MemorySource
from rampway.routers.by_type import RouterByType
from rampway.routers.gateway_api import read
from rampway.shell.authors import Stamping
from rampway.shell.events import Recorder
from rampway.shell.execute import Executor
from rampway.shell.fence import Fence
from rampway.shell.gather import Gatherer
from rampway.shell.looks import Key, Looks
from rampway.shell.reconcile import Reconciler
from rampway.shell.shared import KINDS as SHARED_KINDS
from rampway.shell.shared import Shared
from rampway.sim import admission, loop
from rampway.sim.api_store import Store
from rampway.sim.apiserver import Killed, MemoryApi
from rampway.sim.clock import SimClock
from rampway.sim.cluster import SimCluster
from rampway.sim.cluster_behaviour import Behaviour, Surroundings
from rampway.sim.hooks import MemoryCalls
from rampway.sim.places import OWN_PROMETHEUS, Places

SPACE = "default"
RESYNC_S = 60.0
WATCHED = (
    kinds.MODEL_DEPLOYMENT,
    kinds.MODEL_ROLLOUT,
    kinds.DEPLOYMENT,
    kinds.POD,
    kinds.SERVICE,
    kinds.ENDPOINT_SLICE,
    kinds.HTTP_ROUTE,
    *SHARED_KINDS,
)
RETRY_S = 1.0
OWNED = {"ownedRoute": {"parentRefs": [{"name": "eg"}]}}
PASSES = 60
"""A ModelDeployment that wants another pass at once more often than this is in a loop."""


class Livelock(AssertionError):  # noqa: N818 - named like the thing it finds
    """The operator kept wanting another pass without time going on."""


@dataclass(slots=True)
class World:
    """A cluster and an operator in it.

    Attributes:
        look_interval_s: Seconds between two looks at the metrics.
        direct_look: Whether pods are read directly; most tests scrape every second anyway.
        watch_lag_s: So late the operator hears of changes.
        elsewhere: Sources by their address; any other address is that of `source`.
        allowed: The administrator's list of addresses.
        seed: Of all dice.
        shares: What is read is the stored object itself, which refuses to be altered; no copy.
        restart_s: So long a killed operator stays away.
        stalled_until_s: Until then the operator waits for an answer, and does nothing.
        deaf: The watch is cut: what happens is not heard until `listen_again`.
        restarts: How often the operator was killed and started again.
        calls: The other side of hooks' HTTP calls.
        term: Of the operator: each one that starts has a later one.
    """

    look_interval_s: float = 1.0
    checkpoint_interval_s: float = 30.0
    watch_lag_s: float = 0.0
    direct_look: bool = False
    seed: int = 1
    shares: bool = False
    surroundings: Surroundings = field(default_factory=lambda: Surroundings(scrape_interval_s=1.0))
    clock: SimClock = field(default_factory=SimClock)
    source: MemorySource = field(default_factory=MemorySource)
    elsewhere: dict[str, MetricSource] = field(default_factory=dict)
    allowed: tuple[Allowed, ...] = (Allowed(OWN_PROMETHEUS, open=True),)
    restart_s: float = 0.0
    stalled_until_s: float = 0.0
    deaf: bool = False
    restarts: int = 0
    term: int = 0
    running: bool = True
    calls: MemoryCalls = field(default_factory=MemoryCalls)
    store: Store = field(init=False)
    api: MemoryApi = field(init=False)
    cluster: SimCluster = field(init=False)
    looks: Looks = field(init=False)
    reconciler: Reconciler = field(init=False)
    _due: dict[Key, float] = field(default_factory=dict)
    _heard: int = 0
    _looked_s: float = 0.0
    _resynced_s: float = 0.0
    _back_s: float = math.inf

    def __post_init__(self) -> None:
        """Make cluster and operator."""
        self.store = Store(self.clock.now, pod_grace_s=revision.GRACE_S, shares=self.shares)
        self.api = MemoryApi(self.store)
        dice = Random(self.seed)  # noqa: S311 - nothing here is secret
        self.cluster = SimCluster(
            self.store, self.source, self.clock, dice, surroundings=self.surroundings
        )
        self.start()

    def start(self) -> None:
        """Start a new operator: nothing is remembered, everything is listed."""
        api, router = self.api, RouterByType(self.api)
        defaults = Defaults("server:1", self.checkpoint_interval_s)
        self.looks = Looks(self.source, self.cluster, self.clock, self.wake, Places(self))
        self.calls.forget()
        self.term += 1
        fence = Fence(api, self.term, lambda: True)
        self.reconciler = Reconciler(
            api,
            Gatherer(
                api,
                router,
                defaults,
                self.cluster.probe_digest,
                fence,
                self.calls,
                Stamping(api, self.clock),
                Shared(partial(getattr, self, "allowed"), OWN_PROMETHEUS),  # closures aren't copied
            ),
            Executor(api, router, Recorder(api, self.clock, "sim"), fence, self.calls),
            self.looks,
            fence,
            self.clock,
        )
        self._due.clear()
        self._resynced_s = 0.0
        self._back_s = math.inf
        self.running = True

    def kill(self, back_s: float = math.inf) -> None:
        """End the operator where it stands; it is back after `back_s`, or by `start`."""
        self.running = False
        self._back_s = self.clock() + back_s

    def listen_again(self) -> None:
        """Mend the watch: as after every gap in it, all that is there is told."""
        self.deaf, self._resynced_s = False, 0.0
        for kind in WATCHED:
            for obj in self.store.view(kind).values():
                self._tell(kind, obj, obj["metadata"]["resourceVersion"])

    def wake(self, key: Key) -> None:
        """Have a ModelDeployment looked at now."""
        self._due[key] = self.clock()

    def run(self, seconds: float, dt_s: float = 1.0) -> None:
        """Let time go on."""
        for _ in range(round(seconds / dt_s)):
            self.step(dt_s)

    def step(self, dt_s: float = 1.0) -> None:
        """Let one step of time go on, then let the operator react."""
        self.cluster.step(dt_s)
        if not self.running and self.clock() >= self._back_s:
            self.start()
        if not self.running or self.clock() < self.stalled_until_s:
            return
        try:
            loop.run(self._react(), eager=not self.api.yields)
        except Killed:
            self.restarts += 1
            self.api.revive()
            self.kill(self.restart_s)
            if not self.restart_s:
                self.start()

    async def _react(self) -> None:
        now_s = self.clock()
        self._hear()
        if now_s - self._resynced_s >= RESYNC_S:
            self._resynced_s = now_s
            for key, obj in self.store.view(kinds.MODEL_DEPLOYMENT).items():
                self._tell(kinds.MODEL_DEPLOYMENT, obj, obj["metadata"]["resourceVersion"])
                self.wake(key)
            for (space, _), obj in self.store.view(kinds.SERVICE).items():
                marks = obj["metadata"].get("labels") or {}
                if labels.ON_DELETION in marks:
                    self.wake((space, marks[labels.DEPLOYMENT]))
        if now_s - self._looked_s >= self.look_interval_s:
            self._looked_s = now_s
            await self.looks.look()
        if self.direct_look:
            await self.looks.look_directly()
        for _ in range(PASSES):
            due = [key for key, at_s in self._due.items() if at_s <= now_s]
            if not due:
                return
            for key in due:
                await self._pass(key)
            self._hear()
        raise Livelock(f"{PASSES} passes at {now_s}: {self.api.calls[-12:]}")

    async def _pass(self, key: Key) -> None:
        del self._due[key]
        try:
            again_s = await self.reconciler.reconcile(key)
        except KubeError:
            again_s = RETRY_S
        if again_s is not None:
            due_s = self.clock() + again_s
            self._due[key] = min(due_s, self._due.get(key, due_s))

    def _hear(self) -> None:
        """Turn changes into keys, as the watch does."""
        if self.deaf:
            self._heard = self.store.revision
            return
        changes = self.store.seen_since(self._heard, lag_s=self.watch_lag_s)
        self._heard += len(changes)
        for change in changes:
            gone = change.type == "DELETED"
            version = "" if gone else change.obj["metadata"]["resourceVersion"]
            self._tell(change.kind, change.obj, version)

    def _tell(self, kind: kinds.Kind, obj: Obj, version: str) -> None:
        """Tell of an object as the watch does; one that is gone has no version."""
        if kind not in WATCHED:
            return
        meta = obj["metadata"]
        name = meta["name"]
        if kind in SHARED_KINDS:
            for key in self.reconciler.leaning_on((kind.kind, meta.get("namespace", ""), name)):
                if self.reconciler.touch(key, kind.kind, name, version):
                    self.wake(key)
            return
        if kind is not kinds.MODEL_DEPLOYMENT:
            name = (meta.get("labels") or {}).get(labels.DEPLOYMENT, "")
        space, followers = meta["namespace"], self.reconciler.followers
        keys = [(space, name)] if name else []
        if kind is kinds.HTTP_ROUTE and not name:
            keys = list(followers.of(space, meta["name"]))
        for key in keys:
            if self.reconciler.touch(key, kind.kind, meta["name"], version):
                self.wake(key)

    # What people do.

    def apply(self, name: str, spec: dict[str, Any], by: str = "") -> None:
        """Create a ModelDeployment, or change fields of its spec; `by` is stamped on it."""
        kind, store = kinds.MODEL_DEPLOYMENT, self.store
        old = store.view(kind).get((SPACE, name))
        told = admission.stamps(old, spec, by, self.clock.now())
        if old is None:
            meta = told | {"name": name, "namespace": SPACE}
            store.create(kind, {"metadata": meta, "spec": {"traffic": OWNED} | spec})
        else:
            patch = {"metadata": told, "spec": spec}
            store.patch(kind, SPACE, name, patch, manager="kubectl-patch")

    def behave(self, revision_hash: str, how: Behaviour) -> None:
        """Let a revision's pods behave like this."""
        self.cluster.behaviours[revision_hash] = how

    # What people see.

    def status(self, name: str) -> ModelDeploymentStatus:
        """Return the status of a ModelDeployment."""
        return parse_deployment(self.store.get(kinds.MODEL_DEPLOYMENT, SPACE, name)).status

    def condition(self, name: str, kind: str) -> str:
        """Return the status of a condition, empty if there is none."""
        found = (c.status for c in self.status(name).conditions if c.type == kind)
        return next(found, "")

    def desired(self, name: str) -> str:
        """Return the hash of the spec's revision."""
        obj = self.store.get(kinds.MODEL_DEPLOYMENT, SPACE, name)
        return revision.revision_hash(parse_deployment(obj).spec)

    def rollouts(self, name: str) -> list[ModelRollout]:
        """Return the rollouts of a ModelDeployment, oldest first."""
        found = self.store.list(kinds.MODEL_ROLLOUT, SPACE, {labels.DEPLOYMENT: name})
        return sorted((parse_rollout(obj) for obj in found), key=lambda r: r.spec.attempt)

    def weight_pct(self, name: str) -> int:
        """Return the candidate's share on the route."""
        route = self.store.get(kinds.HTTP_ROUTE, SPACE, name)
        owner = parse_deployment(self.store.get(kinds.MODEL_DEPLOYMENT, SPACE, name))
        return read(route, owner).split.weight_pct
