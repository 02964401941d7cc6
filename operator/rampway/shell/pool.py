"""The metric sources in use, one client each: what fails with one says nothing of another."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from rampway.core.checks.sources import OWN, Source
from rampway.metrics.access import Access
from rampway.metrics.base import MetricSource
from rampway.metrics.prometheus import PrometheusSource, Told
from rampway.metrics.unavailable import UnavailableSource


@dataclass(slots=True)
class Pool:
    """Makes clients as they are needed, and closes those that nobody needs any more.

    Attributes:
        own: The operator's own Prometheus.
        folder: Where the administrator mounts credentials, a folder each.
    """

    own: MetricSource
    folder: str
    told: Told | None = None
    _made: dict[Source, MetricSource] = field(default_factory=dict)

    def of(self, source: Source) -> MetricSource:
        """Return the client of a source."""
        if source == OWN:
            return self.own
        if source not in self._made:
            self._made[source] = self._make(source)
        return self._made[source]

    async def keep(self, wanted: Collection[Source]) -> None:
        """Close all others."""
        for source in [known for known in self._made if known not in wanted]:
            await self._made.pop(source).close()

    def _make(self, source: Source) -> MetricSource:
        if source.problem:
            return UnavailableSource(source.problem)
        space = source.namespace
        access = Access(
            Path(self.folder) / source.credentials if source.credentials else None,
            {source.parameter: space} if source.parameter else {},
            {source.header: space} if source.header else {},
        )
        deadline_s = source.timeout_s
        return PrometheusSource(
            source.address, deadline_s=deadline_s, access=access, told=self.told
        )
