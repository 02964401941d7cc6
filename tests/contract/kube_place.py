"""What the contract's cases are given: a server, a namespace, and shorthands."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from rampway.kube.base import JsonPatch, KubeApi, Obj
from rampway.kube.errors import NotFound
from rampway.kube.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE
from rampway.sim.apiserver import MemoryApi, Store


@dataclass
class Place:
    """An API server, a namespace on it, and how to let its garbage collector do a round."""

    api: KubeApi
    namespace: str
    settle: Callable[[], Awaitable[None]]

    def config_map(self, name: str = "one", **labels: str) -> Obj:
        """Return a ConfigMap to create, with the data x=1."""
        meta: Obj = {"name": name, "namespace": self.namespace, "labels": labels}
        return {"metadata": meta, "data": {"x": "1"}}

    def deployment(self) -> Obj:
        """Return a Deployment of no replicas to create."""
        return {
            "metadata": {"name": "serve", "namespace": self.namespace, "annotations": {"a": "1"}},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "serve"}},
                "template": {
                    "metadata": {"labels": {"app": "serve"}},
                    "spec": {"containers": [{"name": "server", "image": "none"}]},
                },
            },
        }

    async def put(self, name: str = "one", **labels: str) -> Obj:
        """Create a ConfigMap."""
        return await self.api.create(CONFIG_MAP, self.config_map(name, **labels))

    async def get(self, name: str = "one") -> Obj:
        """Read a ConfigMap."""
        return await self.api.get(CONFIG_MAP, self.namespace, name)

    async def patch(self, patch: Obj | JsonPatch, name: str = "one") -> Obj:
        """Patch a ConfigMap."""
        return await self.api.patch(CONFIG_MAP, self.namespace, name, patch)

    async def patch_deployment(self, patch: Obj | JsonPatch, subresource: str | None = None) -> Obj:
        """Patch the Deployment."""
        return await self.api.patch(
            DEPLOYMENT, self.namespace, "serve", patch, subresource=subresource
        )

    async def deployment_at_rest(self) -> Obj:
        """Return the Deployment once its controller, if there is one, has seen it."""
        last: Obj = {}
        for _ in range(40):
            now = await self.api.get(DEPLOYMENT, self.namespace, "serve")
            if now["metadata"]["resourceVersion"] == last.get("resourceVersion"):
                break
            last = now["metadata"]
            await self.settle()
        return now

    async def gone(self, name: str) -> None:
        """Wait until a ConfigMap is not there."""
        for _ in range(150):
            try:
                await self.get(name)
            except NotFound:
                return
            await self.settle()
        pytest.fail(f"{name} is still there")


async def place_in_memory() -> Place:
    """Return an empty server in memory."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ticks = itertools.count()
    store = Store(lambda: start + timedelta(seconds=next(ticks)))
    api = MemoryApi(store)
    await api.create(NAMESPACE, {"metadata": {"name": "contract"}})

    async def settle() -> None:
        store.settle()
        await asyncio.sleep(0)

    return Place(api, "contract", settle)
