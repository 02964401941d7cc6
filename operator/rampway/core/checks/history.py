"""What stable's own past says of bursts: half of its pods against the other half, before a rollout.

Requests fail in bursts, and how badly decides how much one look may prove. Nobody knows it better
than stable's own pods: they serve the same requests, so what differs between two halves of them is
no harm. It is read once, before the candidate gets its first request.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING

from rampway.api.policy import Check, Policy
from rampway.core.checks import kinds, paired
from rampway.core.checks.counters import Counter, PodKey
from rampway.core.checks.deltas import Delta, Ledger, advance, start_ledger
from rampway.core.checks.judged import EvidenceState, History
from rampway.core.checks.kinds.base import PairedState

if TYPE_CHECKING:
    from rampway.core.checks.counters import Scrape
    from rampway.core.observation import Look, Pod, Revision

PAST_S = 9000.0
"""So far back: enough intervals also where pods are scraped once a minute."""
MOST_STEPS = 240
"""Samples of a series that are asked for: with MOST_PODS pods and 60 series each, about 1.5 MB."""
LEAST_STEP_S = 5.0
"""Shorter intervals would make a past of few minutes pass for a long one."""
FEWEST = 120
"""Intervals that make a history: with fewer phi is too uncertain (evidence.md)."""
MOST_PODS = 4
USERS_SERIES = 100
"""About so many series all counters of users have; how many nobody knows before."""
HALVES = 2


@dataclass(frozen=True, slots=True)
class Past:
    """Which part of stable's past is to be read.

    Attributes:
        pods: Names of the pods; none where stable has no two to compare.
        step_s: Seconds between two samples.
        buckets: Whether the histograms of durations are needed.
        counters: Counters of users, told by whichever pods; read beside those of the pods.
    """

    namespace: str
    revision: str
    pods: tuple[str, ...]
    since_s: float
    step_s: float
    buckets: bool
    counters: tuple[Counter, ...] = ()

    @property
    def series(self) -> int:
        """About how many series that is."""
        users = USERS_SERIES if self.counters else 0
        return len(self.pods) * (60 if self.buckets else 8) + users


def wanted(
    policy: Policy, namespace: str, stable: "Revision", state: EvidenceState | None, now_s: float
) -> Past | None:
    """Return what is to be read of stable's past, None if it is known or nothing is compared.

    The oldest pods that serve: a past is as long as both halves have lived.
    """
    checks = [check for check in policy.checks if check.paired or check.past]
    if not checks or (state is not None and state.history is not None):
        return None
    serving = sorted((p for p in stable.pods if p.ready and not p.leaving), key=_age)
    pods = serving[:MOST_PODS] if len(serving) >= fewest_pods(checks) else []
    since_s = max([now_s - PAST_S, *(pod.created_s for pod in pods[:HALVES])])
    return Past(
        namespace,
        stable.name,
        tuple(pod.name for pod in pods),
        since_s,
        max(LEAST_STEP_S, math.ceil((now_s - since_s) / MOST_STEPS)),
        any(kind.timed for kind in kinds.compared(checks)),
        of_users(checks),
    )


def of_users(checks: Sequence[Check]) -> tuple[Counter, ...]:
    """Return the counters of users whose past is asked for."""
    return kinds.counters(check for check in checks if check.past)


def fewest_pods(checks: Sequence[Check]) -> int:
    """Return of how many pods of stable's a past is worth reading: of one as a reference."""
    return 1 if any(check.past for check in checks) else HALVES


def learn(policy: Policy, state: EvidenceState, look: "Look", stable: str) -> EvidenceState:
    """Return the evidence with what a look brings of stable's past; once, then never again (B32).

    What the candidate's requests have begun to be judged by is not changed any more.
    """
    if look.past is None or state.history is not None:
        return state
    own = [scrape for scrape in look.past if not scrape.counters]
    pairs, ledger = intervals(own, kinds.warm_ups(policy.checks))
    lacking = _lacking(own, pairs)
    known = references(policy, look.past, stable)
    state = replace(state, history=History(len(pairs), lacking), references=known)
    if lacking:
        return state
    begun = paired.start(policy.checks, state.paired, ledger, stable)
    compared = {c.name: paired.with_past(policy, c, begun[c.name], pairs) for c in policy.checks
                if c.paired and not kinds.of(c).counters}  # fmt: skip
    return replace(state, paired=begun | compared)


