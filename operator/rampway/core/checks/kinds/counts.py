"""What users count themselves: an event of theirs for each exposure of theirs.

The counters may be told by the model's own pods or by any others of the namespace, each scraped at
a time of its own. So what one revision counted waits until the other has counted exposures too:
when an interval ends depends on exposures only. An event may also be counted after its exposure;
where an interval has more events than exposures, the rest counts in the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rampway.api.counted import Counter as CounterAsked
from rampway.api.counted import CountsCheck, Slices
from rampway.api.means import MeanCheck
from rampway.core.checks.counters import Counter
from rampway.core.checks.deltas import Delta
from rampway.core.checks.kinds.base import Comparison, PairedState
from rampway.core.evidence import EProcess, PairCount, Segment, Tolerance

NOTHING = (0.0,) * 4
LEFT_OVER = 100
"""So many events beyond the exposures, and more than there are exposures, are no delay."""
Side = tuple[int, float]
"""Exposures and events."""


class OfUsers(Comparison):
    """What comparisons of users' own counters have in common; `counters`: exposures, events.

    Attributes:
        asked: The check.
        value: The slice that is compared; empty: the whole.
    """

    __slots__ = ()
    asked: CountsCheck | MeanCheck
    value: str

    @property
    def lag_s(self) -> float:
        """How long nothing counts after a change of the split."""
        return self.asked.lag_s

    @property
    def slices(self) -> Slices | None:
        """Which slices are judged too; a slice has none."""
        return None if self.value else self.asked.slices

    def sliced(self, value: str) -> Comparison:
        """Return the comparison of one slice."""
        return replace(self, value=value)  # type: ignore[type-var]  # dataclasses, both

    @property
    def place(self) -> str:
        """Which slice is compared, as `region=apac`; empty: the whole."""
        return f"{self.asked.slices.by}={self.value}" if self.value and self.asked.slices else ""

    def counter(self, asked: CounterAsked) -> Counter:
        """Return a counter as the check names it."""
        labels = tuple((label.name, label.value) for label in asked.labels)
        return Counter(asked.metric, labels, self.asked.slices.by if self.asked.slices else "")

    @property
    def fewer(self) -> bool:
        """Whether less is harm."""
        return self.asked.fewer

    @property
    def tolerance(self) -> Tolerance:
        """What is not called harm."""
        return Tolerance(self.asked.ratio, self.asked.floor)

    @property
    def tolerated(self) -> str:
        """The same in the words of the policy."""
        return f"maxChange {self.asked.max_change} and ignoreBelow {self.asked.ignore_below}"

    @property
    def exposures(self) -> str:
        """What may come to an event."""
        return str(self.counters[0])

    def counts(self, state: PairedState, candidate: Delta, stable: Delta) -> list[PairCount]:
        """Return exposures and events of both, and what waits."""
        return [self._ended(state, candidate, stable)[0]]

    def lone(
        self, state: PairedState, candidate: Delta, settled_s: float  # noqa: ARG002
    ) -> list[tuple[float, float]]:  # fmt: skip
        """Return what a look adds; nothing for as long as events of another split may come."""
        if 0 < self.asked.lag_s > settled_s:
            return [(0, 0.0)]
        exposures, events = self._told(candidate)
        return [(exposures, self.scaled(exposures, events))]

    def frozen(self, state: PairedState, stable: Delta) -> PairedState:
        """Return the state of a comparison in which stable alone has shown something."""
        exposures, events = self._told(stable)
        number, worth = round(exposures), self.scaled(exposures, events)
        shown = number, self.part(number, worth)
        left = worth - shown[1]
        count = PairCount(*shown, 0, 0) if self.fewer else PairCount(0, 0, *shown)
        waiting = (0.0, left, 0.0, 0.0) if self.fewer else (0.0, 0.0, 0.0, left)
        (process,) = state.processes
        seen = replace(process, segments=(Segment().plus(count),))
        return replace(state, processes=(seen,), waiting=waiting)

    def take(
        self, state: PairedState, candidate: Delta, stable: Delta, settled_s: float
    ) -> tuple[PairedState, list[PairCount]]:
        """Return what a look adds; nothing for as long as events of another split may come."""
        if 0 < self.asked.lag_s > settled_s:
            return replace(state, waiting=NOTHING), [PairCount(0, 0, 0, 0)]
        counts, waiting = self._ended(state, candidate, stable)
        return replace(state, waiting=waiting), [counts]

    def decisive(self) -> int:
        """Return that it needs power."""
        return 1

    def standards(self, stable: Sequence[float]) -> list[float]:  # noqa: ARG002
        """Return that a candidate alone is held to nothing: its users' ways may have changed."""
        return []

    def imagined(self) -> None:
        """Return that requests do not tell how many exposures there are."""

    def sides(self, total: Segment) -> tuple[Side, Side]:
        """Return exposures and events of the candidate, then of stable."""
        more = total.candidate_n, total.candidate_events
        less = total.stable_n, total.stable_events
        return (less, more) if self.fewer else (more, less)

    def scaled(self, exposures: float, events: float) -> float:  # noqa: ARG002
        """Return the events of so many exposures, each worth 1 at most."""
        return events

    def part(self, exposures: int, events: float) -> float:
        """Return what of the events belongs to so many exposures."""
        return min(exposures, round(events))

    def _told(self, delta: Delta) -> list[float]:
        """Return exposures and events of a revision."""
        return [delta.counters.get(one.of(self.value), 0.0) for one in self.counters]

    def _ended(
        self, state: PairedState, candidate: Delta, stable: Delta
    ) -> tuple[PairCount, tuple[float, ...]]:
        """Return the interval that has ended, if one has, and what waits from now on."""
        new: list[float] = []
        for side in (stable, candidate) if self.fewer else (candidate, stable):
            number, events = self._told(side)
            new += [number, self.scaled(number, events)]
        n_c, e_c, n_s, e_s = map(sum, zip(state.waiting or NOTHING, new, strict=True))
        if min(n_c, n_s) < 1:
            return PairCount(0, 0, 0, 0), (n_c, e_c, n_s, e_s)
        mine, other = round(n_c), round(n_s)
        ours, theirs = self.part(mine, e_c), self.part(other, e_s)
        left = n_c - mine, e_c - ours, n_s - other, e_s - theirs
        return PairCount(mine, ours, other, theirs), left


