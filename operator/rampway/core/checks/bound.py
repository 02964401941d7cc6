"""The bound on false rollbacks, and who shares it (B19)."""

import math
from dataclasses import dataclass

from rampway.api.policy import Policy
from rampway.core.numerals import plain

FOR_THE_WATCH = 0.2
"""Its part of `falseRollbackRate`, where it compares: it has more requests to find harm by than a
rollout, which is more expensive to delay."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The chance that all comparisons of a rollout, or of its watch, may have to be wrong.

    Attributes:
        alpha: As a fraction, above 0.
        checks: Comparisons that share it equally.
    """

    alpha: float
    checks: int

    @property
    def log(self) -> float:
        """Where all together call harm, in nats."""
        return -math.log(self.alpha)

    def log_of(self, share: float) -> float:
        """Return where one process calls harm by itself, given its share of its check's part."""
        return -math.log(self.alpha * share / self.checks)

    def __str__(self) -> str:
        """Say it in percent."""
        return f"{plain(100 * self.alpha)} %"


def bound_of(policy: Policy, *, watching: bool = False) -> Bound:
    """Return the bound of the rollout, or of its watch: both together are `falseRollbackRate`.

    The rollout has all of it where the watch compares nothing.
    """
    checks = sum(1 for check in policy.checks if check.paired)
    compares = policy.watch is not None and policy.watch.holdback_pct > 0
    part = FOR_THE_WATCH if compares else 0.0
    return Bound(policy.alpha * (part if watching and compares else 1 - part), max(1, checks))
