"""One look at the metrics for all active rollouts at a time (design: "One look for all")."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from rampway.core.checks.answers import Answer
from rampway.core.checks.counters import Scrape
from rampway.core.checks.history import Past
from rampway.core.checks.sources import Source
from rampway.core.observation import Look
from rampway.metrics.base import MetricSource, MetricsUnavailable, RevisionKey
from rampway.metrics.direct import PodReader
from rampway.shell.counting import NOTHING, Beside, counted
from rampway.shell.interest import Interest, Key, Sources

__all__ = ["Interest", "Key", "Looks"]

log = structlog.get_logger("rampway.looks")
_Window = tuple[float, float, bool]
"""From when, to when, and whether with durations."""
BASELINE_S = 120.0
"""How far back the first look reads: the newest scrape of every pod lies within."""
OVERLAP_S = 30.0
"""A scrape can be stored later than its time: what was read is read again, and counts once."""
SHARED_S = 15.0
"""Windows begin at multiples of this, so that rollouts share their queries."""
LONGEST_WINDOW_S = 600.0
"""After a long absence evidence is caught up in pieces of this length."""
ROLLOUTS_PER_S = 45.0
"""So many rollouts are looked at in a second: a thousand each 22 s, about as often as scraped."""
HISTOGRAMS_PER_S = 20.0
"""The durations of so many rollouts are read in a second; of more each has its turn less often."""
HISTOGRAMS_AT_LEAST = 50
"""And so many in each look, also in the first one."""
HURRY_S = 0.25
"""Where something may have begun, pods are read again after so long."""
PAST_TRIES = 3
PAST_SERIES = 500
"""So many series of the past are read in one look; who wants more waits for the next one. While it
is taken in, 60 of them with 240 samples each need about 5 MB."""
PODS_PER_S = 100.0
"""So many pods are read directly in a second; of more each has its turn less often."""


@dataclass(slots=True)
class Looks:
    """Looks at the metrics on behalf of all active rollouts, and keeps the latest look of each.

    Each source has looks of its own: one that is slow or away delays only who named it.

    Attributes:
        source: The operator's own Prometheus.
        clock: Seconds since the epoch.
        notify: Called with the key of each ModelDeployment that has a new look.
        pool: All other sources; None where there are none.
    """

    source: MetricSource
    pods: PodReader
    clock: Callable[[], float]
    notify: Callable[[Key], None]
    pool: Sources | None = None
    _interests: dict[Key, Interest] = field(default_factory=dict)
    _latest: dict[Key, Look] = field(default_factory=dict)
    _timed_s: dict[Key, float] = field(default_factory=dict)
    _timed_every_s: float = 0.0
    _looked_s: float = math.inf
    _untold: dict[Key, int] = field(default_factory=dict)
    _busy: set[Source] = field(default_factory=set)

    def want(self, key: Key, interest: Interest | None) -> None:
        """State what a ModelDeployment wants looked at from now on; None: nothing."""
        if interest is None:
            for known in (self._interests, self._latest, self._timed_s, self._untold):
                known.pop(key, None)
            return
        self._interests[key] = interest
        latest = self._latest.get(key)
        # Evidence beyond it has not read it: it ended after a look at the pods, and comes with one.
        if latest and interest.seen_s == latest.at_s:
            self._latest[key] = replace(latest, scrapes=(), past=None)

    def wanted_by(self, key: Key) -> bool:
        """Whether a ModelDeployment has a rollout that is looked at."""
        return key in self._interests

    @property
    def rollouts(self) -> int:
        """How many rollouts are looked at."""
        return len(self._interests)

    def latest(self, key: Key) -> Look | None:
        """Return the latest look for a ModelDeployment."""
        return self._latest.get(key)

    async def look(self) -> None:
        """Look once, for all that want it and whose source is not being asked just now."""
        await asyncio.gather(*(self._look_for(*one) for one in await self._due()))

    async def _due(self) -> "list[tuple[Source, dict[Key, Interest], set[Key]]]":
        """Return who asks what of which source, and whose durations are read; they are busy now."""
        asked: dict[Source, dict[Key, Interest]] = {}
        for key, interest in self._interests.items():
            if interest.source not in self._busy:
                asked.setdefault(interest.source, {})[key] = interest
        if self.pool:
            await self.pool.keep(self._busy | asked.keys())
        timed = self._turns({key for group in asked.values() for key in group}, self.clock())
        self._busy |= asked.keys()
        return [(source, group, timed & group.keys()) for source, group in asked.items()]

    async def _look_for(self, source: Source, asked: dict[Key, Interest], timed: set[Key]) -> None:
        """Look once at one source; rollouts begin and end meanwhile."""
        client = self.pool.of(source) if self.pool else self.source
        now_s = self.clock()
        windows: dict[_Window, dict[Key, Interest]] = {}
        for key, interest in asked.items():
            window = *_window(interest, now_s), key in timed
            windows.setdefault(window, {})[key] = interest
        # What several rollouts ask is one question; all of them are asked in one go.
        texts = {query for interest in asked.values() for query in interest.queries.values()}
        try:
            answers, pasts, users = await asyncio.gather(
                _answers(client, sorted(texts), now_s),
                self._pasts(client, asked, now_s),
                counted(client, asked, lambda interest: _window(interest, now_s)),
            )
            beside = Beside(answers, pasts, users)
            for window, interests in windows.items():
                await self._look_at(client, interests, window, beside)
        finally:
            self._busy.discard(source)

    def _turns(self, asking: set[Key], now_s: float) -> set[Key]:
        """Return whose durations are read in this look: who waited longest.

        Nothing is lost by waiting: histograms are cumulative, and the ledger counts all since the
        last whole one.
        """
        number = int(max(HISTOGRAMS_AT_LEAST, HISTOGRAMS_PER_S * (now_s - self._looked_s)))
        self._looked_s = now_s
        able = [key for key in self._interests if key in asking and self._interests[key].timed]
        able.sort(key=lambda key: self._timed_s.get(key, 0.0))
        self._timed_s |= dict.fromkeys(able[:number], now_s)
        self._timed_every_s = len(able) / HISTOGRAMS_PER_S if len(able) > number else 0.0
        return set(able[:number])

    async def run(self, interval_s: float) -> None:
        """Look again and again, until cancelled; who is still being asked is left out.

        Each look makes a pass of every rollout: of many, all are looked at less often.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                began_s = self.clock()
                looks = {group.create_task(self._look_for(*one)) for one in await self._due()}
                if looks:
                    await asyncio.wait(looks, timeout=interval_s)
                every_s = max(interval_s, self.rollouts / ROLLOUTS_PER_S)
                await asyncio.sleep(max(0.05, every_s - (self.clock() - began_s)))

    async def look_directly(self, *, hurried: bool = False) -> int:
        """Read the pods of all that want it; return how many there were.

        Prometheus's last look stays in force beside it: its scrapes count once, however often.

        Args:
            hurried: Only those that are in a hurry.
        """
        interests = {
            key: found
            for key, found in self._interests.items()
            if found.pods and (found.hurry or not hurried)
        }
        now_s = self.clock()
        scrapes = await self.pods.scrapes([pod for one in interests.values() for pod in one.pods])
        of = _by_revision(scrapes)
        for key, interest in interests.items():
            latest = self._latest.get(key)
            if latest is None or not interest.same_questions(self._interests.get(key)):
                continue  # evidence begins with Prometheus; or its rollout ended meanwhile
            mine = interest.picked(of)
            if mine:
                ledger = tuple(s for s in latest.scrapes if not s.direct)
                at_s = max(now_s, latest.at_s)
                self._latest[key] = replace(latest, at_s=at_s, scrapes=(*ledger, *mine))
                self.notify(key)
        return sum(len(interest.pods) for interest in interests.values())

    async def run_directly(self, interval_s: float) -> None:
        """Read pods again and again, until cancelled; seldom enough to stay within the budget."""
        while True:
            began_s = self.clock()
            pods = await self.look_directly()
            left_s = max(interval_s, pods / PODS_PER_S) - (self.clock() - began_s)
            while left_s > HURRY_S:
                await asyncio.sleep(HURRY_S)
                left_s -= HURRY_S + await self._hurried()
            await asyncio.sleep(max(0.05, left_s))

    async def _hurried(self) -> float:
        """Read the pods of those in a hurry again, within the budget; return how long it took."""
        pods = sum(len(found.pods) for found in self._interests.values() if found.hurry)
        if not 0 < pods <= PODS_PER_S * HURRY_S:
            return 0.0
        began_s = self.clock()
        await self.look_directly(hurried=True)
        return self.clock() - began_s

    async def _pasts(
        self, client: MetricSource, asked: Mapping[Key, Interest], now_s: float
    ) -> dict[Key, tuple[Scrape, ...]]:
        """Return stable's past for those that want it, as far as Prometheus tells it.

        A few at a time, and each a few times only: evidence goes on without.
        """
        wanted: list[tuple[Key, Past]] = []
        left = PAST_SERIES
        for key, interest in asked.items():
            past = interest.past
            if past and past.series <= left and self._untold.get(key, 0) < PAST_TRIES:
                left -= past.series
                wanted.append((key, past))

        async def read(key: Key, past: Past) -> tuple[Key, tuple[Scrape, ...] | None]:
            self._untold[key] = self._untold.get(key, 0) + 1
            own: tuple[Scrape, ...] | None = None
            try:
                own = await client.past(replace(past, counters=()), now_s)
                return key, own + (await client.past(past, now_s) if past.counters else ())
            except MetricsUnavailable as error:
                log.info("stable's past not read", namespace=key[0], name=key[1], why=str(error))
                # Users' counters that are never told keep no other check from its history.
                return key, own if self._untold[key] >= PAST_TRIES else None

        found = await asyncio.gather(*(read(key, past) for key, past in wanted))
        return {key: scrapes for key, scrapes in found if scrapes is not None}

    async def _look_at(
        self,
        client: MetricSource,
        interests: Mapping[Key, Interest],
        window: _Window,
        beside: Beside,
    ) -> None:
        since_s, until_s, timed = window
        wanted = {
            RevisionKey(interest.namespace, revision)
            for interest in interests.values()
            for revision in interest.revisions
        }
        problem = ""
        scrapes: tuple[Scrape, ...] = ()
        try:
            order = sorted(wanted, key=lambda r: (r.namespace, r.revision))
            scrapes = await client.scrapes(order, since_s, until_s, histograms=timed)
        except MetricsUnavailable as error:
            problem = str(error)
        of = _by_revision(scrapes)
        for key, interest in interests.items():
            if not interest.same_questions(self._interests.get(key)):
                continue  # its rollout ended while we looked, or another one began
            users = beside.counted.get(key, NOTHING)
            before = self._latest.get(key)
            self._latest[key] = Look(
                until_s,
                (*interest.picked(of), *users.scrapes),
                problem,
                {name: beside.answers[query] for name, query in interest.queries.items()},
                heard=not problem or (before is not None and before.heard),
                past=beside.pasts.get(key),
                timed_every_s=self._timed_every_s if interest.timed else 0.0,
                unread=users.problem,
            )
            self.notify(key)


async def _answers(client: MetricSource, queries: list[str], now_s: float) -> Mapping[str, Answer]:
    return await client.queries(queries, now_s) if queries else {}


def _by_revision(scrapes: Sequence[Scrape]) -> dict[RevisionKey, list[Scrape]]:
    """Sort scrapes once: each of a thousand rollouts would look through those of all others."""
    found: dict[RevisionKey, list[Scrape]] = {}
    for scrape in scrapes:
        found.setdefault(RevisionKey(scrape.namespace, scrape.revision), []).append(scrape)
    return found


def _window(interest: Interest, now_s: float) -> tuple[float, float]:
    """Return from when to when to read; rounded, so that rollouts share their queries."""
    if interest.seen_s is None:
        return now_s - BASELINE_S, now_s
    since_s = (interest.seen_s - OVERLAP_S) // SHARED_S * SHARED_S
    return since_s, min(now_s, since_s + LONGEST_WINDOW_S)
