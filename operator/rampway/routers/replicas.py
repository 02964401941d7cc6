"""Traffic without a gateway: one Service has stable's pods, and in a rollout more."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from rampway.api import labels
from rampway.api.parse import ModelDeployment
from rampway.core.model import revision
from rampway.core.model.belonging import owned_meta
from rampway.core.traffic import podshare
from rampway.core.traffic.route import Route
from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.kube.base import JsonPatch, KubeApi, Obj
from rampway.kube.errors import NotFound
from rampway.kube.kinds import DEPLOYMENT, ENDPOINT_SLICE, SERVICE
from rampway.kube.slices import ready_behind

ALL_PCT = 100


@dataclass(frozen=True, slots=True)
class Live:
    """The Service that callers use, and what is known of the pods that it may have.

    Attributes:
        stable: Name of stable's revision, empty while no Service `<name>` tells it.
        pods: Pods asked for, by revision.
        behind: Names of the ready pods behind it.
    """

    service: Obj
    stable: str
    pods: Mapping[str, int]
    behind: frozenset[str]

    @property
    def alone(self) -> str:
        """Hash of the one revision that it selects, empty if it selects all."""
        return str((self.service["spec"].get("selector") or {}).get(labels.REVISION, ""))

    @property
    def candidate(self) -> str:
        """Name of the revision that it has beside stable, or instead of it; empty without one."""
        marks = self.service["metadata"]
        if not self.alone:
            return str((marks.get("annotations") or {}).get(labels.CANDIDATE, ""))
        found = labels.revision_name(marks["labels"][labels.DEPLOYMENT], self.alone)
        return "" if found == self.stable else found

    def share_pct(self, candidate: str) -> int:
        """Return the share that a candidate has, or would have, beside stable."""
        return podshare.share_pct(self.pods.get(candidate, 0), self.pods.get(self.stable, 0))

    @property
    def split(self) -> Split:
        """Who gets which requests."""
        if not self.candidate:
            return STABLE_ONLY
        share = ALL_PCT if self.alone else min(self.share_pct(self.candidate), ALL_PCT - 1)
        return Split(self.candidate, share).or_rest()

    @property
    def objection(self) -> str:
        """Why the pods behind it are not those that make the split; empty if they are (B13)."""
        name = self.service["metadata"]["name"]
        if self.alone:
            only = self.candidate or self.stable
            if len(self._of(only)) < len(self.behind):
                return f"Service {name} still has pods of other revisions than {only}"
            if not self.candidate or self.behind:
                return ""
            return f"Service {name} has no pod of {only} yet"
        there, asked = len(self._of(self.candidate)), self.pods.get(self.candidate, 0)
        if there == asked and self._of(self.stable):
            return ""
        return f"Service {name} has {there} of {asked} candidate pods"

    def _of(self, name: str) -> list[str]:
        return [pod for pod in self.behind if pod.startswith(f"{name}-")]


class ReplicasRouter:
    """Implements `Router` by the selector of the Service `<name>-live`.

    Shares are numbers of pods, which the decision asks for; where the pods at hand would exceed a
    split, it is not opened. A Service balances connections, not requests.
    """

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def observe(self, deployment: ModelDeployment) -> Route:
        """Return the split as the selector and the numbers of pods make it."""
        live, _ = await self._look(deployment)
        if live is None:
            return await self._without(deployment)
        wanted = manifest(deployment, live.alone, live.candidate)
        split, message = live.split, live.objection
        return Route(
            exists=True,
            in_shape=not _changes(live.service, wanted),
            at_rest=bool(live.stable) and not live.candidate,
            split=split,
            accepted=not message,
            message=message,
        )

    async def set_split(self, deployment: ModelDeployment, split: Split, _now_s: float) -> None:
        """Select stable, the candidate, or both; never both where that gives it more than asked.

        Raises:
            NotFound: the Service that tells which revision is stable is not there.
        """
        live, stable = await self._look(deployment)
        space, name = deployment.namespace, deployment.name
        if not stable:
            raise NotFound(f"Service {space}/{name}: not found, so stable is not known yet")
        wanted = manifest(deployment, stable.removeprefix(f"{name}-"))
        if live is None:
            await self._api.create(SERVICE, wanted)
            live, _ = await self._look(deployment)
        if live is None:
            raise NotFound(f"Service {space}/{labels.live_name(name)}: gone as it was made")
        if split.weight_pct == ALL_PCT:
            wanted = manifest(deployment, split.candidate.removeprefix(f"{name}-"))
        elif 0 < live.share_pct(split.candidate) <= split.weight_pct:
            wanted = manifest(deployment, "", split.candidate)
        if patch := _changes(live.service, wanted):
            await self._api.patch(SERVICE, space, labels.live_name(name), patch)

    async def _look(self, deployment: ModelDeployment) -> tuple[Live | None, str]:
        """Return the live Service, None without one, and the name of stable's revision."""
        space, ours = deployment.namespace, {labels.DEPLOYMENT: deployment.name}
        services, workloads, slices = await asyncio.gather(
            *(self._api.list(kind, space, ours) for kind in (SERVICE, DEPLOYMENT, ENDPOINT_SLICE))
        )
        by_name = {service["metadata"]["name"]: service for service in services}
        told = (by_name.get(deployment.name) or {"spec": {}})["spec"].get("selector") or {}
        digest = told.get(labels.REVISION, "")
        stable = labels.revision_name(deployment.name, digest) if digest else ""
        live = by_name.get(labels.live_name(deployment.name))
        if live is None:
            return None, stable
        pods = {one["metadata"]["name"]: int(one["spec"].get("replicas", 1)) for one in workloads}
        behind = ready_behind(slices, live["metadata"]["name"])
        return Live(live, stable, pods, behind), stable

    async def _without(self, deployment: ModelDeployment) -> Route:
        """Return that there is no such Service, or that it is somebody else's."""
        space, name = deployment.namespace, labels.live_name(deployment.name)
        try:
            await self._api.get(SERVICE, space, name)
        except NotFound:
            return Route()
        text = f"Service {space}/{name} is not of this ModelDeployment"
        return Route(exists=True, problem=f"{text}; delete it, or give this one another name")


