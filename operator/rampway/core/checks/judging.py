"""The checks of a rollout: evidence so far and a new look come in, answers come out (B17-B21)."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rampway.api.policy import Check, Policy
from rampway.core.checks import (
    alone,
    cutoff,
    history,
    kinds,
    paired,
    share,
    slices,
    thresholds,
    unpaired,
)
from rampway.core.checks.answering import answers
from rampway.core.checks.bound import Bound, bound_of
from rampway.core.checks.deltas import Delta, advance, start_ledger
from rampway.core.checks.judged import (
    CheckResult,
    CheckState,
    Contest,
    EvidenceState,
    Judged,
    heard_as,
)
from rampway.core.checks.kinds.base import PairedState

if TYPE_CHECKING:
    from rampway.core.checks.counters import Scrape
    from rampway.core.observation import Look

BOTH_SIDES_S = 60.0
"""What only one revision counted waits this long for the other's scrape."""
ABSENCE_S = 10.0
"""What is longer than this between two looks is an absence."""
PIECE_S = 1.0
"""What was scraped in an absence is taken in as looks of this length."""


def judge(
    policy: Policy,
    state: EvidenceState | None,
    look: "Look | None",
    contest: Contest,
    now_s: float,
) -> Judged:
    """Take in a look and answer all checks. A check that never ran is never a pass (B21)."""
    if look is None:
        text = "no look at the metrics yet"
        return Judged(state, _all(policy.checks, CheckState.UNKNOWN, text))
    before = state or EvidenceState(seen_s=0.0, ledger=start_ledger(look.at_s))
    after = before = cutoff.watched(alone.watched(before, contest, now_s), contest, now_s)
    contest = replace(contest, stable_down=alone.is_down(before, contest, now_s))
    if look.at_s > before.seen_s:
        after = before = history.learn(policy, before, look, contest.stable)
        if look.scrapes or not look.problem:
            after = _take_in_all(policy, before, look, contest)
        after = replace(
            after,
            breaches=thresholds.breaches(policy.checks, after.breaches, look),
            failures=thresholds.failures(policy.checks, after.failures, look),
        )
        if look.foresees:
            after = replace(after, paired=_counting_down(policy, after, contest))
    if contest.traffic_since_s is None:
        after = replace(after, failures={})
        text = "waits for the candidate's first requests"
        return Judged(after, _all(policy.checks, CheckState.WAITING, text))
    return Judged(after, answers(policy, after, look, contest, now_s))


def _counting_down(
    policy: Policy, state: EvidenceState, contest: Contest
) -> dict[str, PairedState]:
    """Return the comparisons with what tells how many requests are missing."""
    bound = bound_of(policy, watching=contest.watching)
    asked = {check.name: check for check in policy.checks if check.paired}
    return {
        name: paired.counting_down(bound, asked[name], mine) if name in asked else mine
        for name, mine in state.paired.items()
    }


def _take_in_all(
    policy: Policy, state: EvidenceState, look: "Look", contest: Contest
) -> EvidenceState:
    waiting: tuple[Scrape, ...] = ()
    for piece in _pieces(state.seen_s, look):
        scrapes = (*waiting, *piece.scrapes)
        after = _take_in(policy, state, replace(piece, scrapes=scrapes), contest)
        waiting = scrapes if after.seen_s == state.seen_s else ()  # unread until both counted
        state = after
    return state


def _pieces(seen_s: float, look: "Look") -> list["Look"]:
    """Split what one look brings after an absence into looks of the usual length (B32).

    One look gains at most so much, however long it was away: what would have been called while
    the operator was there is called as soon when it is back.
    """
    if not seen_s or look.at_s - seen_s <= ABSENCE_S:
        return [look]
    number = math.ceil((look.at_s - seen_s) / PIECE_S)
    ends = [*(seen_s + PIECE_S * n for n in range(1, number)), look.at_s]
    pieces: list[list[Scrape]] = [[] for _ in ends]
    for scrape in look.scrapes:
        pieces[min(bisect_left(ends, scrape.at_s), number - 1)].append(scrape)
    return [
        replace(look, at_s=at_s, scrapes=tuple(found))
        for at_s, found in zip(ends, pieces, strict=True)
        if found or at_s == look.at_s
    ]


def _all(checks: Sequence[Check], state: CheckState, text: str) -> tuple[CheckResult, ...]:
    return tuple(CheckResult(check.name, state, text) for check in checks)


