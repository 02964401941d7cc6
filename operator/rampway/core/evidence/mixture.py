"""The one primitive: does an event happen more often in the candidate than in stable?

H0: p_c <= ratio * p_s + floor. Per interval and alternative r = rho * ratio, rho > 1, with
theta0 = n_c * ratio / (n_c * ratio + n_s), the factor is

    rho**e_c / c**(e_c + e_s) * exp(-n_c * floor * (rho / c - 1)),   c = 1 + theta0 * (rho - 1)

the likelihood ratio of the candidate's share of the events. Its mean under H0 is at most 1 for
Poisson counts and for Bernoulli events of any frequency, any base rate that changes with time and
any exposures, so by Ville's inequality the mixture's chance of ever reaching 1/alpha is at most
alpha (Lindon & Malek, arXiv 2011.03567; Turner, Ly & Grünwald, arXiv 2106.02693; mixtures:
Howard, Ramdas, McAuliffe & Sekhon, arXiv 1810.08240). It is at most 1 unconditionally, not given
the interval's total of events: never leave out an interval because of its events.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add

RHOS = (1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
WEIGHTS = (0.03, 0.14, 0.15, 0.06, 0.10, 0.34, 0.12, 0.06)
CASH = 0.10
"""Share kept back at the start, so that harm which begins late still finds a fresh stake."""
FIRST_INVESTED = 1 / 600
"""Share of the cash that the first look invests. Later ones invest less, as the cash left is to all
of it: what is left falls like 1 / looks, so that harm which begins after hours finds some too."""


@dataclass(frozen=True, slots=True)
class PairCount:
    """Requests and events of candidate and stable in one interval.

    Events may be parts of one, where each request has a value from 0 to 1 (`betting`).

    Raises:
        ValueError: a negative count, or more events than requests.
    """

    candidate_n: int
    candidate_events: float
    stable_n: int
    stable_events: float

    def __post_init__(self) -> None:
        for role, n, events in (
            ("candidate", self.candidate_n, self.candidate_events),
            ("stable", self.stable_n, self.stable_events),
        ):
            if n < 0 or events < 0 or events > n:
                raise ValueError(
                    f"{role}: {events} events in {n} requests; expected 0 <= events <= requests; "
                    "take both from the same scrape"
                )

    @property
    def comparable(self) -> bool:
        """Whether both had requests: else nothing is known from the interval."""
        return self.candidate_n > 0 and self.stable_n > 0


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What is not called harm: p_c <= ratio * p_s + floor.

    Attributes:
        ratio: Above 0; 1.1 tolerates a relative increase of 10 %.
        floor: Fraction of the requests tolerated on top, 0 to 1.

    Raises:
        ValueError: a value outside these ranges.
    """

    ratio: float
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.ratio < math.inf and 0 <= self.floor <= 1):
            raise ValueError(
                f"ratio {self.ratio}, floor {self.floor}; expected a finite ratio above 0 "
                "(1.1 for 10 % more) and a floor from 0 to 1 (0.01 for 1 % of the requests)"
            )


_LOGS = tuple(math.log(w) for w in WEIGHTS)
_GRID = tuple((rho, math.log(rho)) for rho in RHOS)


@dataclass(frozen=True, slots=True)
class Stake:
    """The mixture's capital; logarithms, as both parts leave the range of floats within days.

    Attributes:
        log_w: log W_j, one per member of RHOS; starts at 0.9 times its weight.
        log_cash: What is not invested yet.
    """

    log_w: tuple[float, ...] = tuple(math.log((1 - CASH) * w) for w in WEIGHTS)
    log_cash: float = math.log(CASH)

    def log_total(self) -> float:
        """Return the logarithm of the e-value, components and cash together."""
        return log_sum([*self.log_w, self.log_cash])

    def invested(self, share: float) -> "Stake":
        """Return the stake with a share of its cash, in (0, 1), put on the components."""
        fresh = self.log_cash + math.log(share)
        log_w = tuple([_log_add(w, fresh + log) for w, log in zip(self.log_w, _LOGS, strict=True)])
        return Stake(log_w, self.log_cash + math.log1p(-share))

    def times(self, log_factor: float) -> "Stake":
        """Return the stake with everything multiplied by the same factor, in nats."""
        return Stake(tuple(w + log_factor for w in self.log_w), self.log_cash + log_factor)


def log_factor(rho: float, counts: PairCount, tolerance: Tolerance) -> float:
    """Return the logarithm, in nats, of one interval's factor for one alternative (above).

    Tested is H0: p_c <= ratio * p_s + floor against p_c = rho * ratio * p_s; with rho < 1, where
    the factor falls with the candidate's events, H0: p_c >= ratio * p_s + floor (`harmless`). The
    factor's mean under H0 is at most 1 for independent Bernoulli or Poisson events.

    Args:
        rho: The alternative, above 0.
        counts: Requests and events of both in the interval; requests on both sides.
        tolerance: `ratio` and `floor` of H0.
    """
    return _log_factor(rho, math.log(rho), counts, tolerance)


def _log_factor(rho: float, log_rho: float, counts: PairCount, tolerance: Tolerance) -> float:
    mine, n_c = counts.candidate_events, counts.candidate_n
    exposure = n_c * tolerance.ratio
    theta0 = exposure / (exposure + counts.stable_n)
    c = 1 + theta0 * (rho - 1)
    events = mine + counts.stable_events
    gained = mine * log_rho - events * math.log(c) if events else 0.0
    return gained - n_c * tolerance.floor * (rho / c - 1)


def bet(
    stake: Stake,
    counts: PairCount,
    tolerance: Tolerance,
    *,
    phi: float = 1.0,
    cap: float = math.inf,
) -> Stake:
    """Return the stake after one look.

    Dividing by phi >= 1 known before the look keeps the mean at most 1 (Jensen), the cap only
    lowers it.

    Args:
        stake: The stake before.
        counts: What the look added; without requests on both sides nothing is known from it.
        tolerance: What is not called harm.
        phi: Over-dispersion known before this look, at least 1; log factors are divided by it.
        cap: The most that a component may gain, in nats.
    """
    if not counts.comparable:
        return stake
    return staked(stake, gains(counts, tolerance, phi=phi, cap=cap))


def gains(counts: PairCount, tolerance: Tolerance, *, phi: float, cap: float) -> tuple[float, ...]:
    """Return what one look adds to log W_j of each component; arguments as for `bet`."""
    return tuple([min(cap, _log_factor(r, log, counts, tolerance) / phi) for r, log in _GRID])


def staked(stake: Stake, won: Sequence[float]) -> Stake:
    """Return the stake after a look that added so much to each component."""
    ready = stake.invested(FIRST_INVESTED * math.exp(stake.log_cash) / CASH)
    return Stake(tuple(map(add, ready.log_w, won)), ready.log_cash)


def _log_add(one: float, other: float) -> float:
    """Return log(exp(one) + exp(other))."""
    high, low = (one, other) if one > other else (other, one)
    return high + math.log1p(math.exp(low - high))


def log_sum(logs: Sequence[float]) -> float:
    """Return log(sum(exp(x))) without overflow; minus infinity of nothing."""
    top = max(logs, default=-math.inf)
    if top == -math.inf:
        return top
    return top + math.log(sum([math.exp(x - top) for x in logs]))
