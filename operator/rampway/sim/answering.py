"""How a revision answers in a trial: outcomes and durations by shares, counted as by pods."""

import math
from bisect import bisect_left
from collections.abc import Collection
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import accumulate
from random import Random

from rampway.core.checks.counters import Scrape
from rampway.core.checks.history import Past
from rampway.core.evidence import UNTOLD, Histogram
from rampway.sim.cluster_behaviour import BOUNDS_S
from rampway.sim.counting import Counting, counted
from rampway.sim.traffic import latency_cells, multinomial, poisson, spread

FAILED = frozenset({"model_error", "server_error"})
"""Outcomes that a user sees as a failure of the model's."""
Shares = tuple[tuple[float, float], ...]
"""`(bound_s, share of the requests that take at most so long)`, ascending up to (inf, 1)."""


@dataclass(frozen=True, slots=True)
class Answering:
    """How a revision answers.

    Attributes:
        error_rate: Share of the answers that fail (`model_error`).
        client_error_rate: Share of the requests that it refuses.
        durations: How long its answers take.
        counted: What users count of those who see its answers.
    """

    error_rate: float
    durations: Shares
    client_error_rate: float = 0.0
    counted: tuple[Counting, ...] = ()

    @property
    def outcomes(self) -> tuple[tuple[str, float], ...]:
        """Shares of the outcomes that occur."""
        fine = 1 - self.error_rate - self.client_error_rate
        named = (
            ("ok", max(0.0, fine)),
            ("model_error", self.error_rate),
            ("client_error", self.client_error_rate),
        )
        return tuple(one for one in named if one[1] > 0)


def lognormal(median_s: float, sigma: float) -> Shares:
    """Return lognormal durations over the model server's own buckets."""
    bounds = (*BOUNDS_S, math.inf)
    return tuple(zip(bounds, latency_cells(median_s, sigma), strict=True))


def slowed(durations: Shares, factor: float) -> Shares:
    """Return durations of which each takes `factor` times as long.

    Between two bounds the share is taken to rise with the logarithm of the duration, as nothing
    is known of where in a bucket the requests are.
    """
    if factor == 1:
        return durations
    return tuple(
        (bound, 1.0 if math.isinf(bound) else share_within(durations, bound / factor))
        for bound, _ in durations
    )


def share_within(durations: Shares, duration_s: float) -> float:
    """Return the share of the requests that take at most so long."""
    bounds = [bound for bound, _ in durations]
    index = bisect_left(bounds, duration_s)
    high_s, high = durations[index]
    if high_s == duration_s or index == 0:
        return high * min(1.0, duration_s / high_s) if index == 0 else high
    low_s, low = durations[index - 1]
    if math.isinf(high_s):
        return low
    part = math.log(duration_s / low_s) / math.log(high_s / low_s)
    return low + (high - low) * part


@dataclass(slots=True)
class Server:
    """The counters of a revision's pods, taken together: evidence does not tell them apart.

    Attributes:
        started_s: When its process began, seconds since the Unix epoch.
    """

    namespace: str
    revision: str
    how: Answering
    started_s: float
    counts: list[int] = field(init=False)
    cells: list[int] = field(init=False)
    counters: dict[str, float] = field(init=False)
    _names: tuple[str, ...] = field(init=False)
    _shares: tuple[float, ...] = field(init=False)
    _within: tuple[float, ...] = field(init=False)
    _bounds: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Begin at zero."""
        self._names, shares = zip(*self.how.outcomes, strict=True)
        self._shares = shares
        self._bounds, self._within = zip(*self.how.durations, strict=True)
        self.counts = [0] * len(self._names)
        self.cells = [0] * len(self._bounds)
        names = (name for one in self.how.counted for name in (one.exposures, one.events))
        self.counters = dict.fromkeys(names, 0.0)

    def answer(self, rng: Random, n: int, *, seen: bool = True) -> int:
        """Answer n requests, seen by users or copies; count them, and return how many failed."""
        if not n:
            return 0
        drawn = multinomial(rng, n, self._shares) if len(self._shares) > 1 else [n]
        failed = 0
        for index, more in enumerate(drawn):
            self.counts[index] += more
            failed += more if self._names[index] in FAILED else 0
        spread(rng, n, self._within, self.cells)
        if seen:
            for name, count in counted(rng, n, self.how.counted).items():
                self.counters[name] += count
        return failed

    def copied(self) -> "Server":
        """Return another one that has counted the same."""
        other = copy(self)
        other.counts, other.cells = list(self.counts), list(self.cells)
        other.counters = dict(self.counters)
        return other

    def scrape(self, at_s: float, *, direct: bool = False, pod: str = "") -> Scrape:
        """Return what its counters say."""
        return Scrape(
            namespace=self.namespace,
            revision=self.revision,
            pod=pod or f"{self.revision}-all",
            at_s=at_s,
            started_at_s=self.started_s,
            outcomes=dict(zip(self._names, self.counts, strict=True)),
            buckets=Histogram.over(self._bounds, accumulate(self.cells)),
            direct=direct,
        )

    def told(self, at_s: float, *, pod: str = "") -> Scrape:
        """Return what users have counted, as Prometheus scrapes it from pods of theirs."""
        one = self.scrape(at_s, pod=f"{pod or self.revision}-users")
        return replace(one, outcomes={}, buckets=UNTOLD, counters=dict(self.counters))


def past_of(
    server: Server, rate_per_s: float, wanted: Past, now_s: float, rng: Random
) -> tuple[Scrape, ...]:
    """Return the scrapes of stable's pods from before the rollout, as Prometheus tells them."""
    pods = [
        (name, Server(server.namespace, server.revision, server.how, wanted.since_s))
        for name in wanted.pods
    ]
    found: list[Scrape] = []
    steps = int((now_s - wanted.since_s) / wanted.step_s) if pods else 0
    for step in range(1, steps + 1):
        for name, one in pods:
            number = poisson(rng, rate_per_s * wanted.step_s / len(pods))
            one.answer(rng, number, seen=bool(wanted.counters))
            at_s = wanted.since_s + step * wanted.step_s
            found.append(one.scrape(at_s, pod=name))
            if wanted.counters:
                found.append(one.told(at_s, pod=name))
    return tuple(found)


def trimmed(
    durations: Shares, harmed: Shares, *, least: float = 0.2, asked_s: Collection[float] = ()
) -> tuple[Shares, Shares]:
    """Return both over the bounds that a latency check can ever choose; it spares half the time.

    Bounds within which fewer than `least` of stable's requests lie are compared with nothing, and
    those beyond which none are seen in a lifetime neither, but for what `maxIncrease` needs.
    `asked_s` are bounds that stay in any case.
    """
    seen = [share for _, share in durations]
    first = max(0, next(i for i, share in enumerate(seen) if share >= least) - 1)
    last = next(i for i, share in enumerate(seen) if share >= 1 - 1e-7)
    top = next(
        (i for i, (bound, _) in enumerate(durations) if bound >= 3 * durations[last][0]), len(seen)
    )
    kept = {*range(first, min(top + 1, len(seen) - 1)), len(seen) - 1}
    kept |= {i for i, (bound_s, _) in enumerate(durations) if bound_s in asked_s}
    return tuple(durations[i] for i in sorted(kept)), tuple(harmed[i] for i in sorted(kept))
