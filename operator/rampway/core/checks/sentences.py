"""What a comparison says to a person who does not know e-values."""

import math

from rampway.api.policy import Check
from rampway.core.checks import kinds
from rampway.core.checks.bound import Bound
from rampway.core.checks.kinds.base import PairedState
from rampway.core.checks.paired import decisive_of, wants_proof


def harm(bound: Bound, check: Check, state: PairedState) -> str:
    """Return what was seen, for a check that shows harm."""
    index, kind = _foremost(check, state), kinds.of(check)
    process = state.processes[index]
    times, least = kind.times(process)
    told = kind.counted(state, index)
    if times is not None:
        surely = f" (at least {least:.3g})" if least > 1 else ""
        told += f": {times:.1f} times as {kind.often}{surely}"
    elif least > 1:
        told += f": at least {least:.3g} times as {kind.often}"
    return f"{told}; a false alarm at this point has a chance under {bound}"


def why_unforeseen(check: Check, state: PairedState) -> str:
    """Return why nobody can say how many more requests a check needs."""
    if any(not process.segments[-1].looks for _, process in decisive_of(check, state)):
        return f"cannot yet tell how many more {kinds.of(check).exposures} are needed"
    limits, kind = check.paired, kinds.of(check)
    if wants_proof(check):
        return f"at the rates so far no number of {kind.exposures} rules {beyond(check)} out"
    detect = limits.detect if limits else ""
    return (
        f"no number of {kind.exposures} at this split would tell detect {detect} from "
        f"what {kind.tolerated} tolerate; raise detect, or tolerate less"
    )


def beyond(check: Check) -> str:
    """Return which harm a check is to rule out."""
    return f"harm beyond {kinds.of(check).tolerated}"


def seen(check: Check, state: PairedState) -> str:
    """Return counts of the process that tells most, and how many times as often it happens."""
    index, kind = _foremost(check, state), kinds.of(check)
    times, _ = kind.times(state.processes[index])
    text = kind.counted(state, index)
    return text if times is None else f"{text}: {times:.1f} times as {kind.often}"


def _foremost(check: Check, state: PairedState) -> int:
    """Return which process of a check tells most."""
    weights = kinds.of(check).shares(state)
    return max(
        range(len(state.processes)),
        key=lambda i: state.processes[i].log_e() + math.log(weights[i]),
    )
