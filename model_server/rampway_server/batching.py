"""Predictions, at once where they are quick and in a few threads where they are not.

Nothing ever waits for company. What has come since the last turn of the event loop is predicted
together: in this very turn if such a batch has been quick before, as a thread would cost more than
it gives; else in a thread that is idle. While all threads are busy requests queue up, and the next
thread that is free takes those of one model together. So batches grow with the load and by nothing
else. All state belongs to the event loop.
"""

import asyncio
import contextlib
import sys
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol
from weakref import WeakKeyDictionary

from rampway_server.errors import LateError, UnavailableError
from rampway_server.infer import Answered, Call, Result

BATCH_CALLS = 64
BATCH_BYTES = 4 << 20
QUEUE_BYTES = 256 << 20
QUICK_S = sys.getswitchinterval()
"""What the event loop waits for any thread anyway, as Python lets each run that long."""
_WEIGHT = 1 / 8  # of the newest batch in what such batches are known to take


class Answerer(Protocol):
    """Answers calls together."""

    def answer(self, calls: Sequence[Call]) -> list[Result]:
        """Return a result for each call; runs in a thread."""
        ...

    def batched(self, calls: int, waited_s: float) -> None:
        """Hear of each batch: its calls, and how long the first of them waited."""
        ...


@dataclass(eq=False)
class _Waiting:
    call: Call
    future: "asyncio.Future[Answered]"
    timeout_s: float
    since_s: float = field(default_factory=time.perf_counter)
    started: bool = False


class Batcher:
    """Runs slow calls off the event loop, so that health answers meanwhile, and quick ones on it.

    Args:
        workers: Threads.
        max_waiting: Calls that may wait; more are refused.
    """

    def __init__(self, workers: int, max_waiting: int) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="predict")
        self._idle = workers
        self._max_waiting = max_waiting
        self._queues: dict[Answerer, deque[_Waiting]] = {}
        self._costs: WeakKeyDictionary[Answerer, _Costs] = WeakKeyDictionary()
        self._waiting = 0
        self._waiting_bytes = 0
        self._running: set[Future[list[Result]]] = set()
        self._turn_due = False

    async def run(self, answerer: Answerer, call: Call, timeout_s: float) -> Answered:
        """Return the call's answer.

        Raises:
            UnavailableError: as many as may wait do so already.
            LateError: no answer within the time.
            ClientFaultError, ModelError, Exception: as the answerer found.
        """
        full = self._waiting >= self._max_waiting + self._idle
        if full or (self._waiting_bytes >= QUEUE_BYTES and not self._idle):
            raise UnavailableError(f"{self._waiting} requests wait already")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(call, loop.create_future(), timeout_s)
        queue = self._queues.setdefault(answerer, deque())
        queue.append(waiting)
        self._count(1, call)
        self._want_turn()
        due = loop.call_later(timeout_s, _too_late, waiting)
        try:
            return await waiting.future
        finally:
            due.cancel()
            if not waiting.started:  # its time is over, or its client went away
                queue.remove(waiting)
                self._count(-1, call)

    def _count(self, calls: int, call: Call) -> None:
        self._waiting += calls
        self._waiting_bytes += calls * call.size

    def _want_turn(self) -> None:
        """Dispatch once all that has come in this turn of the event loop is known."""
        if not self._turn_due:
            self._turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Let every model have what can be had now, and whoever had something go behind."""
        self._turn_due = False
        for answerer, queue in list(self._queues.items()):
            waited = len(queue)
            answered = self._dispatch(answerer, queue)
            if not queue:
                del self._queues[answerer]
            elif len(queue) < waited:
                self._queues[answerer] = self._queues.pop(answerer)
            if answered:
                if self._queues:
                    self._want_turn()  # what else the event loop has to do comes first
                return

    def _dispatch(self, answerer: Answerer, queue: deque[_Waiting]) -> bool:
        """Answer a batch if that is quick; else give idle threads all there is, in fair shares."""
        costs = self._costs.setdefault(answerer, _Costs())
        calls, size = _first(queue, BATCH_CALLS)
        if calls and costs.expected_s(size) <= QUICK_S:
            self._answer(answerer, costs, self._take(answerer, queue, calls), size)
            return True
        while queue and self._idle:
            calls, size = _first(queue, -(-len(queue) // self._idle))
            self._start(answerer, costs, self._take(answerer, queue, calls), size)
        return False

    def _take(self, answerer: Answerer, queue: deque[_Waiting], calls: int) -> list[_Waiting]:
        batch = [queue.popleft() for _ in range(calls)]
        for waiting in batch:
            waiting.started = True
            self._count(-1, waiting.call)
        answerer.batched(len(batch), time.perf_counter() - batch[0].since_s)
        return batch

    def _answer(
        self, answerer: Answerer, costs: "_Costs", batch: list[_Waiting], size: int
    ) -> None:
        """Answer a batch here and now."""
        try:
            results = costs.measured(answerer, [waiting.call for waiting in batch], size)
        except Exception as error:  # noqa: BLE001  # it concerns those who asked
            results = [RuntimeError(repr(error))] * len(batch)
        _finish(batch, results)

    def _start(self, answerer: Answerer, costs: "_Costs", batch: list[_Waiting], size: int) -> None:
        """Have a batch answered in a thread."""
        self._idle -= 1
        loop = asyncio.get_running_loop()
        calls = [waiting.call for waiting in batch]
        running = self._executor.submit(costs.measured, answerer, calls, size)
        self._running.add(running)

        def done(future: Future[list[Result]]) -> None:
            self._running.discard(future)
            if not future.cancelled():
                with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
                    loop.call_soon_threadsafe(self._ended, batch, future)

        running.add_done_callback(done)

    def _ended(self, batch: list[_Waiting], future: Future[list[Result]]) -> None:
        self._idle += 1
        error = future.exception()
        _finish(
            batch,
            future.result() if error is None else [RuntimeError(repr(error))] * len(batch),
        )
        self._turn()

    def close(self) -> bool:
        """Take no more; return whether every prediction has ended."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        return not self._running


