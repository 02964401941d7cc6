"""From cumulative counters to what was counted between two looks: nothing lost or twice (B20)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rampway.core.checks.counters import PodKey, Scrape
from rampway.core.evidence import UNTOLD, Histogram

FORGET_S = 3600.0
"""A pod that was not scraped for so long, while others were, is forgotten."""
CLOCK_S = 1.5
"""Start times closer than this are of one process: some clients compute them anew at each scrape,
from a boot time in whole seconds."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What the pods of a revision counted between two looks.

    Attributes:
        outcomes: Answers by outcome, first attempts.
        buckets: Requests by how long they took.
        counters: What users count, by what it is called.
        warm: What of `buckets` pods counted that had answered so many requests before, by that
            number (`latency.warmUp`).
    """

    outcomes: Mapping[str, int] = field(default_factory=dict)
    buckets: Histogram = UNTOLD
    counters: Mapping[str, float] = field(default_factory=dict)
    warm: Mapping[int, Histogram] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """First attempts answered, whatever the outcome."""
        return sum(self.outcomes.values())

    def plus(self, other: "Delta") -> "Delta":
        """Return both together."""
        names = self.outcomes.keys() | other.outcomes.keys()
        outcomes = {n: self.outcomes.get(n, 0) + other.outcomes.get(n, 0) for n in names}
        warm = {
            n: self.warm.get(n, UNTOLD).plus(other.warm.get(n, UNTOLD))
            for n in self.warm.keys() | other.warm.keys()
        }
        buckets = self.buckets.plus(other.buckets)
        return Delta(outcomes, buckets, _both(self.counters, other.counters), warm)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The last accepted scrape of every pod.

    Attributes:
        began_at_s: When the rollout was first looked at. The first scrape of a process that
            started before is its baseline; one that started later counts from zero.
        forgotten_s: Time of the newest scrape that was forgotten. An unknown pod that started
            before may be one that was counted already, so its first scrape is a baseline too.
    """

    began_at_s: float
    last: Mapping[PodKey, Scrape] = field(default_factory=dict)
    forgotten_s: float = 0.0

    def last_scrapes(self) -> dict[PodKey, float]:
        """Return the time of the last accepted scrape by pod."""
        return {key: scrape.at_s for key, scrape in self.last.items()}

    def total(self, revision: str) -> Delta:
        """Return what a revision's pods have counted since their start."""
        whole = Delta()
        for scrape in self.last.values():
            if scrape.revision == revision:
                whole = whole.plus(_whole(scrape))
        return whole


def start_ledger(at_s: float) -> Ledger:
    """Return an empty ledger of a rollout that is looked at for the first time."""
    return Ledger(began_at_s=at_s)


def advance(
    ledger: Ledger, scrapes: Iterable[Scrape], warm_ups: Collection[int] = ()
) -> tuple[Ledger, dict[str, Delta]]:
    """Take in scrapes; return the ledger and what was counted, by revision.

    Scrapes may come in any order and more than once. Per pod: the same process start counts the
    difference; any decrease is dropped (a replicated Prometheus steps back); a later start is a
    new process, which counts from zero; an earlier start is an echo of the past.

    What a process counts from a scrape on is warm for each of the `warm_ups` that it had answered
    by then: whether it counts is known before, by requests alone, and again after a restart (B32).
    """
    last = dict(ledger.last)
    known_s = max(ledger.began_at_s, ledger.forgotten_s)
    deltas: dict[str, Delta] = {}
    for scrape in sorted(scrapes, key=lambda s: s.at_s):
        key = scrape.key
        before = last.get(key)
        delta = _counted(before, scrape, known_s)
        if delta is None:
            continue
        if warm_ups:
            answered = before.timed if before and _same_process(before, scrape) else 0
            delta = replace(delta, warm={n: delta.buckets for n in warm_ups if n <= answered})
        last[key] = _kept(before, scrape)
        deltas[scrape.revision] = deltas.get(scrape.revision, Delta()).plus(delta)
    return _forgetting(ledger, last), deltas


def _whole(scrape: Scrape) -> Delta:
    return Delta(dict(scrape.outcomes), scrape.buckets, scrape.counters)


def _counted(before: Scrape | None, now: Scrape, known_s: float) -> Delta | None:
    """Return what a pod counted since a scrape, None if the later one is not to be believed."""
    if before is None:
        return _whole(now) if now.started_at_s > known_s + CLOCK_S else Delta()
    if now.at_s <= before.at_s or now.started_at_s < before.started_at_s - CLOCK_S:
        return None
    if not _same_process(before, now):
        return _whole(now)
    if _decreased(before, now):
        return None
    outcomes = {n: count - before.outcomes.get(n, 0) for n, count in now.outcomes.items()}
    counters = {n: count - before.counters.get(n, 0.0) for n, count in now.counters.items()}
    return Delta(outcomes, now.buckets.since(before.buckets), counters)