def _take_in(policy: Policy, state: EvidenceState, look: "Look", contest: Contest) -> EvidenceState:
    """Count what is new, leaving out what straddles a change of weight."""
    known, scrapes = slices.sorted_out(policy.checks, state.paired, look.scrapes)
    state, look = replace(state, paired=known), replace(look, scrapes=scrapes)
    cutoff_s = cutoff.cutoff_s(contest, state.given, look.at_s)
    stale, counted = cutoff.split(state.ledger, look.scrapes, cutoff_s)
    ledger, _ = advance(state.ledger, stale)
    ledger, deltas = advance(ledger, counted, kinds.warm_ups(policy.checks))
    mine = _seen(deltas.get(contest.candidate, Delta()), contest)
    other = _seen(deltas.get(contest.stable, Delta()), contest)
    heard = replace(state, last_scrape_s=_newest(policy, state, look))
    one_sided = bool(mine.requests) != bool(other.requests)
    down = contest.stable_down
    by_itself = down or contest.unpaired
    waits = not by_itself and any(check.paired for check in policy.checks)
    if one_sided and waits and look.at_s - state.seen_s < BOTH_SIDES_S:
        # Pods are scraped at different moments: what one revision counted waits, unread, until
        # the other has counted too. Whether to wait depends on requests only, never on events.
        return heard
    changed = cutoff_s != state.cutoff_s
    new_step = contest.step_index != state.step_index
    shares = (0, 0) if changed or new_step else state.shares
    new = _News(mine, other, changed=changed, settled_s=state.seen_s - cutoff_s)
    updated, lone, called = _evidence(policy, state, contest, new, look.at_s)
    before = {} if new_step else state.alone
    whole = 0 if contest.weight_since_s is None else mine.requests
    return replace(
        heard,
        seen_s=look.at_s,
        ledger=ledger,
        paired=updated,
        harmed=state.harmed | called,
        lone=lone,
        step_index=contest.step_index,
        step_requests=whole + (0 if new_step else state.step_requests),
        shares=(0, 0) if by_itself else share.counted(shares, mine.requests, other.requests),
        alone=alone.tallied(policy, updated, before, mine) if down else {},
        rate_per_s=_rate_per_s(state, mine.requests, look.at_s, settled=not changed),
        cutoff_s=cutoff_s,
    )


def _seen(delta: Delta, contest: Contest) -> Delta:
    """Leave out what users count of copies: nobody sees their answers, so nobody does anything."""
    return replace(delta, counters={}) if contest.mirrored else delta


@dataclass(frozen=True, slots=True)
class _News:
    """What both revisions have counted since the look before.

    Attributes:
        changed: Under another split of the traffic than before.
        settled_s: For how long it had been as it is when the look before was taken.
    """

    candidate: Delta
    stable: Delta
    changed: bool
    settled_s: float


def _evidence(
    policy: Policy, state: EvidenceState, contest: Contest, new: "_News", at_s: float
) -> tuple[Mapping[str, PairedState], unpaired.Detectors, frozenset[str]]:
    """Return comparisons and detectors with what is new, and the checks that show harm by it."""
    lone = unpaired.watched(policy, state, new.candidate, contest, at_s, settled_s=new.settled_s)
    called = unpaired.beyond(policy, lone, watching=contest.watching)
    if contest.unpaired:
        return state.paired, lone, called
    bound = bound_of(policy, watching=contest.watching)
    updated = _updated(policy, bound, state, contest, new)
    return updated, lone, called | paired.culprits(bound, policy.checks, updated)


def _updated(
    policy: Policy,
    bound: Bound,
    state: EvidenceState,
    contest: Contest,
    new: "_News",
) -> dict[str, PairedState]:
    """Bring the paired checks up to date."""
    # Bounds are chosen from earlier looks: a look must not choose what it is judged by.
    states = paired.start(policy.checks, state.paired, state.ledger, contest.stable)
    return {
        check.name: paired.update(
            bound,
            check,
            states[check.name],
            new.candidate,
            new.stable,
            new_segment=new.changed,
            settled_s=new.settled_s,
        )
        for check in policy.checks
        if check.paired
    }


def _rate_per_s(state: EvidenceState, requests: int, at_s: float, *, settled: bool) -> float:
    """Return the candidate's requests per second, smoothed while its weight stays."""
    passed_s = at_s - state.seen_s
    rate = requests / passed_s if state.seen_s and passed_s > 0 else 0.0
    return 0.8 * state.rate_per_s + 0.2 * rate if settled and state.rate_per_s else rate


def _newest(policy: Policy, state: EvidenceState, look: "Look") -> dict[str, float]:
    """Return the time of Prometheus's newest scrape by revision; of users' counters, the wholes'.

    What only the pods say themselves rolls back; to advance, the ledger has to know it too (B17).
    """
    newest = dict(state.last_scrape_s)
    wholes = {str(counter) for counter in kinds.counters(policy.checks)}
    for scrape in look.scrapes:
        for told in wholes & scrape.counters.keys() if scrape.counters else ("",):
            name = heard_as(scrape.revision, told)
            if not scrape.direct and scrape.at_s > newest.get(name, 0.0):
                newest[name] = scrape.at_s
    return newest
