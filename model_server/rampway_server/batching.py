"""Predictions in a few threads; requests that wait meanwhile are predicted together.

Nothing ever waits for company: a request that finds a thread idle goes at once, alone. While all
threads are busy requests queue up, and the next thread that is free takes those of one model
together. So batches grow with the load and by nothing else. All state belongs to the event loop.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from rampway_server.errors import LateError, UnavailableError
from rampway_server.infer import Answered, Call, Result

BATCH_CALLS = 64
BATCH_BYTES = 4 << 20
QUEUE_BYTES = 256 << 20


class Answerer(Protocol):
    """Answers calls together; runs in a thread."""

    def answer(self, calls: Sequence[Call]) -> list[Result]:
        """Return a result for each call."""
        ...


@dataclass(eq=False)
class _Waiting:
    call: Call
    future: "asyncio.Future[Answered]"
    since_s: float = field(default_factory=time.perf_counter)
    started: bool = False


Told = Callable[[int, float], None]
"""Hears of each batch: its calls, and how long the first of them waited in seconds."""


class Batcher:
    """Runs calls off the event loop, so that health answers while a slow model predicts.

    Args:
        workers: Threads.
        max_waiting: Calls that may wait; more are refused.
    """

    def __init__(self, workers: int, max_waiting: int, told: Told) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="predict")
        self._idle = workers
        self._max_waiting = max_waiting
        self._told = told
        self._queues: dict[Answerer, deque[_Waiting]] = {}
        self._waiting = 0
        self._waiting_bytes = 0
        self._running: set[Future[list[Result]]] = set()

    async def run(self, answerer: Answerer, call: Call, timeout_s: float) -> Answered:
        """Return the call's answer.

        Raises:
            UnavailableError: as many as may wait do so already.
            LateError: no answer within the time.
            ClientFaultError, ModelError, Exception: as the answerer found.
        """
        full = self._waiting >= self._max_waiting or self._waiting_bytes >= QUEUE_BYTES
        if full and not self._idle:
            raise UnavailableError(f"{self._waiting} requests wait already")
        waiting = _Waiting(call, asyncio.get_running_loop().create_future())
        queue = self._queues.setdefault(answerer, deque())
        queue.append(waiting)
        self._count(1, call)
        self._dispatch()
        try:
            async with asyncio.timeout(timeout_s):
                return await waiting.future
        except TimeoutError:
            raise LateError(f"no answer within {timeout_s:g} s") from None
        finally:
            if not waiting.started:  # its time is over, or its client went away
                queue.remove(waiting)
                self._count(-1, call)

    def _count(self, calls: int, call: Call) -> None:
        self._waiting += calls
        self._waiting_bytes += calls * call.size

    def _dispatch(self) -> None:
        """Give idle threads what waits, a fair share each."""
        while self._idle and self._queues:
            answerer, queue = next(iter(self._queues.items()))
            del self._queues[answerer]
            batch = self._take(queue, share=-(-len(queue) // self._idle))
            if queue:
                self._queues[answerer] = queue  # behind the other models
            if batch:
                self._start(answerer, batch)

    def _take(self, queue: deque[_Waiting], share: int) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while queue and len(batch) < min(share, BATCH_CALLS):
            size += queue[0].call.size
            if batch and size > BATCH_BYTES:
                break
            waiting = queue.popleft()
            waiting.started = True
            self._count(-1, waiting.call)
            batch.append(waiting)
        return batch

    def _start(self, answerer: Answerer, batch: list[_Waiting]) -> None:
        self._idle -= 1
        self._told(len(batch), time.perf_counter() - batch[0].since_s)
        loop = asyncio.get_running_loop()
        calls = [waiting.call for waiting in batch]
        running = self._executor.submit(answerer.answer, calls)
        self._running.add(running)

        def done(future: Future[list[Result]]) -> None:
            self._running.discard(future)
            if not future.cancelled():
                with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
                    loop.call_soon_threadsafe(self._finish, batch, future)

        running.add_done_callback(done)

    def _finish(self, batch: list[_Waiting], future: Future[list[Result]]) -> None:
        self._idle += 1
        error = future.exception()
        results: list[Result] = (
            future.result() if error is None else [RuntimeError(repr(error))] * len(batch)
        )
        self._dispatch()
        for waiting, result in zip(batch, results, strict=True):
            if waiting.future.done():
                continue
            if isinstance(result, Exception):
                waiting.future.set_exception(result)
            else:
                waiting.future.set_result(result)

    def close(self) -> bool:
        """Take no more; return whether every prediction has ended."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        return not self._running
