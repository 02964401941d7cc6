"""Checks that compare with stable: which counts they take, and what their evidence says."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rampway.api.paired import Require
from rampway.api.policy import Check, Policy
from rampway.core import evidence
from rampway.core.checks import kinds
from rampway.core.checks.bound import Bound
from rampway.core.checks.deltas import Delta, Ledger
from rampway.core.checks.kinds.base import PairedState
from rampway.core.checks.slices import Part, begun, parts
from rampway.core.evidence import Dispersion

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
    told = Delta() if state.processes else ledger.total(stable)
    return begun(kinds.of(check), state, told)


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

    def after(part: Part) -> PairedState:
        before = replace(part.state, waiting=()) if new_segment else part.state
        taken, new = part.kind.take(before, candidate, stable, settled_s)
        processes = tuple(
            evidence.update(
                process,
                count,
                part.kind.tolerance,
                new_segment=new_segment,
                log_bound=bound.log_of(share) if part.kind.whole else math.inf,
                to_rule_out=wants_proof(check),
            )
            for (share, process), count in zip(part.weighed, new, strict=True)
        )
        return replace(taken, processes=processes)

    whole, *rest = parts(check, state)
    sliced = zip(state.slices, map(after, rest), strict=True)
    return replace(after(whole), slices=dict(sliced))


def with_past(
    policy: Policy, check: Check, state: PairedState, pairs: Sequence[tuple[Delta, Delta]]
) -> PairedState:
    """Return the state with what two halves of stable's pods showed before (`history.py`)."""
    kind = kinds.of(check)
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
    """Return the logarithm of a check's e-value: the average of its parts'."""
    if not state.processes:
        return 0.0
    return evidence.log_average([(part.share, part.log_e()) for part in parts(check, state)])


def leans_to_harm(check: Check, state: PairedState) -> bool:
    """Whether the evidence speaks for harm without proving it: no time to pass a check.

    A harmless candidate is there with a chance under 1/LEANING at any time, and leaves again. What
    the present step has won counts by itself: power that earlier steps had says nothing of harm
    that began since (B18); a slice has to win more, as it has less of the budget than the whole.
    So does what was won since any moment: after a long calm the stakes are burnt, and harm that
    has just begun does not show in the whole yet.
    """
    found = parts(check, state)
    latest = [
        process.log_recent() + math.log(part.share / found[0].share)
        for part in found
        for process in part.state.processes
    ]
    leaning = max(log_e(check, state), log_lately(check, state)) >= math.log(LEANING)
    return leaning or max(latest, default=0.0) >= math.log(LEANING_LATELY)


def log_lately(check: Check, state: PairedState) -> float:
    """Return the logarithm of what was won since the best moment to begin, averaged like `log_e`.

    It is no e-value: it passes any bound some day, and falls again.
    """
    if not state.processes:
        return 0.0
    return evidence.log_average([(part.share, part.log_lately()) for part in parts(check, state)])


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


@dataclass(frozen=True, slots=True)
class Missing:
    """What a check waits for.

    Attributes:
        part: Which part of it waits longest.
        exposures: How many more it needs on the candidate, 0: none; None: nobody knows.
    """

    part: Part
    exposures: int | None

    @property
    def times(self) -> float:
        """How many times as much as so far that is."""
        return math.inf if self.exposures is None else self.exposures / max(1, self.part.exposures)


def counting_down(bound: Bound, check: Check, state: PairedState) -> PairedState:
    """Return the state with what `missing` tells the number from, searched anew where it must."""
    limits = check.paired
    if limits is None or not state.processes or wants_proof(check):
        return state

    def told(part: Part) -> PairedState:
        number = part.kind.decisive()
        processes = tuple(
            evidence.counting_down(
                process,
                part.kind.tolerance,
                limits.detect_ratio,
                bound.log_of(share),
                fewer=part.kind.fewer,
            )
            for share, process in part.weighed[:number]
        )
        return replace(part.state, processes=(*processes, *part.state.processes[number:]))

    whole, *rest = parts(check, state)
    sliced = (told(part) if is_waited_for(check, whole, part) else part.state for part in rest)
    return replace(told(whole), slices=dict(zip(state.slices, sliced, strict=True)))


def missing(bound: Bound, check: Check, state: PairedState, *, foresees: bool = True) -> Missing:
    """Return how many more requests the check needs to pass (B18).

    To have had power in what is decisive, or to have ruled harm out in all that is compared, where
    that is required: each is proved at the same level, so all together are. Unless it `foresees`,
    it is told only whether none are missing, which takes a tenth of the time.
    """
    found = decisive(check, state)
    return max(
        (Missing(part, _needed(bound, check, part, foresees=foresees)) for part in found),
        key=lambda one: one.times,
    )


def _needed(bound: Bound, check: Check, part: Part, *, foresees: bool) -> int | None:
    kind, limits = part.kind, check.paired
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
        for share, process in part.weighed[: None if wants_proof(check) else kind.decisive()]
        if limits
    ]
    known = [n for n in needs if n is not None]
    return max(known) if needs and len(known) == len(needs) else None


def decisive(check: Check, state: PairedState) -> list[Part]:
    """Return what has to pass: the whole, and the slices that are waited for."""
    whole, *rest = parts(check, state)
    return [whole, *(part for part in rest if is_waited_for(check, whole, part))]


def is_waited_for(check: Check, whole: Part, part: Part) -> bool:
    """Whether a slice has to pass too."""
    return not (is_small(whole, part) or is_untellable(check, part))


def is_small(whole: Part, part: Part) -> bool:
    """Whether a slice has too few of the exposures to be waited for."""
    asked = whole.kind.slices
    return asked is not None and part.exposures < asked.least_share * whole.exposures


def is_untellable(check: Check, part: Part) -> bool:
    """Whether the harm to detect, in a slice where little happens, is what is tolerated."""
    limits, kind = check.paired, part.kind
    if limits is None or wants_proof(check):
        return False
    return not any(
        evidence.is_tellable(process, kind.tolerance, limits.detect_ratio, fewer=kind.fewer)
        for process in part.state.processes
    )


def wants_proof(check: Check) -> bool:
    """Whether the check passes only when harm beyond its tolerance is ruled out."""
    limits = check.paired
    return limits is not None and limits.require is Require.HARM_RULED_OUT
