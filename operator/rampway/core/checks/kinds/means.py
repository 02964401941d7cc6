"""The mean of a user's own values: half by fractional events, half by betting.

A value in [0, 1] is worth as much of an event as it says. For a factor f > 0 of an event, f**x is
convex in x, so its mean is at most 1 + mean * (f - 1): what holds for events that happen or not
(`evidence.mixture`) holds for these. It takes values for as spread as they could be;
`evidence.Bets` learns how little they vary. The average of both e-values is one.
"""

import math
from dataclasses import dataclass, replace

from rampway.api.means import MeanCheck
from rampway.core import evidence
from rampway.core.checks.counters import Counter
from rampway.core.checks.deltas import Delta
from rampway.core.checks.kinds.base import PairedState
from rampway.core.checks.kinds.counts import NOTHING, OfUsers
from rampway.core.evidence import Bets, EProcess, PairCount, Ratio
from rampway.core.numerals import plain

BY_EVENTS = 0.5
"""Share of the check's part of the budget for fractional events; the rest bets."""
ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Mean(OfUsers):
    """Comparison by `mean`."""

    asked: MeanCheck
    value: str = ""

    @property
    def whole(self) -> bool:
        """Return that events are parts of one."""
        return False

    @property
    def often(self) -> str:
        """How a mean that is harm differs."""
        return "small" if self.fewer else "large"

    @property
    def counters(self) -> tuple[Counter, ...]:
        """The number of values, and their sum."""
        return self.counter(self.asked.count), self.counter(self.asked.sum)

    def begin(self, stable: Delta) -> PairedState:  # noqa: ARG002 - nothing to choose
        """Return the state before the first look."""
        return PairedState((EProcess(),), waiting=NOTHING, bets=Bets())

    def shares(self, state: PairedState) -> list[float]:  # noqa: ARG002 - always the same
        """Return the share of what goes by events; the bets have the rest."""
        return [BY_EVENTS]

    def what(self, state: PairedState, index: int) -> str:  # noqa: ARG002 - there is one
        """Return what the candidate's events are."""
        return f"were of {self.counters[1]}"

    def counted(self, state: PairedState, index: int) -> str:
        """Return the means on both sides."""
        mine, other = self.sides(state.processes[index].total)
        return (
            f"a mean of {self.briefly(*mine)} {self.exposures} on the candidate, "
            f"{self.briefly(*other)} on stable"
        )

    def alone(self, state: PairedState, index: int, requests: int, events: float) -> str:  # noqa: ARG002
        """Return the mean on one side."""
        return f"a mean of {self.briefly(requests, events)} {self.exposures}"

    def briefly(self, requests: int, events: float) -> str:
        """Return the mean and of how many values."""
        return f"{plain(self._mean(requests, events), 4)} over {requests}"

    def amount(self, rate: float) -> str:
        """Return a mean in the unit of the values."""
        return f"{plain(self._mean(1, rate), 4)}"

    def times(self, process: EProcess) -> float | None:
        """Return how many times as large it is, or as small, at the same looks."""
        return self._times(*process.total.rates) if process.total.candidate_n else None

    def counted_times(self, process: EProcess) -> float | None:
        """Return how many times as large it seems, or as small, by all values."""
        return self._times(*process.total.pooled_rates) if process.total.candidate_n else None

    def interval(self, process: EProcess) -> Ratio:
        """Return how many times as large (or small) it may be, where `lower` is 0."""
        if self.asked.low or self.times(process) is None:
            return Ratio(0.0, math.inf)
        return evidence.interval(process)

    def mistake(self, state: PairedState) -> str:
        """Return that there are values outside the bounds, where that is no rounding."""
        total = state.processes[0].total
        numbers = (total.candidate_n, total.stable_n)
        for n, left in zip(numbers, state.waiting[1::2], strict=False):
            if abs(left) > max(1.0, ROUNDING * n):
                return (
                    f"{self.counters[1]} has a mean outside lower {self.asked.lower} and upper "
                    f"{self.asked.upper}; expected bounds that every value keeps"
                )
        return ""

    def scaled(self, exposures: float, events: float) -> float:
        """Return the sum of so many values as if each lay between 0 and 1."""
        return (events - self.asked.low * exposures) / self.asked.span

    def part(self, exposures: int, events: float) -> float:
        """Return what of the events belongs to so many exposures."""
        return min(float(exposures), max(0.0, events))

    def take(
        self, state: PairedState, candidate: Delta, stable: Delta, settled_s: float
    ) -> tuple[PairedState, list[PairCount]]:
        """Return what a look adds, and the state with what was won by betting on it."""
        state, counts = super(Mean, self).take(state, candidate, stable, settled_s)
        bets = state.bets or Bets()
        for one in counts:
            bets = bets.after(one, self.tolerance)
        return replace(state, bets=bets), counts

    def _times(self, more: float, less: float) -> float | None:
        """Return how many times as large one mean is as the other, both scaled into [0, 1]."""
        mean = self._mean(1, less)
        return self._mean(1, more) / mean if mean else None

    def _mean(self, number: float, events: float) -> float:
        return self.asked.low + self.asked.span * events / number if number else 0.0
