"""What the checks answer to the evidence so far, each with a sentence (B17-B21)."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from rampway.api.policy import Check, Policy
from rampway.core.checks import (
    alone,
    history,
    kinds,
    paired,
    sentences,
    slices,
    thresholds,
    unpaired,
)
from rampway.core.checks.bound import Bound, bound_of
from rampway.core.checks.judged import (
    CheckResult,
    CheckState,
    Contest,
    EvidenceState,
    heard_as,
)
from rampway.core.checks.kinds.base import PairedState
from rampway.core.checks.thresholds import Borne
from rampway.core.instants import brief

if TYPE_CHECKING:
    from rampway.core.observation import Look

STALE_S = 60.0
"""A revision that was not scraped for so long is not known to be well."""


def answers(
    policy: Policy, state: EvidenceState, look: "Look", contest: Contest, now_s: float
) -> tuple[CheckResult, ...]:
    """Return what each check answers to the evidence so far."""
    bound = bound_of(policy, watching=contest.watching)
    found: list[CheckResult] = []
    for check in policy.checks:
        if check.threshold is not None:
            found.append(_threshold(check, state, look, now_s))
        elif unpaired.applies(check, contest):
            untold = None if check.name in state.harmed else (
                _untold(check, state, look, contest, now_s)
            )  # fmt: skip
            found.append(untold or unpaired.answer(check, state, contest))
        elif check.name in state.harmed:  # also when the metrics go away
            text = sentences.harm(bound, check, state.paired[check.name])
            at_once = kinds.of(check).at_once
            found.append(CheckResult(check.name, CheckState.FAIL, text, at_once=at_once))
        elif untold := _untold(check, state, look, contest, now_s):
            found.append(untold)
        elif contest.stable_down:
            found.append(alone.answer(check, state, contest, now_s))
        else:
            found.append(_in_turns(check, _compared(bound, check, state, look, contest), look))
    return tuple(found)


def _untold(
    check: Check, state: EvidenceState, look: "Look", contest: Contest, now_s: float
) -> CheckResult | None:
    """Return the answer of a comparison that lacks what it needs to be told, None if it has it."""
    counters = kinds.of(check).counters
    if check.paired is None:
        contest = replace(contest, unpaired=True)  # stable need not be heard
    if counters and contest.mirrored:
        text = "not asked while the candidate gets copies only: nobody sees its answers"
        return CheckResult(check.name, CheckState.PASS, text)
    told = str(counters[0]) if counters else ""
    blind = look.problem or (look.unread if counters else "")
    blind = blind or _blind(state, contest, now_s, told)
    if blind:
        return CheckResult(check.name, CheckState.UNKNOWN, blind)
    missing = _unrecorded(state, contest, told)
    return CheckResult(check.name, CheckState.WAITING, missing) if missing else None


def _threshold(check: Check, state: EvidenceState, look: "Look", now_s: float) -> CheckResult:
    borne = Borne(state.breaches.get(check.name), state.failures.get(check.name))
    verdict, text, mistake = thresholds.answer(check, look.answers.get(check.name), borne, now_s)
    return CheckResult(check.name, CheckState(verdict), text, mistake=mistake)


def _not_begun(check: Check, state: EvidenceState, contest: Contest) -> CheckResult:
    """Answer a comparison for which too little, or nothing that will do, is known of stable."""
    kind = kinds.of(check)
    wrong = kind.lacks(state.ledger.total(contest.stable))
    if wrong:
        return CheckResult(check.name, CheckState.UNKNOWN, wrong, mistake=wrong)
    done = "told how long 100 requests took" if kind.timed else "answered 100 requests"
    return CheckResult(check.name, CheckState.WAITING, f"waits until stable has {done}")


def _compared(
    bound: Bound, check: Check, state: EvidenceState, look: "Look", contest: Contest
) -> CheckResult:
    """Answer a comparison that shows no harm: Pass once it would have shown it."""
    mine = state.paired.get(check.name, PairedState())
    if not mine.processes:
        return _not_begun(check, state, contest)
    kind = kinds.of(check)
    text = sentences.seen(check, mine)
    wrong = slices.mistake(check, mine)
    if wrong:
        return CheckResult(check.name, CheckState.UNKNOWN, wrong, mistake=wrong)
    slowed = not kind.counters and paired.suspicious([check], {check.name: mine})
    if slowed and (caution := history.caution(state, mine)):
        text += f"; {caution}"  # only harm is called later for it: nobody else has to read it
    missing = paired.missing(bound, check, mine, foresees=look.foresees)
    more_of = missing.exposures
    if more_of == 0 and paired.leans_to_harm(check, mine):
        more = "the evidence leans towards harm and is not strong enough yet: more requests decide"
        return CheckResult(check.name, CheckState.WAITING, f"{text}; {more}")
    if more_of == 0:
        proof = paired.wants_proof(check)
        text += f"; {sentences.proved(check, mine)}" if proof else sentences.passed(check, mine)
        return CheckResult(check.name, CheckState.PASS, text)
    if more_of is None:
        more = sentences.why_unforeseen(check, missing.part)
    else:
        place = missing.part.kind.place
        where = f" in {place}" if place else ""
        what_for = f" to rule out {sentences.beyond(check)}" if paired.wants_proof(check) else ""
        more = f"about {more_of} more {kind.exposures} on the candidate{where}{what_for}"
        more += sentences.lasting(more_of, missing.part, state)
    return CheckResult(check.name, CheckState.WAITING, f"{text}; {more}")


def _in_turns(check: Check, answer: CheckResult, look: "Look") -> CheckResult:
    """Let the answer say how seldom Prometheus is asked for what the check needs."""
    if not (look.timed_every_s and kinds.of(check).timed):
        return answer
    often = brief(look.timed_every_s)
    why = f"with so many rollouts at once durations are read from Prometheus each {often}, in turns"
    return replace(answer, message=f"{answer.message}; {why}")


def _unrecorded(state: EvidenceState, contest: Contest, counter: str) -> str:
    """Return whom Prometheus has not scraped since the weight is in force, empty if both are.

    What only the pods say themselves lets nothing pass (B17).
    """
    if contest.weight_since_s is None:
        return ""
    for role, revision in _heard(contest):
        if state.last_scrape_s.get(heard_as(revision, counter), 0.0) < contest.weight_since_s:
            what = f"{counter} of the {role}" if counter else f"the {role}"
            return f"waits for Prometheus's first scrape of {what} under this weight"
    return ""


def _blind(state: EvidenceState, contest: Contest, now_s: float, counter: str) -> str:
    """Return which revision the metrics say nothing of, empty if they tell of both."""
    for role, revision in _heard(contest):
        name = heard_as(revision, counter)
        seen_s = state.last_scrape_s.get(name, contest.traffic_since_s or now_s)
        if now_s - seen_s > STALE_S:
            what = f"{counter} of the {role}" if counter else f"the {role}"
            text = f"no scrape of {what} {revision} for {brief(now_s - seen_s)}"
            return text + (_until_alone(state, contest, now_s) if role == "stable" else "")
    return ""


def _until_alone(state: EvidenceState, contest: Contest, now_s: float) -> str:
    """Return when the candidate will be judged by itself, empty while a pod of stable is ready."""
    if state.down is None or contest.patience_s == math.inf:
        return ""
    left_s = contest.patience_s - (now_s - state.down.since_s)
    return f"; no pod of it stays ready: in {brief(left_s)} the candidate is judged by itself"


def _heard(contest: Contest) -> list[tuple[str, str]]:
    """Return whose metrics are needed: of both, but for a stable that is down."""
    stable = [] if contest.stable_down or contest.unpaired else [("stable", contest.stable)]
    return [("candidate", contest.candidate), *stable]
