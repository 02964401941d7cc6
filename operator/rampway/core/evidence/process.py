"""A process of evidence: the mixture, guarded against bursts, with what it has seen (B19).

Harm that begins late meets a mixture whose stakes are burnt: after a harmless step all components
have lost, and what is won has to make that good first. So a tenth of the capital is kept for later:
whenever the traffic's split changes, a part of it, with what the part before has left, is staked
afresh on all components (`recent`). Money that is moved between bets, by a rule known beforehand,
leaves the whole an e-process: its mean stays at most 1 under H0.

Beside it each component of `lately` begins anew whenever it falls below 1, an e-CUSUM (Shin,
Ramdas & Rinaldo, arXiv 2203.03532): it rolls nothing back, as it reaches any bound some day, and it
tells at once that something may have begun.
"""

import math
from dataclasses import dataclass, field, replace

from rampway.core.evidence.dispersion import (
    FEW_PHI,
    MOST_PER_LOOK,
    MOST_PHI,
    PRIOR_PHI,
    Dispersion,
)
from rampway.core.evidence.mixture import (
    RHOS,
    WEIGHTS,
    PairCount,
    Stake,
    Tolerance,
    gains,
    log_sum,
    staked,
)


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


KEPT = 0.1
"""Share of the capital that is kept for harm which begins after the first segment."""


@dataclass(frozen=True, slots=True)
class EProcess:
    """One question's evidence.

    Attributes:
        stake: The mixture's capital, as if it were the whole; it counts `1 - KEPT`.
        recent: What is staked since the present segment began, likewise; nothing in the first.
        recent_share: Share of the whole that `recent` multiplies.
        lately: By component, what would be won since the best moment to begin, in nats, 0 or more;
            no part of the whole.
        dispersion: The guard's state.
        past: What stable's own pods showed before; None: not known.
        cap: The most that a component may gain in one look, in nats.
        segments: Totals, one for each split of traffic, the present one last.
    """

    stake: Stake = field(default_factory=Stake)
    recent: Stake = field(default_factory=Stake)
    recent_share: float = 0.0
    lately: tuple[float, ...] = (0.0,) * len(RHOS)
    dispersion: Dispersion = field(default_factory=Dispersion)
    past: Dispersion | None = None
    cap: float = MOST_PER_LOOK
    segments: tuple[Segment, ...] = (Segment(),)

    @property
    def phi(self) -> float:
        """Over-dispersion so far, at least 1."""
        return self.spread.phi_from(prior_phi(self.past))

    @property
    def spread(self) -> Dispersion:
        """What stable's past and the looks say together."""
        return self.past.plus(self.dispersion) if self.past else self.dispersion

    @property
    def total(self) -> Segment:
        """All totals together."""
        whole = Segment()
        for segment in self.segments:
            whole = whole.plus(segment)
        return whole

    def log_e(self) -> float:
        """Return the logarithm of the e-value; harm is called at log(1/alpha)."""
        parts = [math.log(1 - KEPT) + self.stake.log_total()]
        reserve = KEPT / len(self.segments)  # what no segment has got yet
        parts.append(math.log(reserve))
        if self.recent_share:
            parts.append(math.log(self.recent_share) + self.recent.log_total())
        return log_sum(parts)

    def log_lately(self) -> float:
        """Return the logarithm of what would be won since the best moment to begin; 0 or more."""
        return log_sum([math.log(w) + won for w, won in zip(WEIGHTS, self.lately, strict=True)])

    def log_recent(self) -> float:
        """Return the logarithm of what was won since the present segment began; 0 in the first."""
        return self.recent.log_total() if self.recent_share else 0.0


def prior_phi(past: Dispersion | None) -> float:
    """Return which phi is suspected before much is seen; a past with failures raises it."""
    return FEW_PHI if past and past.looks else PRIOR_PHI


def with_past(process: EProcess, past: Dispersion, log_bound: float) -> EProcess:
    """Return a process that has seen nothing yet, with what is known of stable's own bursts.

    One look may then gain the whole bound in each component: not enough by itself to reach it
    from an e-value of 1, as a part is kept, so that no look alone calls harm. Where stable's bursts
    are beyond measure the cap stays as narrow as without a history.

    Args:
        process: The process before; one that has seen something stays as it is.
        past: Half of stable's pods against the other half.
        log_bound: log(1/alpha).
    """
    if any(segment.looks for segment in process.segments):
        return process
    beyond = past.phi_from(prior_phi(past)) > MOST_PHI
    cap = MOST_PER_LOOK if beyond else max(MOST_PER_LOOK, log_bound)
    measured = replace(past, surprise=min(past.surprise, MOST_PHI * past.variance))
    return replace(process, past=measured, cap=cap)


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
        new_segment: The traffic's split has changed since the last look: what was kept for later
            harm is staked, and `power` is told by segments. The evidence so far goes on.
    """
    if new_segment and process.segments[-1].looks:
        process = _next_segment(process)
    if not counts.comparable:
        return process
    segments = (*process.segments[:-1], process.segments[-1].plus(counts))
    after = replace(process, segments=segments)
    theta = _expected_share(after.total, counts)
    spread = process.dispersion.seen(counts.candidate_events, counts.stable_events, theta)
    won = gains(counts, tolerance, phi=process.phi, cap=process.cap)
    return replace(
        after,
        stake=staked(process.stake, won),
        recent=staked(process.recent, won) if process.recent_share else process.recent,
        lately=tuple(max(0.0, old + gain) for old, gain in zip(process.lately, won, strict=True)),
        dispersion=spread,
    )


def _next_segment(process: EProcess) -> EProcess:
    """Return the process with a fresh stake: a part of the reserve, and what the last one left.

    Segment k + 1 gets KEPT / (k (k + 1)) of the whole: 1/2, 1/6, 1/12 ... of what is kept.
    """
    k = len(process.segments)
    left = process.recent_share * math.exp(process.recent.log_total())
    return replace(
        process,
        recent=Stake(),
        recent_share=left + KEPT / (k * (k + 1)),
        segments=(*process.segments, Segment()),
    )


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
