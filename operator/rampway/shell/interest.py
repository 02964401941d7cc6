"""What an active rollout wants to know of the metrics, and where the clients for that are from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from rampway.core.checks.history import Past
from rampway.core.checks.sources import OWN, Source
from rampway.metrics.base import MetricSource
from rampway.metrics.direct import Target

Key = tuple[str, str]
"""Namespace and name of a ModelDeployment."""


class Sources(Protocol):
    """Where the clients of sources are from."""

    def of(self, source: Source) -> MetricSource:
        """Return the client of a source."""
        ...

    async def keep(self, wanted: Collection[Source]) -> None:
        """Close the clients of all others."""
        ...


@dataclass(frozen=True, slots=True)
class Interest:
    """What one active rollout wants to know.

    Attributes:
        revisions: Names of the revisions whose counters it needs.
        seen_s: Until when its evidence has read the metrics; None if it never did.
        queries: PromQL by name of the check.
        timed: Whether it needs durations.
        pods: Pods to be read directly; none while no step runs.
        past: What it wants to know of stable's past, until that is known.
        hurry: Something may have begun: its pods are read again sooner.
        source: Where its counters and answers are.
    """

    namespace: str
    revisions: tuple[str, ...]
    seen_s: float | None
    queries: Mapping[str, str]
    timed: bool = True
    pods: tuple[Target, ...] = ()
    past: Past | None = None
    hurry: bool = False
    source: Source = OWN

    def same_questions(self, other: "Interest | None") -> bool:
        """Whether an answer to the one answers the other."""
        asked = (self.revisions, self.queries, self.source)
        return other is not None and asked == (other.revisions, other.queries, other.source)
