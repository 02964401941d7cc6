"""How tests wait: for what must come, as long as the slowest machine may take, and no longer."""

import asyncio
import time
from collections.abc import Callable

DEADLINE_S = 120.0
"""What has not happened by then never will. No test passes or fails by anything shorter."""
_LOOK_S = 0.01


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Let the event loop go on until something is true."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, what or "it never happened"
        await asyncio.sleep(_LOOK_S)


def wait_until(condition: Callable[[], object], what: str = "") -> None:
    """Wait until something is true of other threads or processes."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, what or "it never happened"
        time.sleep(_LOOK_S)
