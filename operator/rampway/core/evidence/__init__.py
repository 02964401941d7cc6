"""Evidence for harm, looked at as often as one likes, with a bound on false alarms (B19)."""

from rampway.core.evidence.histogram import BoundPair, choose_bounds, tail_counts
from rampway.core.evidence.mixture import PairCount, Stake, Tolerance, bet, log_factor
from rampway.core.evidence.power import TARGET, power, requests_missing
from rampway.core.evidence.process import (
    EProcess,
    Segment,
    from_json,
    log_average,
    ratio,
    to_json,
    update,
)

__all__ = [
    "TARGET",
    "BoundPair",
    "EProcess",
    "PairCount",
    "Segment",
    "Stake",
    "Tolerance",
    "bet",
    "choose_bounds",
    "from_json",
    "log_average",
    "log_factor",
    "power",
    "ratio",
    "requests_missing",
    "tail_counts",
    "to_json",
    "update",
]
