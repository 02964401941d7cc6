"""A Prometheus in memory for the simulation: it keeps scrapes, and can be down, slow or wrong."""

import math
from bisect import bisect_right, insort
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.counters import Counter, Scrape
from rampway.core.checks.history import Past
from rampway.core.evidence import UNTOLD
from rampway.metrics.base import MetricsUnavailable, RevisionKey
from rampway.metrics.counted import parted


class Mode(StrEnum):
    """How the source behaves."""

    UP = "up"
    DOWN = "down"  # refuses connections, and what would have been scraped meanwhile is lost
    UNREACHABLE = "unreachable"  # refuses connections from here, and goes on scraping
    PARTIAL = "partial"  # answers with warnings
    NAN = "nan"  # every query of a user gives NaN


_PROBLEMS = {
    Mode.DOWN: "Prometheus at memory: connection refused",
    Mode.UNREACHABLE: "Prometheus at memory: no route to host",
    Mode.PARTIAL: "Prometheus at memory: partial answer: a store is missing",
}


@dataclass(slots=True)
class MemorySource:
    """Implements `MetricSource` over the scrapes that were recorded.

    Attributes:
        answers: What users' queries give, by their text after filling in.
        mode: How it behaves.
    """

    answers: Mapping[str, Answer] | Callable[[str, float], Answer] = field(default_factory=dict)
    mode: Mode = Mode.UP
    _kept: list[Scrape] = field(default_factory=list)

    def record(self, scrape: Scrape) -> None:
        """Keep a scrape; one that comes while the source is down is lost, as in real life."""
        if self.mode is not Mode.DOWN:
            insort(self._kept, scrape, key=_time)

    async def scrapes(
        self,
        revisions: Sequence[RevisionKey],
        since_s: float,
        until_s: float,
        *,
        histograms: bool = True,
        counters: Collection[Counter] = (),
    ) -> tuple[Scrape, ...]:
        """Return every scrape in (since_s, until_s] of the pods of these revisions, by time."""
        if self.mode in _PROBLEMS:
            raise MetricsUnavailable(_PROBLEMS[self.mode])
        wanted = {(r.namespace, r.revision) for r in revisions}
        first = bisect_right(self._kept, since_s, key=_time)
        end = bisect_right(self._kept, until_s, key=_time)
        found = (s for s in self._kept[first:end] if (s.namespace, s.revision) in wanted)
        told = (one for s in found for one in parted(s, counters))
        own = (s for s in told if bool(s.counters) == bool(counters))
        return tuple(s if histograms else replace(s, buckets=UNTOLD) for s in own)

    async def past(self, past: Past, until_s: float) -> tuple[Scrape, ...]:
        """Return the last scrape of each pod in each step, as of its end."""
        revisions = [RevisionKey(past.namespace, past.revision)]
        steps: dict[tuple[str, float], Scrape] = {}
        users = past.counters
        for scrape in await self.scrapes(revisions, past.since_s, until_s, counters=users):
            ends_s = math.ceil(scrape.at_s / past.step_s) * past.step_s
            if (users or scrape.pod in past.pods) and ends_s <= until_s:
                steps[scrape.pod, ends_s] = replace(scrape, at_s=ends_s)
        return tuple(sorted(steps.values(), key=_time))

    async def queries(self, queries: Collection[str], at_s: float) -> dict[str, Answer]:
        """Answer instant queries of users."""
        return {query: self._answer(query, at_s) for query in queries}

    def _answer(self, query: str, at_s: float) -> Answer:
        if self.mode in _PROBLEMS:
            return Answer(AnswerKind.UNAVAILABLE, message=_PROBLEMS[self.mode], at_s=at_s)
        if self.mode is Mode.NAN:
            text = f"query {query!r} gives NaN, not a number"
            return Answer(AnswerKind.NOT_A_NUMBER, message=text, at_s=at_s)
        if callable(self.answers):
            return self.answers(query, at_s)
        missing = Answer(AnswerKind.NO_DATA, message=f"query {query!r} found no data", at_s=at_s)
        return self.answers.get(query, missing)

    async def close(self) -> None:
        """Do nothing: there is no connection."""


def _time(scrape: Scrape) -> float:
    return scrape.at_s
