"""How many times as often: an interval for the ratio of the rates that holds at every look.

The mixture's test is turned round. A ratio r of the rates is out of the question as soon as the
test of "at most r", or that of "at least r", has reached 2/alpha; what was never out is the
interval (Howard, Ramdas, McAuliffe & Sekhon, arXiv 1810.08240). For each r the alternatives are
rho * r, or r / rho, with the same rho, so the e-values are monotone in r.

Nothing is kept of single looks, but the events of those with about the same odds o = n_c / n_s. A
look's factor has c = (1 + rho r o) / (1 + r o), and log c is concave in o; with 1 / rho for rho it
is concave in 1 / o. So by Jensen's inequality c at the mean of o (of 1 / o), weighed by events,
never makes more of them than the looks' own factors do, which it is where all have the same odds:
the interval holds whatever the split does, also where it follows the rate of events from look to
look. All is divided by phi in the exponent as bets are, the upper end by that of proof.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from rampway.core.evidence import harmless
from rampway.core.evidence.mixture import RHOS, WEIGHTS, log_sum
from rampway.core.evidence.process import EProcess

MISSED = 0.05
"""Chance that the interval ever leaves the truth out, half of it on each side."""
_LOG_FARTHEST = math.log(1e4)
_HALVINGS = 24
_GRID = tuple((r, math.log(r), math.log(w)) for r, w in zip(RHOS, WEIGHTS, strict=True))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Candidate's rate of events over stable's, both as they were in the mean of the looks.

    Attributes:
        low: At least so many times as often; 0: nothing is known.
        high: At most; infinite: nothing is known.
    """

    low: float
    high: float


def interval(process: EProcess, missed: float = MISSED) -> Ratio:
    """Return the ratios p_c / p_s of the rates of events that the looks so far leave possible.

    At each end a test of H0 "at most r times as often", or "at least", that has called r out at
    2/missed (Howard, Ramdas, McAuliffe & Sekhon, arXiv 1810.08240). Holds at every look, whenever
    one stops. Assumed: one ratio for all looks, and independent events in a look, as for `update`;
    where they come in bursts phi widens it, measured and no theorem.

    Args:
        process: What was seen.
        missed: Chance that the truth is ever left out, in (0, 1).
    """
    bound = math.log(2 / missed)
    phi, careful = process.phi, harmless.phi_of(process.past, process.dispersion)
    low = _last(lambda log_r: _log_e(process, phi, math.exp(log_r), 1) >= bound)
    high = _last(lambda log_r: _log_e(process, careful, math.exp(-log_r), -1) >= bound)
    return Ratio(math.exp(low), math.exp(-high))


def log_e_beyond(process: EProcess, ratio: float) -> float:
    """Return log E, in nats, of the test that the candidate's rate is at most ratio * stable's.

    Assumptions as for `interval`; no tolerance on top.
    """
    return _log_e(process, process.phi, ratio, 1)


def log_e_below(process: EProcess, ratio: float) -> float:
    """Return log E, in nats, of the test that the candidate's rate is at least ratio * stable's.

    Assumptions as for `interval`; no tolerance on top.
    """
    return _log_e(process, harmless.phi_of(process.past, process.dispersion), ratio, -1)


def _log_e(process: EProcess, phi: float, ratio: float, side: int) -> float:
    thetas: list[tuple[float, float]] = []
    for segment in process.segments:
        for seen in segment.odds:
            others = seen.events / seen.weighed if side > 0 else seen.inverse / seen.events
            thetas.append((seen.events, ratio / (ratio + others)))
    mine = side * sum(segment.candidate_events for segment in process.segments if segment.odds)
    logs = []
    for rho, log_rho, log_weight in _GRID:
        more = rho**side - 1
        won = mine * log_rho - sum(events * math.log1p(theta * more) for events, theta in thetas)
        logs.append(log_weight + won / phi)
    return log_sum(logs)


def _last(holds: Callable[[float], bool]) -> float:
    """Return up to where on the scale of logarithms it holds; minus infinity: nowhere."""
    low, high = -_LOG_FARTHEST, _LOG_FARTHEST
    if not holds(low):
        return -math.inf
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
