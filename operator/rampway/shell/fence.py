"""The fence between two leaders: what the one has taken over, the other can no longer write (B31).

Before its first write to anything of a ModelDeployment a leader stamps its term on the objects
that carry traffic and pods: the route, Deployments, Services, running rollouts. What it writes
afterwards is bound to what it read after the stamp: the route and every status to their
resourceVersion, Deployments and Services to the stamp itself, since the kubelet writes their status
all the time. A write that a frozen leader had decided on before therefore fails.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rampway.api import labels
from rampway.api.parse import ModelDeployment
from rampway.core.model.belonging import belonging
from rampway.kube.base import JsonPatch, KubeApi, Lister, Obj
from rampway.kube.errors import NotFound
from rampway.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    MODEL_ROLLOUT,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Kind,
)

STAMPED = (HTTP_ROUTE, MODEL_ROLLOUT, DEPLOYMENT, SERVICE, HORIZONTAL_POD_AUTOSCALER)
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
    _claimed: dict[Key, tuple[str, str]] = field(default_factory=dict)

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
        if stamped is None or stamped[1] != deployment.spec.deletion_policy:
            return False
        return route in {"", stamped[0]}

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

    async def claim(self, deployment: ModelDeployment, lister: Lister, route: str = "") -> None:
        """Stamp everything of a ModelDeployment; read it anew before deciding on a write.

        Args:
            deployment: Whose objects they are.
            lister: What lists; after a takeover a thousand claim at the same time, so it joins.
            route: Name of the user's route that it splits, if there is one.

        Raises:
            Conflict: something changed while it was stamped; try again.
            Deposed: somebody else leads.
        """
        space, name = deployment.namespace, deployment.name
        if route:
            await self._stamp(HTTP_ROUTE, await self.api.get(HTTP_ROUTE, space, route), {})
        fate = belonging(deployment)
        kinds, ours = (*STAMPED, CONFIG_MAP, POD_DISRUPTION_BUDGET), {labels.DEPLOYMENT: name}
        listed = await asyncio.gather(*(lister.list(kind, space, ours) for kind in kinds))
        for kind, objects in zip(kinds, listed, strict=True):
            for obj in objects:
                await self._stamp(kind, obj, _unlike(obj, fate, deployment.uid))
        self._claimed[space, name] = (route, deployment.spec.deletion_policy)

    def release(self, route: Obj) -> JsonPatch:
        """Return the JSON patch that takes our stamp from a user's route, empty without one (B34).

        It leaves the route as well guarded as a stamp does: like it, the write makes a new version,
        so that what somebody deposed decided on before, bound to an older one, fails. And whoever
        splits the route from now on stamps it anew.
        """
        meta = route["metadata"]
        for key in [k for k, (name, _) in self._claimed.items() if (k[0], name) == _key(meta)]:
            del self._claimed[key]
        if not is_stamped(route):
            return []
        return [
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "remove", "path": _PATH},
        ]

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

    async def _stamp(self, kind: Kind, obj: Obj, fate: Obj) -> None:
        """Write our term, and what of its fate is otherwise (B34)."""
        self.check(obj)
        settled = _term_of(obj) == self.term or kind not in STAMPED
        if (settled and not fate) or (obj.get("status") or {}).get("endedAt"):
            return
        meta = obj["metadata"]
        stamp = fate | {"resourceVersion": meta["resourceVersion"]}
        if kind in STAMPED:
            notes = stamp.get("annotations", {})
            stamp["annotations"] = {**notes, labels.TERM: str(self.term)}
        try:
            await self.api.patch(kind, meta["namespace"], meta["name"], {"metadata": stamp})
        except NotFound:
            return  # gone: nobody can write it any more


def is_stamped(obj: Obj) -> bool:
    """Whether an object bears any leader's stamp."""
    return labels.TERM in (obj["metadata"].get("annotations") or {})


def _unlike(obj: Obj, fate: Obj, uid: str) -> Obj:
    """Return what of an object's metadata is not as it shall be, for a merge patch."""
    meta = obj["metadata"]
    found: Obj = {}
    for key in ("labels", "annotations"):
        have = meta.get(key) or {}
        other = {k: v for k, v in fate[key].items() if have.get(k) != v}
        if other:
            found[key] = other
    owners = meta.get("ownerReferences") or []
    uids = {one["uid"] for one in fate["ownerReferences"]}
    have_uids = {one["uid"] for one in owners if one.get("kind") == "ModelDeployment"}
    if have_uids - {uid}:
        return {}  # an earlier one's of that name: the garbage collector is on its way
    if have_uids != uids:
        others = [one for one in owners if one.get("kind") != "ModelDeployment"]
        found["ownerReferences"] = [*others, *fate["ownerReferences"]]
    return found


def _key(meta: Mapping[str, Any]) -> Key:
    return meta["namespace"], meta["name"]


def _term_of(obj: Mapping[str, Any]) -> int:
    notes = (obj.get("metadata") or {}).get("annotations") or {}
    try:
        return int(notes.get(labels.TERM, 0))
    except ValueError:
        return 0
