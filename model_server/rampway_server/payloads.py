"""The payload log: a sample of requests with their answers, written aside.

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
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, Metric

from rampway_server.logs import logger
from rampway_server.model import Model
from rampway_server.payload import File, Form, Payload
from rampway_server.places import Put
from rampway_server.request import InferRequest
from rampway_server.sheet import Page

OUTCOMES = ("written", "dropped", "failed")
FILE_BYTES = 32 << 20
_RESTS = 4
_LAST_S = 10.0
Log = Callable[[InferRequest, Sequence[NDArray[Any]]], None]
"""Takes a request and its answers' arrays."""


@dataclass
class _Open:
    """A file in the making, and how many payloads are in it."""

    file: File
    payloads: int = 0


class Payloads:
    """Takes payloads, and writes them.

    Args:
        put: Writes a file.
        form: What is in the files.
        share: Of requests that are logged, 0 to 1.
        queue_bytes: How much may wait to be written; more is dropped.
        interval_s: So often a file is written, if there is anything to write.
        page: Where this worker counts.
    """

    def __init__(
        self,
        put: Put,
        form: Form,
        page: Page,
        *,
        share: float,
        queue_bytes: int,
        interval_s: float,
    ) -> None:
        self._put = put
        self._form = form
        self._share = share
        self._queue_bytes = queue_bytes
        self._interval_s = interval_s
        self._waiting: queue.SimpleQueue[Payload | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._counts = page.cells("payloads", size=len(OUTCOMES))
        self._failing = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="payloads", daemon=True)
        self._thread.start()

    def of(self, model: Model, about: Mapping[str, str]) -> Log:
        """Return what takes the payloads of a model; `about` is told of each."""

        def log(asked: InferRequest, arrays: Sequence[NDArray[Any]]) -> None:
            if random.random() < self._share:  # noqa: S311  # a sample, no secret
                own = [_own(values) for values in arrays]
                self._take(Payload(about, model, asked, own, time.time()))

        return log

    def _take(self, payload: Payload) -> None:
        with self._lock:
            if self._waiting_bytes + payload.size > self._queue_bytes:
                self._counts.own[OUTCOMES.index("dropped")] += 1
                return
            self._waiting_bytes += payload.size
        self._waiting.put(payload)

    def close(self) -> None:
        """Write what waits, without rests now, for some seconds at most."""
        self._ending.set()
        self._waiting.put(None)
        self._thread.join(_LAST_S)
        if self._thread.is_alive():
            logger().error("the last payloads are lost: the target took too long", after_s=_LAST_S)

    def collect(self) -> Iterator[Metric]:
        """Return how many payloads met which end."""
        family = CounterMetricFamily(
            "rampway_payloads", "Sampled payloads, by their end.", labels=["outcome"]
        )
        for outcome, count in zip(OUTCOMES, self._counts.total().tolist(), strict=True):
            family.add_metric([outcome], count)
        yield family

    def _run(self) -> None:
        numbers = itertools.count()
        ended = False
        while not ended:
            opened, ended = self._gather()
            for one in opened:
                self._write(f"{_stem()}-{next(numbers)}.{self._form.suffix}", one)

    def _gather(self) -> tuple[list[_Open], bool]:
        """Return the files of an interval, or of as much as may be in them, and whether it ends."""
        due_s = time.monotonic() + self._interval_s
        opened: dict[Hashable, _Open] = {}
        while sum(one.file.size for one in opened.values()) < FILE_BYTES:
            try:
                payload = self._waiting.get(timeout=max(0.0, due_s - time.monotonic()))
            except queue.Empty:
                break
            if payload is None:
                return list(opened.values()), True
            try:
                self._add(payload, opened)
            except Exception as error:  # noqa: BLE001  # whatever a model answers
                broken = opened.pop(self._form.kin(payload), None)
                self._failed(1 + (broken.payloads if broken else 0), error)
            with self._lock:
                self._waiting_bytes -= payload.size
        return list(opened.values()), False

    def _add(self, payload: Payload, opened: dict[Hashable, _Open]) -> None:
        """Put a payload into its file, leaving the interpreter to others most of the time."""
        kin = self._form.kin(payload)
        if kin not in opened:
            opened[kin] = _Open(self._form.begin(payload))
        begun_s = time.perf_counter()
        for _ in opened[kin].file.add(payload):
            self._ending.wait(_RESTS * (time.perf_counter() - begun_s))
            begun_s = time.perf_counter()
        opened[kin].payloads += 1

    def _write(self, name: str, one: _Open) -> None:
        try:
            self._put(name, one.file.content())
        except Exception as error:  # noqa: BLE001  # whatever the target raises
            self._failed(one.payloads, error)
        else:
            self._failing = False
            self._counts.own[OUTCOMES.index("written")] += one.payloads

    def _failed(self, payloads: int, error: Exception) -> None:
        self._counts.own[OUTCOMES.index("failed")] += payloads
        if not self._failing:
            reason = str(error) or repr(error)
            logger().error("payloads cannot be written", reason=reason, said="once")
        self._failing = True


def _own(values: NDArray[Any]) -> NDArray[Any]:
    """Return the same, holding no more memory: not the answers of a whole batch."""
    held: Any = values.base
    if isinstance(held, np.ndarray) and held.nbytes > values.nbytes:
        return values.copy()
    return values


def _stem() -> str:
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"{now}-{socket.gethostname()}-{os.getpid()}"
