"""An event loop without a selector: nothing in the simulation waits for the outside world."""

import asyncio
import functools
import heapq
import threading
import types
from collections import deque
from collections.abc import Coroutine, Generator, Iterable
from contextvars import Context
from typing import Any, TypeVar, cast

T = TypeVar("T")


class NeverEnds(RuntimeError):  # noqa: N818 - named like the thing it finds
    """The operator waits for something that nobody will bring about."""


class _Loop(asyncio.BaseEventLoop):
    """Runs what is ready, and jumps to the next timer when nothing is."""

    def __init__(self) -> None:
        super().__init__()
        self.eager = False
        self._passed_s = 0.0
        self._ready: deque[asyncio.Handle]
        self._scheduled: list[asyncio.TimerHandle]
        self._thread_id: int | None

    def time(self) -> float:
        """Return the loop's own time in seconds."""
        return self._passed_s

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: Context | None = None
    ) -> asyncio.Future[T]:
        """Make a task; an eager loop runs it up to where it waits at once, as Python 3.12 can.

        What ends there needs no turn of its own. It is in no task while it runs.
        """
        if not self.eager:
            return super().create_task(coro, name=name, context=context)
        try:
            waits_for = coro.send(None)
        except StopIteration as end:
            done: asyncio.Future[T] = self.create_future()
            done.set_result(end.value)
            return done
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - as a task does
            failed: asyncio.Future[T] = self.create_future()
            failed.set_exception(error)
            return failed
        return super().create_task(_going_on(coro, waits_for), name=name, context=context)

    def drive(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, and nothing beyond."""
        self._thread_id = threading.get_ident()  # it is running
        asyncio._set_running_loop(self)  # noqa: SLF001 - it is a loop's to say so
        try:
            task = self.create_task(main)
            while not task.done():
                self._run_once()
        finally:
            self._thread_id = None
            asyncio._set_running_loop(None)  # noqa: SLF001 - as above
        return task.result()

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


@types.coroutine
def _going_on(coro: Coroutine[Any, Any, T], waits_for: object) -> Generator[Any, Any, T]:
    """Run the rest of a coroutine that waits for something."""
    while True:
        try:
            heard = yield waits_for
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's
            step = functools.partial(coro.throw, error)
        else:
            step = functools.partial(coro.send, heard)
        try:
            waits_for = step()
        except StopIteration as end:
            return cast("T", end.value)


_LOOP = _Loop()


def run(main: Coroutine[Any, Any, T], *, eager: bool = False) -> T:
    """Run a coroutine to its end, as `asyncio.run`, without making a loop each time.

    Args:
        main: The coroutine.
        eager: Save turns where hardly anything ever waits, and nothing asks which task it is in.

    Raises:
        NeverEnds: it waits for ever.
    """
    _LOOP.eager = eager
    try:
        return _LOOP.drive(main)
    except BaseException:
        _drop_tasks()
        raise


def _drop_tasks() -> None:
    """Cancel what a killed operator left behind, so that the next one is not disturbed."""
    left = asyncio.all_tasks(_LOOP)
    for task in left:
        task.cancel()
    if left:
        _LOOP.drive(_ended(left))


async def _ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