def manifest(deployment: ModelDeployment, digest: str, candidate: str = "") -> Obj:
    """Return the Service that callers use.

    Args:
        deployment: Whose it is.
        digest: Hash of the revision whose pods alone it has; empty: those of all.
        candidate: Name of the revision that it has beside stable.
    """
    found = revision.service(deployment, labels.live_name(deployment.name), digest)
    found["metadata"] = owned_meta(deployment, labels.live_name(deployment.name))
    if not digest:
        del found["spec"]["selector"][labels.REVISION]
        notes = found["metadata"].get("annotations", {})
        found["metadata"]["annotations"] = notes | {labels.CANDIDATE: candidate}
    return found


def at_rest(live: Obj, stable: Obj) -> JsonPatch:
    """Return the JSON patch by which it has stable's pods alone, as the Service `<name>` does."""
    selector = stable["spec"].get("selector") or {}
    return _patch(live, selector, "") if live["spec"].get("selector") != selector else []


def _changes(live: Obj, wanted: Obj) -> JsonPatch:
    """Return the JSON patch that makes the live Service as wanted, empty if it is."""
    candidate = (wanted["metadata"].get("annotations") or {}).get(labels.CANDIDATE, "")
    selector = wanted["spec"]["selector"]
    notes = live["metadata"].get("annotations") or {}
    same = live["spec"].get("selector") == selector and notes.get(labels.CANDIDATE, "") == candidate
    return [] if same else _patch(live, selector, candidate)


def _patch(live: Obj, selector: Mapping[str, str], candidate: str) -> JsonPatch:
    meta = live["metadata"]
    notes = {k: v for k, v in (meta.get("annotations") or {}).items() if k != labels.CANDIDATE}
    if candidate:
        notes[labels.CANDIDATE] = candidate
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
        {"op": "replace", "path": "/spec/selector", "value": dict(selector)},
        {"op": "add", "path": "/metadata/annotations", "value": notes},
    ]
