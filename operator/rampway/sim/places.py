"""The sources of the simulation, by their address."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from rampway.core.checks.sources import Source
from rampway.metrics.base import MetricSource
from rampway.metrics.unavailable import UnavailableSource

OWN_PROMETHEUS = "http://prometheus:9090"
"""Address of the operator's own."""


class World(Protocol):
    """Who has the sources."""

    @property
    def source(self) -> MetricSource:
        """The one that knows every pod."""
        ...

    @property
    def elsewhere(self) -> Mapping[str, MetricSource]:
        """Others, by their address."""
        ...


@dataclass(frozen=True, slots=True)
class Places:
    """Implements `Sources` over the sources of a world."""

    world: World

    def of(self, source: Source) -> MetricSource:
        """Return the source at an address."""
        if source.problem:
            return UnavailableSource(source.problem)
        return self.world.elsewhere.get(source.address, self.world.source)

    async def keep(self, wanted: Collection[Source]) -> None:
        """Do nothing: there are no connections."""
