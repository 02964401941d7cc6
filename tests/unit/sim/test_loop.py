"""The simulation's event loop: it never waits, and what a kill leaves behind is gone."""

import asyncio

import pytest

from rampway.sim import loop


def test_it_runs_a_coroutine_and_returns_its_result() -> None:
    """Tasks take turns as in asyncio, and the result comes back."""
    order: list[str] = []

    async def one(name: str) -> str:
        for _ in range(2):
            order.append(name)
            await asyncio.sleep(0)
        return name

    async def both() -> tuple[str, str]:
        return await asyncio.gather(one("a"), one("b"))

    assert tuple(loop.run(both())) == ("a", "b")
    assert order == ["a", "b", "a", "b"]


def test_time_passes_without_waiting() -> None:
    """A sleep of an hour takes the loop's time, and nobody's."""

    async def long() -> float:
        began_s = asyncio.get_running_loop().time()
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(1800))
        return asyncio.get_running_loop().time() - began_s

    assert loop.run(long()) == pytest.approx(3600)


def test_a_timeout_comes_in_order() -> None:
    """Timers fire in the order of their times, and a cancelled one does not."""

    async def late() -> None:
        async with asyncio.timeout(5):
            await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        loop.run(late())


def test_what_never_comes_is_reported() -> None:
    """To wait for a future that nobody sets is an error, not a standstill."""

    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(loop.NeverEnds, match="hangs"):
        loop.run(forever())


def test_tasks_of_a_dead_operator_do_not_go_on() -> None:
    """After an error the other tasks are gone before the next run."""
    went_on: list[bool] = []

    async def other() -> None:
        for _ in range(9):
            await asyncio.sleep(0)
        went_on.append(True)

    async def dies() -> None:
        raise SystemError("gone")

    async def both() -> None:
        await asyncio.gather(dies(), other())

    async def next_run() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    with pytest.raises(SystemError):
        loop.run(both())
    loop.run(next_run())
    assert went_on == []


def test_an_eager_loop_gives_no_turn_to_what_waits_for_nothing() -> None:
    """What waits for nothing has ended when it was begun; what waits, and what fails, go on."""
    order: list[str] = []

    async def one(name: str, *, waits: bool = False, fails: bool = False) -> str:
        order.append(f"{name} begins")
        if waits:
            await asyncio.sleep(1)
        if fails:
            raise ValueError(name)
        order.append(f"{name} ends")
        return name

    async def several() -> list[str | BaseException]:
        ones = (one("a", waits=True), one("b"), one("c", fails=True), one("d", waits=True))
        return list(await asyncio.gather(*ones, return_exceptions=True))

    a, b, c, d = loop.run(several(), eager=True)
    assert (a, b, d) == ("a", "b", "d")
    assert isinstance(c, ValueError)
    assert order == [
        "a begins",
        "b begins",
        "b ends",
        "c begins",
        "d begins",
        "a ends",
        "d ends",
    ]


def test_an_eager_task_can_be_cancelled_while_it_waits() -> None:
    """A cancelled one hears of it where it waits, and cleans up."""
    heard: list[str] = []

    async def patient() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    async def impatient() -> None:
        task = asyncio.create_task(patient())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    loop.run(impatient(), eager=True)
    assert heard == ["cancelled"]