class _Costs:
    """What batches of one model take, by the size of what came, in powers of two."""

    def __init__(self) -> None:
        self._known_s: dict[int, float] = {}

    def expected_s(self, size: int) -> float:
        """Return what a batch of so many bytes takes; infinity if none was so large yet."""
        return self._known_s.get(size.bit_length(), float("inf"))

    def measured(self, answerer: Answerer, calls: Sequence[Call], size: int) -> list[Result]:
        """Answer calls, and remember how long that took."""
        begun_s = time.perf_counter()
        results = answerer.answer(calls)
        took_s = time.perf_counter() - begun_s
        kind = size.bit_length()
        self._known_s[kind] = took_s * _WEIGHT + self._known_s.get(kind, took_s) * (1 - _WEIGHT)
        return results


def _first(queue: deque[_Waiting], most: int) -> tuple[int, int]:
    """Return how many of the first calls make a batch, at most `most`, and their bytes."""
    size = calls = 0
    for waiting in queue:
        if calls == min(most, BATCH_CALLS) or (calls and size + waiting.call.size > BATCH_BYTES):
            break
        calls += 1
        size += waiting.call.size
    return calls, size


def _too_late(waiting: _Waiting) -> None:
    if not waiting.future.done():
        waiting.future.set_exception(LateError(f"no answer within {waiting.timeout_s:g} s"))


def _finish(batch: Sequence[_Waiting], results: Sequence[Result]) -> None:
    now_s = time.perf_counter()
    for waiting, result in zip(batch, results, strict=True):
        if now_s - waiting.since_s >= waiting.timeout_s:
            _too_late(waiting)  # on the event loop no timer could say so
        if waiting.future.done():
            continue
        if isinstance(result, Exception):
            waiting.future.set_exception(result)
        else:
            waiting.future.set_result(result)
