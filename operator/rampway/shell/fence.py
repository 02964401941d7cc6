"""The fence between two leaders: what the one has taken over, the other can no longer write (B31).

Before its first write to anything of a ModelDeployment a leader stamps its term on the objects
that carry traffic and pods: the route, Deployments, Services, running rollouts. What it writes
afterwards is bound to what it read after the stamp: the route and every status to their
resourceVersion, Deployments and Services to the stamp itself, since the kubelet writes their status
all the time. A write that a frozen leader had decided on before therefore fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rampway.api import labels
from rampway.api.parse import ModelDeployment
from rampway.kube.base import JsonPatch, KubeApi, Obj
from rampway.kube.errors import NotFound
from rampway.kube.kinds import DEPLOYMENT, HTTP_ROUTE, MODEL_ROLLOUT, SERVICE, Kind

STAMPED = (HTTP_ROUTE, MODEL_ROLLOUT, DEPLOYMENT, SERVICE)
"""The route first: a late change of weight is what does harm."""
_PATH = "/metadata/annotations/" + labels.TERM.replace("/", "~1")

Key = tuple[str, str]


class Deposed(RuntimeError):  # noqa: N818 - a state of the world, not a defect
    """Another operator leads: this process must end."""


@dataclass(slots=True)
class Fence:
    """What a leader may write in its term.

    Attributes:
        term: Number of the term, rising from leader to leader.
        leads: Whether the term still lasts, as far as we can know by ourselves.
    """

    api: KubeApi
    term: int
    leads: Callable[[], bool]
    _claimed: dict[Key, str] = field(default_factory=dict)

    def holds(self, deployment: ModelDeployment, route: str = "") -> bool:
        """Whether everything of a ModelDeployment bears our stamp.

        Args:
            deployment: Whose objects they are.
            route: Name of the user's route that it splits, if there is one.

        Raises:
            Deposed: our term is over.
        """
        self.check()
        stamped = self._claimed.get((deployment.namespace, deployment.name))
        return stamped is not None and route in {"", stamped}

    def drop(self, deployment: ModelDeployment) -> None:
        """Look at the stamps again before the next write: one failed by a conflict."""
        self._claimed.pop((deployment.namespace, deployment.name), None)

    def check(self, obj: Mapping[str, Any] | None = None) -> None:
        """Make sure that we lead, and that nobody with a later term had this object.

        Raises:
            Deposed: somebody else leads.
        """
        if not self.leads():
            raise Deposed(f"term {self.term} ended: its Lease was not renewed in time")
        later = _term_of(obj or {})
        if later > self.term:
            raise Deposed(f"term {later} has begun; ours was {self.term}")

    async def claim(self, deployment: ModelDeployment, route: str = "") -> None:
        """Stamp everything of a ModelDeployment; read it anew before deciding on a write.

        Args:
            deployment: Whose objects they are.
            route: Name of the user's route that it splits, if there is one.

        Raises:
            Conflict: something changed while it was stamped; try again.
            Deposed: somebody else leads.
        """
        space, name = deployment.namespace, deployment.name
        if route:
            await self._stamp(HTTP_ROUTE, await self.api.get(HTTP_ROUTE, space, route))
        for kind in STAMPED:
            for obj in await self.api.list(kind, space, {labels.DEPLOYMENT: name}):
                await self._stamp(kind, obj)
        self._claimed[space, name] = route

    def bind(self, operations: JsonPatch) -> JsonPatch:
        """Return a JSON patch that applies only to an object with our stamp."""
        self.check()
        return [{"op": "test", "path": _PATH, "value": str(self.term)}, *operations]

    def stamped(self, manifest: Obj) -> Obj:
        """Return a new object's manifest with our stamp."""
        self.check()
        meta = manifest["metadata"]
        notes = {**(meta.get("annotations") or {}), labels.TERM: str(self.term)}
        return {**manifest, "metadata": {**meta, "annotations": notes}}

    async def _stamp(self, kind: Kind, obj: Obj) -> None:
        self.check(obj)
        if _term_of(obj) == self.term or (obj.get("status") or {}).get("endedAt"):
            return
        meta = obj["metadata"]
        stamp = {
            "resourceVersion": meta["resourceVersion"],
            "annotations": {labels.TERM: str(self.term)},
        }
        try:
            await self.api.patch(kind, meta["namespace"], meta["name"], {"metadata": stamp})
        except NotFound:
            return  # gone: nobody can write it any more


def _term_of(obj: Mapping[str, Any]) -> int:
    notes = (obj.get("metadata") or {}).get("annotations") or {}
    try:
        return int(notes.get(labels.TERM, 0))
    except ValueError:
        return 0
