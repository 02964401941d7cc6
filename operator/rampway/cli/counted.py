"""What checks of users' own counters meet in a trial: as told, or as Prometheus has it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rampway.api.base import factor, fraction
from rampway.api.checks import Check
from rampway.api.means import MeanCheck
from rampway.api.policy import Policy
from rampway.core.checks import kinds
from rampway.core.checks.counters import Scrape
from rampway.core.checks.deltas import Delta, Ledger, advance, start_ledger
from rampway.core.numerals import plain
from rampway.sim.counting import Counting, Values

FEWEST = 100
"""Exposures that make a measurement."""


def of_users(checks: Sequence[Check]) -> list[Check]:
    """Return the checks of users' own counters."""
    return [check for check in checks if check.counts or check.mean]


def told(texts: Sequence[str], policy: Policy) -> dict[str, Counting]:
    """Return what is counted by check, as the command line tells it: `orders=3%:0.2`.

    Raises:
        ValueError: with what was expected.
    """
    return dict(_told(text, policy) for text in texts)


def _told(text: str, policy: Policy) -> tuple[str, Counting]:
    check, rest = named(text, policy)
    what, _, each = rest.partition(":")
    per_request = _number(each, text) if each else 1.0
    if check.mean is None:
        rate = fraction(what)
        if rate > 1:
            raise ValueError(f"{text}: expected at most 100%, one event for each exposure")
        return check.name, _counting(check, per_request, rate, None)
    mean, comma, sd = what.partition(",")
    if not comma:
        raise ValueError(f"{text}: expected mean and standard deviation, such as 40,12")
    middle, asked = _number(mean, text), check.mean
    if not asked.low <= middle <= asked.low + asked.span:
        raise ValueError(f"{text}: expected a mean from lower {asked.lower} to upper {asked.upper}")
    spread = _number(sd, text)
    most = math.sqrt((middle - asked.low) * (asked.low + asked.span - middle))
    if spread > most:
        raise ValueError(
            f"{text}: expected a standard deviation up to {plain(most)}, the most there can be "
            f"with this mean from {asked.lower} to {asked.upper}; seen: {sd}"
        )
    return check.name, _counting(check, per_request, middle, spread)


def named(text: str, policy: Policy) -> tuple[Check, str]:
    """Return which check is meant by `orders=...`, and what is said of it.

    Raises:
        ValueError: it is none of users' own counters.
    """
    name, _, rest = text.partition("=")
    mine = of_users(policy.checks)
    found = next((check for check in mine if check.name == name), None)
    if found is None or not rest:
        names = ", ".join(check.name for check in mine) or "none, as the policy has no such check"
        raise ValueError(f"{text}: expected CHECK=..., a check by counts or mean; there is {names}")
    return found, rest


def _number(text: str, whole: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise ValueError(f"{whole}: expected a number from 0 on; seen: {text!r}")
    return found


def _counting(check: Check, per_request: float, mean: float, sd: float | None) -> Counting:
    exposures, events = map(str, kinds.of(check).counters)
    values = _values(check.mean, sd) if check.mean and sd is not None else None
    return Counting(exposures, events, per_request, mean, values)


def _values(asked: MeanCheck, sd: float) -> Values:
    return Values(sd, asked.low, asked.low + asked.span)


def changed(known: Counting, text: str) -> Counting:
    """Return the same for a candidate with `0.5x` as many events, or values 0.5x as large.

    Of values, as in a check's `detect`, what lies above the smallest one.

    Raises:
        ValueError: it is no such factor.
    """
    low, high = (known.values.low, known.values.high) if known.values else (0.0, 1.0)
    return replace(known, mean=min(high, low + (known.mean - low) * factor(text)))


def detected(check: Check) -> str:
    """Return the change that a check is to detect, as `changed` takes it."""
    asked = check.counts or check.mean
    if asked is None:
        raise ValueError(f"check {check.name} counts nothing of users'")
    return f"{plain(1 / asked.detect_ratio if asked.fewer else asked.detect_ratio)}x"


def measured(
    checks: Sequence[Check],
    revisions: Sequence[str],
    windows: tuple[Sequence[Scrape], Sequence[Scrape]],
    requests_per_s: float,
) -> dict[str, Counting]:
    """Return what is counted by check, between the scrapes at the begin of a window and its end.

    Args:
        checks: Those of users' own counters.
        revisions: Names; the first one is stable's, the others get requests too.
        windows: The scrapes of both ends.
        requests_per_s: Of all revisions.
    """
    first, last = windows
    if not (first and last):
        return {}
    began_s, ended_s = min(s.at_s for s in first), max(s.at_s for s in last)
    ledger, early = advance(start_ledger(began_s), first)
    _, late = advance(ledger, last)
    nothing = Delta()
    each = [early.get(name, nothing).plus(late.get(name, nothing)) for name in revisions]
    found: dict[str, Counting] = {}
    for check in of_users(checks):
        exposures, events = map(str, kinds.of(check).counters)
        number, total = (each[0].counters.get(name, 0.0) for name in (exposures, events))
        if number < FEWEST:
            continue
        per_s = sum(one.counters.get(exposures, 0.0) for one in each) / (ended_s - began_s)
        mean = total / number
        sd = _sd(check, mean, _moves(ledger, last, revisions[0])) if check.mean else None
        found[check.name] = _counting(check, per_s / requests_per_s, mean, sd)
    return found


def _moves(
    ledger: Ledger, scrapes: Sequence[Scrape], revision: str
) -> Iterator[Mapping[str, float]]:
    """Yield what each scrape of a revision's counters adds."""
    for scrape in sorted(scrapes, key=lambda s: s.at_s):
        ledger, deltas = advance(ledger, [scrape])
        if revision in deltas:
            yield deltas[revision].counters


def _sd(check: Check, mean: float, moves: Iterator[Mapping[str, float]]) -> float:
    """Return the standard deviation of values, by how far sums of n are from n times the mean."""
    exposures, events = map(str, kinds.of(check).counters)
    pairs = [(one.get(exposures, 0.0), one.get(events, 0.0)) for one in moves]
    squares = [(total - n * mean) ** 2 / n for n, total in pairs if n > 0]
    return math.sqrt(math.fsum(squares) / len(squares)) if squares else 0.0
