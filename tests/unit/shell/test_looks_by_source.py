"""Each metric source has looks of its own: one that hangs delays only who named it."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from rampway.core.checks.counters import Counter, Scrape
from rampway.core.checks.sources import OWN, Source
from rampway.metrics.base import RevisionKey
from rampway.metrics.direct import Target
from rampway.metrics.memory import MemorySource
from rampway.shell.interest import Interest, Key
from rampway.shell.looks import Looks

NOW_S = 1_800_000_000.0
SLOW = Source("http://slow:9090")
A, B = ("ml", "a"), ("ml", "b")
MINE = Interest("ml", ("a-1", "a-2"), None, {})


class Pods:
    """No pod is read."""

    async def scrapes(self, pods: Sequence[Target]) -> tuple[Scrape, ...]:
        """Return nothing."""
        assert not pods
        return ()


@dataclass
class Hanging(MemorySource):
    """A source that never answers."""

    begun: int = 0

    async def scrapes(
        self,
        revisions: Sequence[RevisionKey],
        since_s: float,
        until_s: float,
        *,
        histograms: bool = True,
        counters: Collection[Counter] = (),
    ) -> tuple[Scrape, ...]:
        """Wait for ever."""
        self.begun += len(revisions) > 0 and since_s < until_s and histograms and not counters
        await asyncio.Event().wait()
        return ()


@dataclass
class Places:
    """Two sources."""

    slow: MemorySource
    kept: list[set[Source]] = field(default_factory=list)

    def of(self, source: Source) -> MemorySource:
        """Return the one that is meant."""
        return self.slow if source == SLOW else MemorySource()

    async def keep(self, wanted: Collection[Source]) -> None:
        """Note what is still needed."""
        self.kept.append(set(wanted))


async def soon(met: Callable[[], bool]) -> bool:
    """Return whether something is so within 10 s."""
    for _ in range(1000):
        if met():
            return True
        await asyncio.sleep(0.01)
    return False


async def test_b17_a_source_that_hangs_delays_only_who_named_it() -> None:
    """B17: the others are looked at at every interval; it is asked once, not again and again."""
    told: list[Key] = []
    slow = Hanging()
    places = Places(slow)
    looks = Looks(MemorySource(), Pods(), lambda: NOW_S, told.append, places)
    looks.want(A, MINE)
    looks.want(B, replace(MINE, source=SLOW))
    running = asyncio.create_task(looks.run(0.01))
    assert await soon(lambda: told.count(A) >= 5), "the other source is not looked at"
    assert B not in told
    assert slow.begun == 1
    assert places.kept[-1] == {OWN, SLOW}
    looks.want(A, None)
    assert await soon(lambda: places.kept[-1] == {SLOW}), "nobody's client is kept"
    running.cancel()
    await asyncio.wait([running])


async def test_an_answer_of_another_source_is_no_answer() -> None:
    """A rollout whose source changed while it was looked at waits for the new one's answer."""
    told: list[Key] = []
    looks = Looks(MemorySource(), Pods(), lambda: NOW_S, told.append, Places(MemorySource()))
    looks.want(A, MINE)
    (one,) = await looks._due()
    looks.want(A, replace(MINE, source=SLOW))
    await looks._look_for(*one)
    assert told == []
    await looks.look()
    assert told == [A]
