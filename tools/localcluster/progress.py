"""Tells how far a long build is: which part, k of n, how long, how long it usually takes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

EVERY_S = 20.0


def clock_text(seconds: float) -> str:
    """Write a duration as minutes and seconds, ``4:05``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


@dataclass
class Progress:
    """Counts ``total`` parts; several may be under way at once."""

    total: int
    started: int = 0
    durations_s: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def part(self, title: str, expected_s: float) -> Iterator[None]:
        """Announce a part, say every 20 s how far it is, and when it is done."""
        with self._lock:
            self.started += 1
            head = f"[{self.started}/{self.total}] {title}"
        self._say(f"{head}: started, takes about {clock_text(expected_s)}")
        begun_s = time.monotonic()
        done = threading.Event()
        ticker = threading.Thread(
            target=self._tick, args=(head, expected_s, begun_s, done), daemon=True
        )
        ticker.start()
        try:
            yield
        finally:
            done.set()
            ticker.join()
        took_s = time.monotonic() - begun_s
        with self._lock:
            self.durations_s[title] = took_s
        self._say(f"{head}: done in {clock_text(took_s)}")

    def _tick(self, head: str, expected_s: float, begun_s: float, done: threading.Event) -> None:
        while not done.wait(EVERY_S):
            elapsed = clock_text(time.monotonic() - begun_s)
            self._say(f"{head}: {elapsed} of about {clock_text(expected_s)}")

    def _say(self, line: str) -> None:
        with self._lock:
            print(line, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print one line for a short step, with the seconds it took."""
    begun_s = time.monotonic()
    print(f"  {title} …", end="", flush=True)
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - begun_s:.1f} s", flush=True)
