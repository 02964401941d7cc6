"""The Protocol of a metric source; every source passes tests/contract/test_metrics.py."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.counters import Counter, Scrape
from rampway.core.checks.history import Past

__all__ = ["Answer", "AnswerKind", "MetricSource", "MetricsUnavailable", "RevisionKey"]


class MetricsUnavailable(Exception):  # noqa: N818 - a state of the world, not a defect
    """No trustworthy answer now: down, slow, an error status, a partial answer. Never a verdict."""


class RevisionKey(NamedTuple):
    """One revision of one namespace, as the series name it."""

    namespace: str
    revision: str


class MetricSource(Protocol):
    """Reads counters and answers queries; keeps no verdicts and retries nothing by itself."""

    async def scrapes(
        self,
        revisions: Sequence[RevisionKey],
        since_s: float,
        until_s: float,
        *,
        histograms: bool = True,
        counters: Collection[Counter] = (),
    ) -> tuple[Scrape, ...]:
        """Return every scrape in (since_s, until_s] of the pods of these revisions, by time.

        Pods that are gone by now are included: what was scraped is never lost. Without histograms
        the scrapes have no buckets, and cost a seventh. With counters of users, the scrapes of
        these are returned instead, of all pods of the namespaces that tell them of the revisions.

        Raises:
            MetricsUnavailable: no answer, an error, or a partial answer.
        """
        ...

    async def past(self, past: Past, until_s: float) -> tuple[Scrape, ...]:
        """Return what the pods had counted at each step in (past.since_s, until_s], by time.

        A pod that was not scraped anew in a step may be left out there or be repeated. With
        counters of users, the scrapes of these are returned instead, of whichever pods tell them.

        Raises:
            MetricsUnavailable: no answer, an error, a partial answer, or one that is too long.
        """
        ...

    async def queries(self, queries: Collection[str], at_s: float) -> Mapping[str, Answer]:
        """Answer instant queries, by their texts: each as if it had been asked alone.

        Every failure is an Answer, never an exception, and of that query only. All of a look
        come in one call: what a source learns of a text it may forget once it is not asked.
        """
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
