"""Is the harm to detect not there? For a revision with nobody to compare with, looked at always.

H0: p >= harm, or p <= harm where fewer are harm. For n requests with e events and an alternative
rho the factor is

    rho**e / L(rho)**n

where L is the rate at which the mean of rho**e grows under p = harm. Events may come together: each
request repeats the one before with chance d, else it is drawn anew. That is a chain of two states
whose counts vary phi = (1 + d) / (1 - d) times as much as independent ones, whatever p is; L is the
larger eigenvalue of its tilted matrix (Dembo & Zeitouni, Large Deviations, 2nd ed., section 3.1),

    L = (t + sqrt(t**2 - 4 d rho)) / 2,   t = 1 - p (1 - d) + rho (p + (1 - p) d).

With d = 0 it is 1 + p (rho - 1): the factor's mean is at most 1 at every look, for parts of events
too, so that a mixture ever reaches 1 / (1 - TARGET) by a chance of at most 1 - TARGET (Ville): the
power of B18. With d > 0 the factor times v(last request) is a martingale, v the eigenvector. It
rises only at requests with the larger v (no event, or an event where fewer are harm): whenever it
crosses a bound v is at its largest, so the same chance holds, whatever looks there are. For bursts
by another law it is measured (docs/reference/evidence.md).
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

from rampway.core.evidence.harmless import HALVES, PRIOR
from rampway.core.evidence.mixture import log_sum
from rampway.core.evidence.power import TARGET

ODDS = (0.7, 0.4, 0.2, 0.05)
"""How many times the odds of harm a harmless revision's may be; 1 over it where fewer are harm."""
LOG_BAR = -math.log(1 - TARGET)
UNTOLD_PHI = PRIOR.phi
"""Where nobody tells how events come together: as proof takes it before it has seen any."""
MOST = 100_000_000
"""Of more requests than this nobody waits."""
_SURE = 1e-6
"""What never happens, or always, is tested as if it did so rarely."""
_FARTHEST = 30.0
_HALVINGS = 50


def log_cleared(
    requests: float, events: float, harm: float, phi: float, *, fewer: bool = False
) -> float:
    """Return log E of the mixture, in nats; at LOG_BAR the harm to detect is not there.

    Tested is H0: p >= harm, with `fewer` p <= harm, p the chance that a request comes to an event.
    Assumed: bursts are no worse than phi says.

    Args:
        requests: Seen so far.
        events: Seen so far, at most as many.
        harm: The rate that must not be missed, in [0, 1].
        phi: How many times as much counts vary as independent ones, at least 1.
        fewer: Rarer events are harm.
    """
    terms = alternatives(harm, phi, fewer)
    gains = [events * log_rho - requests * growth for log_rho, growth in terms]
    return log_sum(gains) - math.log(len(gains))


def calm(phi: float) -> float:
    """Return the phi to clear of harm by, where that of a past is known.

    Where a rate itself varies, phi - 1 grows with the events, and harm has more of them.
    """
    return 1 + HALVES * (phi - 1)


def requests_to_clear(
    requests: int, rate: float, harm: float, phi: float, *, fewer: bool = False
) -> int | None:
    """Return about how many more requests with this rate of events clear of harm.

    0: it is cleared; None: no number does.
    """

    def cleared(n: int) -> float:
        return log_cleared(n, n * rate, harm, phi, fewer=fewer)

    high = max(1, requests)
    while cleared(high) < LOG_BAR:
        high *= 2
        if high > MOST:
            return None
    low = max(requests, high // 2)
    return max(0, bisect_left(range(high), LOG_BAR, lo=min(low, high), key=cleared) - requests)


@lru_cache(maxsize=1024)  # the same at every look
def alternatives(harm: float, phi: float, fewer: bool) -> tuple[tuple[float, float], ...]:
    """Return log rho and log L(rho) of each alternative: the best ones for its rate of events."""
    anew = 2 / (phi + 1)
    harm = min(1 - _SURE, max(_SURE, harm))
    rhos = []
    for times in ODDS:
        odds = harm / (1 - harm) * (1 / times if fewer else times)
        rhos.append(_best(odds / (1 + odds), harm, anew))
    return tuple((log_rho, _growth(log_rho, harm, anew)) for log_rho in rhos)


def _best(rate: float, harm: float, anew: float) -> float:
    """Return the log rho with which this rate of events gains most: where L grows like it."""
    low, high = (-_FARTHEST, 0.0) if rate < harm else (0.0, _FARTHEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(middle, harm, anew) < rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@dataclass(frozen=True, slots=True)
class _Tilted:
    """The chain's tilted matrix at one rho.

    With d near 1 the textbook's t**2 - 4 d rho is a difference of almost equal numbers; the same
    number is (other - mine)**2 + 4 turns, a sum.

    Attributes:
        other: On its diagonal, of requests without an event.
        mine: On its diagonal, of requests with one.
        turns: The product of what is beside the diagonal.
    """

    other: float
    mine: float
    turns: float

    @classmethod
    def at(cls, log_rho: float, harm: float, anew: float) -> "_Tilted":
        """Return it; `anew`: the chance 1 - d that a request does not repeat the one before."""
        rho = math.exp(log_rho)
        turns = rho * harm * (1 - harm) * anew * anew
        return cls(1 - harm * anew, rho * (1 - (1 - harm) * anew), turns)

    @property
    def root(self) -> float:
        """The difference of its two eigenvalues."""
        return math.hypot(self.other - self.mine, 2 * math.sqrt(self.turns))


def _growth(log_rho: float, harm: float, anew: float) -> float:
    """Return log L, of the larger eigenvalue."""
    tilted = _Tilted.at(log_rho, harm, anew)
    return math.log((tilted.other + tilted.mine + tilted.root) / 2)


def _slope(log_rho: float, harm: float, anew: float) -> float:
    """Return the derivative of log L by log rho: the rate of events where rho is the truth."""
    tilted = _Tilted.at(log_rho, harm, anew)
    mine, other, root = tilted.mine, tilted.other, tilted.root
    grows = (mine * (mine - other) + 2 * tilted.turns) / root
    return (mine + grows) / (other + mine + root)
