"""Pods that say what a test puts into their mouths."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rampway.core.checks.counters import Scrape
from rampway.metrics.direct import Target


@dataclass
class Pods:
    """A `PodReader` whose pods have these counters.

    Attributes:
        asked: The names of the pods of each look.
    """

    says: tuple[Scrape, ...] = ()
    asked: list[list[str]] = field(default_factory=list)

    async def scrapes(self, targets: Sequence[Target]) -> tuple[Scrape, ...]:
        """Return what the pods that are asked say."""
        names = [target.pod for target in targets]
        self.asked.append(names)
        return tuple(scrape for scrape in self.says if scrape.pod in names)
