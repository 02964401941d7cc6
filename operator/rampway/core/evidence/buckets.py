"""Histograms as they are scraped: so many requests up to each bound."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import add, lt, sub

KINDS = 1024
"""Rows of bounds that are held once; each program has its own few."""


@lru_cache(KINDS)
def _once(bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Return the same object for equal bounds: histograms are kept in thousands."""
    return bounds


@dataclass(frozen=True, slots=True)
class Histogram:
    """Requests by how long they took, cumulative.

    Attributes:
        bounds: Seconds, ascending, the last one infinity; none where nothing was told.
        counts: Requests that took at most so long, for each bound.
    """

    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @classmethod
    def of(cls, counts: Mapping[float, int]) -> "Histogram":
        """Return the histogram of these counts by bound, ascending."""
        return cls(_once(tuple(counts)), tuple(counts.values()))

    @classmethod
    def over(cls, bounds: tuple[float, ...], counts: Iterable[int]) -> "Histogram":
        """Return the histogram of these counts."""
        return cls(_once(bounds), tuple(counts))

    def __bool__(self) -> bool:
        """Whether anything was told."""
        return bool(self.bounds)

    def __iter__(self) -> Iterator[tuple[float, int]]:
        """Yield `(bound_s, count)`."""
        return zip(self.bounds, self.counts, strict=True)

    @property
    def total(self) -> int:
        """Requests, however long they took."""
        return self.counts[-1] if self.counts else 0

    def up_to(self, bound_s: float) -> int | None:
        """Return the requests up to one of its bounds; None if that is none of them."""
        return next((count for bound, count in self if bound == bound_s), None)

    def covers(self, other: "Histogram") -> bool:
        """Return whether it has all bounds of another."""
        return self.bounds == other.bounds or set(other.bounds) <= set(self.bounds)

    def falls_below(self, before: "Histogram") -> bool:
        """Return whether anywhere it counts less than an earlier one."""
        if self.bounds == before.bounds:  # nearly always, and much faster
            return any(map(lt, self.counts, before.counts))
        earlier = dict(before)
        return any(count < earlier.get(bound, 0) for bound, count in self)

    def plus(self, other: "Histogram") -> "Histogram":
        """Return both, over the bounds that both have; an empty one adds nothing."""
        if not self or not other:
            return self or other
        if self.bounds == other.bounds:
            return Histogram(self.bounds, tuple(map(add, self.counts, other.counts)))
        theirs = dict(other)
        return Histogram.of({bound: n + theirs[bound] for bound, n in self if bound in theirs})

    def since(self, before: "Histogram") -> "Histogram":
        """Return what was counted after an earlier one, over the bounds that both have.

        A bound that was not there before has no known beginning: what it holds belongs to no
        interval. Where one is gone nothing is known.
        """
        if self.bounds == before.bounds:
            return Histogram(self.bounds, tuple(map(sub, self.counts, before.counts)))
        if not self.covers(before):
            return UNTOLD
        earlier = dict(before)
        return Histogram.of({bound: n - earlier[bound] for bound, n in self if bound in earlier})


UNTOLD = Histogram()
"""Of what tells no durations."""
