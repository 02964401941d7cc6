"""How a revision answers in a trial: durations, and what pods would count of them."""

import math
from random import Random

import pytest

from rampway.core import evidence
from rampway.core.checks.history import Past
from rampway.core.evidence import Histogram
from rampway.sim.answering import (
    Answering,
    Server,
    lognormal,
    past_of,
    share_within,
    slowed,
    trimmed,
)

CALM = lognormal(0.02, 0.4)


def test_slower_answers_move_up_the_histogram() -> None:
    """A lognormal made twice as slow is the lognormal of twice the median, nearly."""
    twice = slowed(CALM, 2.0)
    exact = dict(lognormal(0.04, 0.4))
    assert all(share == pytest.approx(exact[bound], abs=0.01) for bound, share in twice)
    assert twice[-1] == (math.inf, 1.0)
    assert slowed(CALM, 1.0) is CALM


def test_shares_between_bounds_rise() -> None:
    """At a bound the share is the bound's; between two it lies between theirs."""
    told = ((0.01, 0.2), (0.1, 0.8), (math.inf, 1.0))
    assert share_within(told, 0.01) == 0.2
    assert share_within(told, 0.005) == pytest.approx(0.1)
    assert share_within(told, 0.0316227766) == pytest.approx(0.5)
    assert share_within(told, 5.0) == 0.8


def test_a_trimmed_histogram_gives_the_same_bounds() -> None:
    """What a latency check chooses from the whole histogram it chooses from the trimmed one."""
    short, harmed = trimmed(CALM, slowed(CALM, 3.0))
    assert len(short) < len(CALM) / 2
    assert [b for b, _ in short] == [b for b, _ in harmed]
    for quantile in (None, 0.5, 0.9, 0.99):
        for slowdown in (0.1, 0.2, 1.0):
            whole, less = (
                evidence.choose_bounds(
                    Histogram.of({b: round(100_000 * s) for b, s in of}), slowdown, quantile
                )
                for of in (CALM, short)
            )
            assert whole == less


def test_a_trimmed_histogram_keeps_the_bounds_that_are_asked_for() -> None:
    """What is held against a value is counted there, however few of stable's lie beyond it."""
    longest_s = CALM[-2][0]
    plain, _ = trimmed(CALM, CALM)
    asked, harmed = trimmed(CALM, slowed(CALM, 3.0), asked_s={CALM[0][0], longest_s})
    assert longest_s not in dict(plain)
    assert asked == (CALM[0], *plain[:-1], CALM[-2], plain[-1])
    assert [bound_s for bound_s, _ in harmed] == [bound_s for bound_s, _ in asked]


def test_what_is_scraped_is_what_was_answered() -> None:
    """Outcomes and the histogram's last bucket add up to the requests."""
    server = Server("ml", "digits-1", Answering(0.5, CALM, 0.1), 0.0)
    failed = server.answer(Random(1), 1000)  # noqa: S311
    scrape = server.scrape(5.0, direct=True)
    assert sum(scrape.outcomes.values()) == 1000 == scrape.buckets.total
    assert scrape.outcomes["model_error"] == failed
    assert 400 < failed < 600
    assert scrape.direct
    assert server.answer(Random(1), 0) == 0  # noqa: S311


def test_the_past_has_its_pods_and_steps() -> None:
    """Each pod is there in each step, with counters that go on."""
    server = Server("ml", "digits-1", Answering(0.0, CALM), 0.0)
    wanted = Past("ml", "digits-1", ("a", "b"), 0.0, 10.0, buckets=True)
    found = past_of(server, 20.0, wanted, 100.0, Random(1))  # noqa: S311
    assert [(s.pod, s.at_s) for s in found[:3]] == [("a", 10.0), ("b", 10.0), ("a", 20.0)]
    assert len(found) == 20
    mine = [sum(s.outcomes.values()) for s in found if s.pod == "a"]
    assert mine == sorted(mine)
    assert 700 < mine[-1] < 1300
