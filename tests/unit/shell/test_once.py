"""What must happen again, and what must not: failed passes, Events of two operators."""

import asyncio
from contextlib import suppress

from unit.shell.place import NOW_S, SPACE, Place

from rampway.core.actions import Emit
from rampway.kube.errors import Transient
from rampway.kube.kinds import EVENT
from rampway.shell.events import Recorder
from rampway.shell.queue import WorkQueue


async def test_b29_two_operators_record_an_event_once() -> None:
    """B29: an Event has its name from its cause, so the next operator does not record it again."""
    place = Place()
    event = Emit("promoted-digits-2-1", "Promoted", "Promoted", "digits-2 is stable")
    for later_s in (0.0, 60.0):
        recorder = Recorder(place.api, lambda later_s=later_s: NOW_S + later_s, f"at {later_s}")  # type: ignore[misc]
        await recorder.record(place.deployment, event, set())
    assert [e["reportingInstance"] for e in place.store.list(EVENT, SPACE)] == ["at 0.0"]


async def test_b30_a_key_whose_pass_failed_comes_again() -> None:
    """B30: whatever a pass failed by, its ModelDeployment is worked on again until one works."""
    tries: list[str] = []
    done = asyncio.Event()

    async def handle(key: str) -> None:
        tries.append(key)
        if len(tries) == 1:
            raise Transient("the API server is away")
        if len(tries) == 2:
            raise ValueError("a defect of ours")
        done.set()

    queue: WorkQueue[str] = WorkQueue(asyncio.get_running_loop().time)
    running = [asyncio.create_task(queue.work(handle)), asyncio.create_task(queue.keep_time())]
    queue.add("ml/digits")
    with suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), 5)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert tries == ["ml/digits"] * 3
