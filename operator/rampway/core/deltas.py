"""From cumulative counters to what was counted between two looks: nothing lost or twice (B20)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rampway.core.counters import Scrape

FORGET_S = 3600.0
"""A pod that was not scraped for so long is forgotten."""
CLOCK_S = 1.0
"""Start times are compared with this tolerance: clients round them."""

PodKey = tuple[str, str]
"""Namespace and name of a pod."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What the pods of a revision counted between two looks.

    Attributes:
        outcomes: Answers by outcome, first attempts.
        buckets: Requests up to each bound, `(bound_s, count)`, cumulative over bounds.
    """

    outcomes: Mapping[str, int] = field(default_factory=dict)
    buckets: tuple[tuple[float, int], ...] = ()

    @property
    def requests(self) -> int:
        """First attempts answered, whatever the outcome."""
        return sum(self.outcomes.values())

    def plus(self, other: "Delta") -> "Delta":
        """Return both together."""
        names = self.outcomes.keys() | other.outcomes.keys()
        outcomes = {n: self.outcomes.get(n, 0) + other.outcomes.get(n, 0) for n in names}
        return Delta(outcomes, _add(self.buckets, other.buckets))


@dataclass(frozen=True, slots=True)
class Ledger:
    """The last accepted scrape of every pod.

    Attributes:
        began_at_s: When the rollout was first looked at. The first scrape of a process that
            started before is its baseline; one that started later counts from zero.
    """

    began_at_s: float
    last: Mapping[PodKey, Scrape] = field(default_factory=dict)

    def last_scrapes(self) -> dict[PodKey, float]:
        """Return the time of the last accepted scrape by pod."""
        return {key: scrape.at_s for key, scrape in self.last.items()}

    def histogram(self, revision: str) -> tuple[tuple[float, int], ...]:
        """Return the cumulative histogram of a revision's pods since their start."""
        merged: tuple[tuple[float, int], ...] = ()
        for scrape in self.last.values():
            if scrape.revision == revision:
                merged = _add(merged, scrape.buckets)
        return merged


def start_ledger(at_s: float) -> Ledger:
    """Return an empty ledger of a rollout that is looked at for the first time."""
    return Ledger(began_at_s=at_s)


def advance(ledger: Ledger, scrapes: Iterable[Scrape]) -> tuple[Ledger, dict[str, Delta]]:
    """Take in scrapes; return the ledger and what was counted, by revision.

    Scrapes may come in any order and more than once. Per pod: the same process start counts the
    difference; any decrease is dropped (a replicated Prometheus steps back); a later start is a
    new process, which counts from zero; an earlier start is an echo of the past.
    """
    last = dict(ledger.last)
    deltas: dict[str, Delta] = {}
    for scrape in sorted(scrapes, key=lambda s: s.at_s):
        key = (scrape.namespace, scrape.pod)
        before = last.get(key)
        delta = _between(before, scrape, ledger.began_at_s)
        if delta is None:
            continue
        last[key] = scrape
        deltas[scrape.revision] = deltas.get(scrape.revision, Delta()).plus(delta)
    newest = max((s.at_s for s in last.values()), default=0.0)
    kept = {key: s for key, s in last.items() if newest - s.at_s < FORGET_S}
    return replace(ledger, last=kept), deltas


def _between(before: Scrape | None, now: Scrape, began_at_s: float) -> Delta | None:
    """Return what a pod counted up to this scrape, None if the scrape is not to be believed."""
    if before is None:
        born_later = now.started_at_s > began_at_s + CLOCK_S
        return Delta(dict(now.outcomes), now.buckets) if born_later else Delta()
    if now.at_s <= before.at_s or now.started_at_s < before.started_at_s - CLOCK_S:
        return None
    if now.started_at_s > before.started_at_s + CLOCK_S:
        return Delta(dict(now.outcomes), now.buckets)
    if _decreased(before, now):
        return None
    outcomes = {n: count - before.outcomes.get(n, 0) for n, count in now.outcomes.items()}
    return Delta(outcomes, _subtract(now.buckets, before.buckets))


def _decreased(before: Scrape, now: Scrape) -> bool:
    if any(now.outcomes.get(n, 0) < count for n, count in before.outcomes.items()):
        return True
    earlier = dict(before.buckets)
    return any(count < earlier.get(bound, 0) for bound, count in now.buckets)


def _add(
    one: Sequence[tuple[float, int]], other: Sequence[tuple[float, int]]
) -> tuple[tuple[float, int], ...]:
    if not one or not other:
        return tuple(one or other)
    mine, theirs = dict(one), dict(other)
    common = sorted(mine.keys() & theirs.keys())
    return tuple((bound, mine[bound] + theirs[bound]) for bound in common)


def _subtract(
    now: Sequence[tuple[float, int]], before: Sequence[tuple[float, int]]
) -> tuple[tuple[float, int], ...]:
    earlier = dict(before)
    if not earlier:
        # The histogram was not read before: what it held until now belongs to no interval.
        return tuple((bound, 0) for bound, _ in now)
    return tuple((bound, count - earlier.get(bound, 0)) for bound, count in now)


def to_json(ledger: Ledger) -> dict[str, object]:
    """Return the ledger as JSON for a checkpoint: bucket bounds once, counts as differences."""
    bounds = sorted({bound for s in ledger.last.values() for bound, _ in s.buckets})
    pods = []
    for scrape in ledger.last.values():
        counts = dict(scrape.buckets)
        steps = [counts.get(bound, 0) for bound in bounds] if counts else []
        pods.append(
            [
                scrape.namespace,
                scrape.revision,
                scrape.pod,
                scrape.at_s,
                scrape.started_at_s,
                dict(scrape.outcomes),
                [b - a for a, b in zip([0, *steps], steps, strict=False)],
            ]
        )
    finite = [bound if bound != float("inf") else "inf" for bound in bounds]
    return {"began": ledger.began_at_s, "bounds": finite, "pods": pods}


def from_json(data: Mapping[str, object]) -> Ledger:
    """Return the ledger of a checkpoint.

    Raises:
        KeyError, TypeError, ValueError: it is not what `to_json` wrote.
    """
    bounds = [float(bound) for bound in data["bounds"]]  # type: ignore[attr-defined]
    last: dict[PodKey, Scrape] = {}
    for namespace, revision, pod, at_s, started_s, outcomes, steps in data["pods"]:  # type: ignore[attr-defined]
        total, buckets = 0, []
        for bound, step in zip(bounds, steps, strict=False):
            total += step
            buckets.append((bound, total))
        scrape = Scrape(namespace, revision, pod, at_s, started_s, outcomes, tuple(buckets))
        last[namespace, pod] = scrape
    return Ledger(began_at_s=float(data["began"]), last=last)  # type: ignore[arg-type]
