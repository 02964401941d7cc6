"""An API server in memory with one ModelDeployment, and the shell's parts around it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rampway.api import labels
from rampway.api.base import API_VERSION
from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.core.actions import Action
from rampway.core.model import revision
from rampway.core.model.belonging import owned_meta
from rampway.core.observation import Defaults, Look, Observation
from rampway.kube.base import Obj
from rampway.kube.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, MODEL_ROLLOUT, SERVICE, Kind
from rampway.routers.by_type import RouterByType
from rampway.shell.authors import Stamping
from rampway.shell.events import Recorder
from rampway.shell.execute import Executor
from rampway.shell.fence import Fence
from rampway.shell.gather import Gatherer
from rampway.shell.memory import Memory
from rampway.sim.apiserver import MemoryApi, Store
from rampway.sim.hooks import MemoryCalls

SPACE, NAME = "ml", "digits"
AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW_S = AT.timestamp()


def spec(**changes: Any) -> Obj:
    """Return the spec of a ModelDeployment."""
    return {
        "model": {"uri": "file:///m"},
        "traffic": {"ownedRoute": {"parentRefs": [{"name": "eg"}]}},
    } | changes


@dataclass
class Place:
    """A server in memory, and the shell's parts around it.

    Attributes:
        asked: The pods that were asked for their digest.
    """

    store: Store = field(default_factory=lambda: Store(lambda: AT, namespaces=(SPACE, "other")))
    memory: Memory = field(default_factory=Memory)
    asked: list[str] = field(default_factory=list)
    calls: MemoryCalls = field(default_factory=MemoryCalls)

    def __post_init__(self) -> None:
        """Put the ModelDeployment there."""
        self.api = MemoryApi(self.store)
        router = RouterByType(self.api)
        self.fence = Fence(self.api, 1, lambda: True)
        recorder = Recorder(self.api, lambda: NOW_S, "me")
        self.executor = Executor(self.api, router, recorder, self.fence, self.calls)
        self.gatherer = Gatherer(
            self.api,
            router,
            Defaults("server:1"),
            self._digest,
            self.fence,
            self.calls,
            Stamping(self.api, lambda: NOW_S),
        )
        self.put(NAME)

    async def _digest(self, _namespace: str, pod: Obj, model: str) -> str:
        self.asked.append(f"{pod['metadata']['name']} {model}")
        return "cd" * 32

    def put(self, name: str, space: str = SPACE, **changes: Any) -> Obj:
        """Create a ModelDeployment."""
        meta = {"name": name, "namespace": space}
        return self.store.create(MODEL_DEPLOYMENT, {"metadata": meta, "spec": spec(**changes)})

    @property
    def deployment(self) -> ModelDeployment:
        """The ModelDeployment as it is now."""
        return parse_deployment(self.get(MODEL_DEPLOYMENT, NAME))

    @property
    def digest(self) -> str:
        """Hash of the spec's revision."""
        return revision.revision_hash(self.deployment.spec)

    def get(self, kind: Kind, name: str) -> Obj:
        """Return an object of the namespace."""
        return self.store.get(kind, SPACE, name)

    def workload(self) -> Obj:
        """Create the Deployment of the spec's revision."""
        made = revision.workload(self.deployment, "server:1", 2)
        return self.store.create(DEPLOYMENT, self.fence.stamped(made))

    def service(self, name: str) -> Obj:
        """Create a Service of the spec's revision."""
        made = revision.service(self.deployment, name, self.digest)
        return self.store.create(SERVICE, self.fence.stamped(made))

    def rollout(self, attempt: int = 1) -> Obj:
        """Create a ModelRollout of the spec's revision."""
        name = labels.rollout_name(NAME, self.digest, attempt)
        wanted = {
            "deployment": NAME,
            "attempt": attempt,
            "candidate": {"revision": self.digest},
            "stable": {"revision": "old"},
            "policy": {},
            "progressDeadline": "10m",
        }
        manifest = {
            "apiVersion": API_VERSION,
            "kind": "ModelRollout",
            "metadata": owned_meta(self.deployment, name, self.digest),
            "spec": wanted,
        }
        return self.store.create(MODEL_ROLLOUT, manifest)

    async def observe(self, look: Look | None = None) -> Observation:
        """Gather."""
        return await self.gatherer.observe(self.deployment, self.memory, look, NOW_S)

    async def do(self, *actions: Action, obs: Observation | None = None) -> list[str]:
        """Carry out actions; return the calls that they made."""
        seen = obs or await self.observe()
        before = len(self.api.calls)
        await self.executor.execute(actions, seen, self.memory)
        return [f"{c.verb} {c.kind.kind} {c.name}" for c in self.api.calls[before:]]
