"""Objects told one by one, of which it can be seen whether anybody keeps them."""

import weakref
from collections.abc import AsyncIterator
from typing import Any

from rampway.kube.base import Obj
from rampway.kube.kinds import Kind
from rampway.sim.api_store import Store


class _Whole(dict[str, Any]):
    """An object; a plain dict cannot be watched."""


class Walked:
    """Walks through a store; before the next object the last one has to be let go."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: list[weakref.ref[_Whole]] = []

    @property
    def told(self) -> int:
        """How many objects were told."""
        return len(self._told)

    @property
    def held(self) -> int:
        """How many of them somebody still keeps."""
        return sum(ref() is not None for ref in self._told)

    async def walk(self, kind: Kind, namespace: str | None = None, *_: Any) -> AsyncIterator[Obj]:
        """Yield the objects of a kind."""
        for obj in self._store.list(kind, namespace):
            assert self.held <= 1
            whole = _Whole(obj)
            self._told.append(weakref.ref(whole))
            yield whole
            del whole
