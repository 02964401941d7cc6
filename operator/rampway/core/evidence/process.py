"""A process of evidence: the mixture, guarded against bursts, with what it has seen (B19).

Real requests fail in bursts, and then the binomial law promises too much. The guard without
history: log factors are divided by phi, the over-dispersion seen so far in this very comparison,
and no look gains more than log 3. Both use only what was known before the look, and both make a
bet smaller, so the e-value stays one. Measured in tests/unit/core/evidence.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rampway.core.evidence.mixture import PairCount, Stake, Tolerance, bet, log_sum

MOST_PER_LOOK = math.log(3)
PRIOR_LOOKS = 2.0
"""phi starts as if so many looks had shown PRIOR_PHI."""
PRIOR_PHI = 2.0


@dataclass(frozen=True, slots=True)
class Segment:
    """Totals while the traffic's split was the same."""

    candidate_n: int = 0
    candidate_events: int = 0
    stable_n: int = 0
    stable_events: int = 0

    def plus(self, counts: PairCount) -> "Segment":
        """Return the totals with one look more."""
        return Segment(
            self.candidate_n + counts.candidate_n,
            self.candidate_events + counts.candidate_events,
            self.stable_n + counts.stable_n,
            self.stable_events + counts.stable_events,
        )


@dataclass(frozen=True, slots=True)
class EProcess:
    """One question's evidence.

    Attributes:
        stake: The mixture's capital.
        surprise: Sum over looks of (e_c - theta*e)^2, weighted to mean 1 without over-dispersion.
        variance: Sum over looks of e * theta * (1 - theta).
        segments: Totals, one for each split of traffic.
    """

    stake: Stake = field(default_factory=Stake)
    surprise: float = 0.0
    variance: float = 0.0
    looks: int = 0
    segments: tuple[Segment, ...] = (Segment(),)

    @property
    def phi(self) -> float:
        """Over-dispersion so far, at least 1; PRIOR_PHI before anything was seen."""
        if self.variance <= 0:
            return PRIOR_PHI
        mean = self.variance / max(1, self.looks)
        seen = self.surprise + PRIOR_LOOKS * PRIOR_PHI * mean
        return max(1.0, seen / (self.variance + PRIOR_LOOKS * mean))

    @property
    def total(self) -> Segment:
        """All totals together."""
        whole = Segment()
        for s in self.segments:
            whole = Segment(
                whole.candidate_n + s.candidate_n,
                whole.candidate_events + s.candidate_events,
                whole.stable_n + s.stable_n,
                whole.stable_events + s.stable_events,
            )
        return whole

    def log_e(self) -> float:
        """Return the logarithm of the e-value; harm is called at log(1/alpha)."""
        return self.stake.log_total()


def update(
    process: EProcess, counts: PairCount, tolerance: Tolerance, *, new_segment: bool = False
) -> EProcess:
    """Return the process after one look; `new_segment` where the traffic's split has changed."""
    segments = process.segments
    if new_segment and segments[-1] != Segment():
        segments = (*segments, Segment())
    segments = (*segments[:-1], segments[-1].plus(counts))
    if counts.candidate_n == 0 or counts.stable_n == 0:
        return replace(process, segments=segments)
    stake = bet(process.stake, counts, tolerance, phi=process.phi, cap=MOST_PER_LOOK)
    surprise, variance, looks = _dispersion(process, counts)
    return EProcess(
        stake,
        process.surprise + surprise,
        process.variance + variance,
        process.looks + looks,
        segments,
    )


def _dispersion(process: EProcess, counts: PairCount) -> tuple[float, float, int]:
    """Return what one look adds to the dispersion, relative to the rates seen so far.

    The expected share is that of the events so far, so a steady difference between the two
    revisions is not taken for a burst.
    """
    events = counts.candidate_events + counts.stable_events
    if events == 0:
        return 0.0, 0.0, 0
    total = process.total.plus(counts)
    candidate_rate = (total.candidate_events + 0.5) / (total.candidate_n + 1)
    stable_rate = (total.stable_events + 0.5) / (total.stable_n + 1)
    expected = counts.candidate_n * candidate_rate
    theta = expected / (expected + counts.stable_n * stable_rate)
    gap = counts.candidate_events - theta * events
    return gap * gap, events * theta * (1 - theta), 1


def log_average(parts: Sequence[tuple[float, float]]) -> float:
    """Return log of the weighted average of e-values, given (weight, log e): again an e-value."""
    return log_sum([math.log(weight) + log_e for weight, log_e in parts])


def ratio(process: EProcess) -> float | None:
    """Return how many times as often the event happens in the candidate; None if unknown."""
    total = process.total
    if not total.stable_events or not total.candidate_n:
        return None
    return (total.candidate_events / total.candidate_n) / (total.stable_events / total.stable_n)


def to_json(process: EProcess) -> dict[str, object]:
    """Return the process as JSON, for a checkpoint."""
    return {
        "w": [round(x, 9) for x in process.stake.log_w],
        "cash": process.stake.cash,
        "d": [process.surprise, process.variance, process.looks],
        "s": [
            [s.candidate_n, s.candidate_events, s.stable_n, s.stable_events]
            for s in process.segments
        ],
    }


def from_json(data: Mapping[str, list[float] | float]) -> EProcess:
    """Return the process of a checkpoint.

    Raises:
        KeyError, TypeError, ValueError: it is not what `to_json` wrote.
    """
    surprise, variance, looks = data["d"]  # type: ignore[misc]
    segments = tuple(Segment(*map(int, s)) for s in data["s"])  # type: ignore[union-attr, arg-type]
    stake = Stake(tuple(float(x) for x in data["w"]), float(data["cash"]))  # type: ignore[union-attr, arg-type]
    return EProcess(stake, surprise, variance, int(looks), segments)
