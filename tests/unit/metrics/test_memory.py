"""B17: the faults that the simulation's Prometheus can have; the rest is in the contract."""

from dataclasses import replace

import pytest

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.counters import Counter, Scrape
from rampway.core.checks.history import Past
from rampway.metrics.base import MetricsUnavailable, RevisionKey
from rampway.metrics.memory import MemorySource, Mode

T0_S = 1_760_000_000.0
KEY = RevisionKey("space", "digits-1")


async def ask(source: MemorySource, query: str, at_s: float) -> Answer:
    """Ask one query."""
    return (await source.queries([query], at_s))[query]


def scrape(after_s: float) -> Scrape:
    """Return a scrape so many seconds after T0."""
    return Scrape("space", "digits-1", "a", T0_S + after_s, T0_S - 9, {"ok": 1})


@pytest.mark.parametrize(
    ("mode", "kept"),
    [(Mode.DOWN, [1, 3]), (Mode.UNREACHABLE, [1, 2, 3]), (Mode.PARTIAL, [1, 2, 3])],
)
async def test_b17_what_is_left_after_an_outage(mode: Mode, kept: list[int]) -> None:
    """B17: none of them answers; only a Prometheus that is down loses what it would have read."""
    source = MemorySource({"up": Answer(AnswerKind.VALUE, 1.0)})
    source.record(scrape(1))
    source.mode = mode
    source.record(scrape(2))
    with pytest.raises(MetricsUnavailable):
        await source.scrapes([KEY], T0_S, T0_S + 9)
    assert (await ask(source, "up", T0_S)).kind is AnswerKind.UNAVAILABLE
    source.mode = Mode.UP
    source.record(scrape(3))
    found = await source.scrapes([KEY], T0_S, T0_S + 9)
    assert [s.at_s - T0_S for s in found] == kept
    assert (await ask(source, "up", T0_S)).value == 1.0


async def test_the_past_is_the_last_scrape_of_each_step() -> None:
    """Of a step the last scrape counts, as of the step's end; no unfinished step does."""
    source = MemorySource()
    for after_s in (1, 4, 9, 10, 11, 26):
        source.record(replace(scrape(after_s), outcomes={"ok": after_s}))
    source.record(replace(scrape(3), pod="other"))
    past = Past("space", "digits-1", ("a",), T0_S + 2, 10.0, buckets=False)
    found = await source.past(past, T0_S + 29)
    assert [(s.pod, s.at_s - T0_S, s.outcomes["ok"]) for s in found] == [
        ("a", 10, 10),
        ("a", 20, 11),
    ]
    source.record(replace(scrape(14), pod="shop", counters={"visits": 7.0}))
    (users,) = await source.past(replace(past, counters=(Counter("visits"),)), T0_S + 29)
    assert (users.pod, users.at_s - T0_S, users.counters) == ("shop", 20, {"visits": 7.0})
    source.mode = Mode.UNREACHABLE
    with pytest.raises(MetricsUnavailable):
        await source.past(past, T0_S + 29)


async def test_b17_nan_is_for_queries_only() -> None:
    """B17: in this mode every query gives NaN, while counters are read as ever."""
    source = MemorySource({"up": Answer(AnswerKind.VALUE, 1.0)}, Mode.NAN)
    source.record(scrape(1))
    assert (await ask(source, "up", T0_S)).kind is AnswerKind.NOT_A_NUMBER
    assert len(await source.scrapes([KEY], T0_S, T0_S + 9)) == 1


async def test_answers_may_depend_on_the_time() -> None:
    """A simulation may compute what a query gives."""
    source = MemorySource(lambda query, at_s: Answer(AnswerKind.VALUE, at_s, query))
    assert await ask(source, "up", 7.0) == Answer(AnswerKind.VALUE, 7.0, "up")


async def test_scrape_recorded_late_comes_in_its_order() -> None:
    """A replica that stores late does not hide what it stored."""
    source = MemorySource()
    for after_s in (1, 3, 2):
        source.record(scrape(after_s))
    found = await source.scrapes([KEY], T0_S, T0_S + 2)
    assert [s.at_s - T0_S for s in found] == [1, 2]
