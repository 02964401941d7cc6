"""What the tests of the command line share: an API server with a scene's objects."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from unit.cli import scenes

from rampway.cli import cluster
from rampway.kube.base import KubeApi
from rampway.sim.apiserver import MemoryApi, Store

Connect = Callable[[scenes.Scene], Store]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Have the program find a scene's objects; return where they are."""

    def go(scene: scenes.Scene) -> Store:
        store = scene.store()

        @asynccontextmanager
        async def connected(_self: cluster.Cluster) -> AsyncIterator[KubeApi]:
            yield MemoryApi(store)

        monkeypatch.setattr(
            cluster.Cluster, "namespace", lambda _self, named: named or scenes.SPACE
        )
        monkeypatch.setattr(cluster.Cluster, "api", connected)
        return store

    return go
