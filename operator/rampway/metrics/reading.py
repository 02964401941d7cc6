"""What Prometheus answered, read strictly: whole and of the right type, or not at all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from typing import Any

import orjson

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.counters import Scrape
from rampway.core.evidence import Histogram
from rampway.metrics.base import MetricsUnavailable
from rampway.metrics.profiles import Profile

Sample = tuple[float, str | float]
"""Seconds since the epoch, and the value, as a text where it came as one."""
Series = tuple[dict[str, str], Sequence[Sample]]
_Target = frozenset[tuple[str, str]]

FINE = 200
BAD_REQUEST = 400
SHOWN = 300
"""So many characters of foreign text are shown."""
INFO = "PromQL info:"
"""Releases 2.49 to 2.53 put hints on style among the warnings, marked so."""


class BadQuery(Exception):  # noqa: N818 - the user's mistake, in Prometheus's words
    """Prometheus cannot parse this query, and never will."""


@contextmanager
def understood(where: str) -> Iterator[None]:
    """Turn what is not as the API's documentation says into MetricsUnavailable."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        text = f"{where}: the answer is not as Prometheus's API documents it: {error!r}"
        raise MetricsUnavailable(text) from error


def data_of(where: str, status: int, body: bytes) -> dict[str, Any]:
    """Return the data of a whole answer.

    Raises:
        BadQuery: Prometheus refuses the query as such.
        MetricsUnavailable: anything else that is no whole answer; warnings make one partial.
    """
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        text = f"{where}: status {status}, not JSON: {body[:80]!r}"
        raise MetricsUnavailable(text) from error
    with understood(where):
        words = f"{answer.get('errorType', 'error')}: {answer.get('error', '')}"[:SHOWN]
        if status == BAD_REQUEST and answer.get("status") == "error":
            raise BadQuery(words)
        if status != FINE or answer.get("status") != "success":
            raise MetricsUnavailable(f"{where}: status {status}: {words}")
        warnings = [str(w) for w in answer.get("warnings") or () if not str(w).startswith(INFO)]
        if warnings:
            raise MetricsUnavailable(f"{where}: partial answer: {'; '.join(warnings)[:SHOWN]}")
        data: dict[str, Any] = answer["data"]
        return data


def read_matrix(data: dict[str, Any]) -> list[Series]:
    """Return the series of a range selector's answer, each with its samples.

    Raises:
        ValueError, LookupError, TypeError: it is not one.
    """
    if data["resultType"] != "matrix":
        raise ValueError(f"expected a matrix, got a {data['resultType']}")
    return [(one["metric"], one.get("values", ())) for one in data["result"]]


@dataclass(slots=True)
class _Counts:
    """Counters of one revision on one target at one instant."""

    outcomes: dict[str, int] = field(default_factory=dict)
    buckets: dict[float, int] = field(default_factory=dict)


def assemble(series: Sequence[Series], profile: Profile) -> list[Scrape]:
    """Group samples of the same target and instant into scrapes.

    Requests and events thus always come from the same scrape. One without a start time is left
    out: it could not be told whether its counters went on or began again.

    Raises:
        ValueError: a counter is not a number (B17).
    """
    # A look at a thousand rollouts reads some hundred thousand samples: all that is the same for a
    # series is done once for it.
    starts: dict[_Target, dict[float, float]] = {}
    found: dict[tuple[_Target, str], dict[float, _Counts]] = {}
    for labels, samples in series:
        target = frozenset(item for item in labels.items() if item[0] not in profile.labels)
        if labels["__name__"] == profile.started:
            times = ((at_s, float(value)) for at_s, value in samples)
            known = starts.setdefault(target, {})
            known |= {at_s: started_s for at_s, started_s in times if isfinite(started_s)}
        elif "revision" in labels:
            _count(found.setdefault((target, labels["revision"]), {}), labels, samples, profile)
    return [
        _scrape(dict(target), revision, at_s, starts[target][at_s], counts)
        for (target, revision), by_time in found.items()
        for at_s, counts in by_time.items()
        if counts.outcomes and at_s in starts.get(target, ())
    ]


def _count(
    by_time: dict[float, _Counts],
    labels: Mapping[str, str],
    samples: Iterable[Sample],
    profile: Profile,
) -> None:
    """Add the samples of one series to the counts of their instants."""
    name, of_first = labels["__name__"], labels.get("attempt", "first") == "first"
    bound_s = _bound_s(labels["le"]) if name == profile.buckets else None
    outcome = labels["outcome"] if name == profile.requests and of_first else None
    for at_s, text in samples:
        value = float(text)
        if not isfinite(value):
            raise ValueError(f"{_labels(labels)} is {value:g} at {at_s:.3f}, not a number")
        counts = by_time.get(at_s)
        if counts is None:
            counts = by_time[at_s] = _Counts()
        if bound_s is not None:
            counts.buckets[bound_s] = counts.buckets.get(bound_s, 0) + round(value)
        elif outcome is not None:
            counts.outcomes[outcome] = counts.outcomes.get(outcome, 0) + round(value)


@lru_cache(maxsize=1024)
def _bound_s(text: str) -> float:
    """Return a bucket's bound, the same object for the same text: scrapes are kept in thousands."""
    return float(text)


def _scrape(
    target: dict[str, str], revision: str, at_s: float, started_at_s: float, counts: _Counts
) -> Scrape:
    return Scrape(
        namespace=target["namespace"],
        revision=revision,
        pod=target["pod"],
        at_s=float(at_s),
        started_at_s=started_at_s,
        outcomes=counts.outcomes,
        buckets=Histogram.of(dict(sorted(counts.buckets.items()))),
    )


def read_value(query: str, data: dict[str, Any], at_s: float) -> Answer:
    """Return the one value of an instant query's answer, or why there is none (B17, B21).

    Raises:
        ValueError, LookupError, TypeError: the answer is not as documented.
    """
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return _number(query, result[1], at_s)
    if kind in {"matrix", "string"}:
        return _wrong_type(query, f"a {kind}", at_s)
    if kind != "vector":
        raise ValueError(f"resultType {kind!r}")
    if not result:
        text = f"query {query!r} found no data"
        return Answer(AnswerKind.NO_DATA, message=text, at_s=at_s)
    if len(result) > 1:
        # The same series each time: Prometheus gives them in no order.
        first = min(_labels(series["metric"]) for series in result)
        text = (
            f"query {query!r} gives {len(result)} series, the first is {first}; "
            "expected one: aggregate with sum() or name the labels"
        )
        return Answer(AnswerKind.SEVERAL_SERIES, message=text, at_s=at_s)
    if "histogram" in result[0]:
        return _wrong_type(query, "a native histogram", at_s)
    return _number(query, result[0]["value"][1], at_s)


def _labels(metric: Mapping[str, str]) -> str:
    """Return labels as PromQL writes them."""
    name = metric.get("__name__", "")
    pairs = ", ".join(f'{k}="{v}"' for k, v in metric.items() if k != "__name__")
    return f"{name}{{{pairs}}}"[:SHOWN]


def _wrong_type(query: str, what: str, at_s: float) -> Answer:
    text = f"query {query!r} gives {what}; expected one number: an instant vector or a scalar"
    return Answer(AnswerKind.WRONG_TYPE, message=text, at_s=at_s)


def _number(query: str, text: str, at_s: float) -> Answer:
    value = float(text)
    if not isfinite(value):
        words = f"query {query!r} gives {text}, not a number"
        return Answer(AnswerKind.NOT_A_NUMBER, message=words, at_s=at_s)
    return Answer(AnswerKind.VALUE, value, at_s=at_s)
