"""Proof that harm is ruled out, of all that a check compares (B18)."""

from functools import reduce

from rampway.api.policy import Check, Policy
from rampway.core.checks import paired
from rampway.core.checks.bound import bound_of
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import BoundPair, Dispersion, EProcess, PairCount, Tolerance, update

CHECK = Check.model_validate(
    {"name": "slow", "latency": {"ignoreBelow": "1%", "require": "HarmRuledOut"}}
)
TOLERANCE = Tolerance(1.2, 0.01)
CALM = EProcess(past=Dispersion(1e6, 1e6, 10**6))
BOUNDS = (BoundPair(0.5, 0.1, 0.12), BoundPair(0.5, 0.5, 0.6))


def proved(mine: int, other: int, looks: int = 100) -> EProcess:
    """Return the evidence of looks with so many slow requests in 100 each."""
    looked = [PairCount(100, mine, 100, other)] * looks
    return reduce(lambda p, c: update(p, c, TOLERANCE, to_rule_out=True), looked, CALM)


def test_b18_slowness_is_ruled_out_at_every_bound() -> None:
    """B18: faster in the body and slower in the tail is not "no slower": each bound is proved."""
    bound = bound_of(Policy(checks=(CHECK,)))
    body, tail, fine = proved(5, 10), proved(5, 3), proved(1, 3)
    for second, harmless in ((fine, True), (tail, False)):
        state = PairedState((body, second), BOUNDS)
        missing = paired.missing(bound, CHECK, state).exposures
        assert (missing == 0) is harmless
