"""Slow answers: the candidate's beyond one bound against stable's beyond a shorter one.

Where a value takes the place of stable, the percentile's share of requests is what stable would
have beyond it: `percentile: "99"` and `value: 200ms` is a stable with 1 % beyond 200 ms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rampway.api.latency import LatencyCheck
from rampway.core import evidence
from rampway.core.checks.deltas import Delta
from rampway.core.checks.kinds.base import Comparison, PairedState
from rampway.core.evidence import UNTOLD, BoundPair, EProcess, Histogram, PairCount, Tolerance
from rampway.core.numerals import plain

FARTHEST = 2.0
"""A bound so many times as long as what a value allows says nothing of it any more."""
_TAIL, _TAIL_SHARE = 0.1, 1 / 3
"""Of a check of all latencies: the tail with the most interest in it, and its share (histogram)."""


@dataclass(frozen=True, slots=True)
class Latency(Comparison):
    """Comparison by `latency`."""

    asked: LatencyCheck

    @property
    def timed(self) -> bool:
        """Return that it needs durations."""
        return True

    @property
    def warm_up(self) -> int:
        """First requests of each pod's process that are not compared."""
        return self.asked.warm_up_requests

    @property
    def tolerance(self) -> Tolerance:
        """What is not called harm.

        A slower bound is the tolerance in time; in frequency there is none but the floor.
        """
        return Tolerance(1.0, self.asked.floor)

    @property
    def tolerated(self) -> str:
        """The same in the words of the policy."""
        return f"maxIncrease {self.asked.max_increase} and ignoreBelow {self.asked.ignore_below}"

    def begin(self, stable: Delta) -> PairedState:
        """Return the state before the first look; empty while stable has too few requests."""
        if self.asked.usual_s is not None:
            return PairedState((EProcess(),), (self._beyond(self.asked.usual_s, stable),))
        bounds = evidence.choose_bounds(stable.buckets, self.asked.slowdown, self.asked.quantile)
        return PairedState(tuple(EProcess() for _ in bounds), bounds)

    def _beyond(self, usual_s: float, told: Delta) -> BoundPair:
        """Return the bound of a histogram that is held against a value.

        Which one depends on what bounds there are, never on the counts. A histogram without one
        lets nothing count (`tail_counts`).
        """
        least_s = (1 + self.asked.slowdown) * usual_s
        return BoundPair(1.0, usual_s, evidence.first_bound_s(told.buckets, least_s) or least_s)

    def lacks(self, told: Delta) -> str:
        """Return that a histogram's bounds are too coarse, where they are."""
        usual_s, slowdown = self.asked.usual_s, self.asked.slowdown
        if not told.buckets:
            return ""
        if usual_s is None:
            if evidence.has_bounds(told.buckets, slowdown):
                return ""
            return (
                "the histogram has no two bounds as far apart as maxIncrease "
                f"{self.asked.max_increase} tolerates, +Inf left out"
            )
        least_s = (1 + slowdown) * usual_s
        asked = f"{_ms(least_s)} (value and maxIncrease)"
        found_s = evidence.first_bound_s(told.buckets, least_s)
        if found_s is None:
            return f"the histogram has no bound from {asked} on, +Inf left out"
        if found_s <= FARTHEST * least_s:
            return ""
        return (
            f"the first bound of the histogram from {asked} on is {_ms(found_s)}; expected one up "
            f"to {_ms(FARTHEST * least_s)}"
        )

    def counts(self, state: PairedState, candidate: Delta, stable: Delta) -> list[PairCount]:
        """Return requests and slow requests, once for each pair of bounds."""
        mine, other = self._compared(candidate), self._compared(stable)
        return [evidence.tail_counts(pair, mine, other) for pair in state.bounds]

    def _compared(self, delta: Delta) -> Histogram:
        return delta.warm.get(self.warm_up, UNTOLD) if self.warm_up else delta.buckets

    def shares(self, state: PairedState) -> list[float]:
        """Return each process's share of the check's budget."""
        return [pair.weight for pair in state.bounds]

    def decisive(self) -> int:
        """Return that the most interesting bound needs power."""
        return 1

    def standards(self, stable: Sequence[float]) -> list[float]:
        """Return the rates that it is held to: those of stable, where they are known."""
        return list(stable)

    def imagined(self) -> tuple[PairedState, float]:
        """Return what to reckon with: a tenth of stable's requests beyond the bound."""
        quantile = self.asked.quantile
        share, rate = (_TAIL_SHARE, _TAIL) if quantile is None else (1.0, 1 - quantile)
        return PairedState((EProcess(),), (BoundPair(share, 0.1, 0.12),)), rate

    def what(self, state: PairedState, index: int) -> str:
        """Return what the candidate's events of a process are, as a verb."""
        return f"took longer than {_ms(state.bounds[index].candidate_bound_s)}"

    def counted(self, state: PairedState, index: int) -> str:
        """Return what a process has counted on both sides."""
        total = state.processes[index].total
        cold = f", without each pod's first {self.warm_up} requests" if self.warm_up else ""
        return (
            f"{total.candidate_events} of {total.candidate_n} requests {self.what(state, index)} "
            f"on the candidate, {total.stable_events} of {total.stable_n} longer than "
            f"{_ms(state.bounds[index].stable_bound_s)} on stable{cold}"
        )


def _ms(duration_s: float) -> str:
    return f"{plain(1000 * duration_s)} ms" if duration_s < 1 else f"{plain(duration_s)} s"
