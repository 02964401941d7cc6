"""The payload log: a sample of requests with their answers, a line for each row, written aside.

What is sampled is put into a bounded queue as it is; a thread that rests four times as long as it
works makes files of it. A full queue, or a target that fails, costs payloads, which are counted; no
answer ever waits.
"""

import itertools
import os
import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, Metric

from rampway_server.errors import StartError
from rampway_server.logs import logger
from rampway_server.model import Model
from rampway_server.request import InferRequest
from rampway_server.sheet import Page

OUTCOMES = ("written", "dropped", "failed")
FILE_BYTES = 32 << 20
_ROWS = 64  # turned into text at once
_RESTS = 4
_LAST_S = 10.0
_PAYLOAD_BYTES = 512  # beside its arrays
Log = Callable[[InferRequest, Sequence[NDArray[Any]]], None]
"""Takes a request and its answers' arrays."""


@dataclass(frozen=True)
class _Payload:
    about: Mapping[str, str]
    model: Model
    asked: InferRequest
    arrays: Sequence[NDArray[Any]]
    at_s: float

    @property
    def size(self) -> int:
        """About how many bytes of memory it holds."""
        arrays = (*self.asked.inputs, *self.arrays)
        return sum(values.nbytes for values in arrays) + _PAYLOAD_BYTES

    def lines(self) -> Iterator[bytes]:
        """Return the request as lines of JSON, some rows at a time."""
        told = {"time": datetime.fromtimestamp(self.at_s, UTC).isoformat(), **self.about}
        told["id"] = self.asked.request_id or ""
        takes = [spec.name for spec in self.model.takes]
        offers = [output.spec.name for output in self.asked.outputs]
        for start in range(0, self.asked.rows, _ROWS):
            rows = slice(start, start + _ROWS)
            given = zip(*(values[rows].tolist() for values in self.asked.inputs), strict=True)
            found = zip(*(values[rows].tolist() for values in self.arrays), strict=True)
            yield b"".join(
                orjson.dumps(
                    {
                        **told,
                        "row": row,
                        "inputs": dict(zip(takes, sent, strict=True)),
                        "outputs": dict(zip(offers, answered, strict=True)),
                    },
                    option=orjson.OPT_APPEND_NEWLINE,
                )
                for row, (sent, answered) in enumerate(zip(given, found, strict=True), start)
            )


class Payloads:
    """Takes payloads, and writes them.

    Args:
        place: A folder, or a URL that fsspec understands.
        share: Of requests that are logged, 0 to 1.
        queue_bytes: How much may wait to be written; more is dropped.
        interval_s: So often a file is written, if there is anything to write.
        page: Where this worker counts.

    Raises:
        StartError: the target cannot be used.
    """

    def __init__(
        self, place: str, share: float, queue_bytes: int, interval_s: float, page: Page
    ) -> None:
        self._put = _target(place)
        self._share = share
        self._queue_bytes = queue_bytes
        self._interval_s = interval_s
        self._waiting: queue.SimpleQueue[_Payload | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._counts = page.cells("payloads", size=len(OUTCOMES))
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="payloads", daemon=True)
        self._thread.start()

    def of(self, model: Model, about: Mapping[str, str]) -> Log:
        """Return what takes the payloads of a model; `about` is told of each."""

        def log(asked: InferRequest, arrays: Sequence[NDArray[Any]]) -> None:
            if random.random() < self._share:  # noqa: S311  # a sample, no secret
                self._take(_Payload(about, model, asked, arrays, time.time()))

        return log

    def _take(self, payload: _Payload) -> None:
        with self._lock:
            if self._waiting_bytes + payload.size > self._queue_bytes:
                self._counts.own[OUTCOMES.index("dropped")] += 1
                return
            self._waiting_bytes += payload.size
        self._waiting.put(payload)

    def close(self) -> None:
        """Write what waits, for some seconds at most."""
        self._waiting.put(None)
        self._thread.join(_LAST_S)

    def collect(self) -> Iterator[Metric]:
        """Return how many payloads met which end."""
        family = CounterMetricFamily(
            "rampway_payloads", "Sampled payloads, by their end.", labels=["outcome"]
        )
        for outcome, count in zip(OUTCOMES, self._counts.total().tolist(), strict=True):
            family.add_metric([outcome], count)
        yield family

    def _run(self) -> None:
        for number in itertools.count():
            parts, payloads, ended = self._gather()
            if payloads:
                self._write(f"{_stem()}-{number}.jsonl", b"".join(parts), payloads)
            if ended:
                return

    def _gather(self) -> tuple[list[bytes], int, bool]:
        """Return a file's lines, how many payloads they are of, and whether they are the last."""
        due_s = time.monotonic() + self._interval_s
        parts: list[bytes] = []
        payloads = size = 0
        while size < FILE_BYTES:
            try:
                payload = self._waiting.get(timeout=max(0.0, due_s - time.monotonic()))
            except queue.Empty:
                break
            if payload is None:
                return parts, payloads, True
            for lines in _unhurried(payload.lines()):
                parts.append(lines)
                size += len(lines)
            payloads += 1
            with self._lock:
                self._waiting_bytes -= payload.size
        return parts, payloads, False

    def _write(self, name: str, content: bytes, payloads: int) -> None:
        outcome = "written"
        try:
            self._put(name, content)
            self._failing = False
        except Exception as error:  # noqa: BLE001  # whatever the target raises
            outcome = "failed"
            if not self._failing:
                logger().error("payloads cannot be written", reason=repr(error), said="once")
            self._failing = True
        self._counts.own[OUTCOMES.index(outcome)] += payloads


def _unhurried(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Return the same, leaving the interpreter to others most of the time."""
    begun_s = time.perf_counter()
    for one in lines:
        yield one
        time.sleep(_RESTS * (time.perf_counter() - begun_s))
        begun_s = time.perf_counter()


def _stem() -> str:
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"{now}-{socket.gethostname()}-{os.getpid()}"


def _target(place: str) -> Callable[[str, bytes], object]:
    """Return what writes a file of a name."""
    if "://" not in place:
        folder = Path(place)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(
                f"cannot make folder {folder} (--payload-log): {error.strerror}"
            ) from error
        return lambda name, content: _write_whole(folder / name, content)
    try:
        import fsspec
    except ImportError:
        raise StartError(
            "payloads to a URL need fsspec, which is not installed; use the image "
            "model-server-full, or install rampway[server-full]"
        ) from None
    try:
        files, root = fsspec.core.url_to_fs(place)
    except (ValueError, ImportError) as error:
        raise StartError(f"cannot use {place} (--payload-log): {error}") from error
    return lambda name, content: files.pipe_file(f"{root}/{name}", content)


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
