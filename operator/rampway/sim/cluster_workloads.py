"""The Deployment controller: as many pods as asked for, and what it says of them."""

import hashlib
import json
from dataclasses import dataclass, field

from rampway.api import labels
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.sim.api_patch import copied
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.cluster_scene import Key, Scene
from rampway.sim.cluster_status import deployment_status
from rampway.sim.pods import Origin, SimPod

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes makes names of these: no vowels, so no words."""


def origin_of(deployment: Obj) -> Origin:
    """Return what a Deployment's pods are made from."""
    template = deployment["spec"]["template"]
    container = template["spec"]["containers"][0]
    env = {e["name"]: e.get("value", "") for e in container.get("env") or []}
    demanded = env.get("RAMPWAY_MODEL_SHA256", "")
    uri = env.get("RAMPWAY_MODEL_URI", deployment["metadata"]["name"])
    return Origin(
        deployment=deployment["metadata"]["name"],
        revision=template["metadata"]["labels"].get(labels.REVISION, ""),
        template=_digest(json.dumps(template, sort_keys=True)),
        image=container.get("image", ""),
        demanded_sha256=demanded,
        would_load_sha256=demanded or _digest(uri),
    )


def random_suffix(scene: Scene) -> str:
    """Return five letters, as generated names end."""
    return "".join(scene.rng.choices(_LETTERS, k=5))


@dataclass(slots=True)
class DeploymentController:
    """Makes and deletes pods; owns them directly, without a ReplicaSet in between."""

    scene: Scene
    _origins: dict[Key, tuple[Obj, Origin]] = field(default_factory=dict)
    _written: dict[Key, tuple[object, ...]] = field(default_factory=dict)
    _made: int = 0
    _content_with: tuple[object, ...] = ()

    def step(self) -> None:
        """Do one round over all Deployments; nothing, if all is as at a round that did nothing.

        What pods are like is in the store, once the kubelets have spoken.
        """
        found = self._sight()
        if found == self._content_with:
            return
        self._content_with = found
        self._round()

    def _sight(self) -> tuple[object, ...]:
        quotas = [how.quota_message for how in self.scene.behaviours.by_hash.values()]
        quotas.append(self.scene.behaviours.default.quota_message)
        return self.scene.store.revision, self.scene.blows, *quotas

    def _round(self) -> None:
        for key, deployment in list(self.scene.objects[kinds.DEPLOYMENT].items()):
            origin = self._origin(key, deployment)
            wanted = int(deployment["spec"].get("replicas", 1))
            how = self.scene.behaviours.of(origin.revision)
            self._reach(deployment, origin, wanted, how)
            self._tell(key, deployment, wanted, how)

    def _origin(self, key: Key, deployment: Obj) -> Origin:
        template = deployment["spec"]["template"]
        known = self._origins.get(key)
        if known is None or (known[0] is not template and known[0] != template):
            known = self._origins[key] = (template, origin_of(deployment))
        return known[1]

    def _reach(self, deployment: Obj, origin: Origin, wanted: int, how: Behaviour) -> None:
        meta = deployment["metadata"]
        pods = self.scene.pods_of(meta["namespace"], meta["name"])
        for pod in [p for p in pods if p.origin.template != origin.template]:
            self.scene.delete_pod(pod)  # a real one rolls; what matters is that pods restart
            pods.remove(pod)
        # Not ready ones go first, then the newest, as with a ReplicaSet.
        pods.sort(key=lambda p: (p.ready, -p.created_s, p.name))
        for pod in pods[: max(0, len(pods) - wanted)]:
            self.scene.delete_pod(pod)
        if not how.quota_message:
            for _ in range(wanted - len(pods)):
                self._make(deployment, origin)

    def _make(self, deployment: Obj, origin: Origin) -> None:
        scene, meta = self.scene, deployment["metadata"]
        template = deployment["spec"]["template"]
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        stored = scene.store.create(
            kinds.POD,
            {
                "metadata": copied(template["metadata"])
                | {
                    "name": f"{meta['name']}-{random_suffix(scene)}",
                    "namespace": meta["namespace"],
                    "ownerReferences": [owner],
                },
                "spec": copied(template["spec"]),
            },
        )
        self._made += 1
        pod = SimPod(
            namespace=meta["namespace"],
            name=stored["metadata"]["name"],
            uid=stored["metadata"]["uid"],
            origin=origin,
            labels=stored["metadata"]["labels"],
            created_s=scene.clock.now_s,
            ip=f"10.1.{self._made // 250}.{self._made % 250 + 1}",
        )
        scene.pods[pod.namespace, pod.name] = pod

    def _tell(self, key: Key, deployment: Obj, wanted: int, how: Behaviour) -> None:
        meta, now_s = deployment["metadata"], self.scene.clock.now_s
        pods = self.scene.pods_of(*key)
        quota = how.quota_message if wanted > len(pods) else ""
        ready = sum(pod.in_endpoints for pod in pods)
        essence = (meta["uid"], meta["generation"], wanted, len(pods), ready, quota)
        if self._written.get(key) == essence:
            return
        self._written[key] = essence
        status = deployment_status(deployment, pods, quota, now_s)
        self.scene.store.patch(kinds.DEPLOYMENT, *key, {"status": status}, subresource="status")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
