"""The work queue: each key once, never twice at a time, the pressing ones first, with back-off."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")
FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 30.0
OTHERS_TURN = 4
"""Every so many turns are the other keys': however many press, nobody waits for ever."""


@dataclass(slots=True)
class WorkQueue(Generic[K]):
    """Keys to be worked on.

    A key that is added while it waits is not added twice; one that is added while it is worked on
    is worked on again afterwards; of several due times the earliest counts.

    Attributes:
        clock: Seconds, monotonic.
        waited: Told how long each key waited for its work, in seconds.
        presses: Whether a key goes before others: those of a thousand new models wait, not a
            rollback.
    """

    clock: Callable[[], float]
    waited: Callable[[float], None] = lambda _: None
    presses: Callable[[K], bool] = lambda _: False
    _added_s: dict[K, float] = field(default_factory=dict)
    _begun_s: dict[K, float] = field(default_factory=dict)
    _ready: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    _pressing: deque[K] = field(default_factory=deque)
    _others: deque[K] = field(default_factory=deque)
    _turns: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _waiting: set[K] = field(default_factory=set)
    _busy: set[K] = field(default_factory=set)
    _again: set[K] = field(default_factory=set)
    _due: dict[K, float] = field(default_factory=dict)
    _heap: list[tuple[float, int, K]] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)
    _failures: dict[K, int] = field(default_factory=dict)
    _closed: bool = False
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Begin with nothing under way."""
        self._idle.set()

    def add(self, key: K) -> None:
        """Have a key worked on as soon as possible."""
        self._due.pop(key, None)
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._added_s[key] = self.clock()
            (self._pressing if self.presses(key) else self._others).append(key)
            self._ready.release()

    def add_after(self, key: K, delay_s: float) -> None:
        """Have a key worked on after a delay, unless it is due earlier anyway."""
        due_s = self.clock() + delay_s
        if delay_s <= 0:
            self.add(key)
        elif self._due.get(key, due_s + 1) > due_s:
            self._due[key] = due_s
            heapq.heappush(self._heap, (due_s, next(self._order), key))
            self._wake.set()

    def depth(self) -> int:
        """Return how many keys wait to be worked on now."""
        return len(self._waiting)

    def longest_s(self) -> float:
        """Return for how long the longest work under way has been so; 0 without any."""
        return max((self.clock() - begun_s for begun_s in self._begun_s.values()), default=0.0)

    async def work(self, handle: Callable[[K], Awaitable[float | None]]) -> None:
        """Work on keys until cancelled; run several of these for several at a time.

        `handle` returns after how many seconds it wants the key again, or None. One that raises
        gets its key again after a time that doubles up to `LONGEST_BACKOFF_S`; an exception with
        an attribute `retry_after_s` waits at least so long.
        """
        while True:
            await self._ready.acquire()
            if self._closed:
                return
            key = self._next()
            self._waiting.discard(key)
            self._begun_s[key] = self.clock()
            self.waited(self._begun_s[key] - self._added_s.pop(key, self._begun_s[key]))
            self._busy.add(key)
            self._idle.clear()
            try:
                delay_s = await handle(key)
                self._failures.pop(key, None)
            except Exception as error:  # noqa: BLE001 - whatever it is, the key must not be lost
                delay_s = self._backoff_s(key, error)
            finally:
                self._busy.discard(key)
                self._begun_s.pop(key, None)
                if not self._busy:
                    self._idle.set()
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            elif delay_s is not None:
                self.add_after(key, delay_s)

    def _next(self) -> K:
        lanes = (self._pressing, self._others)
        first, then = reversed(lanes) if next(self._turns) % OTHERS_TURN == 0 else lanes
        return (first or then).popleft()

    async def drain(self, within_s: float) -> None:
        """Begin no more work, and wait for what is under way, for so long."""
        self._closed = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), within_s)

    async def keep_time(self) -> None:
        """Move keys whose time has come; runs until cancelled."""
        while True:
            self._wake.clear()
            timeout_s = self._release()
            try:
                await asyncio.wait_for(self._wake.wait(), timeout_s)
            except TimeoutError:
                continue

    def _release(self) -> float | None:
        """Move what is due; return the seconds until the next, None if there is none."""
        while self._heap:
            due_s, _, key = self._heap[0]
            if self._due.get(key) != due_s:
                heapq.heappop(self._heap)  # worked on since, or due earlier
            elif due_s <= self.clock():
                heapq.heappop(self._heap)
                self.add(key)
            else:
                return due_s - self.clock()
        return None

    def _backoff_s(self, key: K, error: Exception) -> float:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        asked_s = float(getattr(error, "retry_after_s", None) or 0.0)
        return max(asked_s, min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(failures, 20)))
