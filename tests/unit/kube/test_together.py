"""Lists that are asked for at the same time become one call."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from rampway.kube.errors import Transient
from rampway.kube.kinds import CONFIG_MAP, POD
from rampway.kube.together import AT_MOST, OneForAll, Together
from rampway.sim.apiserver import MemoryApi, Store

LABEL = "of"
SPACE = "ml"


def server(count: int) -> MemoryApi:
    """Return a server with a ConfigMap of each owner, and one of nobody."""
    store = Store(lambda: datetime(2026, 1, 1, tzinfo=UTC), namespaces=(SPACE, "other"))
    for number in range(count):
        meta = {"name": f"m{number}", "namespace": SPACE, "labels": {LABEL: f"o{number}"}}
        store.create(CONFIG_MAP, {"metadata": meta})
    store.create(CONFIG_MAP, {"metadata": {"name": "nobody", "namespace": SPACE}})
    return MemoryApi(store)


def names(found: list[dict[str, dict[str, str]]]) -> list[str]:
    """Return the names of objects."""
    return [one["metadata"]["name"] for one in found]


async def ask(together: Together, *owners: str) -> list[list[str]]:
    """Ask for the objects of several owners at the same time."""
    asked = [together.list(CONFIG_MAP, SPACE, {LABEL: owner}) for owner in owners]
    return [names(found) for found in await asyncio.gather(*asked)]


async def test_many_become_one() -> None:
    """Each gets its own objects and no others, by one call for all."""
    api = server(30)
    owners = [f"o{number}" for number in range(30)]
    assert await ask(Together(api, LABEL), *owners) == [[f"m{n}"] for n in range(30)]
    assert len(api.calls) == 1


async def test_a_call_asks_for_a_bounded_number() -> None:
    """More than fifty owners take several calls: an address has an end."""
    api = server(120)
    await ask(Together(api, LABEL), *(f"o{number}" for number in range(120)))
    assert [len(call.body[LABEL]) for call in api.calls] == [AT_MOST, AT_MOST, 20]


async def test_the_answer_is_never_older_than_the_question() -> None:
    """Who asks while a call is under way is answered by the next, which sees what is new."""
    api = server(1)
    together = Together(api, LABEL)
    asked = list[asyncio.Task[list[dict[str, dict[str, str]]]]]()

    def meanwhile(_: object) -> None:
        if not asked:
            meta = {"name": "new", "namespace": SPACE, "labels": {LABEL: "o0"}}
            api.store.create(CONFIG_MAP, {"metadata": meta})
            later = together.list(CONFIG_MAP, SPACE, {LABEL: "o0"})
            asked.append(asyncio.create_task(later))

    api.listeners.append(meanwhile)
    await ask(together, "o0")
    assert names(await asked[0]) == ["m0", "new"]
    assert len(api.calls) == 2


async def test_kinds_and_namespaces_are_apart() -> None:
    """What differs in more than the one label's value is asked for by itself."""
    api = server(2)
    together = Together(api, LABEL)
    await asyncio.gather(
        together.list(CONFIG_MAP, SPACE, {LABEL: "o0"}),
        together.list(POD, SPACE, {LABEL: "o0"}),
        together.list(CONFIG_MAP, "other", {LABEL: "o0"}),
        together.list(CONFIG_MAP, SPACE, {LABEL: "o0", "tier": "a"}),
    )
    assert len(api.calls) == 4


async def test_all_of_a_kind_serves_everybody() -> None:
    """One who wants all objects and one who wants some are served by one call."""
    api = server(2)
    together = Together(api, LABEL)
    everything, some = await asyncio.gather(
        together.list(CONFIG_MAP, SPACE), together.list(CONFIG_MAP, SPACE, {LABEL: "o1"})
    )
    assert names(everything) == ["m0", "m1", "nobody"]
    assert names(some) == ["m1"]
    assert len(api.calls) == 1


async def test_b30_each_hears_of_a_failure_and_the_next_is_tried() -> None:
    """B30: a call that fails fails for all who waited for it, and for nobody else."""
    api = server(2)
    together = Together(api, LABEL)
    api.fail_next(Transient("503"))
    asked = [together.list(CONFIG_MAP, SPACE, {LABEL: owner}) for owner in ("o0", "o1")]
    heard = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(error) for error in heard] == ["503", "503"]
    assert await ask(together, "o0") == [["m0"]]
    assert not together._lanes


async def test_one_who_stops_waiting_stops_nobody_else() -> None:
    """A pass that is cancelled leaves the others their answer."""
    api = server(2)
    together = Together(api, LABEL)
    one = asyncio.create_task(together.list(CONFIG_MAP, SPACE, {LABEL: "o0"}))
    two = asyncio.create_task(together.list(CONFIG_MAP, SPACE, {LABEL: "o1"}))
    await asyncio.sleep(0)
    one.cancel()
    assert names(await two) == ["m1"]
    with pytest.raises(asyncio.CancelledError):
        await one


async def test_one_reading_for_all_that_wait_is_never_older_than_they_are() -> None:
    """Who asks while one reads gets the next reading, all that wait the same; one at a time."""
    begun, go, reading = 0, asyncio.Event(), OneForAll[int]()

    async def read() -> int:
        nonlocal begun
        begun += 1
        mine = begun
        await go.wait()
        assert begun == mine
        return mine

    first = asyncio.create_task(reading.ask(read))
    await asyncio.sleep(0)
    assert begun == 1
    later = [asyncio.create_task(reading.ask(read)) for _ in range(3)]
    await asyncio.sleep(0)
    assert begun == 1
    go.set()
    assert await asyncio.gather(first, *later) == [1, 2, 2, 2]


async def test_a_reading_that_fails_fails_for_all_who_waited_for_it() -> None:
    """An error reaches each who waits for that reading; who asks afterwards reads anew."""
    reading = OneForAll[int]()
    answers: Iterator[Transient | int] = iter([5, Transient("away"), 7])

    async def read() -> int:
        await asyncio.sleep(0)
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    asked = [reading.ask(read) for _ in range(3)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(one) for one in found] == ["5", "away", "away"]
    assert await reading.ask(read) == 7


async def test_one_who_gives_up_takes_nobody_elses_reading_away() -> None:
    """When the pass that reads is ended, the next of those who wait reads."""
    reading, go = OneForAll[int](), asyncio.Event()

    async def read() -> int:
        await go.wait()
        return 1

    asked = [asyncio.create_task(reading.ask(read)) for _ in range(3)]
    await asyncio.sleep(0)
    asked[0].cancel()
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*asked[1:]) == [1, 1]
