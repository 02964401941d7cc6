"""A few threads for predictions, with a bounded queue in front."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from rampway_server.errors import BusyError

T = TypeVar("T")


class Pool:
    """Runs functions off the event loop, so that health answers while a slow model predicts."""

    def __init__(self, workers: int, max_waiting: int) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="predict")
        self._limit = workers + max_waiting
        # A set, as its add and discard are atomic: discard runs in the predicting thread.
        self._pending: set[Future[Any]] = set()

    async def run(self, function: Callable[[], T]) -> T:
        """Return the function's result from a thread.

        Raises:
            BusyError: as many as may wait do so already.
        """
        if len(self._pending) >= self._limit:
            raise BusyError(f"{len(self._pending)} requests wait already")
        future = self._executor.submit(function)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return await asyncio.wrap_future(future)

    def close(self) -> bool:
        """Take no more; return whether every prediction has ended."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        return not self._pending
