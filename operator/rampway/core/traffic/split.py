"""How requests are split between stable and a candidate: what a route has, and what it shall have.

A strategy differs from another in nothing but the splits that it goes through (stages.py).
"""

from dataclasses import dataclass

from rampway.api.steps import HeaderMatch


@dataclass(frozen=True, slots=True)
class Split:
    """Who gets which requests; stable gets all that is not said here.

    Attributes:
        candidate: Name of the Service that gets them; empty if none does.
        weight_pct: Its share of all requests, 0 to 100.
        mirror_pct: Share of the requests that it gets a copy of; those answers are thrown away.
        headers: Requests that bear all of these go to it, whatever the weight; none: no such rule.
        guests: The rest goes to who had the rule before, not to stable's Service (B16).
    """

    candidate: str = ""
    weight_pct: int = 0
    mirror_pct: int = 0
    headers: tuple[HeaderMatch, ...] = ()
    guests: bool = False

    @property
    def at_rest(self) -> bool:
        """Whether stable alone gets requests."""
        return not (self.weight_pct or self.mirror_pct or self.headers)

    @property
    def answers(self) -> bool:
        """Whether its answers reach anybody: copies do not."""
        return bool(self.weight_pct or self.headers)

    def or_rest(self) -> "Split":
        """Return it, or the one split at rest if nothing is left of it."""
        return STABLE_ONLY if self.at_rest else self

    def takes_from(self, other: "Split") -> bool:
        """Whether it gives the candidate less than the other did: such a change comes first (B23).

        A copy that ends because answers begin to count is none taken away.
        """
        if self.weight_pct != other.weight_pct:
            return self.weight_pct < other.weight_pct
        return self.mirror_pct < other.mirror_pct or bool(other.headers and not self.headers)


STABLE_ONLY = Split()
"""A route at rest (B14)."""
