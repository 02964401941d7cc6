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
from rampway.core.evidence.totals import Segment

FACTS = 6
MOST_SEGMENTS = 50
"""Of more splits the earliest are told as one: a pod that comes and goes makes one each time."""


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
    def careful_phi(self) -> float:
        """Over-dispersion as proof takes it: nobody is free of bursts before it was seen."""
        return harmless.phi_of(self.past, self.dispersion)

    @property
    def total(self) -> Segment:
        """All totals together."""
        whole, *more = self.segments
        for segment in more:
            whole = whole.and_all_of(segment)
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
    phi = process.careful_phi
    if harmless.log_ruled_out(process.ruled, phi) >= harmless.LOG_BAR:
        return 0
    now, rates = process.segments[-1], process.total.smoothed_rates
    if not now.looks:
        return None
    others = now.stable_n / now.candidate_n
    more = harmless.requests_left(process.ruled, rates, others, tolerance, phi)
    return math.ceil(more * others) if fewer and more else more


def start() -> EProcess:
    """Return a process that has seen nothing: its e-value is 1, and phi the prior's 2.

    What is known of stable's bursts is added by `with_past`, before the first look.
    """
    return EProcess()


def log_e(process: EProcess) -> float:
    """Return the logarithm, in nats, of the e-value against H0 of `update`; any real number.

    The mixture's whole capital, cash included. Harm is called at log(1/alpha): under H0, and the
    assumptions there, it ever comes so far with a chance of at most alpha, by Ville's inequality
    (Ramdas, Grünwald, Vovk & Shafer, arXiv 2210.01948).
    """
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

    Tested is H0: p_c <= ratio * p_s + floor at every look, p_c and p_s the chances that a request
    of the candidate or of stable comes to an event. The capital is multiplied by the mixture's
    factor of the look (`mixture`; Lindon & Malek, arXiv 2011.03567; Turner, Ly & Grünwald, arXiv
    2106.02693), with the guard (`dispersion`) and without overshoot (`overshoot`; Fischer & Ramdas,
    arXiv 2410.16076). Its mean under H0 is at most 1, whatever base rate, split and exposures do
    from look to look, also by what came before. Assumed: given the past and a look's exposures,
    events are independent Bernoulli or Poisson counts; looks are not chosen by their events. Where
    events come in bursts the guard is measured, no theorem.

    Args:
        process: The process before.
        counts: What the look added. Without requests on both sides there is nothing to compare:
            it is not counted at all.
        tolerance: What is not called harm; the same at every look.
        new_segment: The traffic's split has changed since the last look: what was kept for later
            harm is staked, and `power` is told by segments. The evidence so far goes on.
        log_bound: log(1/alpha), in nats, where this process alone calls harm; always the same;
            infinite: unknown, which costs a little evidence and no validity.
        to_rule_out: Whether proof of harmlessness is gathered too.
    """
    if new_segment and process.segments[-1].looks:
        process = _next_segment(process)
    if not counts.comparable:
        return process
    return _after(process, counts, tolerance, log_bound=log_bound, to_rule_out=to_rule_out)


def _after(
    process: EProcess,
    counts: PairCount,
    tolerance: Tolerance,
    *,
    log_bound: float,
    to_rule_out: bool,
) -> EProcess:
    """Return the process after a look at which both sides had requests."""
    phi, cap = process.phi, process.cap
    won = gains(counts, tolerance, phi=phi, cap=cap)
    boost = log_boost(process.stake, counts, tolerance, phi=phi, cap=cap, log_bound=log_bound)
    proof = harmless.ruling_out(counts, tolerance) if to_rule_out else harmless.NOTHING
    segments = (*process.segments[:-1], process.segments[-1].plus(counts))
    return replace(
        process,
        stake=staked(process.stake, won).times(boost),
        recent=tuple(map(add, process.recent, won)),
        ruled=tuple(map(add, process.ruled, proof)),
        lately=tuple([max(0.0, old + gain) for old, gain in zip(process.lately, won, strict=True)]),
        dispersion=_spread(process.dispersion, segments, counts),
        segments=segments,
    )


def _spread(before: Dispersion, segments: Sequence[Segment], counts: PairCount) -> Dispersion:
    """Return what is known of bursts after a look; the segments have it."""
    mine, other = counts.candidate_events, counts.stable_events
    if not mine and not other:
        return before
    return before.seen(mine, other, _expected_share(segments, counts))


def _next_segment(process: EProcess) -> EProcess:
    known = process.segments
    if len(known) >= MOST_SEGMENTS:
        known = (known[0].and_all_of(known[1]), *known[2:])
    return replace(
        process,
        stake=process.stake.invested(FOR_A_SEGMENT),
        recent=NOTHING,
        segments=(*known, Segment()),
        countdown=None,
    )


def ratio(process: EProcess) -> float | None:
    """Return how many times as often the event happens in the candidate; None if unknown.

    The ratio of the rates p_c / p_s, by Mantel & Haenszel over the looks (`Segment.rates`):

        sum(e_c n_s / n) / sum(e_s n_c / n),   n = n_c + n_s

    It is consistent for a ratio that is the same at all looks, whatever the traffic's split and the
    rates of both do from look to look, also with few events in each (Greenland & Robins, Biometrics
    41, 1985, 55-68). No continuity correction: where stable has had no event there is no ratio, and
    what is known is the lower end of `interval`; where only the candidate has had none it is 0.
    """
    mine, theirs = process.total.rates
    return mine / theirs if theirs and process.total.candidate_n else None


def _expected_share(segments: Sequence[Segment], counts: PairCount) -> float:
    """Return the candidate's share of a look's events, by the rates of all looks so far."""
    n_c = n_s = 0
    mine = other = 0.5
    for seen in segments:
        n_c, n_s = n_c + seen.candidate_n, n_s + seen.stable_n
        mine, other = mine + seen.candidate_events, other + seen.stable_events
    candidate, stable = counts.candidate_n * mine / (n_c + 1), counts.stable_n * other / (n_s + 1)
    return candidate / (candidate + stable)
