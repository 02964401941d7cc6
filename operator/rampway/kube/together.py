"""Lists that several passes want at the same time, asked for in one call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from rampway.kube.base import Labels, Lister, Obj
from rampway.kube.kinds import Kind

T = TypeVar("T")
AT_MOST = 50
"""Values of the label that one call asks for: keeps the address far under a server's limits."""


@dataclass(slots=True)
class Together:
    """A `Lister` that joins lists of one kind and namespace that differ in one label's value.

    A list that nobody else waits for is sent at once. Those that are asked for while one is under
    way wait for it and are then sent as one: under load a thousand passes need some dozens of
    calls, and a lone pass waits for nothing. No answer is older than its question.

    Attributes:
        label: The label.
    """

    api: Lister
    label: str
    _lanes: "dict[tuple[Kind, str | None], _Lane]" = field(default_factory=dict)

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Labels | None = None,
    ) -> list[Obj]:
        """Return all objects with these labels, of all namespaces when none is given."""
        value = (labels or {}).get(self.label)
        if labels and (len(labels) > 1 or not isinstance(value, str)):
            return await self.api.list(kind, namespace, labels)
        key = (kind, namespace)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(self, kind, namespace)
            lane.serving = asyncio.create_task(lane.serve(lambda: self._lanes.pop(key)))
        answer: asyncio.Future[list[Obj]] = asyncio.get_running_loop().create_future()
        lane.waiting.append((value if isinstance(value, str) else None, answer))
        return await answer

    def walk(
        self, kind: Kind, namespace: str | None = None, labels: Labels | None = None
    ) -> AsyncIterator[Obj]:
        """Yield all objects with these labels; nothing is joined: see `OneForAll`."""
        return self.api.walk(kind, namespace, labels)


@dataclass(slots=True)
class OneForAll(Generic[T]):
    """Readings that several want at the same time: one by one, each for all who wait for it.

    Who asks while one is under way gets the next: no answer is older than its question.
    """

    _turns: asyncio.Lock = field(default_factory=asyncio.Lock)
    _begun: int = 0
    _ended: int = 0
    _answer: "T | Exception | None" = None

    async def ask(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what was read; of all who wait for the same reading the first reads.

        Raises:
            Exception: what the reading raised.
        """
        asked = self._begun
        async with self._turns:
            if self._ended <= asked:
                self._begun += 1
                try:
                    self._answer = await read()
                except Exception as error:  # noqa: BLE001 - whatever it is, each hears of it
                    self._answer = error
                self._ended = self._begun
            if isinstance(self._answer, Exception):
                raise self._answer.with_traceback(None)
            return cast("T", self._answer)


@dataclass(slots=True)
class _Lane:
    """The lists of one kind and namespace, one call at a time."""

    owner: Together
    kind: Kind
    namespace: str | None
    waiting: list[tuple[str | None, "asyncio.Future[list[Obj]]"]] = field(default_factory=list)
    serving: "asyncio.Task[None] | None" = None

    async def serve(self, ended: Callable[[], object]) -> None:
        """Answer all that wait, and those that come meanwhile."""
        try:
            while self.waiting:
                now, self.waiting = self.waiting[:AT_MOST], self.waiting[AT_MOST:]
                try:
                    await self._answer(now)
                except Exception as error:  # noqa: BLE001 - whatever it is, each hears of it
                    for _, answer in now:
                        if not answer.done():
                            answer.set_exception(error)
        finally:
            ended()
            for _, answer in self.waiting:
                answer.cancel()

    async def _answer(self, now: "list[tuple[str | None, asyncio.Future[list[Obj]]]]") -> None:
        label, values = self.owner.label, {value for value, _ in now}
        wanted: Labels | None = None
        if None not in values:
            wanted = {label: tuple(sorted(value for value in values if value is not None))}
        by_value: dict[str | None, list[Obj]] = {value: [] for value in values}
        for obj in await self._listed(wanted):
            for mine in {None, (obj["metadata"].get("labels") or {}).get(label)} & values:
                by_value[mine].append(obj)
        for value, answer in now:
            if not answer.done():
                answer.set_result(by_value[value])

    async def _listed(self, wanted: Labels | None) -> list[Obj]:
        return await self.owner.api.list(self.kind, self.namespace, wanted)