def references(policy: Policy, past: Sequence["Scrape"], stable: str) -> dict[str, PairedState]:
    """Return what stable has shown for the checks that are held against its past, frozen."""
    return {c.name: _reference(policy, c, past, stable) for c in policy.checks if c.past}


def _reference(policy: Policy, check: Check, past: Sequence["Scrape"], stable: str) -> PairedState:
    kind, warm_ups = kinds.of(check), kinds.warm_ups(policy.checks)
    told = str(kind.counters[0]) if kind.counters else ""
    mine = [s for s in past if bool(s.counters) == bool(told)]
    found, ledger = successive(mine, warm_ups, told)
    pairs = list(zip(found[::2], found[1::2], strict=False))
    known = paired.with_past(policy, check, kind.begin(ledger.total(stable)), pairs)
    return kind.frozen(known, reduce(Delta.plus, found, Delta()))


def successive(
    scrapes: Sequence["Scrape"], warm_ups: Collection[int], exposures: str
) -> tuple[list[Delta], Ledger]:
    """Return what all pods together counted, interval by interval, and their last scrapes.

    What nobody is compared with has to bear bursts that all pods have at once, too: each interval
    against the next shows them, and a rate that drifts slowly hardly. An interval ends when there
    were requests, or `exposures` of users: never by events.
    """
    ordered = sorted(scrapes, key=lambda s: s.at_s)
    ledger = start_ledger(ordered[0].at_s if ordered else 0.0)
    found, open_ = [], Delta()
    for _, together in groupby(ordered, key=lambda s: s.at_s):
        ledger, deltas = advance(ledger, together, warm_ups)
        open_ = reduce(Delta.plus, deltas.values(), open_)
        if open_.counters.get(exposures, 0.0) if exposures else open_.requests:
            found.append(open_)
            open_ = Delta()
    return found, ledger


def intervals(
    scrapes: Sequence["Scrape"], warm_ups: Collection[int] = ()
) -> tuple[list[tuple[Delta, Delta]], Ledger]:
    """Return what both halves of the pods counted, interval by interval, and their last scrapes.

    An interval ends when both halves had requests: whether one counts depends on requests only,
    never on events. The pods take turns, in order of their first scrape.
    """
    half_of: dict[PodKey, int] = {}
    ordered = sorted(scrapes, key=lambda s: (s.at_s, s.pod))
    ledgers = [start_ledger(ordered[0].at_s if ordered else 0.0)] * HALVES
    open_ = [Delta()] * HALVES
    found: list[tuple[Delta, Delta]] = []
    for _, together in groupby(ordered, key=lambda s: s.at_s):
        of_half: list[list[Scrape]] = [[], []]
        for scrape in together:
            of_half[half_of.setdefault(scrape.key, len(half_of) % HALVES)].append(scrape)
        for half in range(HALVES):
            ledgers[half], deltas = advance(ledgers[half], of_half[half], warm_ups)
            for delta in deltas.values():
                open_[half] = open_[half].plus(delta)
        if all(delta.requests for delta in open_):
            found.append((open_[0], open_[1]))
            open_ = [Delta()] * HALVES
    last = {**ledgers[0].last, **ledgers[1].last}
    return found, replace(ledgers[0], last=last)


def caution(state: EvidenceState, mine: PairedState) -> str:
    """Return why it takes longer than it could to call harm, empty if nothing is in the way."""
    if not paired.capped(mine):
        return ""
    if paired.knows_past(mine):
        return "judged more slowly, as stable itself had bursts of them"
    known = state.history
    why = known.lacking if known else "Prometheus did not tell it before the first step"
    return f"judged more slowly without a history of stable ({why})"


def _age(pod: "Pod") -> tuple[float, str]:
    return pod.created_s, pod.name


def _lacking(scrapes: Sequence["Scrape"], pairs: Sequence[tuple[Delta, Delta]]) -> str:
    if len({(s.namespace, s.pod) for s in scrapes}) < HALVES:
        return "stable had no two pods to compare"
    if len(pairs) < FEWEST:
        return f"stable's past has {len(pairs)} intervals of {FEWEST}"
    return ""
