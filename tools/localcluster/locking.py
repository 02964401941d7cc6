"""One command at a time: a second `up` waits for the first instead of building the same parts."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from tools.localcluster.paths import Layout


@contextmanager
def locked(layout: Layout, name: str = "cluster") -> Iterator[None]:
    """Hold the lock of that name; the kernel frees it when this process ends, however it ends."""
    layout.cache.mkdir(parents=True, exist_ok=True)
    with (layout.cache / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another rampway command is at work; waiting for it …", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
