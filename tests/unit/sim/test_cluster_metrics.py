"""What Prometheus gets to see of the simulated pods."""

from itertools import pairwise

from unit.sim.cluster_bench import NAME, SPACE, A, Bench

from rampway.core.checks.counters import Scrape
from rampway.metrics.base import RevisionKey
from rampway.metrics.memory import Mode
from rampway.sim.cluster_behaviour import Behaviour, Surroundings


async def _scrapes(bench: Bench, uri: str = A) -> tuple[Scrape, ...]:
    key = RevisionKey(SPACE, f"{NAME}-{bench.hash(uri)}")
    return await bench.source.scrapes([key], 0, bench.clock.now_s)


def _requests(scrape: Scrape) -> int:
    return sum(scrape.outcomes.values())


async def test_b20_scrapes_count_every_request() -> None:
    """B20: the last scrapes of all pods add up to what the clients counted."""
    bench = Bench(Surroundings(scrape_interval_s=1))
    bench.up(replicas=3)
    ledger = bench.cluster.send(SPACE, NAME, 100)
    bench.cluster.run(60)
    last = {scrape.pod: scrape for scrape in await _scrapes(bench)}
    assert sum(_requests(s) for s in last.values()) == ledger.all.total > 0
    assert all(s.buckets.total == _requests(s) for s in last.values())


async def test_every_pod_is_scraped_every_interval() -> None:
    """Pods are scraped every 5 s, each at a phase of its own, from its start on, at zero too."""
    bench = Bench()
    bench.up(replicas=3)
    bench.cluster.run(60)
    for pod in bench.pods():
        times = [s.at_s for s in await _scrapes(bench) if s.pod == pod.name]
        assert {round(b - a) for a, b in pairwise(times)} == {5}
    assert {_requests(s) for s in await _scrapes(bench)} == {0}


async def test_b20_a_restart_begins_at_zero_with_another_start() -> None:
    """B20: after a crash counters begin again, and the process start time says so."""
    bench = Bench(Surroundings(scrape_interval_s=1))
    bench.up(replicas=1)
    bench.cluster.send(SPACE, NAME, 100)
    bench.cluster.run(20)
    bench.cluster.crash(SPACE, bench.pods()[0].name, "Error")
    bench.cluster.run(3)
    seen = await _scrapes(bench)
    starts = sorted({s.started_at_s for s in seen})
    assert len(starts) == 2
    assert next(_requests(s) for s in seen if s.started_at_s == starts[1]) == 0


async def test_b20_what_is_not_scraped_before_the_end_is_lost() -> None:
    """B20: a pod that dies between two scrapes takes at most one interval's requests along."""
    bench = Bench()
    bench.up(replicas=1)
    ledger = bench.cluster.send(SPACE, NAME, 100)
    bench.behave(Behaviour(crash_after_requests=3000))
    bench.cluster.run(40)
    first = min(s.started_at_s for s in await _scrapes(bench))
    last = [s for s in await _scrapes(bench) if s.started_at_s == first][-1]
    assert 3000 - 5 * 130 < _requests(last) < 3000
    assert ledger.all.total > 3000


async def test_b17_stale_and_down_give_nothing_new() -> None:
    """B17: without scraping, or with Prometheus down, time goes by unrecorded; then it resumes."""
    bench = Bench(Surroundings(scrape_interval_s=1))
    bench.up()
    before = len(await _scrapes(bench))
    bench.cluster.scraping = False
    bench.cluster.run(10)
    assert len(await _scrapes(bench)) == before
    bench.cluster.scraping = True
    bench.source.mode = Mode.DOWN
    bench.cluster.run(10)
    bench.source.mode = Mode.UP
    assert len(await _scrapes(bench)) == before
    bench.cluster.run(1)
    assert len(await _scrapes(bench)) == before + 2


async def test_a_lost_node_is_not_scraped() -> None:
    """A pod that nobody reaches is not scraped either."""
    bench = Bench(Surroundings(scrape_interval_s=1, nodes=("one",)))
    bench.up()
    before = len(await _scrapes(bench))
    bench.cluster.lose_node("one")
    bench.cluster.run(10)
    assert len(await _scrapes(bench)) == before


async def test_a_slow_revision_shows_in_its_buckets() -> None:
    """A slowdown of three moves the median of the histogram by three."""
    bench = Bench()
    bench.behave(Behaviour(median_s=0.02, slowdown=3))
    bench.up(replicas=1)
    bench.cluster.send(SPACE, NAME, 200)
    bench.cluster.run(60)
    last = (await _scrapes(bench))[-1]
    half = next(bound_s for bound_s, count in last.buckets if count >= _requests(last) / 2)
    assert 0.05 < half < 0.075
