"""Everything outside the operator: controllers, kubelets, gateway, clients and Prometheus."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Literal, Protocol

from rampway.core.checks.counters import Scrape
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.metrics.counted import parted
from rampway.metrics.direct import Target
from rampway.sim.api_store import Store
from rampway.sim.clock import SimClock
from rampway.sim.cluster_behaviour import Behaviour, Behaviours, Surroundings
from rampway.sim.cluster_kubelet import Kubelets
from rampway.sim.cluster_network import Network
from rampway.sim.cluster_scene import Key, Scene
from rampway.sim.cluster_workloads import DeploymentController
from rampway.sim.pods import SimPod, Stage
from rampway.sim.traffic import Group, Ledger, Load, Rate

ROUNDS = 3
"""Controllers react to each other this often within a step, as they do within a second."""


class Recorder(Protocol):
    """Where scrapes go: what Prometheus stores."""

    def record(self, scrape: Scrape) -> None:
        """Store one scrape."""
        ...


class SimCluster:
    """A cluster that reacts, step by step, to what is written to its API server.

    It writes to the store directly, so that faults meant for the operator do not strike it. For
    deletions that come by the API, make the store with `pod_grace_s=GRACE_S`.

    Attributes:
        behaviours: How the pods of each revision behave, by hash; may be changed at any time.
        scraping: Whether Prometheus scrapes; False: what it has grows stale.
    """

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        clock: SimClock,
        rng: Random,
        *,
        surroundings: Surroundings | None = None,
        default: Behaviour | None = None,
    ) -> None:
        self.scraping = True
        self._behaviours = Behaviours(default or Behaviour())
        self._recorder = recorder
        around = surroundings or Surroundings()
        self._scene = Scene(store, clock, rng, self._behaviours, around)
        self._workloads = DeploymentController(self._scene)
        self._kubelets = Kubelets(self._scene)
        self._network = Network(self._scene)
        self._struck: set[tuple[str, str, float]] = set()
        self._reacted_to = -1  # the store's version that all have reacted to; -1: not to all
        self._kubelets.start()

    @property
    def behaviours(self) -> dict[str, Behaviour]:
        """How each revision behaves, by its hash."""
        return self._behaviours.by_hash

    def step(self, dt_s: float = 1.0) -> None:
        """Let everybody take in what is new, clients send for `dt_s` seconds, and all react."""
        if self._scene.store.revision != self._reacted_to:
            self._react()
        self._network.serve(dt_s)
        self._scene.clock.advance(dt_s)
        self._strike()
        self._react()
        self._scrape()

    def run(self, seconds: float, dt_s: float = 1.0) -> None:
        """Step until so many seconds have passed."""
        until_s = self._scene.clock.now_s + seconds
        while self._scene.clock.now_s < until_s:
            self.step(dt_s)

    # Clients

    def send(self, namespace: str, route: str, rate_per_s: Rate) -> Ledger:
        """Let clients send through a route from now on; return the count that they keep."""
        load = self._network.loads.setdefault((namespace, route), Load())
        load.rate_per_s = rate_per_s
        return load.ledger

    def call(self, namespace: str, service: str, rate_per_s: Rate) -> Ledger:
        """Let clients call a Service from now on, without a route."""
        ledger = self.send(namespace, service, rate_per_s)
        self._network.loads[namespace, service].direct = True
        return ledger

    def bear(self, namespace: str, route: str, share: float, headers: Mapping[str, str]) -> Ledger:
        """Let a share of a route's requests bear headers; return what those clients see."""
        load = self._network.loads.setdefault((namespace, route), Load())
        lower = tuple(sorted((name.lower(), value) for name, value in headers.items()))
        load.groups.append(Group(share, lower))
        return load.groups[-1].ledger

    def weights(self, namespace: str, route: str) -> dict[str, int] | None:
        """Return the weights in force in the data plane, by Service; None without a route."""
        return self._network.in_force(namespace, route)

    def refuse(self, namespace: str, route: str, words: str) -> None:
        """Let the Gateway refuse a route's later changes; empty words: accept it again."""
        self._reacted_to = -1
        self._network.refusals[namespace, route] = words

    # Pods and nodes

    def pods(self, namespace: str, revision: str = "") -> list[SimPod]:
        """Return the pods of a revision, by hash, or all of them; in order of name."""
        return [
            pod
            for key, pod in sorted(self._scene.pods.items())
            if key[0] == namespace and revision in {"", pod.origin.revision}
        ]

    def crash(self, namespace: str, pod: str, reason: Literal["Error", "OOMKilled"]) -> None:
        """Let a pod's container end now."""
        self._reacted_to = -1
        self._kubelets.end(self._pod(namespace, pod), reason, 137 if reason == "OOMKilled" else 139)

    def delete_pod(self, namespace: str, pod: str) -> None:
        """Delete a pod, as somebody with kubectl does."""
        self._scene.delete_pod(self._pod(namespace, pod))

    def evict(self, namespace: str, pod: str) -> None:
        """Evict a pod by the eviction API: DisruptionTarget, then deletion with grace."""
        found = self._pod(namespace, pod)
        found.disruption = ("EvictionByEvictionAPI", "Eviction API: evicting")
        self._kubelets.tell(found)
        self._scene.delete_pod(found)

    def drain(self, node: str) -> None:
        """Cordon a node and evict its pods."""
        store = self._scene.store
        store.patch(kinds.NODE, None, node, {"spec": {"unschedulable": True}})
        for pod in [p for p in self._scene.pods.values() if p.node == node]:
            if pod.ends_at_s is None:
                self.evict(pod.namespace, pod.name)

    def lose_node(self, node: str) -> None:
        """Cut a node off: its pods answer nobody, and no kubelet speaks for them."""
        self._scene.lost_s[node] = self._scene.clock.now_s
        for pod in self._scene.pods.values():
            if pod.node == node:
                pod.severed = True

    def digest(self, namespace: str, pod: str) -> str | None:
        """Return the digest of the bytes that a pod says it loaded, None if it does not answer."""
        found = self._scene.pods.get((namespace, pod))
        return found.loaded_sha256 if found is not None and found.serving else None

    async def probe_digest(self, namespace: str, pod: Obj, _model: str) -> str:
        """Return the same in the form that the gatherer asks for it."""
        return self.digest(namespace, pod["metadata"]["name"]) or ""

    async def scrapes(self, targets: Sequence[Target]) -> tuple[Scrape, ...]:
        """Return what these pods say themselves, as a `PodReader`."""
        found: list[Scrape] = []
        for target in targets:
            pod = self._scene.pods.get((target.namespace, target.pod))
            if pod is not None and pod.stage is Stage.RUNNING and not pod.severed:
                told = pod.scrape(self._scene.clock.now_s).seen_directly()
                found += parted(told, target.counters)
        return tuple(found)

    def _pod(self, namespace: str, name: str) -> SimPod:
        found = self._scene.pods.get((namespace, name))
        if found is None:
            known = ", ".join(sorted(n for _, n in self._scene.pods)) or "none"
            raise KeyError(f"no pod {namespace}/{name}; there are: {known}")
        return found

    def _react(self) -> None:
        scene = self._scene
        scene.follow()
        for _ in range(ROUNDS):
            self._reacted_to = scene.store.revision
            self._workloads.step()
            self._kubelets.step()
            self._network.step()
            scene.follow()
            scene.collect_garbage()
            if scene.store.revision == self._reacted_to:
                break

    def _strike(self) -> None:
        """Let containers end whose revision's instants have come, each instant one of them."""
        elapsed_s = self._scene.clock.elapsed_s
        for revision, how in self.behaviours.items():
            due = [("Error", at_s) for at_s in how.crash_at_s if at_s <= elapsed_s]
            due += [("OOMKilled", at_s) for at_s in how.oom_at_s if at_s <= elapsed_s]
            for reason, at_s in due:
                mark = (revision, reason, at_s)
                victim = self._victim(revision)
                if mark not in self._struck and victim is not None:
                    self._struck.add(mark)
                    self._kubelets.end(victim, reason, 137 if reason == "OOMKilled" else 139)

    def _victim(self, revision: str) -> SimPod | None:
        running: list[tuple[Key, SimPod]] = sorted(
            (key, pod)
            for key, pod in self._scene.pods.items()
            if pod.origin.revision == revision and pod.serving and pod.ends_at_s is None
        )
        return running[0][1] if running else None

    def _scrape(self) -> None:
        scene = self._scene
        for pod in scene.pods.values():
            if pod.stage is not Stage.RUNNING or pod.severed:
                continue
            if scene.clock.now_s < pod.next_scrape_s:
                continue
            while pod.next_scrape_s <= scene.clock.now_s:
                pod.next_scrape_s += scene.surroundings.scrape_interval_s
            if self.scraping:
                self._recorder.record(pod.scrape(scene.clock.now_s))
