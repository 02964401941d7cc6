"""A candidate beside a stable that serves nobody: judged by itself (decision 0034).

That stable has no ready pod is no missing data: Kubernetes says so, and nobody is served by it.
There is nothing to compare with, so the candidate has to show by its own counts that it stays
within the limits that its checks have. That lets steps pass; it never puts traffic back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rampway.api.policy import Check, Policy
from rampway.core import evidence
from rampway.core.checks import kinds, paired, sentences
from rampway.core.checks.deltas import Delta
from rampway.core.checks.judged import CheckResult, CheckState, Contest, Down, EvidenceState
from rampway.core.checks.kinds.base import PairedState
from rampway.core.instants import brief
from rampway.core.numerals import plain

ENOUGH = 100
"""Fewer requests than this show nothing."""
BACK_S = 60.0
"""A pod that is ready for so long is back."""
ABSENT_S = 120.0
"""After so long without a look stable may have been well in between."""
Tallies = Mapping[str, tuple[tuple[int, float], ...]]


@dataclass(frozen=True, slots=True)
class Limit:
    """What is asked of one kind of event.

    Attributes:
        tolerated: Largest share of the requests.
        harm: Share that must not be missed.
        phi: How such events come together.
    """

    tolerated: float
    harm: float
    phi: float

    def __str__(self) -> str:
        """Say what is tolerated."""
        return f"{plain(100 * self.tolerated)} %"

    def missing(self, requests: int, events: float) -> int | None:
        """Return about how many more requests show that it is kept; None: no number does."""
        if events > self.tolerated * requests or self.harm <= self.tolerated:
            return None
        rate = events / requests if requests else 0.0
        return evidence.requests_to_clear(requests, rate, self.harm, self.phi)


def watched(state: EvidenceState, contest: Contest, now_s: float) -> EvidenceState:
    """Return the evidence with the clock of a stable without a ready pod started or stopped.

    A pod that crashes again and again is ready now and then: that does not stop it. Of what was
    while nobody looked nothing is known, so then it begins anew.
    """
    known, absent = state.down, now_s - state.seen_s > ABSENT_S
    if contest.stable_ready:
        up_s = now_s if known is None or known.up_since_s is None else known.up_since_s
        back = known is None or now_s - up_s >= BACK_S
        down = None if back or known is None else replace(known, up_since_s=up_s)
    else:
        down = Down(now_s if known is None or absent else known.since_s)
    return state if down == known else replace(state, down=down)


def is_down(state: EvidenceState, contest: Contest, now_s: float) -> bool:
    """Whether no pod of stable has stayed ready for as long as pods may take to become ready."""
    return state.down is not None and now_s - state.down.since_s >= contest.patience_s


def tallied(
    policy: Policy, states: Mapping[str, PairedState], before: Tallies, mine: Delta
) -> Tallies:
    """Return the candidate's counts with those of a look added."""
    found: dict[str, tuple[tuple[int, float], ...]] = {}
    for check in policy.checks:
        if check.paired is None:
            continue
        new = kinds.of(check).counts(states[check.name], mine, Delta())
        old = before.get(check.name, ())
        if len(old) != len(new):  # the bounds of its durations are known only now
            old = ((0, 0),) * len(new)
        found[check.name] = tuple(
            (n + one.candidate_n, events + one.candidate_events)
            for (n, events), one in zip(old, new, strict=True)
        )
    return found


def answer(check: Check, state: EvidenceState, contest: Contest, now_s: float) -> CheckResult:
    """Answer a comparison whose stable is down: Pass, or Waiting with what is missing."""
    mine = state.paired.get(check.name, PairedState())
    for_s = now_s - state.down.since_s if state.down else 0.0
    why = (
        f"no pod of {contest.stable} has stayed ready for {brief(for_s)}, so the candidate is "
        "judged by itself"
    )
    if paired.wants_proof(check):
        text = f"{why}, which cannot rule out {sentences.beyond(check)}: promote it, or mend stable"
        return CheckResult(check.name, CheckState.WAITING, text)
    kind = kinds.of(check)
    if kind.counters:
        text = f"{why}, which is no comparison: promote it, or mend stable"
        return CheckResult(check.name, CheckState.WAITING, text)
    standards = kind.standards(_reference(check, state, mine, contest.stable))
    if not standards:
        # Nobody is slower than a stable that does not answer, and of before there is no record.
        text = f"{state.step_requests} requests answered; how fast stable was is not known"
        enough = state.step_requests >= ENOUGH
        verdict = CheckState.PASS if enough else CheckState.WAITING
        return CheckResult(check.name, verdict, f"{why}: {text}")
    limits = _limits(check, mine, standards)
    tallies = state.alone.get(check.name) or ((0, 0),) * len(limits)
    judged = list(zip(limits, tallies, strict=True))[: kind.decisive()]
    said = [
        f"{events} of {n} requests {kind.what(mine, index)} (at most {limit})"
        for index, (limit, (n, events)) in enumerate(judged)
    ]
    text = f"{why}: {', '.join(said)}"
    missing = [limit.missing(n, events) for limit, (n, events) in judged]
    known = [more for more in missing if more is not None]
    more = max(known, default=0)
    if len(known) < len(missing) or more:
        if any(limit.harm <= limit.tolerated for limit, _ in judged):
            text += "; no number tells the harm to detect from that: promote it, or mend stable"
        elif more:
            text += f"; about {more} more requests{sentences.at_present(more, state)}"
        return CheckResult(check.name, CheckState.WAITING, text)
    return CheckResult(check.name, CheckState.PASS, text)


def _limits(check: Check, state: PairedState, rates: list[float]) -> list[Limit]:
    """Return the limit of each process of a check, given the rates that it is held to."""
    tolerance = kinds.of(check).tolerance
    detect = check.paired.detect_ratio if check.paired else 1.0
    harms = [min(1.0, detect * max(rate, tolerance.floor)) for rate in rates]
    return [
        Limit(tolerance.ratio * rate + tolerance.floor, harm, process.careful_phi)
        for rate, harm, process in zip(rates, harms, state.processes, strict=True)
    ]


def _reference(check: Check, state: EvidenceState, mine: PairedState, stable: str) -> list[float]:
    """Return how often each event came on stable while it answered; empty where that is not known.

    As far as it was compared in this attempt, and by what its pods had counted when they were
    scraped last: a container that has just started has counted nothing.
    """
    last = kinds.of(check).counts(mine, Delta(), state.ledger.total(stable))
    rates: list[float] = []
    for process, one in zip(mine.processes, last, strict=True):
        requests = process.total.stable_n + one.stable_n
        if requests < ENOUGH:
            return []
        rates.append((process.total.stable_events + one.stable_events) / requests)
    return rates