def _same_process(before: Scrape, now: Scrape) -> bool:
    return abs(now.started_at_s - before.started_at_s) <= CLOCK_S


def _decreased(before: Scrape, now: Scrape) -> bool:
    if any(now.outcomes.get(n, 0) < count for n, count in before.outcomes.items()):
        return True
    if any(now.counters.get(n, 0.0) < count for n, count in before.counters.items()):
        return True
    return now.buckets.falls_below(before.buckets)


def _kept(before: Scrape | None, now: Scrape) -> Scrape:
    """Return what later scrapes are compared with.

    A histogram that is missing or has lost bounds was stored in part: the earlier one stays, so
    that the next whole one counts everything since.
    """
    if before is None or not _same_process(before, now) or now.buckets.covers(before.buckets):
        return now
    return replace(now, buckets=before.buckets)


def _forgetting(ledger: Ledger, last: Mapping[PodKey, Scrape]) -> Ledger:
    """Return the ledger with these scrapes, without those of pods long gone."""
    newest_s = max((s.at_s for s in last.values()), default=0.0)
    kept = {key: s for key, s in last.items() if newest_s - s.at_s < FORGET_S}
    gone_s = max((s.at_s for key, s in last.items() if key not in kept), default=0.0)
    return replace(ledger, last=kept, forgotten_s=max(ledger.forgotten_s, gone_s))


def _both(one: Mapping[str, float], other: Mapping[str, float]) -> Mapping[str, float]:
    if not one or not other:
        return one or other
    return {n: one.get(n, 0.0) + other.get(n, 0.0) for n in one.keys() | other.keys()}


def to_json(ledger: Ledger) -> dict[str, Any]:
    """Return the ledger as JSON for a checkpoint (B32), small enough for an object's status.

    Names and bounds stand once, in tables; a histogram is written as differences from bound to
    bound, without the zeros before and after.
    """
    scrapes = list(ledger.last.values())
    outcomes = sorted({name for s in scrapes for name in s.outcomes})
    counters = sorted({name for s in scrapes for name in s.counters})
    namespaces = sorted({s.namespace for s in scrapes})
    revisions = sorted({s.revision for s in scrapes})
    bounds = sorted({s.buckets.bounds for s in scrapes})
    pods = [
        [
            namespaces.index(s.namespace),
            revisions.index(s.revision),
            s.pod,
            s.at_s,
            s.started_at_s,
            [s.outcomes.get(name) for name in outcomes],
            bounds.index(s.buckets.bounds),
            *_packed(s.buckets.counts),
            *([[s.counters.get(name) for name in counters]] if s.counters else []),
        ]
        for s in scrapes
    ]
    return {
        "began": ledger.began_at_s,
        "forgotten": ledger.forgotten_s,
        "namespaces": namespaces,
        "revisions": revisions,
        "outcomes": outcomes,
        "counters": counters,
        # JSON has no infinity.
        "bounds": [["inf" if b == float("inf") else b for b in row] for row in bounds],
        "pods": pods,
    }


def from_json(data: Mapping[str, Any]) -> Ledger:
    """Return the ledger of a checkpoint.

    Raises:
        KeyError, TypeError, ValueError: it is not what `to_json` wrote.
    """
    try:
        scrapes = [_scrape(data, row) for row in data["pods"]]
    except IndexError as error:
        raise ValueError("a row of the checkpoint's pods points outside its tables") from error
    last = {s.key: s for s in scrapes}
    return Ledger(float(data["began"]), last, float(data["forgotten"]))


def _scrape(data: Mapping[str, Any], row: Sequence[Any]) -> Scrape:
    namespace, revision, pod, at_s, started_s, counts, bounds, zeros, steps, *users = row
    named = zip(data["outcomes"], counts, strict=True)
    bounds_s = tuple(float(bound) for bound in data["bounds"][bounds])
    return Scrape(
        namespace=data["namespaces"][namespace],
        revision=data["revisions"][revision],
        pod=pod,
        at_s=float(at_s),
        started_at_s=float(started_s),
        outcomes={name: count for name, count in named if count is not None},
        buckets=Histogram.over(bounds_s, _unpacked(len(bounds_s), zeros, steps)),
        counters={
            name: float(count)
            for told in users
            for name, count in zip(data["counters"], told, strict=True)
            if count is not None
        },
    )


def _packed(counts: Sequence[int]) -> tuple[int, list[int]]:
    """Return how many zeros lead, and the differences from there to the last one that is none."""
    steps = [b - a for a, b in zip([0, *counts], counts, strict=False)]
    filled = [index for index, step in enumerate(steps) if step]
    return (filled[0], steps[filled[0] : filled[-1] + 1]) if filled else (0, [])


def _unpacked(number: int, zeros: int, steps: Sequence[int]) -> list[int]:
    total, counts = 0, [0] * zeros
    for step in steps:
        total += step
        counts.append(total)
    return counts + [total] * (number - len(counts))
