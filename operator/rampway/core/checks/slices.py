"""Slices: each value of a label judged by itself, beside the whole (decision 0045).

A slice is the same comparison with one label more on its counters. The whole has half of the
check's part of the budget, and the k-th slice that is seen 1/k times what the first one has: known
before anything is known of it, so the weighted average of all is an e-value like any other. Who
comes when depends on exposures only, never on events.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rampway.api.checks import Check
from rampway.core import evidence
from rampway.core.checks import kinds
from rampway.core.checks.counters import Counter, PodKey, Scrape
from rampway.core.checks.deltas import Delta
from rampway.core.checks.kinds.base import Comparison, PairedState
from rampway.core.evidence import EProcess

FOR_THE_WHOLE = 0.5
"""Its share of the check's part of the budget, where slices have the rest."""
ENOUGH = 100
"""Exposures on both sides of which some are of a slice, if they have the label at all."""
ENOUGH_EVENTS = 20
"""Events of which none in a slice is no chance."""
States = Mapping[str, PairedState]
"""By check."""


@dataclass(frozen=True, slots=True)
class Part:
    """What of a check is judged by itself: the whole, or a slice.

    Attributes:
        share: Of the check's part of the budget.
        kind: How it compares; `place` names a slice.
    """

    share: float
    kind: Comparison
    state: PairedState

    @property
    def weighed(self) -> list[tuple[float, EProcess]]:
        """Its processes, each with its share of the check's part of the budget."""
        shares = [self.share * share for share in self.kind.shares(self.state)]
        return list(zip(shares, self.state.processes, strict=True))

    @property
    def exposures(self) -> int:
        """How many were compared, on both sides together."""
        total = self.state.processes[0].total
        return total.candidate_n + total.stable_n

    def log_e(self) -> float:
        """Return the logarithm of its e-value: the average of its processes', and of its bets'."""
        shares = self.kind.shares(self.state)
        found = [*zip(shares, (p.log_e() for p in self.state.processes), strict=True)]
        if self.state.bets is not None:
            found.append((1 - sum(shares), self.state.bets.log_e()))
        return evidence.log_average(found)

    def log_lately(self) -> float:
        """Return the logarithm of what was won since the best moment to begin, likewise."""
        lately = (process.log_lately() for process in self.state.processes)
        return evidence.log_average([*zip(self.kind.shares(self.state), lately, strict=True)])


def parts(check: Check, state: PairedState) -> list[Part]:
    """Return what of a check is judged by itself: the whole, then its slices as they were seen."""
    kind = kinds.of(check)
    if kind.slices is None:
        return [Part(1.0, kind, state)]
    found = zip(shares_of(kind.slices.at_most), state.slices.items(), strict=False)
    sliced = (Part(share, kind.sliced(value), mine) for share, (value, mine) in found)
    return [Part(FOR_THE_WHOLE, kind, state), *sliced]


def shares_of(number: int) -> list[float]:
    """Return the shares of so many slices, in the order in which they are seen."""
    whole = sum(1 / k for k in range(1, number + 1))
    return [(1 - FOR_THE_WHOLE) / (k * whole) for k in range(1, number + 1)]


def begun(kind: Comparison, state: PairedState, stable: Delta) -> PairedState:
    """Return a state with the whole and all slices begun, as far as they can and have not.

    `stable`: what its pods have counted so far.
    """
    if not state.processes:
        fresh = kind.begin(stable)
        state = replace(fresh, slices=state.slices, others=state.others)
    if not state.slices:
        return state
    sliced = {v: begun(kind.sliced(v), mine, Delta()) for v, mine in state.slices.items()}
    return replace(state, slices=sliced)


def afresh(states: States) -> dict[str, PairedState]:
    """Return states without evidence in which the slices are those that they were.

    What was none has no baseline in the ledger: as a slice it would count what was long ago.
    """
    return {
        name: PairedState(slices=dict.fromkeys(state.slices, PairedState()), others=state.others)
        for name, state in states.items()
        if state.slices
    }


def sorted_out(
    checks: Sequence[Check], before: States, scrapes: Sequence[Scrape]
) -> tuple[States, tuple[Scrape, ...]]:
    """Return the states with slices that scrapes show first, and the scrapes without other values.

    A value is a slice from its first scrape on or never, so that none is counted from its middle.
    """
    sliced = [check for check in checks if check.paired and kinds.of(check).slices]
    if not sliced:
        return before, tuple(scrapes)
    new = {c.name: _admitted(kinds.of(c), before.get(c.name), scrapes) for c in sliced}
    wanted = {str(counter) for counter in kinds.counters(checks)} | {
        counter.of(value)
        for check in sliced
        for counter in kinds.of(check).counters
        for value in new[check.name].slices
    }
    return {**before, **new}, tuple(_only(scrape, wanted) for scrape in scrapes)


def _admitted(
    kind: Comparison, before: PairedState | None, scrapes: Sequence[Scrape]
) -> PairedState:
    """Return a state with new slices, as far as there is room; the largest first."""
    state = before or PairedState()
    sizes = _sizes(kind.counters[0], scrapes)
    new = sorted(sizes.keys() - state.slices.keys(), key=lambda value: (-sizes[value], value))
    room = max(0, kind.slices.at_most - len(state.slices)) if kind.slices else 0
    known = {**state.slices, **{value: PairedState() for value in new[:room]}}
    others = max(state.others, len(new[room:]))
    return begun(kind, replace(state, slices=known, others=others), Delta())


def _sizes(exposures: Counter, scrapes: Sequence[Scrape]) -> dict[str, float]:
    """Return how many exposures each value of the label has had, by all that was scraped.

    A series of nothing yet is not seen: it may have been there from the start for all values.
    """
    most: dict[tuple[PodKey, str], float] = {}
    for scrape in scrapes:
        for name, count in scrape.counters.items():
            value = exposures.slice_of(name)
            if value and count > 0:
                where = scrape.key, value
                most[where] = max(count, most.get(where, 0.0))
    sizes: dict[str, float] = {}
    for (_, value), count in most.items():
        sizes[value] = sizes.get(value, 0.0) + count
    return sizes


def _only(scrape: Scrape, wanted: set[str]) -> Scrape:
    """Return a scrape with these counters only."""
    if scrape.counters.keys() <= wanted:
        return scrape
    return replace(scrape, counters={n: c for n, c in scrape.counters.items() if n in wanted})


def mistake(check: Check, state: PairedState) -> str:
    """Return why what was counted cannot be what was meant, else empty."""
    whole, *rest = parts(check, state)
    for part in (whole, *rest):
        wrong = part.kind.mistake(part.state)
        if wrong:
            return f"in {part.kind.place}: {wrong}" if part.kind.place else wrong
    return _unlabelled(whole, rest) if whole.kind.slices else ""


def _unlabelled(whole: Part, rest: Sequence[Part]) -> str:
    """Return which counter lacks the label that slices are taken by."""
    total = whole.state.processes[0].total
    if min(total.candidate_n, total.stable_n) < ENOUGH:
        return ""
    exposures, events = whole.kind.counters
    lacking = "expected it on both counters: without it no slice is judged"
    if not rest:
        return f"no {exposures} has the label {exposures.by}; {lacking}"
    seen = [part.state.processes[0].total for part in rest]
    share = sum(part.exposures for part in rest) / whole.exposures
    expected = share * (total.candidate_events + total.stable_events)
    if expected >= ENOUGH_EVENTS and not any(t.candidate_events + t.stable_events for t in seen):
        return f"no {events} has the label {events.by}; {lacking}"
    return ""
