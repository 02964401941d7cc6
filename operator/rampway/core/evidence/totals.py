"""What the looks of a comparison come to: totals, and what keeps looks from being mixed up.

Totals alone mislead where the candidate's share of the traffic and the rates of events change
together: after an outage that both had while the candidate got 5 % of the requests, a candidate
that fails more often at 50 % seems to fail less often (Simpson's paradox). So what is said of rates
is said look by look, each look a stratum with the weight that it has in the comparison.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from rampway.core.evidence.mixture import PairCount


class Odds(NamedTuple):
    """Events of the looks with about the same odds, n_c / n_s, within a factor of 2 (`interval`).

    Attributes:
        octave: Which odds: at least 2^(octave - 1) and less than 2^octave.
        events: Sum over the looks of both sides' events e.
        weighed: Sum of e n_c / n_s.
        inverse: Sum of e n_s / n_c.
    """

    octave: int
    events: float
    weighed: float
    inverse: float


@dataclass(frozen=True, slots=True)
class Segment:
    """Totals while the traffic's split was the same; only looks that could be compared.

    With n_c and n_s requests and e = e_c + e_s events in a look, n = n_c + n_s:

    Attributes:
        weight: Sum over the looks of n_c n_s / n, in requests.
        candidate_weighed: Sum of e_c n_s / n: the candidate's events by that weight.
        stable_weighed: Sum of e_s n_c / n: stable's.
        odds: What the looks had for odds, each kind once.
    """

    candidate_n: int = 0
    candidate_events: float = 0
    stable_n: int = 0
    stable_events: float = 0
    looks: int = 0
    weight: float = 0.0
    candidate_weighed: float = 0.0
    stable_weighed: float = 0.0
    odds: tuple[Odds, ...] = ()

    def plus(self, counts: PairCount) -> "Segment":
        """Return the totals with one look added."""
        n_c, mine, n_s, other = (
            counts.candidate_n, counts.candidate_events, counts.stable_n, counts.stable_events
        )  # fmt: skip
        share = n_c / (n_c + n_s) if n_c and n_s else 0.0
        return Segment(
            self.candidate_n + n_c,
            self.candidate_events + mine,
            self.stable_n + n_s,
            self.stable_events + other,
            self.looks + 1,
            self.weight + n_s * share,
            self.candidate_weighed + (mine * (1 - share) if share else 0.0),
            self.stable_weighed + other * share,
            _counted(self.odds, n_c / n_s, mine + other) if share and mine + other else self.odds,
        )

    def and_all_of(self, more: "Segment") -> "Segment":
        """Return the totals of both."""
        odds = self.odds
        for one in more.odds:
            odds = _with(odds, one)
        return Segment(
            self.candidate_n + more.candidate_n,
            self.candidate_events + more.candidate_events,
            self.stable_n + more.stable_n,
            self.stable_events + more.stable_events,
            self.looks + more.looks,
            self.weight + more.weight,
            self.candidate_weighed + more.candidate_weighed,
            self.stable_weighed + more.stable_weighed,
            odds,
        )

    @property
    def rates(self) -> tuple[float, float]:
        """Events per request of candidate and stable, as if both had had theirs at the same looks.

        Their ratio is that of Mantel & Haenszel (`ratio`). Those of the totals while no look had
        requests of both; 0 of a side without requests.
        """
        if self.weight:
            return self.candidate_weighed / self.weight, self.stable_weighed / self.weight
        return self.pooled_rates

    @property
    def pooled_rates(self) -> tuple[float, float]:
        """Events per request as a reader of the totals would reckon them."""
        mine = self.candidate_events / self.candidate_n if self.candidate_n else 0.0
        return mine, self.stable_events / self.stable_n if self.stable_n else 0.0

    @property
    def smoothed_rates(self) -> tuple[float, float]:
        """`rates` with half an event more in one request more of each: never 0."""
        mine, theirs = self.rates
        n_c, n_s = self.candidate_n, self.stable_n
        return (mine * n_c + 0.5) / (n_c + 1), (theirs * n_s + 0.5) / (n_s + 1)


def _counted(seen: tuple[Odds, ...], odds: float, events: float) -> tuple[Odds, ...]:
    """Return what was seen with the events of one look added."""
    return _with(seen, Odds(math.frexp(odds)[1], events, events * odds, events / odds))


def _with(seen: tuple[Odds, ...], more: Odds) -> tuple[Odds, ...]:
    """Return what was seen with more events of some odds added."""
    for index, (octave, events, weighed, inverse) in enumerate(seen):
        if octave == more.octave:
            both = Odds(
                octave, events + more.events, weighed + more.weighed, inverse + more.inverse
            )
            return (*seen[:index], both, *seen[index + 1 :])
    return (*seen, more)
