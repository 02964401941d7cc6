"""Requests that wait together are predicted together, and none waits for company."""

import asyncio
import json
import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyRegressor
from unit.server.asgi import Reply, call, infer_body
from unit.server.conftest import MakeApp, made
from unit.server.waiting import DEADLINE_S, until

from rampway_server import batching
from rampway_server.app import Limits
from rampway_server.automation import Dial
from rampway_server.batching import Batcher
from rampway_server.errors import UnavailableError
from rampway_server.estimators import describe
from rampway_server.infer import Answered, Call, Result
from rampway_server.metrics import Metrics
from rampway_server.repository import Repository

INFER = "/v2/models/digits/infer"
HELD_S = 0.05
LABELS = '{model="digits",revision="digits-abc"}'


class Gated(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A model that answers twice the first column, when let, and notes how many rows came."""

    n_features_in_ = 2

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.rows: list[int] = []

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Wait for the gate; a negative number is a bad row."""
        assert self.gate.wait(DEADLINE_S)
        self.rows.append(len(rows))
        if (rows < 0).any():
            raise ValueError("negative")
        doubled: NDArray[Any] = rows[:, 0] * 2
        return doubled

    def predict_proba(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Answer halves."""
        return np.full((len(rows), 2), 0.5)


def number(metrics: Metrics, series: str) -> float:
    """Return what a series says."""
    (line,) = (x for x in metrics.render().decode().splitlines() if x.startswith(series + " "))
    return float(line.split()[-1])


async def send(app: Any, *values: float, **more: Any) -> Reply:
    """Ask for one answer per value."""
    body = infer_body([[value, 1.0] for value in values], **more)
    return await call(app, INFER, json.dumps(body).encode())


async def together(app: Any, metrics: Metrics, model: Gated, *requests: Any) -> list[Reply]:
    """Send a first request that holds the thread, the others behind it, then open the gate."""
    first = asyncio.create_task(send(app, 1.0))
    await until(lambda: number(metrics, f"rampway_batch_requests_count{LABELS}") == 1)
    others = [asyncio.create_task(request) for request in requests]
    waiting = 1 + len(others)
    await until(lambda: number(metrics, f"rampway_in_flight_requests{LABELS}") == waiting)
    await asyncio.sleep(HELD_S)
    model.gate.set()
    await first
    return list(await asyncio.gather(*others))


async def test_who_waits_is_predicted_at_once_with_the_others(make_app: MakeApp) -> None:
    """Three requests of different lengths make one prediction, and each gets its own rows."""
    model = Gated()
    app, metrics = make_app(model)
    requests = send(app, 2.0), send(app, 3.0, 4.0), send(app, 5.0)
    replies = await together(app, metrics, model, *requests)
    answers = [reply.document["outputs"][0]["data"] for reply in replies]
    assert answers == [[4.0], [6.0, 8.0], [10.0]]
    assert model.rows == [1, 4]
    assert number(metrics, f"rampway_batch_requests_sum{LABELS}") == 4
    assert number(metrics, f"rampway_queue_seconds_count{LABELS}") == 2
    assert number(metrics, f"rampway_queue_seconds_sum{LABELS}") >= HELD_S
    long = "rampway_queue_seconds_bucket" + LABELS.replace("model", 'le="0.03",model', 1)
    assert number(metrics, long) <= 1


async def test_batches_are_counted_for_their_own_model() -> None:
    """Of several models in a process each has its own queue, and its own series."""
    metrics = Metrics()
    repository = Repository(metrics, Dial(""))
    for name in ("digits", "other"):
        repository.expect(name, "1", f"{name}-abc")
        repository.load(name, "1", describe(DummyRegressor().fit([[0.0, 0.0]], [1.0]), ""))
    batcher = Batcher(1, 8)
    app = made(repository, metrics, batcher)
    for value in (1.0, 2.0):
        assert (await send(app, value)).status == 200
    others = LABELS.replace("digits", "other")
    for series in ("rampway_batch_requests_count", "rampway_queue_seconds_count"):
        assert [number(metrics, series + labels) for labels in (LABELS, others)] == [2, 0]
    batcher.close()


async def test_requests_one_after_another_are_predicted_alone(make_app: MakeApp) -> None:
    """Who is alone is answered alone."""
    model = Gated()
    model.gate.set()
    app, metrics = make_app(model)
    for value in (1.0, 2.0):
        assert (await send(app, value)).document["outputs"][0]["data"] == [value * 2]
    assert model.rows == [1, 1]
    assert number(metrics, f"rampway_queue_seconds_count{LABELS}") == 2


async def test_bad_row_fails_only_its_own_request(make_app: MakeApp) -> None:
    """What makes the model raise is found by asking each alone; the others are answered."""
    model = Gated()
    app, metrics = make_app(model)
    requests = send(app, 2.0), send(app, -1.0), send(app, 3.0)
    replies = await together(app, metrics, model, *requests)
    assert [reply.status for reply in replies] == [200, 500, 200]
    assert model.rows == [1, 3, 1, 1, 1]
    assert b'outcome="model_error",revision="digits-abc"} 1.0' in metrics.render()


async def test_client_fault_fails_only_its_own_request(make_app: MakeApp) -> None:
    """A malformed body among good ones is a 400 and the others are answered together."""
    model = Gated()
    app, metrics = make_app(model)
    requests = send(app, 2.0), call(app, INFER, b"{"), send(app, 3.0)
    replies = await together(app, metrics, model, *requests)
    assert [reply.status for reply in replies] == [200, 400, 200]
    assert model.rows == [1, 2]


class Heard:
    """The part of an answerer that hears of its batches."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def batched(self, calls: int, _waited_s: float) -> None:
        """Note a batch."""
        self.heard.append(calls)


class Notes(Heard):
    """An answerer that notes what it answers."""

    def __init__(self, name: str, told: list[tuple[str, int]]) -> None:
        super().__init__()
        self.name, self.told = name, told
        self.gate = threading.Event()

    def answer(self, calls: Any) -> list[Result]:
        """Wait for the gate and answer each call with the model's name."""
        assert self.gate.wait(DEADLINE_S)
        self.told.append((self.name, len(calls)))
        return [Answered(self.name, None)] * len(calls)  # type: ignore[arg-type]


class Sized:
    """A call of some bytes."""

    def __init__(self, size: int = 1) -> None:
        self.size = size


async def turn() -> None:
    """Let the event loop do all that is due now, once."""
    await asyncio.sleep(0)


async def test_a_lone_request_waits_for_nobody() -> None:
    """With a thread idle it goes in the turn of the event loop after the one that it comes in."""
    batcher = Batcher(1, 100)
    notes = Notes("m", [])
    notes.gate.set()
    for times in (1, 2):
        call: Call = Sized(10**times)  # type: ignore[assignment]
        running = asyncio.create_task(batcher.run(notes, call, DEADLINE_S))
        await turn()
        await turn()
        assert notes.heard == [1] * times
        await running
    batcher.close()


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predict nothing on the event loop, however quick it is."""
    monkeypatch.setattr(batching, "QUICK_S", -1.0)


@pytest.mark.usefixtures("in_threads")
async def test_models_take_turns_and_batches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One model's long queue goes in pieces, and the other's turn comes between them."""
    monkeypatch.setattr(batching, "BATCH_CALLS", 3)
    told: list[tuple[str, int]] = []
    busy, other = Notes("busy", told), Notes("other", told)
    other.gate.set()
    batcher = Batcher(1, 100)
    calls: list[Call] = [Sized() for _ in range(7)]  # type: ignore[misc]
    running = [asyncio.create_task(batcher.run(busy, call, DEADLINE_S)) for call in calls]
    await turn()
    running.append(asyncio.create_task(batcher.run(other, calls[0], DEADLINE_S)))
    await turn()
    busy.gate.set()
    await asyncio.gather(*running)
    assert told == [("busy", 3), ("busy", 3), ("other", 1), ("busy", 1)]
    assert batcher.close()


@pytest.mark.usefixtures("in_threads")
async def test_large_calls_are_not_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes bound a batch as well as its number, and what waits in all."""
    monkeypatch.setattr(batching, "BATCH_BYTES", 10)
    monkeypatch.setattr(batching, "QUEUE_BYTES", 12)
    told: list[tuple[str, int]] = []
    notes = Notes("m", told)
    batcher = Batcher(1, 100)
    calls: list[Call] = [Sized(6) for _ in range(3)]  # type: ignore[misc]
    running = [asyncio.create_task(batcher.run(notes, call, DEADLINE_S)) for call in calls]
    await turn()
    await turn()
    with pytest.raises(UnavailableError, match="2 requests wait already"):
        await batcher.run(notes, calls[0], DEADLINE_S)
    notes.gate.set()
    await asyncio.gather(*running)
    assert told == [("m", 1), ("m", 1), ("m", 1)]
    batcher.close()


async def test_answerer_that_breaks_breaks_no_other_batch() -> None:
    """A bug in answering reaches those who asked; the thread goes on."""

    class Broken(Heard):
        def answer(self, _calls: Any) -> list[Result]:
            raise KeyError("bug")

    batcher = Batcher(1, 100)
    call: Call = Sized()  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="KeyError"):
            await batcher.run(Broken(), call, DEADLINE_S)
    assert batcher.close()


class Timed(Heard):
    """An answerer that takes as long as told, by a clock of its own, and notes its threads."""

    def __init__(self) -> None:
        super().__init__()
        self.takes_s = 0.0
        self.now_s = 0.0
        self.threads: list[bool] = []

    def perf_counter(self) -> float:
        """Tell the time."""
        return self.now_s

    def answer(self, calls: Any) -> list[Result]:
        """Take the time, and note whether it is the event loop's."""
        self.now_s += self.takes_s
        self.threads.append(threading.current_thread() is threading.main_thread())
        return [Answered("", None)] * len(calls)  # type: ignore[arg-type]


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Timed:
    """An answerer by whose clock batches are measured."""
    found = Timed()
    monkeypatch.setattr(batching, "time", found)
    return found


async def test_quick_batches_are_answered_on_the_loop_and_others_in_a_thread(timed: Timed) -> None:
    """What was quick needs no thread; what is slow, or of a size not seen yet, gets one."""
    batcher = Batcher(1, 100)
    small, large = Sized(10), Sized(1000)
    for sized in (small, small, large, large):
        await batcher.run(timed, sized, DEADLINE_S)  # type: ignore[arg-type]
    assert timed.threads == [False, True, False, True]
    timed.takes_s = 0.2
    for _ in range(2):
        await batcher.run(timed, small, DEADLINE_S)  # type: ignore[arg-type]
    assert timed.threads[4:] == [True, False]  # slow once is enough
    batcher.close()


async def test_what_comes_in_one_turn_is_one_batch_on_the_loop_too(timed: Timed) -> None:
    """Quick models have their batches as slow ones have: by load alone."""
    batcher = Batcher(1, 100)
    call: Call = Sized()  # type: ignore[assignment]
    await batcher.run(timed, call, DEADLINE_S)
    four: Call = Sized(4)  # type: ignore[assignment]
    await batcher.run(timed, four, DEADLINE_S)
    await asyncio.gather(*(batcher.run(timed, call, DEADLINE_S) for _ in range(4)))
    assert timed.heard == [1, 1, 4]
    assert timed.threads == [False, False, True]
    batcher.close()


async def test_what_is_late_on_the_event_loop_is_late(make_app: MakeApp) -> None:
    """No timer runs beside a prediction there; the answer that comes after it is not given."""
    model = Gated()
    model.gate.set()
    app, metrics = make_app(model, limits=Limits(timeout_s=HELD_S))
    for _ in range(3):  # known to be quick: the loop answers itself from now on
        assert (await send(app, 1.0)).status == 200
    model.gate = _Slow()
    reply = await send(app, 2.0)
    assert (reply.status, "no answer within 0.05 s" in reply.error) == (504, True)
    assert model.gate.threads == {threading.main_thread()}
    assert number(metrics, "rampway_responses_total" + LABELS.replace("{", '{code="504",')) == 1


class _Slow(threading.Event):
    """A gate that takes longer than anybody waits, and notes in which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[threading.Thread] = set()

    def wait(self, timeout: float | None = None) -> bool:
        """Take twice the time."""
        del timeout
        self.threads.add(threading.current_thread())
        time.sleep(2 * HELD_S)
        return True
