"""Requests: how many, where they go, how they end; and the client's own count of them.

All draws are exact, from a `random.Random`, and cost about as much for 100 000 requests as for 100.
"""

import math
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from random import Random

from rampway.sim.cluster_behaviour import BOUNDS_S

Rate = float | Callable[[float], float]
"""Requests per second: a constant, or a function of the seconds since the simulation began."""
_FEW = 24
"""Up to so many requests (a cell) are tossed one by one: cheaper than a draw of the whole."""


def poisson(rng: Random, mean: float) -> int:
    """Draw a Poisson number: Ahrens and Dieter (1974), algorithm PG; exact for every mean."""
    count = 0
    while mean > _FEW:
        half = int(mean * 7 / 8)
        when = rng.gammavariate(half, 1.0)  # of the half-th event, at rate 1
        if when > mean:
            return count + binomial(rng, half - 1, mean / when)
        count, mean = count + half, mean - when
    product, floor = rng.random(), math.exp(-mean)
    while product > floor:
        count, product = count + 1, product * rng.random()
    return count


def binomial(rng: Random, n: int, p: float) -> int:
    """Draw how many of n succeed: Devroye (1986), X.4.4, by the median of n uniforms; exact."""
    if p <= 0:
        return 0
    if p >= 1:
        return n
    count = 0
    while n > _FEW:
        middle = (n + 1) // 2
        median = rng.betavariate(middle, n + 1 - middle)
        if median <= p:
            count, n, p = count + middle, n - middle, (p - median) / (1 - median)
        else:
            n, p = middle - 1, p / median
    return count + sum(rng.random() < p for _ in range(n))


def multinomial(rng: Random, n: int, shares: Sequence[float]) -> list[int]:
    """Spread n over cells with these shares, which need not add up to one."""
    counts = [0] * len(shares)
    spread(rng, n, tuple(accumulate(shares)), counts)
    return counts


def evenly(rng: Random, n: int, places: int) -> list[int]:
    """Spread n over places as a gateway does that looks for the least busy one."""
    each, rest = divmod(n, places)
    counts = [each] * places
    for place in rng.sample(range(places), rest):
        counts[place] += 1
    return counts


def spread(rng: Random, n: int, cumulative: Sequence[float], counts: list[int]) -> None:
    """Add n to cells whose shares, summed up from the first one, are given."""
    total, last = cumulative[-1], len(cumulative) - 1
    first = bisect(cumulative, 0.0, 0, last)
    if cumulative[first] == total:  # no dice where all go to one cell
        counts[first] += n
        return
    if n < _FEW * len(cumulative):
        draw = rng.random
        for _ in range(n):
            counts[bisect(cumulative, draw() * total, 0, last)] += 1
        return
    below = 0.0
    for cell, upto in enumerate(cumulative):
        if not n:
            break
        left = total - below
        here = n if cell == last or left <= 0 else binomial(rng, n, (upto - below) / left)
        counts[cell] += here
        n, below = n - here, upto


@lru_cache(maxsize=1024)
def latency_cells(median_s: float, sigma: float) -> tuple[float, ...]:
    """Return the lognormal's distribution function at the bucket bounds, and 1 for the rest."""

    def below(bound_s: float) -> float:
        if not sigma:
            return float(median_s <= bound_s)
        z = math.log(bound_s / median_s) / sigma
        return 0.5 * math.erfc(-z / math.sqrt(2))

    return (*(below(bound_s) for bound_s in BOUNDS_S), 1.0)


@dataclass(slots=True)
class Tally:
    """Requests as a client counts them: `failed` saw a 5xx or no answer."""

    total: int = 0
    failed: int = 0

    def add(self, total: int, failed: int) -> None:
        """Count more of them."""
        self.total += total
        self.failed += failed


@dataclass(slots=True)
class Moment:
    """What clients saw in one step; `at_s` is its end in seconds since the Unix epoch."""

    at_s: float
    all: Tally = field(default_factory=Tally)
    by_revision: dict[str, Tally] = field(default_factory=dict)


