"""What one worker is asked to change, all change, in the same order."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from rampway_server.errors import ClientFaultError
from rampway_server.team import Team

SLOW_S = 0.02
Seated = Callable[..., list[Team]]


@dataclass
class Worker:
    """A worker that takes its time for what it is told to be slow at."""

    slow: str = ""
    slow_s: float = SLOW_S
    broken: Exception | None = None
    did: list[str] = field(default_factory=list)

    async def act(self, what: str, whom: str) -> None:
        """Do it, or fail."""
        if what == self.slow:
            await asyncio.sleep(self.slow_s)
        if self.broken is not None:
            raise self.broken
        self.did.append(f"{what} {whom}")


@pytest.fixture
def seated() -> Iterator[Seated]:
    """Give what returns a team as each of its workers sees it, all in this process."""
    teams: list[Team] = []

    def seat(*workers: Worker) -> list[Team]:
        team = Team(len(workers))
        teams.append(team)
        seats = [team.seat(number) for number in range(len(workers))]
        for one, worker in zip(seats, workers, strict=True):
            one.follow(worker.act)
        return seats

    yield seat
    for box in itertools.chain(*(pair for team in teams for pair in team._boxes)):
        box.close()


async def test_changes_at_the_same_time_are_made_in_one_order_everywhere(seated: Seated) -> None:
    """However many load and unload by different workers, all workers end up with the same."""
    workers = [Worker(slow="load"), Worker(slow="unload", slow_s=3 * SLOW_S), Worker()]
    seats = seated(*workers)
    orders = [("load", "unload")[number % 2] for number in range(6)]
    asked = [seats[number % 3].change(what, f"m{number}") for number, what in enumerate(orders)]
    await asyncio.gather(*asked)
    assert set(workers[0].did) == {f"{what} m{number}" for number, what in enumerate(orders)}
    assert workers[0].did == workers[1].did == workers[2].did


@pytest.mark.parametrize("through", [0, 1])
async def test_what_the_first_cannot_do_nobody_does(through: int, seated: Seated) -> None:
    """A model that cannot be loaded is loaded nowhere; who asked hears why, with the status."""
    gone = ClientFaultError("there is no such model", 404)
    workers = [Worker(broken=gone), Worker(), Worker()]
    seats = seated(*workers)
    with pytest.raises(ClientFaultError, match="no such model") as caught:
        await seats[through].change("load", "m")
    assert caught.value.status == 404
    assert [worker.did for worker in workers] == [[], [], []]


@pytest.mark.parametrize("through", [0, 1])
async def test_a_defect_is_nobodys_fault_but_the_servers(through: int, seated: Seated) -> None:
    """What is no fault of the client's is not told as one, whichever worker met it."""
    workers = [Worker(), Worker(broken=KeyError("x"))]
    seats = seated(*workers)
    with pytest.raises(RuntimeError, match="KeyError"):
        await seats[through].change("load", "m")
    workers[1].broken = None
    await seats[through].change("load", "m")
    assert workers[1].did == ["load m"]


async def test_who_gives_up_leaves_no_change_half_made(seated: Seated) -> None:
    """A client that goes away while the first worker loads leaves all with the same models."""
    workers = [Worker(slow="load"), Worker()]
    seats = seated(*workers)
    asked = asyncio.create_task(seats[0].change("load", "m"))
    await asyncio.sleep(SLOW_S / 4)
    asked.cancel()
    await seats[1].change("unload", "m")
    assert workers[0].did == workers[1].did == ["load m", "unload m"]


async def test_alone_there_is_nobody_to_tell() -> None:
    """One worker does what it is asked to."""
    worker, team = Worker(), Team()
    team.follow(worker.act)
    await team.change("unload", "m")
    assert worker.did == ["unload m"]
