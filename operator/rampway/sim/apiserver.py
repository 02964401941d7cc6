"""An API server in memory that passes the contract suite of the real one, with faults on demand."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

from rampway.kube.base import JsonPatch, Labels, Obj
from rampway.kube.errors import KubeError
from rampway.kube.kinds import Kind
from rampway.sim.api_faults import Call, Fault, Faults, Killed, Predicate, When
from rampway.sim.api_patch import copied, without_nulls
from rampway.sim.api_store import Store

__all__ = ["Call", "Killed", "MemoryApi", "Store"]

T = TypeVar("T")
MANAGER = "rampway"
"""The field manager of whoever writes by this API."""


class MemoryApi:
    """The `KubeApi` over a `Store`: every call is logged, may be struck by a fault, and yields.

    Several of them, one a client, may share one store; the log and the faults are each its own.
    `listeners` are told of each call that took effect, before its answer is given. `yields`: False
    where nobody else runs, and turns would only take time.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.calls: list[Call] = []
        self.faults = Faults()
        self.listeners: list[Callable[[Call], None]] = []
        self.yields = True

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How often each verb was called for each kind: `counts["patch", "Deployment"]`."""
        return Counter((call.verb, call.kind.kind) for call in self.calls)

    def fail_next(
        self,
        error: KubeError,
        *,
        after_calls: int = 0,
        times: int = 1,
        predicate: Predicate | None = None,
        when: When = "before",
    ) -> None:
        """Let `error` strike the next `times` calls that match, after the first `after_calls`.

        With `when="after"` the call takes effect and only its answer is lost.
        """
        self.faults.add(Fault(error, after_calls, predicate or _any, when, times))

    def crash_after(
        self, writes: int, *, when: When = "after", predicate: Predicate | None = None
    ) -> None:
        """Kill the process at the `writes`-th write (from 1), before or after its effect."""

        def matches(call: Call) -> bool:
            return call.writes and (predicate is None or predicate(call))

        words = f"killed {when} write {writes}"
        self.faults.add(Fault(Killed(words), writes - 1, matches, when, 1))

    def revive(self) -> None:
        """Start a new process: forget the kill, and every fault meant for the old one."""
        self.faults.revive()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Obj:
        """Return one object."""
        call = Call("get", kind, namespace, name)
        return await self._do(call, lambda: self.store.get(kind, namespace, name))

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Labels | None = None,
    ) -> list[Obj]:
        """Return all objects with these labels."""
        call = Call("list", kind, namespace, "", body=dict(labels or {}))
        return await self._do(call, lambda: self.store.list(kind, namespace, labels))

    async def walk(
        self, kind: Kind, namespace: str | None = None, labels: Labels | None = None
    ) -> AsyncIterator[Obj]:
        """Yield all objects with these labels."""
        for obj in await self.list(kind, namespace, labels):
            yield obj

    async def create(self, kind: Kind, obj: Obj, *, dry_run: bool = False) -> Obj:
        """Create an object."""
        meta = obj.get("metadata") or {}
        call = Call(
            "create",
            kind,
            meta.get("namespace"),
            meta.get("name") or "",
            dry_run=dry_run,
            body=obj if self.store.shares else without_nulls(obj),
        )
        return await self._do(call, lambda: self.store.create(kind, obj, dry_run=dry_run))

    async def patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        patch: Obj | JsonPatch,
        *,
        subresource: str | None = None,
    ) -> Obj:
        """Change an object."""
        body = patch if self.store.shares else copied(patch)
        call = Call("patch", kind, namespace, name, subresource, body=body)
        change = partial(
            self.store.patch, kind, namespace, name, patch, subresource=subresource, manager=MANAGER
        )
        return await self._do(call, change)

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
    ) -> None:
        """Delete an object; its dependants go when the store settles."""
        call = Call("delete", kind, namespace, name, body={"uid": uid} if uid else None)
        delete = self.store.delete
        await self._do(call, lambda: delete(kind, namespace, name, uid=uid, version=version))

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def _do(self, call: Call, effect: Callable[[], T]) -> T:
        if self.yields:
            await asyncio.sleep(0)  # as a real call does: others may write in between
        self.calls.append(call)
        lost = self.faults.before(call)
        try:
            result = effect()
            for told in self.listeners:
                told(call)
        finally:
            if lost is not None:
                self.faults.strike(lost)
        return result


def _any(_call: Call) -> bool:
    return True
