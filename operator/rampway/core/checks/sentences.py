"""What a comparison says to a person who does not know e-values."""

import math

from rampway.api.policy import Check
from rampway.core import evidence
from rampway.core.checks import kinds
from rampway.core.checks.bound import Bound
from rampway.core.checks.kinds.base import PairedState
from rampway.core.checks.paired import decisive_of, wants_proof


def harm(bound: Bound, check: Check, state: PairedState) -> str:
    """Return what was seen, for a check that shows harm."""
    index = _foremost(check, state)
    process = state.processes[index]
    times, least = evidence.ratio(process), evidence.interval(process).low
    often = ""
    if times is not None:
        surely = f" (at least {least:.3g})" if least > 1 else ""
        often = f": {times:.1f} times as often{surely}"
    elif least > 1:
        often = f": at least {least:.3g} times as often"
    told = kinds.of(check).counted(state, index) + often
    return f"{told}; a false alarm at this point has a chance under {bound}"


def why_unforeseen(check: Check, state: PairedState) -> str:
    """Return why nobody can say how many more requests a check needs."""
    if any(not process.segments[-1].looks for _, process in decisive_of(check, state)):
        return "cannot yet tell how many more requests are needed"
    limits = check.paired
    if wants_proof(check):
        return f"at the rates so far no number of requests rules {beyond(check)} out"
    detect = limits.detect if limits else ""
    return (
        f"no number of requests at this split would tell detect {detect} from what maxIncrease and "
        "ignoreBelow tolerate; raise detect, or tolerate less"
    )


def beyond(check: Check) -> str:
    """Return which harm a check is to rule out."""
    return f"harm beyond {kinds.of(check).tolerated}"


def seen(check: Check, state: PairedState) -> str:
    """Return counts of the process that tells most, and how many times as often it happens."""
    index = _foremost(check, state)
    times = evidence.ratio(state.processes[index])
    text = kinds.of(check).counted(state, index)
    return text if times is None else f"{text}: {times:.1f} times as often"


def _foremost(check: Check, state: PairedState) -> int:
    """Return which process of a check tells most."""
    weights = kinds.of(check).shares(state)
    return max(
        range(len(state.processes)),
        key=lambda i: state.processes[i].log_e() + math.log(weights[i]),
    )
