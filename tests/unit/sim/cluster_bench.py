"""A simulated cluster with two revisions of one model, made by the operator's own manifests."""

from dataclasses import dataclass, field
from random import Random

from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.core import observation
from rampway.core.model import revision
from rampway.core.traffic.split import Split
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.metrics.memory import MemorySource
from rampway.routers.gateway_api import manifest
from rampway.shell import reading
from rampway.sim.api_store import Store
from rampway.sim.clock import SimClock
from rampway.sim.cluster import SimCluster
from rampway.sim.cluster_behaviour import Behaviour, Surroundings

SPACE, NAME = "default", "digits"
A, B = "file:///models/a", "file:///models/b"


def dice(seed: int) -> Random:
    """Return a simulation's dice."""
    return Random(seed)  # noqa: S311 - nothing here is secret


@dataclass
class Bench:
    """The cluster, and shorthands for what the operator would write."""

    surroundings: Surroundings = field(default_factory=Surroundings)
    seed: int = 1
    clock: SimClock = field(default_factory=SimClock)
    source: MemorySource = field(default_factory=MemorySource)

    def __post_init__(self) -> None:
        """Make the cluster."""
        self.store = Store(self.clock.now, pod_grace_s=revision.GRACE_S)
        self.cluster = SimCluster(
            self.store,
            self.source,
            self.clock,
            dice(self.seed),
            surroundings=self.surroundings,
        )
        self._uid = self.store.create(kinds.MODEL_DEPLOYMENT, _model(A))["metadata"]["uid"]

    def model(self, uri: str = A, sha256: str | None = None) -> ModelDeployment:
        """Return the ModelDeployment with this model."""
        obj = _model(uri, sha256)
        return parse_deployment(obj | {"metadata": obj["metadata"] | {"uid": self._uid}})

    def hash(self, uri: str = A, sha256: str | None = None) -> str:
        """Return the hash of the revision with this model."""
        return revision.revision_hash(self.model(uri, sha256).spec)

    def behave(self, how: Behaviour, uri: str = A) -> None:
        """Let a revision behave like this from now on."""
        self.cluster.behaviours[self.hash(uri)] = how

    def serve(self, uri: str = A, replicas: int = 2, sha256: str | None = None) -> str:
        """Make the Deployment and the Service of a revision; return its hash."""
        model, digest = self.model(uri, sha256), self.hash(uri, sha256)
        self.store.create(kinds.DEPLOYMENT, revision.workload(model, "server:1", replicas))
        name = f"{NAME}-{digest}"
        self.store.create(kinds.SERVICE, revision.service(model, name, digest))
        return digest

    def point(self, uri: str = A) -> None:
        """Let the stable Service select a revision."""
        wanted = revision.service(self.model(uri), NAME, self.hash(uri))
        if any(s["metadata"]["name"] == NAME for s in self.store.list(kinds.SERVICE)):
            self.store.patch(kinds.SERVICE, SPACE, NAME, {"spec": wanted["spec"]})
        else:
            self.store.create(kinds.SERVICE, wanted)

    def split(self, weight_pct: int, uri: str = B) -> None:
        """Give a revision's Service this share, the stable Service the rest."""
        split = Split(f"{NAME}-{self.hash(uri)}", weight_pct).or_rest()
        wanted = manifest(self.model(), split)
        if self.store.list(kinds.HTTP_ROUTE):
            self.store.patch(kinds.HTTP_ROUTE, SPACE, NAME, {"spec": wanted["spec"]})
        else:
            self.store.create(kinds.HTTP_ROUTE, wanted)

    def up(self, replicas: int = 2, weight_pct: int = 0) -> None:
        """Bring revision A up as stable and, given a weight, B as candidate; wait for them."""
        self.serve(A, replicas)
        self.point(A)
        if weight_pct:
            self.serve(B, replicas)
        self.split(weight_pct)
        self.cluster.run(10)

    def scale(self, replicas: int, uri: str = A) -> None:
        """Ask for so many pods of a revision."""
        name = f"{NAME}-{self.hash(uri)}"
        self.store.patch(kinds.DEPLOYMENT, SPACE, name, {"spec": {"replicas": replicas}})

    def pods(self, uri: str = A) -> list[observation.Pod]:
        """Return a revision's pods as the operator reads them."""
        return [reading.pod(obj) for obj in self.raw_pods(uri)]

    def raw_pods(self, uri: str = A) -> list[Obj]:
        """Return a revision's pods as the API server has them."""
        return self.store.list(kinds.POD, SPACE, revision.selector(NAME, self.hash(uri)))

    def container(self, uri: str = A) -> Obj:
        """Return the status of the container of a revision's first pod."""
        found: Obj = self.raw_pods(uri)[0]["status"]["containerStatuses"][0]
        return found

    def status(self, uri: str = A) -> Obj:
        """Return the status of a revision's Deployment."""
        found: Obj = self.store.get(kinds.DEPLOYMENT, SPACE, f"{NAME}-{self.hash(uri)}")["status"]
        return found

    def ready_endpoints(self, service: str) -> set[str]:
        """Return the names of the pods that a Service's EndpointSlice calls ready."""
        slices = self.store.list(
            kinds.ENDPOINT_SLICE, SPACE, {"kubernetes.io/service-name": service}
        )
        return {
            endpoint["targetRef"]["name"]
            for found in slices
            for endpoint in found["endpoints"]
            if endpoint["conditions"]["ready"]
        }


def _model(uri: str, sha256: str | None = None) -> Obj:
    return {
        "apiVersion": kinds.MODEL_DEPLOYMENT.api_version,
        "kind": "ModelDeployment",
        "metadata": {"name": NAME, "namespace": SPACE},
        "spec": {
            "model": {"uri": uri} | ({"sha256": sha256} if sha256 else {}),
            "traffic": {"type": "OwnedRoute", "ownedRoute": {"parentRefs": [{"name": "eg"}]}},
            "rollout": {"policy": {"steps": [{"name": "half", "weight": "50%", "hold": "1m"}]}},
        },
    }
