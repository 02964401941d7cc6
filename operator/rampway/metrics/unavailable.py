"""The source of those whose source cannot be used: it says why, and nothing else (B17)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.counters import Counter, Scrape
from rampway.core.checks.history import Past
from rampway.metrics.base import MetricsUnavailable, RevisionKey

# ruff: noqa: ARG002 - the Protocol's signatures


@dataclass(frozen=True, slots=True)
class UnavailableSource:
    """Implements `MetricSource` by never knowing anything, for the given reason."""

    why: str

    async def scrapes(
        self,
        revisions: Sequence[RevisionKey],
        since_s: float,
        until_s: float,
        *,
        histograms: bool = True,
        counters: Collection[Counter] = (),
    ) -> tuple[Scrape, ...]:
        """Say why there are none."""
        raise MetricsUnavailable(self.why)

    async def past(self, past: Past, until_s: float) -> tuple[Scrape, ...]:
        """Say why there is none."""
        raise MetricsUnavailable(self.why)

    async def queries(self, queries: Collection[str], at_s: float) -> dict[str, Answer]:
        """Answer each query with why there is no answer."""
        return {q: Answer(AnswerKind.UNAVAILABLE, message=self.why, at_s=at_s) for q in queries}

    async def close(self) -> None:
        """Do nothing: there is no connection."""
