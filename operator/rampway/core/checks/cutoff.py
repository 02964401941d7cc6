"""What of the counters belongs to the present weight: evidence is compared within one (B19)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rampway.core.checks.counters import Scrape
from rampway.core.checks.deltas import Ledger

if TYPE_CHECKING:
    from rampway.core.checks.judged import Contest, EvidenceState

SETTLE_S = 1.0
"""A weight reaches the last proxy this long after the gateway accepted it."""
PENDING_S = 30.0
"""A change that no gateway has accepted for so long changes nothing: what is counted counts."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the route gives the candidate, which may be less than the step's whole weight.

    Attributes:
        settled: It is what was decided, and the gateway has accepted it.
    """

    weight_pct: int = 0
    mirror_pct: int = 0
    matched: bool = False
    settled: bool = False

    @property
    def anything(self) -> bool:
        """Whether the candidate gets requests at all."""
        return bool(self.weight_pct or self.mirror_pct or self.matched)


@dataclass(frozen=True, slots=True)
class Since:
    """What is given in a step, and since when it has been."""

    given: Given
    step_index: int
    at_s: float


def watched(state: "EvidenceState", contest: "Contest", now_s: float) -> "EvidenceState":
    """Return the evidence with what is given: since now, if it is not what it was.

    Candidate pods that still load, or are lost again, let a step have a part of its weight for
    long. That part is judged, too: its requests are users'.
    """
    before = state.given
    if before and (before.given, before.step_index) == (contest.given, contest.step_index):
        return state
    return replace(state, given=Since(contest.given, contest.step_index, now_s))


def cutoff_s(contest: "Contest", since: Since | None, at_s: float) -> float:
    """Return until when scrapes belong to another weight, at a look at this time (epoch seconds).

    What a candidate that is given nothing answers, such as its warm-up, is no user's.
    """
    if contest.weight_since_s is not None:
        return contest.weight_since_s + SETTLE_S
    if since is None or not since.given.anything:
        return at_s
    return since.at_s + (SETTLE_S if since.given.settled else PENDING_S)


def split(
    ledger: Ledger, scrapes: Sequence[Scrape], cutoff_s: float
) -> tuple[list[Scrape], list[Scrape]]:
    """Split scrapes into those that must not count and those that do.

    What a pod counted between its last scrape before the cutoff and its first one after it
    belongs to two weights, so that first one is left out too (statistics: a weight change inside
    an interval while the shared rate surges).
    """
    known_s = ledger.last_scrapes()
    spanning = {pod for pod, at_s in known_s.items() if at_s < cutoff_s}
    # Most was read before: it says nothing new, and spans nothing.
    new = [s for s in scrapes if s.at_s > known_s.get(s.key, 0.0)]
    stale: list[Scrape] = []
    counted: list[Scrape] = []
    for scrape in sorted(new, key=lambda s: s.at_s):
        pod = scrape.key
        if scrape.at_s < cutoff_s:
            stale.append(scrape)
            spanning.add(pod)
        elif pod in spanning:
            stale.append(scrape)
            spanning.discard(pod)
        else:
            counted.append(scrape)
    return stale, counted
