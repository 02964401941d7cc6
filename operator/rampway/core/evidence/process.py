"""A process of evidence: the mixture, guarded against bursts, with what it has seen (B19).

Harm that begins late meets a mixture whose stakes are burnt: after a harmless step all components
have lost, and what is won has to make that good first. So a tenth of the capital is kept for later
and staked bit by bit, half of what is left of it whenever the traffic's split changes. Money that
is moved between bets, by a rule known beforehand, leaves the whole an e-process: its mean stays at
most 1 under H0.

Beside it stand two figures that roll nothing back and let nothing pass: what would have been won
since the present segment began (`recent`), and since the best moment to begin, where each component
begins anew whenever it falls below 1 (`lately`, an e-CUSUM: Shin, Ramdas & Rinaldo, arXiv
2203.03532; it reaches any bound some day).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import add

from rampway.core.evidence import harmless
from rampway.core.evidence.dispersion import (
    MOST_PER_LOOK,
    MOST_PHI,
    Dispersion,
    over_dispersion,
    prior_of,
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
from rampway.core.evidence.overshoot import log_boost


@dataclass(frozen=True, slots=True)
class Segment:
    """Totals while the traffic's split was the same; only looks that could be compared."""

    candidate_n: int = 0
    candidate_events: float = 0
    stable_n: int = 0
    stable_events: float = 0
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


FACTS = 6


@dataclass(frozen=True, slots=True)
class Countdown:
    """How many requests were missing in the present segment when that was last searched for.

    Attributes:
        more: So many more of the candidate's; None: no number is known to do.
        since_n: How many it had had by then.
        reckoned_from: Rates and the like, FACTS of them, each as a step of a grid (`missing`).
    """

    more: int | None
    since_n: int
    reckoned_from: tuple[int, ...]

    def left(self, now: Segment) -> int:
        """Return how many of them have not come yet; none once it has run out."""
        return max(0, (self.more or 0) - (now.candidate_n - self.since_n))


FOR_A_SEGMENT = 0.5
"""Share of the cash that is staked when the traffic's split changes."""
NOTHING = (0.0,) * len(RHOS)


@dataclass(frozen=True, slots=True)
class EProcess:
    """One question's evidence.

    Attributes:
        stake: The mixture's capital.
        recent: By component, what was won since the present segment began, in nats.
        lately: The same since the best moment to begin, 0 or more.
        dispersion: The guard's state.
        past: What stable's own pods showed before; None: not known.
        cap: The most that a component may gain in one look, in nats.
        ruled: By alternative, what was won towards harm being ruled out, where that is asked for.
        segments: Totals, one for each split of traffic, the present one last.
        countdown: What is told of the requests that are missing; None: nothing yet.
    """

    stake: Stake = field(default_factory=Stake)
    recent: tuple[float, ...] = NOTHING
    lately: tuple[float, ...] = NOTHING
    dispersion: Dispersion = field(default_factory=Dispersion)
    past: Dispersion | None = None
    cap: float = MOST_PER_LOOK
    ruled: tuple[float, ...] = harmless.NOTHING
    segments: tuple[Segment, ...] = (Segment(),)
    countdown: Countdown | None = None

    @property
    def phi(self) -> float:
        """Over-dispersion so far, at least 1."""
        return over_dispersion(self.past, self.dispersion)

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

    def log_lately(self) -> float:
        """Return the logarithm of what would be won since the best moment to begin; 0 or more."""
        return _mixed(self.lately)

    def log_recent(self) -> float:
        """Return the logarithm of what was won since the present segment began; 0 in the first."""
        return _mixed(self.recent) if len(self.segments) > 1 else 0.0


def _mixed(won: Sequence[float]) -> float:
    return log_sum([math.log(weight) + gain for weight, gain in zip(WEIGHTS, won, strict=True)])


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
    beyond = past.phi_from(prior_of(past)) > MOST_PHI
    cap = MOST_PER_LOOK if beyond else max(MOST_PER_LOOK, log_bound)
    measured = replace(past, surprise=min(past.surprise, MOST_PHI * past.variance))
    return replace(process, past=measured, cap=cap)


def requests_to_rule_out(
    process: EProcess, tolerance: Tolerance, *, fewer: bool = False
) -> int | None:
    """Return about how many more candidate requests rule harm beyond the tolerance out.

    `fewer`: rarer events are harm, so the process has stable where else the candidate is.

    At the rates seen so far and the present split; 0: it is ruled out; None: no number is known
    to do, as the present split had no traffic on both sides or the candidate does too much harm.
    """
    phi = harmless.phi_of(process.past, process.dispersion)
    if harmless.log_ruled_out(process.ruled, phi) >= harmless.LOG_BAR:
        return 0
    total, now = process.total, process.segments[-1]
    if not now.looks:
        return None
    mine = (total.candidate_events + 0.5) / (total.candidate_n + 1)
    theirs = (total.stable_events + 0.5) / (total.stable_n + 1)
    others = now.stable_n / now.candidate_n
    more = harmless.requests_left(process.ruled, (mine, theirs), others, tolerance, phi)
    return math.ceil(more * others) if fewer and more else more


def start() -> EProcess:
    """Return a process that has seen nothing: its e-value is 1."""
    return EProcess()


def log_e(process: EProcess) -> float:
    """Return the logarithm of the e-value; harm is called at log(1/alpha)."""
    return process.log_e()


def update(
    process: EProcess,
    counts: PairCount,
    tolerance: Tolerance,
    *,
    new_segment: bool = False,
    log_bound: float = math.inf,
    to_rule_out: bool = False,
) -> EProcess:
    """Return the process after one look.

    Args:
        process: The process before.
        counts: What the look added. Without requests on both sides there is nothing to compare:
            it is not counted at all.
        tolerance: What is not called harm; the same at every look.
        new_segment: The traffic's split has changed since the last look: what was kept for later
            harm is staked, and `power` is told by segments. The evidence so far goes on.
        log_bound: log(1/alpha) where this process alone calls harm, the same at every look;
            infinite: unknown, which costs a little evidence and no validity.
        to_rule_out: Whether proof of harmlessness is gathered too.
    """
    if new_segment and process.segments[-1].looks:
        process = _next_segment(process)
    if not counts.comparable:
        return process
    phi, cap = process.phi, process.cap
    won = gains(counts, tolerance, phi=phi, cap=cap)
    boost = log_boost(process.stake, counts, tolerance, phi=phi, cap=cap, log_bound=log_bound)
    proof = harmless.ruling_out(counts, tolerance) if to_rule_out else harmless.NOTHING
    return replace(
        process,
        stake=staked(process.stake, won).times(boost),
        recent=tuple(map(add, process.recent, won)),
        ruled=tuple(map(add, process.ruled, proof)),
        lately=tuple([max(0.0, old + gain) for old, gain in zip(process.lately, won, strict=True)]),
        dispersion=_spread(process, counts),
        segments=(*process.segments[:-1], process.segments[-1].plus(counts)),
    )


def _spread(process: EProcess, counts: PairCount) -> Dispersion:
    """Return what is known of bursts after a look."""
    mine, other = counts.candidate_events, counts.stable_events
    if not mine and not other:
        return process.dispersion
    theta = _expected_share(process.total.plus(counts), counts)
    return process.dispersion.seen(mine, other, theta)


def _next_segment(process: EProcess) -> EProcess:
    return replace(
        process,
        stake=process.stake.invested(FOR_A_SEGMENT),
        recent=NOTHING,
        segments=(*process.segments, Segment()),
        countdown=None,
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