@dataclass(slots=True)
class Ledger:
    """What the clients of one route saw; the only judge of lost requests.

    Attributes:
        all: Every request.
        by_revision: By revision hash; "" where a request met no revision.
        reasons: Failed requests by reason: `model_error`, `server_error`, `no route`,
            `no Service`, `no endpoints`, `no answer`.
        series: By step, in order of time; steps without a request are left out.
        copies: Copies of requests that were sent to each revision; not among `all`.
    """

    all: Tally = field(default_factory=Tally)
    by_revision: dict[str, Tally] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    series: list[Moment] = field(default_factory=list)
    copies: Counter[str] = field(default_factory=Counter)

    def count(self, at_s: float, revision: str, total: int, failures: dict[str, int]) -> None:
        """Count the requests of one step that met one revision."""
        if not self.series or self.series[-1].at_s != at_s:
            self.series.append(Moment(at_s))
        moment, failed = self.series[-1], sum(failures.values())
        for tally in (
            self.all,
            self.by_revision.setdefault(revision, Tally()),
            moment.all,
            moment.by_revision.setdefault(revision, Tally()),
        ):
            tally.add(total, failed)
        self.reasons.update({reason: n for reason, n in failures.items() if n})

    def share(self, revision: str, since_s: float, until_s: float = math.inf) -> float:
        """Return the share of requests in (since_s, until_s] that met a revision; 0 if none."""
        found = [m for m in self.series if since_s < m.at_s <= until_s]
        total = sum(m.all.total for m in found)
        met = sum(m.by_revision[revision].total for m in found if revision in m.by_revision)
        return met / total if total else 0.0

    def failed_since(self, since_s: float) -> int:
        """Return how many requests failed after an instant."""
        return sum(m.all.failed for m in self.series if m.at_s > since_s)

    @property
    def first_failure_s(self) -> float | None:
        """When the first request failed, None if none did."""
        return next((m.at_s for m in self.series if m.all.failed), None)

    @property
    def last_failure_s(self) -> float | None:
        """When the last request failed, None if none did."""
        return next((m.at_s for m in reversed(self.series) if m.all.failed), None)


@dataclass(slots=True)
class Group:
    """Clients whose requests bear the same headers.

    Attributes:
        share: Of all requests, 0 to 1.
        headers: Names in small letters, and values.
        ledger: What they alone saw.
    """

    share: float
    headers: tuple[tuple[str, str], ...]
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(slots=True)
class Load:
    """The clients of one route: how much they send, and what they saw.

    Attributes:
        groups: Those of them whose requests bear headers.
        direct: They call a Service of that name, without a route.
    """

    rate_per_s: Rate = 0.0
    direct: bool = False
    ledger: Ledger = field(default_factory=Ledger)
    groups: list[Group] = field(default_factory=list)

    def requests(self, rng: Random, elapsed_s: float, dt_s: float) -> int:
        """Draw how many requests are sent in one step that begins at `elapsed_s`."""
        rate = self.rate_per_s
        mean = (rate(elapsed_s) if callable(rate) else rate) * dt_s
        return poisson(rng, mean) if mean > 0 else 0

    def grouped(self, rng: Random, n: int) -> Iterator[tuple[Group | None, int]]:
        """Yield how many of n requests come from which group; None: they bear no headers."""
        if self.groups and n:
            shares = [group.share for group in self.groups]
            *counts, n = multinomial(rng, n, [*shares, max(0.0, 1 - sum(shares))])
            yield from ((g, count) for g, count in zip(self.groups, counts, strict=True) if count)
        if n:
            yield None, n

    def count(
        self, group: Group | None, at_s: float, revision: str, total: int, failures: dict[str, int]
    ) -> None:
        """Count the requests of one step, from one group, that met one revision."""
        self.ledger.count(at_s, revision, total, failures)
        if group is not None:
            group.ledger.count(at_s, revision, total, failures)
