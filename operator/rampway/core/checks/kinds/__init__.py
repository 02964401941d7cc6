"""The kinds of checks that compare, one file each: a new kind is a file and a line here."""

from collections.abc import Callable, Iterable
from typing import Any

from rampway.api.checks import Check
from rampway.core.checks.counters import Counter
from rampway.core.checks.kinds.base import Comparison
from rampway.core.checks.kinds.counts import Counts
from rampway.core.checks.kinds.errors import Errors
from rampway.core.checks.kinds.latency import Latency
from rampway.core.checks.kinds.means import Mean

KINDS: dict[str, Callable[[Any], Comparison]] = {
    "error_rate": Errors,
    "latency": Latency,
    "counts": Counts,
    "mean": Mean,
}
"""By the field of a check that asks for it."""


def of(check: Check) -> Comparison:
    """Return how a check that compares does it."""
    for question, kind in KINDS.items():
        asked = getattr(check, question)
        if asked is not None:
            return kind(asked)
    raise ValueError(f"check {check.name} compares nothing; expected one of {', '.join(KINDS)}")


def compared(checks: Iterable[Check]) -> list[Comparison]:
    """Return the comparisons among some checks."""
    return [of(check) for check in checks if check.comparison]


def warm_ups(checks: Iterable[Check]) -> frozenset[int]:
    """Return after how many requests of a pod some checks begin to compare, where not at once."""
    return frozenset(kind.warm_up for kind in compared(checks) if kind.warm_up)


def counters(checks: Iterable[Check]) -> tuple[Counter, ...]:
    """Return all counters of users that some checks need, each once."""
    found = {counter for kind in compared(checks) for counter in kind.counters}
    return tuple(sorted(found, key=lambda counter: (str(counter), counter.by)))
