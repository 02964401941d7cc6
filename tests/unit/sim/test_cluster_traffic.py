"""Draws, latencies, overload and the clients' count."""

import math
from collections.abc import Callable
from random import Random

import pytest
from unit.sim.cluster_bench import NAME, SPACE, B, Bench, dice

from rampway.sim.clock import SimClock
from rampway.sim.cluster_behaviour import BOUNDS_S, Behaviour
from rampway.sim.traffic import (
    Ledger,
    Load,
    binomial,
    evenly,
    latency_cells,
    multinomial,
    poisson,
    spread,
)
from rampway_server.metrics import duration_buckets_s

DRAWS = 30_000
MOMENTS: dict[str, tuple[Callable[[Random], int], float, float]] = {
    "a small Poisson": (lambda rng: poisson(rng, 0.7), 0.7, 0.7),
    "a Poisson of medium size": (lambda rng: poisson(rng, 26), 26, 26),
    "a large Poisson": (lambda rng: poisson(rng, 2500), 2500, 2500),
    "a small binomial": (lambda rng: binomial(rng, 20, 0.3), 6, 4.2),
    "a large binomial": (lambda rng: binomial(rng, 10_000, 0.03), 300, 291),
    "the last of many cells": (
        lambda rng: multinomial(rng, 5000, (1, 2, 1))[-1],
        1250,
        937.5,
    ),
    "tossed one by one": (lambda rng: multinomial(rng, 40, (1, 3))[0], 10, 7.5),
}


@pytest.mark.parametrize("case", MOMENTS)
@pytest.mark.no_cover
def test_draws_have_the_mean_and_variance_they_should(case: str) -> None:
    """Mean and variance of many draws lie within five standard errors of the exact ones."""
    draw, mean, variance = MOMENTS[case]
    rng = dice(7)
    seen = [draw(rng) for _ in range(DRAWS)]
    average = sum(seen) / DRAWS
    spread_seen = sum((x - average) ** 2 for x in seen) / (DRAWS - 1)
    assert abs(average - mean) < 5 * math.sqrt(variance / DRAWS)
    # Kurtosis of Poisson and binomial is at most 3 + 1/variance.
    assert abs(spread_seen / variance - 1) < 5 * math.sqrt((2 + 1 / variance) / DRAWS)


def test_draws_at_the_edges() -> None:
    """Nothing and everything are certain."""
    rng = dice(1)
    assert [binomial(rng, 50, 0), binomial(rng, 50, 1), binomial(rng, 0, 0.5)] == [0, 50, 0]
    assert multinomial(rng, 3000, (0, 1, 0)) == [0, 3000, 0]
    assert sum(multinomial(rng, 3000, (0.1, 0.2, 0.3))) == 3000
    assert sorted(evenly(rng, 7, 3)) == [2, 2, 3]
    assert Load(0.0).requests(rng, 0, 1) == 0


def test_buckets_are_the_model_servers() -> None:
    """Simulated pods have the bounds that the model server has."""
    assert list(BOUNDS_S) == duration_buckets_s()


def test_latencies_are_lognormal() -> None:
    """Half of the requests lie below the median, 84 % below a standard deviation more."""
    counts = [0] * (len(BOUNDS_S) + 1)
    bound_s = BOUNDS_S[20]
    spread(dice(3), 100_000, latency_cells(bound_s, 0.5), counts)
    assert sum(counts[:21]) == pytest.approx(50_000, abs=800)
    assert latency_cells(bound_s / math.exp(0.5), 0.5)[20] == pytest.approx(0.8413, abs=1e-4)
    assert latency_cells(bound_s, 0)[19:21] == (0, 1)


