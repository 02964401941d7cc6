"""Users' counters: the query that asks for them, and the scrapes that its answer makes.

Which series a user may name is bounded by how they are named, a metric and labels: the namespace is
Rampway's to say, so no text of a user's can reach beyond it (B36).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import isfinite

from rampway.core.checks.counters import Counter, Scrape
from rampway.core.evidence import UNTOLD
from rampway.metrics.base import MetricsUnavailable
from rampway.metrics.reading import Series

REVISION = "revision"
_TARGET = ("namespace", "pod", "container", "instance", "job")
"""Labels of a target, as Prometheus attaches them: series with the same are of one page."""
_Target = tuple[str, ...]
MOST_VALUES = 500
"""Of a label that slices are taken by. They are read all, as who is first is not known here."""
LONGEST_VALUE = 100
"""Characters; longer values are no slices, and count in the whole only."""


def matchers(
    counters: Collection[Counter], revisions: Sequence[str], started: str
) -> dict[str, str]:
    """Return regular expressions by label that select these counters, and when processes started.

    The start has none of the labels, so each expression also lets an absent one through. A label
    that one counter does not name is not asked for: `scrapes_of` looks at each series anyway.
    """
    names = sorted({counter.metric for counter in counters})
    wanted = {"__name__": [*names, started], REVISION: [*revisions, ""]}
    labels = [dict(counter.labels) for counter in counters]
    for name in sorted(set.intersection(*(set(of) for of in labels))):
        wanted[name] = [*sorted({of[name] for of in labels}), ""]
    return {name: "|".join(map(literal, values)) for name, values in wanted.items()}


def scrapes_of(
    series: Sequence[Series], counters: Collection[Counter], revisions: Sequence[str], started: str
) -> list[Scrape]:
    """Return what pods told of revisions, a scrape for each pod, revision and instant.

    Events and exposures thus come from the same scrape. One without a start time is left out, as it
    could not be told whether its counters went on or began again; of a pod with several pages that
    tell the same, one counts.

    Raises:
        MetricsUnavailable: a counter has more slices than can be meant.
        ValueError: a counter is not a number (B17).
        LookupError: a series without namespace or pod.
    """
    starts: dict[_Target, dict[float, float]] = {}
    found: dict[tuple[_Target, str], dict[float, dict[str, float]]] = {}
    told_of: set[str] = set()
    for labels, samples in series:
        target = tuple(labels.get(name, "") for name in _TARGET)
        numbers = [(at_s, float(value)) for at_s, value in samples]
        if labels["__name__"] == started:
            starts.setdefault(target, {}).update(n for n in numbers if isfinite(n[1]))
            continue
        revision = _revision(labels, revisions)
        names = _names(counters, labels)
        if revision and names:
            by_time = found.setdefault((target, revision), defaultdict(dict))
            _add(by_time, names, numbers, labels)
            told_of.update(names)
    _bound(told_of, counters)
    pages: dict[tuple[_Target, str], _Target] = {}
    for target, revision in sorted(found):
        pages.setdefault((target[:2], revision), target)
    return [
        _scrape(target, revision, at_s, starts[target][at_s], told)
        for (_, revision), target in pages.items()
        for at_s, told in found[target, revision].items()
        if at_s in starts.get(target, ())
    ]


def parted(scrape: Scrape, counters: Collection[Counter]) -> list[Scrape]:
    """Return a scrape that has everything as two: the model server's, and that of the counters."""
    if not scrape.counters:
        return [scrape]
    wanted = {str(counter) for counter in counters}
    told = {
        name: count
        for name, count in scrape.counters.items()
        if name in wanted or any(counter.slice_of(name) for counter in counters)
    }
    users = replace(scrape, outcomes={}, buckets=UNTOLD, counters=told)
    return [replace(scrape, counters={}), *([users] if told else [])]


def literal(name: str) -> str:
    """Return a regular expression that matches just this name.

    Not re.escape: it also escapes what needs none, and names are half hyphens.
    """
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in name)


_SPECIAL = frozenset(".+*?()|[]{}^$\\")


def _revision(labels: Mapping[str, str], revisions: Sequence[str]) -> str:
    """Return which of the revisions a series tells of, empty if none."""
    named = labels.get(REVISION)
    if named:
        return named if named in revisions else ""
    return next((r for r in revisions if labels["pod"].startswith(f"{r}-")), "")


def _is(counter: Counter, labels: Mapping[str, str]) -> bool:
    return counter.metric == labels["__name__"] and all(
        labels.get(name) == value for name, value in counter.labels
    )


def _names(counters: Collection[Counter], labels: Mapping[str, str]) -> set[str]:
    """Return under which names a series counts: of its counters, and of their slices.

    A set, as two checks may ask for the same counter, one of them by slices.
    """
    mine = [counter for counter in counters if _is(counter, labels)]
    values = ((counter, labels.get(counter.by, "")) for counter in mine)
    sliced = {counter.of(value) for counter, value in values if len(value) <= LONGEST_VALUE}
    return {str(counter) for counter in mine} | sliced


def _bound(names: Collection[str], counters: Collection[Counter]) -> None:
    """Refuse a label that has too many values: it was not made to tell slices apart."""
    for counter in counters:
        number = sum(1 for name in names if counter.slice_of(name))
        if number > MOST_VALUES:
            raise MetricsUnavailable(
                f"{counter} has {number} values of the label {counter.by}; expected at most "
                f"{MOST_VALUES}: take slices by a label with few values, such as a region"
            )


def _add(
    by_time: dict[float, dict[str, float]],
    names: Collection[str],
    numbers: Sequence[tuple[float, float]],
    labels: Mapping[str, str],
) -> None:
    """Add a series to the counters that it belongs to."""
    for at_s, value in numbers:
        if not isfinite(value):
            raise ValueError(f"{labels['__name__']} is {value:g} at {at_s:.3f}, not a number")
        for name in names:
            by_time[at_s][name] = by_time[at_s].get(name, 0.0) + value


def _scrape(
    target: _Target, revision: str, at_s: float, started_at_s: float, told: Mapping[str, float]
) -> Scrape:
    return Scrape(
        namespace=target[0],
        revision=revision,
        pod=target[1],
        at_s=float(at_s),
        started_at_s=started_at_s,
        outcomes={},
        counters=told,
    )
