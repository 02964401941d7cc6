"""Evidence for harm, looked at as often as one likes, with a bound on false alarms (B19)."""

from rampway.core.evidence.average import log_average
from rampway.core.evidence.betting import Bets
from rampway.core.evidence.buckets import UNTOLD, Histogram
from rampway.core.evidence.clearance import (
    LOG_BAR,
    UNTOLD_PHI,
    calm,
    log_cleared,
    requests_to_clear,
)
from rampway.core.evidence.detector import Detector
from rampway.core.evidence.dispersion import MOST_PER_LOOK, Dispersion
from rampway.core.evidence.histogram import (
    BoundPair,
    choose_bounds,
    first_bound_s,
    has_bounds,
    tail_counts,
)
from rampway.core.evidence.interval import Ratio, interval
from rampway.core.evidence.missing import counting_down, requests_missing
from rampway.core.evidence.mixture import PairCount, Stake, Tolerance, bet, log_factor
from rampway.core.evidence.power import TARGET, at_least, harm_rate, is_tellable, power
from rampway.core.evidence.process import (
    EProcess,
    log_e,
    ratio,
    requests_to_rule_out,
    start,
    update,
    with_past,
)
from rampway.core.evidence.serialise import from_json, to_json
from rampway.core.evidence.shares import Move, bin_moves, class_moves, share_counts
from rampway.core.evidence.totals import Segment

__all__ = [
    "LOG_BAR",
    "MOST_PER_LOOK",
    "TARGET",
    "UNTOLD",
    "UNTOLD_PHI",
    "Bets",
    "BoundPair",
    "Detector",
    "Dispersion",
    "EProcess",
    "Histogram",
    "Move",
    "PairCount",
    "Ratio",
    "Segment",
    "Stake",
    "Tolerance",
    "at_least",
    "bet",
    "bin_moves",
    "calm",
    "choose_bounds",
    "class_moves",
    "counting_down",
    "first_bound_s",
    "from_json",
    "harm_rate",
    "has_bounds",
    "interval",
    "is_tellable",
    "log_average",
    "log_cleared",
    "log_e",
    "log_factor",
    "power",
    "ratio",
    "requests_missing",
    "requests_to_clear",
    "requests_to_rule_out",
    "share_counts",
    "start",
    "tail_counts",
    "to_json",
    "update",
    "with_past",
]
