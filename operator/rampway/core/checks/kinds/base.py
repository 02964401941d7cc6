"""What a kind of check that compares has to say; all else about it is the same for all kinds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from rampway.api.counted import Slices
from rampway.core import evidence
from rampway.core.checks.counters import Counter
from rampway.core.checks.deltas import Delta
from rampway.core.evidence import (
    Bets,
    BoundPair,
    EProcess,
    PairCount,
    Ratio,
    Segment,
    Tolerance,
)
from rampway.core.numerals import plain


@dataclass(frozen=True, slots=True)
class PairedState:
    """Evidence of one comparison.

    Attributes:
        processes: One per kind of event; empty while the bounds are not chosen.
        bounds: For latency: the bounds compared, in the order of `processes`.
        waiting: For users' counters: what was counted and not compared yet, as in a PairCount.
        bets: For a mean: what was won by betting on it; has the rest of the budget.
        slices: Evidence of each slice, by its value, in the order in which they were first seen.
        others: So many values more were seen, at most at a time, which are no slices.
    """

    processes: tuple[EProcess, ...] = ()
    bounds: tuple[BoundPair, ...] = ()
    waiting: tuple[float, ...] = ()
    bets: Bets | None = None
    slices: Mapping[str, "PairedState"] = field(default_factory=dict)
    others: int = 0


class Comparison(Protocol):
    """One kind of check: which counts it takes, and what they are called."""

    @property
    def at_once(self) -> bool:
        """Whether its harm puts back all traffic at once (B24)."""
        return False

    @property
    def timed(self) -> bool:
        """Whether it needs durations."""
        return False

    @property
    def warm_up(self) -> int:
        """First requests of each pod's process that are not compared."""
        return 0

    @property
    def fewer(self) -> bool:
        """Whether rarer events are harm: a process then has stable where else the candidate is."""
        return False

    @property
    def counters(self) -> tuple[Counter, ...]:
        """The counters of users that it needs; none where it compares requests."""
        return ()

    @property
    def lag_s(self) -> float:
        """How long nothing counts after a change of the split."""
        return 0.0

    @property
    def slices(self) -> Slices | None:
        """Which slices are judged by themselves too, None without."""
        return None

    def sliced(self, value: str) -> "Comparison":
        """Return the comparison of one slice."""
        raise ValueError(f"slice {value} of a comparison without slices")

    @property
    def place(self) -> str:
        """Which slice is compared, as `region=apac`; empty: the whole."""
        return ""

    @property
    def exposures(self) -> str:
        """What may come to an event."""
        return "requests"

    @property
    def whole(self) -> bool:
        """Whether an event happens or not; else there are parts of one."""
        return True

    @property
    def often(self) -> str:
        """What the candidate's events are when there are too many, or too few."""
        return "seldom" if self.fewer else "often"

    @property
    def tolerance(self) -> Tolerance:
        """What is not called harm."""
        ...

    @property
    def tolerated(self) -> str:
        """The same in the words of the policy."""
        ...

    def begin(self, stable: Delta) -> PairedState:
        """Return the state before the first look, from what stable's pods counted so far.

        Of one that is held against a value: from what the candidate's pods counted.
        """
        ...

    def lacks(self, told: Delta) -> str:
        """Return what is missing in all that those pods count, however long; empty: nothing."""
        del told
        return ""

    def counts(self, state: PairedState, candidate: Delta, stable: Delta) -> list[PairCount]:
        """Return requests and events of both, for each process of the state."""
        ...

    def lone(
        self, state: PairedState, candidate: Delta, settled_s: float
    ) -> list[tuple[float, float]]:
        """Return what a look adds of the candidate alone: requests and events of each process.

        `settled_s`: as for `take`.
        """
        del settled_s
        found = self.counts(state, candidate, Delta())
        return [(one.candidate_n, one.candidate_events) for one in found]

    def frozen(self, state: PairedState, stable: Delta) -> PairedState:
        """Return the state of a comparison in which stable alone has shown something."""
        found = self.counts(state, Delta(), stable)
        processes = tuple(
            replace(process, segments=(Segment().plus(one),))
            for process, one in zip(state.processes, found, strict=True)
        )
        return replace(state, processes=processes)

    def take(
        self, state: PairedState, candidate: Delta, stable: Delta, settled_s: float
    ) -> tuple[PairedState, list[PairCount]]:
        """Return what a look adds to each process, and the state with what waits.

        Args:
            state: The state before.
            candidate: What its pods counted since the look before.
            stable: Likewise.
            settled_s: For how long the traffic's split had been as it is at the look before.
        """
        del settled_s
        return state, self.counts(state, candidate, stable)

    def shares(self, state: PairedState) -> list[float]:
        """Return each process's share of the check's budget; bets have what is left of 1."""
        ...

    def decisive(self) -> int:
        """Return how many of the processes, the first ones, need power for a pass."""
        ...

    def standards(self, stable: Sequence[float]) -> list[float]:
        """Return the rates of events that a candidate beside a stable that is down is held to.

        Args:
            stable: The rates that stable had while it answered; empty: not known.

        Returns:
            Empty where it is held to none, as those of stable are not known.
        """
        ...

    def imagined(self) -> tuple[PairedState, float] | None:
        """Return a state before its first look and stable's rate of events, to reckon with.

        None where requests do not tell how many exposures there are.
        """
        ...

    def what(self, state: PairedState, index: int) -> str:
        """Return what the candidate's events of a process are, as a verb."""
        ...

    def counted(self, state: PairedState, index: int) -> str:
        """Return what a process has counted on both sides."""
        ...

    def alone(self, state: PairedState, index: int, requests: int, events: float) -> str:
        """Return what a process has counted on one side."""
        return f"{self.briefly(requests, events)} {self.exposures} {self.what(state, index)}"

    def briefly(self, requests: int, events: float) -> str:
        """Return the same of the other side."""
        return f"{plain(events, 4)} of {requests}"

    def amount(self, rate: float) -> str:
        """Return a rate of events in words."""
        return f"{plain(100 * rate)} %"

    def times(self, process: EProcess) -> float | None:
        """Return how many times as often it is at the same looks, None if unknown."""
        return evidence.ratio(process)

    def counted_times(self, process: EProcess) -> float | None:
        """Return how many times as often it seems by what was counted in all, None if unknown."""
        mine, theirs = process.total.pooled_rates
        return mine / theirs if theirs else None

    def interval(self, process: EProcess) -> Ratio:
        """Return how many times as often it may be, by all that was seen. Takes milliseconds."""
        return evidence.interval(process)

    def mistake(self, state: PairedState) -> str:
        """Return why what was counted cannot be what was meant, else empty."""
        del state
        return ""
