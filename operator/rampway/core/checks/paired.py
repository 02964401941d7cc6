"""Checks that compare with stable: which counts they take, and what their evidence says."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rampway.api.paired import Require
from rampway.api.policy import Check, Policy
from rampway.core import evidence
from rampway.core.checks import kinds
from rampway.core.checks.bound import Bound
from rampway.core.checks.deltas import Delta, Ledger
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import Dispersion, EProcess

LEANING = 10.0
"""An e-value from here on speaks for harm."""
LEANING_LATELY = 2.0
"""So does this one of a step alone; it has had less time to grow."""


def start(
    checks: Sequence[Check],
    before: Mapping[str, PairedState],
    ledger: Ledger,
    stable: str,
) -> dict[str, PairedState]:
    """Return the states of all comparisons, those that can begin begun."""
    return {
        check.name: _started(check, before.get(check.name, PairedState()), ledger, stable)
        for check in checks
        if check.paired
    }


def _started(check: Check, state: PairedState, ledger: Ledger, stable: str) -> PairedState:
    return state if state.processes else kinds.of(check).begin(ledger.total(stable))


def update(
    bound: Bound,
    check: Check,
    state: PairedState,
    candidate: Delta,
    stable: Delta,
    *,
    new_segment: bool,
    settled_s: float = math.inf,
) -> PairedState:
    """Return the state after one look; `settled_s`: as for `Comparison.take`."""
    kind = kinds.of(check)
    if new_segment:
        state = replace(state, waiting=())
    state, new = kind.take(state, candidate, stable, settled_s)
    tolerance, proof = kind.tolerance, wants_proof(check)
    asked = zip(state.processes, new, kind.shares(state), strict=True)
    processes = tuple(
        evidence.update(
            process,
            count,
            tolerance,
            new_segment=new_segment,
            log_bound=bound.log_of(share) if kind.whole else math.inf,
            to_rule_out=proof,
        )
        for process, count, share in asked
    )
    return replace(state, processes=processes)


def with_past(
    policy: Policy, check: Check, state: PairedState, pairs: Sequence[tuple[Delta, Delta]]
) -> PairedState:
    """Return the state with what two halves of stable's pods showed before (`history.py`)."""
    kind = kinds.of(check)
    if kind.counters:
        return state  # the past of users' counters is not read
    # Both halves are stable: what it is not compared with has no slower bound either.
    alike = replace(
        state, bounds=tuple(replace(b, candidate_bound_s=b.stable_bound_s) for b in state.bounds)
    )
    pasts = [Dispersion()] * len(state.processes)
    for one, other in pairs:
        for index, both in enumerate(kind.counts(alike, one, other)):
            if both.comparable:
                theta = both.candidate_n / (both.candidate_n + both.stable_n)
                events = (both.candidate_events, both.stable_events)
                pasts[index] = pasts[index].seen(*events, theta)
    bound = -math.log(policy.alpha)
    known = zip(state.processes, pasts, strict=True)
    return replace(state, processes=tuple(evidence.with_past(p, past, bound) for p, past in known))


def knows_past(state: PairedState) -> bool:
    """Whether all that is compared knows of stable's own bursts from before."""
    return all(process.past is not None for process in state.processes)


def capped(state: PairedState) -> bool:
    """Whether a look gains little in something that is compared, whatever is known."""
    return any(process.cap <= evidence.MOST_PER_LOOK for process in state.processes)


def log_e(check: Check, state: PairedState) -> float:
    """Return the logarithm of a check's e-value: the average of its processes'."""
    if not state.processes:
        return 0.0
    shares = kinds.of(check).shares(state)
    parts = list(zip(shares, (p.log_e() for p in state.processes), strict=True))
    if state.bets is not None:
        parts.append((1 - sum(shares), state.bets.log_e()))
    return evidence.log_average(parts)


def leans_to_harm(check: Check, state: PairedState) -> bool:
    """Whether the evidence speaks for harm without proving it: no time to pass a check.

    A harmless candidate is there with a chance under 1/LEANING at any time, and leaves again. What
    the present step has won counts by itself: power that earlier steps had says nothing of harm
    that began since (B18). So does what was won since any moment: after a long calm the stakes are
    burnt, and harm that has just begun does not show in the whole yet.
    """
    latest = max((process.log_recent() for process in state.processes), default=0.0)
    leaning = max(log_e(check, state), log_lately(check, state)) >= math.log(LEANING)
    return leaning or latest >= math.log(LEANING_LATELY)


def log_lately(check: Check, state: PairedState) -> float:
    """Return the logarithm of what was won since the best moment to begin, averaged like `log_e`.

    It is no e-value: it passes any bound some day, and falls again.
    """
    if not state.processes:
        return 0.0
    lately = (process.log_lately() for process in state.processes)
    shares = kinds.of(check).shares(state)
    return evidence.log_average(list(zip(shares, lately, strict=True)))


def suspicious(checks: Sequence[Check], states: Mapping[str, PairedState]) -> bool:
    """Whether something may have begun, so that the next look should come sooner."""
    found = [(c, states[c.name]) for c in checks if c.name in states]
    return any(log_lately(check, state) >= math.log(LEANING_LATELY) for check, state in found)


def culprits(
    bound: Bound, checks: Sequence[Check], states: Mapping[str, PairedState]
) -> frozenset[str]:
    """Return the checks that show harm, all of them sharing one error budget (B19).

    Harm is called when the weighted sum of all e-values reaches 1/alpha. The check whose own
    e-value is beyond its share is named; if none is, the one that contributes most.
    """
    logs = {c.name: log_e(c, states.get(c.name, PairedState())) for c in checks if c.paired}
    whole = evidence.log_average([(1 / bound.checks, value) for value in logs.values()])
    if whole < bound.log:
        return frozenset()
    named = frozenset(name for name, value in logs.items() if value >= bound.log_of(1.0))
    return named or frozenset({max(logs, key=lambda name: logs[name])})


def missing(bound: Bound, check: Check, state: PairedState, *, foresees: bool = True) -> int | None:
    """Return how many more requests the check needs to pass; None if unknown (B18).

    To have had power, or to have ruled harm out where that is required. Unless it `foresees`, it
    is told only whether none are missing, which takes a tenth of the time.
    """
    limits = check.paired
    if limits is None or not state.processes:
        return None
    kind = kinds.of(check)
    needs = [
        evidence.requests_to_rule_out(process, kind.tolerance, fewer=kind.fewer)
        if wants_proof(check)
        else evidence.requests_missing(
            process,
            kind.tolerance,
            limits.detect_ratio,
            bound.log_of(share),
            fewer=kind.fewer,
            foresees=foresees,
        )
        for share, process in decisive_of(check, state)
    ]
    known = [n for n in needs if n is not None]
    return max(known) if len(known) == len(needs) else None


def wants_proof(check: Check) -> bool:
    """Whether the check passes only when harm beyond its tolerance is ruled out."""
    limits = check.paired
    return limits is not None and limits.require is Require.HARM_RULED_OUT


def decisive_of(check: Check, state: PairedState) -> list[tuple[float, EProcess]]:
    """Return the processes that need power, each with its share of the check's part."""
    kind = kinds.of(check)
    pairs = list(zip(kind.shares(state), state.processes, strict=True))
    return pairs[: kind.decisive()]
