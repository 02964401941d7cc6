"""The work queue: each key once at a time, none lost, later or at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rampway.kube.errors import Transient
from rampway.shell.queue import FIRST_BACKOFF_S, LONGEST_BACKOFF_S, WorkQueue

Handle = Callable[[str], Awaitable[float | None]]


class Clock:
    """A clock that goes on when told."""

    now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@asynccontextmanager
async def running(queue: WorkQueue[str], handle: Handle, workers: int = 1) -> AsyncIterator[None]:
    """Run workers for as long as the block lasts."""
    tasks = [asyncio.create_task(queue.work(handle)) for _ in range(workers)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def settle(turns: int = 20) -> None:
    """Let every task do what it can."""
    for _ in range(turns):
        await asyncio.sleep(0)


def due(queue: WorkQueue[str], clock: Clock, now_s: float) -> list[str]:
    """Return what became due by then."""
    clock.now_s = now_s
    queue._release()
    found = []
    while queue._waiting:
        key = queue._next()
        queue._waiting.discard(key)
        found.append(key)
    return found


async def test_a_key_that_waits_is_not_added_twice() -> None:
    """Many events on one object are one pass."""
    queue: WorkQueue[str] = WorkQueue(Clock())
    seen: list[str] = []

    async def handle(key: str) -> None:
        seen.append(key)

    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert queue.depth() == 2
    async with running(queue, handle):
        await settle()
    assert seen == ["a", "b"]
    assert queue.depth() == 0


async def test_a_key_added_while_busy_is_worked_on_again() -> None:
    """An event during a pass makes one more pass, not two, and never one at the same time."""
    queue: WorkQueue[str] = WorkQueue(Clock())
    go = asyncio.Event()
    seen: list[str] = []

    async def handle(key: str) -> float:
        seen.append(key)
        await go.wait()
        return 60.0

    async with running(queue, handle, workers=3):
        queue.add("a")
        await settle()
        queue.add("a")
        queue.add("a")
        await settle()
        assert seen == ["a"]
        go.set()
        await settle()
    assert seen == ["a", "a"]


@pytest.mark.parametrize("delays", [(5, 3, 9), (9, 5, 3), (3, 5, 9)])
def test_of_several_due_times_the_earliest_counts(delays: tuple[float, ...]) -> None:
    """A key that is due several times comes once, at the earliest."""
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    for delay_s in delays:
        queue.add_after("a", delay_s)
    assert due(queue, clock, 2.9) == []
    assert due(queue, clock, 3.0) == ["a"]
    assert due(queue, clock, 100.0) == []


def test_adding_at_once_makes_a_later_time_needless() -> None:
    """A key that was worked on since is not due any more; no delay means at once."""
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add_after("a", 5)
    queue.add("a")
    assert due(queue, clock, 0) == ["a"]
    assert due(queue, clock, 10) == []
    queue.add_after("b", 0)
    assert due(queue, clock, 10) == ["b"]


async def test_a_failed_key_comes_again_after_longer_and_longer() -> None:
    """B30: the wait doubles up to its longest, and a success begins anew."""
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    waits = [queue._backoff_s("a", RuntimeError()) for _ in range(40)]
    assert waits[:3] == [FIRST_BACKOFF_S, 2 * FIRST_BACKOFF_S, 4 * FIRST_BACKOFF_S]
    assert waits[-1] == max(waits) == LONGEST_BACKOFF_S

    async def handle(_: str) -> None:
        return

    async with running(queue, handle):
        queue.add("a")
        await settle()
    assert queue._backoff_s("a", RuntimeError()) == FIRST_BACKOFF_S


@pytest.mark.parametrize(
    ("asked_s", "wait_s"), [(None, 0.2), (0.01, 0.2), (7.0, 7.0), (90.0, 90.0)]
)
async def test_b30_the_servers_wish_is_heeded(asked_s: float | None, wait_s: float) -> None:
    """B30: `retry_after_s` is waited for at least, also beyond our longest."""
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)

    async def handle(_: str) -> None:
        raise Transient("429", asked_s)

    async with running(queue, handle):
        queue.add("a")
        await settle()
    assert due(queue, clock, wait_s - 0.001) == []
    assert due(queue, clock, wait_s) == ["a"]


async def test_what_a_pass_asks_for_comes() -> None:
    """A returned delay makes the next pass; None waits for an event."""
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    asked = {"a": 4.0, "b": None}

    async def handle(key: str) -> float | None:
        return asked[key]

    async with running(queue, handle):
        queue.add("a")
        queue.add("b")
        await settle()
    assert due(queue, clock, 4.0) == ["a"]


async def test_time_is_kept() -> None:
    """The clock's task sleeps until the next key is due, and wakes for an earlier one."""
    queue: WorkQueue[str] = WorkQueue(asyncio.get_running_loop().time)
    seen: list[str] = []
    came = asyncio.Event()

    async def handle(key: str) -> None:
        seen.append(key)
        came.set()

    keeper = asyncio.create_task(queue.keep_time())
    async with running(queue, handle):
        await settle()
        queue.add_after("late", 600)
        await settle()
        for key in ("soon", "next"):
            queue.add_after(key, 0.01)
            await asyncio.wait_for(came.wait(), 10)
            came.clear()
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    assert seen == ["soon", "next"]


EVENT = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["add", "later", "go on"]),
    st.sampled_from([0.5, 1.0, 3.0]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(EVENT, max_size=25), st.sets(st.integers(0, 40)))
def test_never_twice_at_once_and_none_lost(
    events: list[tuple[str, str, float]], failing: set[int]
) -> None:
    """Whatever comes in whatever order, no key runs twice at once, and none is forgotten."""
    asyncio.run(_storm(events, failing))


async def _storm(events: list[tuple[str, str, float]], failing: set[int]) -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    busy: Counter[str] = Counter()
    owed: set[str] = set()
    passes = 0

    async def handle(key: str) -> None:
        nonlocal passes
        passes += 1
        number = passes
        owed.discard(key)  # what was asked for so far is seen by this pass
        busy[key] += 1
        assert busy[key] == 1, "twice at once"
        await asyncio.sleep(0)
        busy[key] -= 1
        if number in failing:
            owed.add(key)
            raise RuntimeError(key)

    async with running(queue, handle, workers=3):
        for key, what, delay_s in events:
            if what == "go on":
                clock.now_s += delay_s
                queue._release()
                await settle(3)
                continue
            owed.add(key)
            queue.add(key) if what == "add" else queue.add_after(key, delay_s)
        for _ in range(50):
            await settle()
            clock.now_s += LONGEST_BACKOFF_S
            queue._release()
        await settle()
    assert not owed
    assert not any(busy.values())


async def test_b23_a_rollout_waits_for_no_thousand_new_models() -> None:
    """B23: those that press go first, in their order; every fourth turn is the others'."""
    queue: WorkQueue[str] = WorkQueue(Clock(), presses=lambda key: key.startswith("rollout"))
    done: list[str] = []

    async def handle(key: str) -> None:
        done.append(key)

    for key in [*(f"new-{n}" for n in range(3)), *(f"rollout-{n}" for n in range(5))]:
        queue.add(key)
    async with running(queue, handle):
        await settle(100)
    rollouts, others = ["rollout-0", "rollout-1", "rollout-2"], ["rollout-3", "rollout-4"]
    assert done == [*rollouts, "new-0", *others, "new-1", "new-2"]
