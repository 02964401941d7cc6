"""Carry out actions in their order; what is done already is done (B29)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rampway.api import labels
from rampway.api.deployment import ModelDeploymentStatus
from rampway.api.parse import ModelDeployment, ModelRollout, head_of, parse_status
from rampway.api.rollout import ModelRolloutStatus
from rampway.api.sharing import sharing
from rampway.core.actions import (
    Action,
    Annotate,
    Autoscale,
    Create,
    Delete,
    Emit,
    PointService,
    RunHook,
    Scale,
    SetSplit,
    TellPods,
    WriteRollout,
    WriteStatus,
)
from rampway.core.model import refusing, revision
from rampway.core.observation import Observation
from rampway.core.rollout import hookjob
from rampway.core.writing import status_is_news
from rampway.kube.base import KubeApi, Obj
from rampway.kube.errors import AlreadyExists, Forbidden, Invalid, NotFound
from rampway.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    JOB,
    MODEL_DEPLOYMENT,
    MODEL_ROLLOUT,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Kind,
)
from rampway.routers.base import Router
from rampway.shell.events import Recorder
from rampway.shell.fence import Fence
from rampway.shell.hooks import Calls
from rampway.shell.memory import Memory

_KINDS = {
    k.kind: k
    for k in (
        CONFIG_MAP,
        DEPLOYMENT,
        HORIZONTAL_POD_AUTOSCALER,
        MODEL_ROLLOUT,
        POD_DISRUPTION_BUDGET,
        SERVICE,
    )
}


@dataclass(frozen=True, slots=True)
class Executor:
    """Carries out the actions of a decision."""

    api: KubeApi
    router: Router
    recorder: Recorder
    fence: Fence
    calls: Calls

    async def execute(
        self, actions: tuple[Action, ...], obs: Observation, memory: Memory
    ) -> list[ModelDeployment | ModelRollout]:
        """Carry out the actions; the first that fails ends the pass, and the next pass goes on.

        Returns:
            The objects whose status was written, as they are now.

        Raises:
            KubeError: of the action that failed.
        """
        written = list[ModelDeployment | ModelRollout]()
        for action in actions:
            self.fence.check()
            if isinstance(action, WriteRollout | WriteStatus):
                written += await self._record(action, obs)
            else:
                await self._one(action, obs, memory)
        return written

    async def refuse(self, read: Obj, mistake: str, now_s: float) -> None:
        """Say on a ModelDeployment that it cannot be understood; nothing else is touched.

        Raises:
            KubeError: it cannot be written.
        """
        self.fence.check()
        before = parse_status(read)
        status = refusing.not_understood(before, read["metadata"]["generation"], mistake, now_s)
        if status_is_news(before, status):
            await self._write_status(MODEL_DEPLOYMENT, read, _dump(status))

    async def _one(self, action: Action, obs: Observation, memory: Memory) -> None:
        deployment = obs.deployment
        match action:
            case SetSplit(split):
                await self.router.set_split(deployment, split, obs.now_s)
            case Create(kind, manifest):
                await self._create(_KINDS[kind], dict(manifest), memory)
            case Scale() | Autoscale():
                await self._size(deployment, action, memory)
            case Annotate(name, annotations):
                root = "/metadata/annotations"
                notes = {f"{root}/{k.replace('/', '~1')}": v for k, v in annotations.items()}
                await self._patch(deployment, name, notes)
            case TellPods():
                await self._tell(deployment, revision.told_record(deployment, action))
            case RunHook():
                await self._run(deployment, action, memory)
            case PointService(digest):
                await self._point_service(deployment, digest)
            case Delete(kind, name, uid):
                await self._delete(_KINDS[kind], deployment.namespace, name, uid)
            case Emit():
                await self.recorder.record(deployment, action, memory.emitted)

    async def _patch(self, deployment: ModelDeployment, name: str, fields: dict[str, Any]) -> None:
        """Set fields of a revision's Deployment, by path, if it still bears our stamp."""
        changes = [{"op": "add", "path": path, "value": v} for path, v in fields.items()]
        await self.api.patch(DEPLOYMENT, deployment.namespace, name, self.fence.bind(changes))

    async def _create(self, kind: Kind, manifest: dict[str, Any], memory: Memory) -> None:
        try:
            await self.api.create(kind, self.fence.stamped(manifest))
        except AlreadyExists:
            return
        except (Invalid, Forbidden) as refused:
            if kind is DEPLOYMENT:
                memory.refusals[manifest["metadata"]["labels"][labels.REVISION]] = str(refused)
            elif kind is HORIZONTAL_POD_AUTOSCALER:
                memory.refusals[manifest["metadata"]["name"]] = str(refused)
            else:
                raise

    async def _run(self, deployment: ModelDeployment, run: RunHook, memory: Memory) -> None:
        if run.hook.job is not None:
            await self._create(JOB, hookjob.manifest(deployment, run, run.hook.job), memory)
        elif run.hook.http is not None:
            self.calls.begin((deployment.namespace, deployment.name), run, run.hook.http.url)

    async def _tell(self, deployment: ModelDeployment, wanted: Obj) -> None:
        """Write a ConfigMap that pods read; it is made once there is something to be told.

        The last word counts, whoever had it: what is wrong here is put right by the next pass.
        """
        change: list[dict[str, Any]] = [{"op": "replace", "path": "/data", "value": wanted["data"]}]
        name = wanted["metadata"]["name"]
        try:
            await self.api.patch(CONFIG_MAP, deployment.namespace, name, change)
        except NotFound:
            await self._create(CONFIG_MAP, wanted, Memory())

    async def _size(
        self, deployment: ModelDeployment, action: Scale | Autoscale, memory: Memory
    ) -> None:
        """Set a number of pods, or an autoscaler's bounds and metrics; a missing one is made.

        How an autoscaler behaves, and what else somebody added to it, is left as it is.
        """
        name = action.revision
        if isinstance(action, Scale):
            await self._patch(deployment, name, {"/spec/replicas": action.replicas})
            return
        wanted = dict(action.manifest)
        notes = wanted["metadata"]["annotations"]
        values = {f"/spec/{key}": value for key, value in wanted["spec"].items()} | {
            f"/metadata/annotations/{key.replace('/', '~1')}": value for key, value in notes.items()
        }
        changes = [{"op": "add", "path": path, "value": value} for path, value in values.items()]
        kind = HORIZONTAL_POD_AUTOSCALER
        memory.refusals.pop(name, None)
        try:
            await self.api.patch(kind, deployment.namespace, name, self.fence.bind(changes))
        except NotFound:
            await self._create(kind, wanted, memory)
        except (Invalid, Forbidden) as refused:  # its pods are there all the same
            memory.refusals[name] = str(refused)

    async def _point_service(self, deployment: ModelDeployment, digest: str) -> None:
        wanted = revision.service(deployment, deployment.name, digest)
        change = {"op": "replace", "path": "/spec/selector", "value": wanted["spec"]["selector"]}
        # Another's Service may have this name: digits-live is of digits too, without a gateway.
        owner = f"/metadata/labels/{labels.DEPLOYMENT.replace('/', '~1')}"
        ours = {"op": "test", "path": owner, "value": deployment.name}
        patch = self.fence.bind([ours, change])
        try:
            await self.api.patch(SERVICE, deployment.namespace, deployment.name, patch)
        except NotFound:
            await self.api.create(SERVICE, self.fence.stamped(wanted))

    async def _record(
        self, action: WriteRollout | WriteStatus, obs: Observation
    ) -> list[ModelDeployment | ModelRollout]:
        """Write a status over the very version that was read: a stale decision is refused."""
        if isinstance(action, WriteStatus):
            of = obs.deployment
            raw = await self._write_status(MODEL_DEPLOYMENT, of.head, _dump(action.status))
            return [replace(of, **_now(raw), status=sharing(action.status))]
        read = next((r for r in obs.rollouts if r.name == action.name), None)
        if read is None:
            return []
        raw = await self._write_status(MODEL_ROLLOUT, read.head, _dump(action.status))
        return [replace(read, **_now(raw), status=sharing(action.status))]

    async def _write_status(
        self, kind: Kind, read: Mapping[str, Any], status: dict[str, Any]
    ) -> Obj:
        meta, before = read["metadata"], read.get("status") or ()
        # A merge patch keeps what it does not name: what is gone has to be named.
        gone = {key: None for key in before if key not in status}
        patch = {
            "metadata": {"resourceVersion": meta["resourceVersion"], "uid": meta["uid"]},
            "status": gone | status,
        }
        namespace, name = meta["namespace"], meta["name"]
        return await self.api.patch(kind, namespace, name, patch, subresource="status")

    async def _delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete the object as it is now, if nobody with a later term had it."""
        try:
            found = await self.api.get(kind, namespace, name)
            self.fence.check(found)
            meta = found["metadata"]
            version = meta["resourceVersion"]
            await self.api.delete(kind, namespace, name, uid=uid or meta["uid"], version=version)
        except NotFound:
            return


def _now(raw: Obj) -> dict[str, Any]:
    return {"resource_version": raw["metadata"]["resourceVersion"], "head": head_of(raw)}


def _dump(status: ModelDeploymentStatus | ModelRolloutStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
