"""An event loop without a selector: nothing in the simulation waits for the outside world."""

import asyncio
import heapq
from collections import deque
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class NeverEnds(RuntimeError):  # noqa: N818 - named like the thing it finds
    """The operator waits for something that nobody will bring about."""


class _Loop(asyncio.BaseEventLoop):
    """Runs what is ready, and jumps to the next timer when nothing is."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_s = 0.0
        self._ready: deque[asyncio.Handle]
        self._scheduled: list[asyncio.TimerHandle]

    def time(self) -> float:
        """Return the loop's own time in seconds."""
        return self._passed_s

    def _run_once(self) -> None:
        """Run what is ready now; what that makes ready has its turn next time, as in asyncio."""
        ready, timers = self._ready, self._scheduled
        if not ready and not timers:
            raise NeverEnds("every task waits, and no timer runs: a call of the operator hangs")
        if not ready:
            self._passed_s = max(self._passed_s, timers[0].when())
        while timers and timers[0].when() <= self._passed_s:
            ready.append(heapq.heappop(timers))
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001 - it is a loop's to run it

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: a cancelled timer is dropped when its time comes."""

    def _write_to_self(self) -> None:
        """Do nothing: no other thread has to wake it."""

    def __del__(self) -> None:
        """Do nothing: it holds nothing that could leak."""


_LOOP = _Loop()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, as `asyncio.run`, without making a loop each time.

    Raises:
        NeverEnds: it waits for ever.
    """
    try:
        return _LOOP.run_until_complete(main)
    except BaseException:
        _drop_tasks()
        raise


def forked() -> None:
    """Let a forked process go on with the loop that it was forked in."""
    if _LOOP.is_running():
        asyncio._set_running_loop(_LOOP)  # noqa: SLF001 - it is bound to the parent's process id


def _drop_tasks() -> None:
    """Cancel what a killed operator left behind, so that the next one is not disturbed."""
    left = asyncio.all_tasks(_LOOP)
    for task in left:
        task.cancel()
    if left:
        _LOOP.run_until_complete(asyncio.gather(*left, return_exceptions=True))