def test_errors_begin_when_they_should() -> None:
    """A revision that goes bad later is good until then, but for its base error rate."""
    bench = Bench()
    bench.behave(Behaviour(error_rate=0.5, client_error_rate=0.1, from_s=40), B)
    bench.up(weight_pct=50)
    ledger = bench.cluster.send(SPACE, NAME, 100)
    bench.cluster.run(29)
    assert ledger.all.failed == 0
    bench.cluster.run(60)
    assert ledger.first_failure_s == bench.clock.begin_s + 41
    assert ledger.last_failure_s == bench.clock.now_s
    assert set(ledger.reasons) == {"model_error"}
    bad = ledger.by_revision[bench.hash(B)]
    assert 0.25 < bad.failed / bad.total < 0.42
    outcomes = [pod.counters.outcomes for pod in bench.cluster.pods(SPACE, bench.hash(B))]
    assert sum(o["client_error"] for o in outcomes) > 0
    assert sum(o["model_error"] for o in outcomes) == bad.failed


def test_b24_a_pod_beyond_its_capacity_refuses_the_rest() -> None:
    """B24: two pods of 30 requests a second refuse what comes beyond 60; three do not."""
    bench = Bench()
    bench.behave(Behaviour(capacity_per_s=30))
    bench.up()
    ledger = bench.cluster.send(SPACE, NAME, 80)
    bench.cluster.run(60)
    assert 0.15 < ledger.all.failed / ledger.all.total < 0.35
    assert set(ledger.reasons) == {"server_error"}
    for pod in bench.cluster.pods(SPACE):
        assert sum(pod.counters.cells) == pod.counters.requests
    bench.scale(4)
    bench.cluster.run(10)
    before = ledger.all.failed
    bench.cluster.run(60)
    assert (ledger.all.failed - before) / ledger.all.total < 0.005


@pytest.mark.parametrize("reason", ["Error", "OOMKilled"])
def test_b25_a_leak_kills_under_traffic_only(reason: str) -> None:
    """B25: a pod that dies of its requests lives while it has none; later ones get no answer."""
    bench = Bench()
    leak = {"Error": Behaviour(crash_after_requests=200)}
    bench.behave(leak.get(reason, Behaviour(oom_after_requests=200)))
    bench.up(replicas=1)
    bench.cluster.run(60)
    assert bench.pods()[0].crashes == ()
    ledger = bench.cluster.send(SPACE, NAME, 50)
    bench.cluster.run(6)
    assert [crash.reason for crash in bench.pods()[0].crashes] == [reason]
    assert ledger.all.total - ledger.all.failed == 200


def test_the_rate_may_change_with_time() -> None:
    """A callable rate is asked with the seconds since the simulation began."""
    bench = Bench()
    bench.up()
    ledger = bench.cluster.send(SPACE, NAME, lambda elapsed_s: 0 if elapsed_s < 20 else 1000)
    bench.cluster.run(10)
    assert ledger.all.total == 0
    bench.cluster.run(10)
    assert ledger.all.total == pytest.approx(10_000, rel=0.05)


def test_the_ledger_tells_shares_and_failures_by_time() -> None:
    """Shares and failures are those of the time asked for."""
    ledger = Ledger()
    ledger.count(1, "a", 90, {"model_error": 0})
    ledger.count(1, "b", 10, {"model_error": 4})
    ledger.count(2, "a", 50, {})
    assert (ledger.share("b", 0), ledger.share("b", 1), ledger.share("b", 2)) == (
        0.1 * 10 / 15,
        0,
        0,
    )
    assert (ledger.failed_since(0), ledger.failed_since(1)) == (4, 0)
    assert (ledger.first_failure_s, ledger.last_failure_s) == (1, 1)
    assert Ledger().first_failure_s is None


def test_the_clock_goes_forward_only() -> None:
    """Ten thousand small steps end at the very instant they mean; back is refused."""
    clock = SimClock()
    for _ in range(10_000):
        clock.advance(0.1)
    assert clock.elapsed_s == 1000
    assert clock() == clock.now().timestamp()
    with pytest.raises(ValueError, match="cannot go back: dt_s is -1"):
        clock.advance(-1)
