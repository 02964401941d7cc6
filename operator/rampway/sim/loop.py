"""An event loop without a selector: nothing in the simulation waits for the outside world."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class NeverEnds(RuntimeError):  # noqa: N818 - named like the thing it finds
    """The operator waits for something that nobody will bring about."""


class _NoSelector:
    """Stands where a selector would: to wait for input is to let the loop's own time go on."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def select(self, timeout_s: float | None) -> list[Any]:
        """Report no input, at once."""
        if timeout_s is None:
            raise NeverEnds("every task waits, and no timer runs: a call of the operator hangs")
        self.passed_s += timeout_s
        return []


class _Loop(asyncio.BaseEventLoop):
    """Runs what is ready, and jumps to the next timer when nothing is."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _NoSelector()

    def time(self) -> float:
        """Return the loop's own time in seconds."""
        return self._selector.passed_s

    def _process_events(self, event_list: list[Any]) -> None:
        """Do nothing: there are no events."""

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
