"""A process of evidence: the mixture, guarded against bursts, with what it has seen (B19)."""

from dataclasses import dataclass, field

from rampway.core.evidence.dispersion import MOST_PER_LOOK, Dispersion
from rampway.core.evidence.mixture import PairCount, Stake, Tolerance, bet


@dataclass(frozen=True, slots=True)
class Segment:
    """Totals while the traffic's split was the same; only looks that could be compared."""

    candidate_n: int = 0
    candidate_events: int = 0
    stable_n: int = 0
    stable_events: int = 0
    looks: int = 0

    def plus(self, more: "PairCount | Segment") -> "Segment":
        """Return the totals with one look, or another segment, added."""
        return Segment(
            self.candidate_n + more.candidate_n,
            self.candidate_events + more.candidate_events,
            self.stable_n + more.stable_n,
            self.stable_events + more.stable_events,
            self.looks + (more.looks if isinstance(more, Segment) else 1),
        )


@dataclass(frozen=True, slots=True)
class EProcess:
    """One question's evidence.

    Attributes:
        stake: The mixture's capital.
        dispersion: The guard's state.
        segments: Totals, one for each split of traffic, the present one last.
    """

    stake: Stake = field(default_factory=Stake)
    dispersion: Dispersion = field(default_factory=Dispersion)
    segments: tuple[Segment, ...] = (Segment(),)

    @property
    def phi(self) -> float:
        """Over-dispersion so far, at least 1."""
        return self.dispersion.phi

    @property
    def total(self) -> Segment:
        """All totals together."""
        whole = Segment()
        for segment in self.segments:
            whole = whole.plus(segment)
        return whole

    def log_e(self) -> float:
        """Return the logarithm of the e-value; harm is called at log(1/alpha)."""
        return self.stake.log_total()


def start() -> EProcess:
    """Return a process that has seen nothing: its e-value is 1."""
    return EProcess()


def log_e(process: EProcess) -> float:
    """Return the logarithm of the e-value; harm is called at log(1/alpha)."""
    return process.log_e()


def update(
    process: EProcess, counts: PairCount, tolerance: Tolerance, *, new_segment: bool = False
) -> EProcess:
    """Return the process after one look.

    Args:
        process: The process before.
        counts: What the look added. Without requests on both sides there is nothing to compare:
            it is not counted at all.
        tolerance: What is not called harm; the same at every look.
        new_segment: The traffic's split has changed since the last look. It matters for `power`
            only; the evidence goes on.
    """
    segments = process.segments
    if new_segment and segments[-1].looks:
        segments = (*segments, Segment())
    if counts.comparable:
        segments = (*segments[:-1], segments[-1].plus(counts))
    after = EProcess(process.stake, process.dispersion, segments)
    if not counts.comparable:
        return after
    stake = bet(process.stake, counts, tolerance, phi=process.phi, cap=MOST_PER_LOOK)
    theta = _expected_share(after.total, counts)
    dispersion = process.dispersion.seen(counts.candidate_events, counts.stable_events, theta)
    return EProcess(stake, dispersion, segments)


def ratio(process: EProcess) -> float | None:
    """Return how many times as often the event happens in the candidate; None if unknown."""
    total = process.total
    if not total.stable_events or not total.candidate_n:
        return None
    return (total.candidate_events / total.candidate_n) / (total.stable_events / total.stable_n)


def _expected_share(total: Segment, counts: PairCount) -> float:
    """Return the candidate's share of a look's events, by the rates of all looks so far."""
    candidate = counts.candidate_n * (total.candidate_events + 0.5) / (total.candidate_n + 1)
    stable = counts.stable_n * (total.stable_events + 0.5) / (total.stable_n + 1)
    return candidate / (candidate + stable)
