"""What a check that has nobody to compare with is held against: a value, or what stable showed."""

from dataclasses import dataclass
from functools import lru_cache

from rampway.api.policy import Check
from rampway.core import evidence
from rampway.core.checks import kinds
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence.dispersion import PRIOR_PHI

ENOUGH = 100
"""Fewer requests of stable's are no reference."""
MISSED = 0.01
"""Chance that stable's true rate is beyond what is taken for it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What stable showed of one kind of event before, frozen since.

    Attributes:
        phi: How its events came together.
    """

    requests: int
    events: float
    phi: float

    def rate(self, *, fewer: bool) -> float:
        """Return the largest rate that it may have had, or the smallest where fewer are harm."""
        return _rate(self, fewer=fewer)


@dataclass(frozen=True, slots=True)
class Held:
    """What one kind of event is held against.

    Attributes:
        limit: The largest rate that is no harm; the smallest where fewer are harm.
        harm: The rate that must not be missed.
        usual: How often it is usual.
        phi: How events come together, for calling harm.
        calm_phi: The same for clearing of it: where nobody tells, they may come in bursts.
    """

    limit: float
    harm: float
    usual: float
    phi: float
    calm_phi: float


@lru_cache(maxsize=4096)  # frozen, and asked for at every look
def _rate(known: Reference, *, fewer: bool) -> float:
    n, seen = known.requests / known.phi, known.events / known.phi
    low, high = (0.0, seen / n) if fewer else (seen / n, 1.0)
    for _ in range(40):
        middle = (low + high) / 2
        if fewer:
            chance = evidence.at_least(seen, n, middle)
        else:
            chance = 1 - evidence.at_least(seen + 1, n, middle) if seen + 1 <= n else 1.0
        if (chance <= MISSED) == fewer:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def reference(check: Check, state: PairedState) -> list[Reference]:
    """Return what stable showed, for each process of a check; empty if that is too little."""
    fewer = kinds.of(check).fewer
    found = []
    for process in state.processes:
        total = process.total
        n, events = (total.candidate_n, total.candidate_events) if fewer else (
            total.stable_n, total.stable_events
        )  # fmt: skip
        if n < ENOUGH:
            return []
        found.append(Reference(n, events, process.phi))
    return found


def limit_of(check: Check, rate: float) -> float:
    """Return the largest rate that is no harm beside this usual one; the smallest for fewer."""
    kind = kinds.of(check)
    tolerance = kind.tolerance
    if kind.fewer:
        return max(0.0, (rate - tolerance.floor) / tolerance.ratio)
    return min(1.0, tolerance.ratio * rate + tolerance.floor)


def held(check: Check, frozen: PairedState) -> list[Held]:
    """Return what each process that is watched is held against; nothing without a reference.

    A value is one of events that are the revision's own fault: how often clients are wrong it does
    not say.
    """
    if check.usual is not None:
        limit, harm = limit_of(check, check.usual), harm_of(check, check.usual)
        return [Held(limit, harm, check.usual, PRIOR_PHI, evidence.UNTOLD_PHI)]
    found, fewer = [], kinds.of(check).fewer
    for one in reference(check, frozen):
        limit, usual = limit_of(check, one.rate(fewer=fewer)), one.events / one.requests
        harm, careful = harm_of(check, usual), evidence.calm(one.phi)
        found.append(Held(limit, harm, usual, one.phi, careful))
    return found


def harm_of(check: Check, usual: float) -> float:
    """Return the rate of events that must not be missed beside this usual one."""
    detect = check.comparison.detect_ratio if check.comparison else 1.0
    kind = kinds.of(check)
    return usual / detect if kind.fewer else min(1.0, detect * max(usual, kind.tolerance.floor))


def is_tolerated(check: Check, limit: float, harm: float) -> bool:
    """Whether the harm to detect lies within what is none: no number of requests tells it then."""
    return harm >= limit if kinds.of(check).fewer else harm <= limit
