"""What a comparison says to a person who does not know e-values."""

import math

from rampway.api.policy import Check
from rampway.core import evidence
from rampway.core.checks.bound import Bound
from rampway.core.checks.paired import PairedState, decisive_of, shares, wants_proof


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
    told = _counted(state, index) + often
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
    limits = check.error_rate or check.latency
    tolerated = f"maxIncrease {limits.max_increase} and ignoreBelow {limits.ignore_below}" if (
        limits
    ) else "what is tolerated"  # fmt: skip
    return f"harm beyond {tolerated}"


def seen(check: Check, state: PairedState) -> str:
    """Return counts of the process that tells most, and how many times as often it happens."""
    index = _foremost(check, state)
    times = evidence.ratio(state.processes[index])
    text = _counted(state, index)
    return text if times is None else f"{text}: {times:.1f} times as often"


def _foremost(check: Check, state: PairedState) -> int:
    """Return which process of a check tells most."""
    weights = shares(check, state)
    return max(
        range(len(state.processes)),
        key=lambda i: state.processes[i].log_e() + math.log(weights[i]),
    )


def _counted(state: PairedState, index: int) -> str:
    total = state.processes[index].total
    compared = f" longer than {_ms(state.bounds[index].stable_bound_s)}" if state.bounds else ""
    return (
        f"{total.candidate_events} of {total.candidate_n} requests {what(state, index)} on the "
        "candidate, "
        f"{total.stable_events} of {total.stable_n}{compared} on stable"
    )


def what(state: PairedState, index: int) -> str:
    """Return what the candidate's events of a process are, as a verb."""
    if state.bounds:
        return f"took longer than {_ms(state.bounds[index].candidate_bound_s)}"
    return "failed" if index == 0 else "were refused as the client's fault"


def _ms(duration_s: float) -> str:
    return f"{1000 * duration_s:.3g} ms" if duration_s < 1 else f"{duration_s:.3g} s"
