"""What all simulated controllers share: the API as they see it, and the pods' inner state."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from rampway.api import labels
from rampway.core.model.revision import GRACE_S
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.errors import NotFound
from rampway.kube.kinds import Kind
from rampway.sim.api_store import Change, Store
from rampway.sim.clock import SimClock
from rampway.sim.cluster_behaviour import Behaviour, Behaviours, Surroundings
from rampway.sim.pods import SimPod

Key = tuple[str, str]
"""Namespace and name; the namespace is empty for what has none."""

FOR_EVER_S = 86_400.0

FOLLOWED = (
    kinds.DEPLOYMENT,
    kinds.SERVICE,
    kinds.ENDPOINT_SLICE,
    kinds.CONFIG_MAP,
    kinds.HTTP_ROUTE,
    kinds.NODE,
)


@dataclass(slots=True)
class Scene:
    """The stage on which the controllers play.

    Attributes:
        objects: The objects of the followed kinds, as last seen.
        pods: Every pod that a simulated Deployment controller made.
        lost_s: Nodes that went silent, and since when in seconds since the Unix epoch.
        litter: Something was deleted, so the garbage collector has to look.
        blows: How many containers have ended, told to the API server or not yet.
    """

    store: Store
    clock: SimClock
    rng: Random
    behaviours: Behaviours
    surroundings: Surroundings
    objects: dict[Kind, dict[Key, Obj]] = field(default_factory=lambda: {k: {} for k in FOLLOWED})
    pods: dict[Key, SimPod] = field(default_factory=dict)
    lost_s: dict[str, float] = field(default_factory=dict)
    litter: bool = False
    blows: int = 0
    _seen: int = 0

    def follow(self) -> None:
        """Take in what was written since the last time, by whomever."""
        if self._seen == self.store.revision:
            return
        for change in self.store.seen_since(self._seen):
            self._seen = change.revision
            self.litter = self.litter or change.type == "DELETED"
            if change.kind == kinds.POD:
                self._follow_pod(change)
            elif change.kind in self.objects:
                self._follow_object(change)

    def collect_garbage(self) -> None:
        """Let the garbage collector run if there may be something to collect."""
        if self.litter:
            self.store.settle()
            self.follow()
            self.litter = False

    def pods_of(self, namespace: str, deployment: str) -> list[SimPod]:
        """Return a Deployment's pods that are not deleted, in order of name."""
        return sorted(
            (
                pod
                for (space, _), pod in self.pods.items()
                if space == namespace
                and pod.origin.deployment == deployment
                and pod.ends_at_s is None
            ),
            key=lambda pod: pod.name,
        )

    def how(self, pod: SimPod) -> Behaviour:
        """Return how a pod behaves now."""
        return self.behaviours.of(pod.origin.revision).at(self.clock.elapsed_s)

    def pin(self, pod: SimPod) -> str:
        """Return the digest recorded for a pod's revision, else empty (B3)."""
        found = self.objects[kinds.CONFIG_MAP].get((pod.namespace, pod.origin.deployment), {})
        data: dict[str, str] = found.get("data") or {}
        return data.get(labels.DIGEST_KEY, "")

    def open_nodes(self) -> Iterator[str]:
        """Yield the nodes that take pods."""
        for (_, name), node in self.objects[kinds.NODE].items():
            if name not in self.lost_s and not node.get("spec", {}).get("unschedulable"):
                yield name

    def delete_pod(self, pod: SimPod, grace_s: float = GRACE_S) -> None:
        """Delete a pod as a controller does: with grace if it is on a node."""
        # Of a lost node no kubelet confirms the end, however short the grace.
        grace_s = FOR_EVER_S if pod.severed else grace_s if pod.node else 0.0
        self.forget_if_gone(
            pod,
            lambda: self.store.delete(
                kinds.POD, pod.namespace, pod.name, uid=pod.uid, grace_s=grace_s
            ),
        )

    def write_pod(self, pod: SimPod, patch: Obj, subresource: str | None = None) -> None:
        """Patch a pod."""
        self.forget_if_gone(
            pod,
            lambda: self.store.patch(
                kinds.POD, pod.namespace, pod.name, patch, subresource=subresource
            ),
        )

    def forget_if_gone(self, pod: SimPod, write: Any) -> None:
        """Write about a pod; one that somebody deleted in between is forgotten."""
        try:
            write()
        except NotFound:
            self.pods.pop((pod.namespace, pod.name), None)
        self.follow()

    def _follow_object(self, change: Change) -> None:
        meta = change.obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        if change.type == "DELETED":
            self.objects[change.kind].pop(key, None)
        else:
            self.objects[change.kind][key] = change.obj

    def _follow_pod(self, change: Change) -> None:
        meta = change.obj["metadata"]
        key = (meta["namespace"], meta["name"])
        pod = self.pods.get(key)
        if pod is None or pod.uid != meta["uid"]:
            return
        if change.type == "DELETED":
            del self.pods[key]
        elif "deletionTimestamp" in meta and pod.ends_at_s is None:
            drains_s = self.surroundings.drain_s if pod.ready else 0.0
            pod.ends_at_s = self.clock.now_s + (FOR_EVER_S if pod.severed else drains_s)
            pod.dirty = True