@dataclass(frozen=True, slots=True)
class Counts(OfUsers):
    """Comparison by `counts`."""

    asked: CountsCheck
    value: str = ""

    @property
    def counters(self) -> tuple[Counter, ...]:
        """The exposures, and the events."""
        return self.counter(self.asked.exposures), self.counter(self.asked.events)

    def begin(self, stable: Delta) -> PairedState:  # noqa: ARG002 - nothing to choose
        """Return the state before the first look."""
        return PairedState((EProcess(),), waiting=NOTHING)

    def shares(self, state: PairedState) -> list[float]:  # noqa: ARG002 - there is one
        """Return that the one process has all of the check's budget."""
        return [1.0]

    def what(self, state: PairedState, index: int) -> str:  # noqa: ARG002 - there is one
        """Return what the candidate's events are."""
        return f"came to {self.counters[1]}"

    def counted(self, state: PairedState, index: int) -> str:
        """Return what was counted on both sides."""
        mine, other = self.sides(state.processes[index].total)
        exposures, events = self.counters
        return (
            f"{mine[1]} {events} in {mine[0]} {exposures} on the candidate, {other[1]} in "
            f"{other[0]} on stable"
        )

    def mistake(self, state: PairedState) -> str:
        """Return that there are more events than exposures, where that is no delay."""
        total = state.processes[0].total
        numbers = (total.candidate_n, total.stable_n)
        for n, left in zip(numbers, state.waiting[1::2], strict=False):
            if left > max(LEFT_OVER, n):
                exposures, events = self.counters
                return (
                    f"{left:.0f} {events} more than {exposures}; expected at most one event for "
                    "each exposure: count exposures that come to one event at most"
                )
        return ""
