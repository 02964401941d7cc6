"""Where the cluster is, and reading there everything about one ModelDeployment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from difflib import get_close_matches

from rampway.api import labels
from rampway.api.parse import (
    ModelDeployment,
    ModelRollout,
    Unparseable,
    parse_deployment,
    parse_rollout,
)
from rampway.cli.facts import Found
from rampway.core.traffic.route import Route
from rampway.kube.base import KubeApi, Obj
from rampway.kube.errors import Forbidden, Invalid, KubeError, NotFound
from rampway.kube.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, MODEL_ROLLOUT, POD, Kind
from rampway.routers.by_type import RouterByType

MOST_NAMES = 5
"""Names that are told of those there are."""
_UNSERVED = "this cluster does not know ModelDeployments: are Rampway's CRDs installed?"
_SELF = Kind("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as the options of the command line name it."""

    kubeconfig: str | None = None
    context: str | None = None

    def namespace(self, named: str | None) -> str:
        """Return the namespace named, else the context's own."""
        from rampway.kube.client import current_namespace

        return named or current_namespace(self.kubeconfig, self.context)

    @asynccontextmanager
    async def api(self) -> AsyncIterator[KubeApi]:
        """Log in, and log out at the end."""
        from rampway.kube.client import connect

        api = await connect(self.kubeconfig, self.context, field_manager="kubectl-rampway")
        try:
            yield api
        finally:
            await api.close()


async def whoami(api: KubeApi) -> str:
    """Return the user's name as the API server knows it, empty where it does not tell."""
    try:
        found = await api.create(_SELF, {"metadata": {"name": "self"}})  # nothing is stored
    except (Forbidden, Invalid, NotFound):
        return ""
    return str(((found.get("status") or {}).get("userInfo") or {}).get("username", ""))


async def find(api: KubeApi, namespace: str, name: str) -> ModelDeployment:
    """Read one ModelDeployment.

    Raises:
        NotFound: there is none of that name, told with those there are; or no such kind.
        KubeError: it cannot be read.
        Unparseable: its content cannot be understood.
    """
    try:
        return parse_deployment(await api.get(MODEL_DEPLOYMENT, namespace, name))
    except NotFound as err:
        raise NotFound(await _missing(api, namespace, name)) from err


async def every(api: KubeApi, namespace: str | None) -> list[Obj]:
    """Return all ModelDeployments of a namespace, None: of all.

    Raises:
        NotFound: the cluster does not know the kind.
        KubeError: they cannot be read.
    """
    try:
        return await api.list(MODEL_DEPLOYMENT, namespace)
    except NotFound as err:
        raise NotFound(f"{_UNSERVED} ({err})") from err


async def _missing(api: KubeApi, namespace: str, name: str) -> str:
    """Return why a name is not there: the API server answers 404 without the CRD, too."""
    text = f"there is no ModelDeployment {name} in namespace {namespace}"
    try:
        there = sorted(str(obj["metadata"]["name"]) for obj in await every(api, namespace))
    except NotFound as err:
        return str(err)
    except KubeError:  # whoever may read one may not be allowed to list them
        return text
    if not there:
        return f"{text}, nor any other; `kubectl rampway list -A` lists those of all namespaces"
    close = get_close_matches(name, there, n=1)
    more = f" and {len(there) - MOST_NAMES} more" if len(there) > MOST_NAMES else ""
    meant = f". Did you mean {close[0]}?" if close else "."
    return f"{text}{meant} There: {', '.join(there[:MOST_NAMES])}{more}"


async def read(api: KubeApi, namespace: str, name: str, now_s: float) -> Found:
    """Read one ModelDeployment and what belongs to it, all at once.

    What a person has no right to read is noted and left out; a view of the rest is worth more
    than none.

    Raises:
        KubeError: the ModelDeployment itself cannot be read, or the cluster does not answer.
        Unparseable: its content cannot be understood.
    """
    deployment = await find(api, namespace, name)
    rollouts, workloads, pods, routed = await asyncio.gather(
        _list(api, MODEL_ROLLOUT, namespace, name),
        _list(api, DEPLOYMENT, namespace, name),
        _list(api, POD, namespace, name),
        _route(api, deployment),
    )
    route, unread = routed
    told = (rollouts.note, workloads.note, pods.note, unread)
    notes = [note for note in told if note]
    parsed = _rollouts(rollouts.objects or [], notes)
    return Found(
        deployment=deployment,
        rollouts=parsed,
        workloads=workloads.objects,
        pods=pods.objects,
        route=route,
        notes=tuple(notes),
        read_at_s=now_s,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    objects: list[Obj] | None
    note: str = ""


async def _list(api: KubeApi, kind: Kind, namespace: str, name: str) -> _Part:
    try:
        return _Part(await api.list(kind, namespace, {labels.DEPLOYMENT: name}))
    except (Forbidden, NotFound) as err:
        return _Part(None, str(err))


async def _route(api: KubeApi, deployment: ModelDeployment) -> tuple[Route | None, str]:
    """Return the split as it is, or None and why it cannot be read."""
    try:
        return await RouterByType(api).observe(deployment), ""
    except Forbidden as err:
        return None, str(err)


def _rollouts(objects: list[Obj], notes: list[str]) -> list[ModelRollout]:
    parsed = []
    for obj in objects:
        try:
            parsed.append(parse_rollout(obj))
        except Unparseable as err:
            notes.append(f"ModelRollout {obj['metadata']['name']} cannot be understood: {err}")
    return parsed
