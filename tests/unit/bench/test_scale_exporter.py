"""The synthetic exporter of `make bench-scale`: the operator reads its pages as a real server's."""

import math
from random import Random

import pytest
from bench.scale.exporter import KEPT, SHARDS, Exporter, Pod, cumulative, poisson
from prometheus_client.parser import text_string_to_metric_families

from rampway.core.checks.counters import Scrape
from rampway.metrics.profiles import RAMPWAY
from rampway.metrics.reading import Series, assemble
from rampway_server.metrics import Metrics


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def exporter(clock: Clock) -> Exporter:
    """Return an exporter with one model: two pods of stable, one of the candidate."""
    made = Exporter(clock)
    made.add("team", "m", "m-stable", 2)
    made.add("team", "m", "m-candidate", 1)
    return made


def scrapes(exporter: Exporter, clock: Clock) -> list[Scrape]:
    """Return what the operator makes of all pages."""
    series: list[Series] = []
    for shard in range(SHARDS):
        for family in text_string_to_metric_families(exporter.page(shard).decode()):
            for sample in family.samples:
                labels = {"__name__": sample.name, **sample.labels, "instance": f"shard-{shard}"}
                series.append((labels, [(clock.now_s, sample.value)]))
    return assemble(series, RAMPWAY)


def test_the_operator_reads_a_scrape_of_each_pod(exporter: Exporter, clock: Clock) -> None:
    """Each pod gives one scrape of its revision, with its start, counts and buckets."""
    exporter.split({"m-stable": 20.0, "m-candidate": 5.0})
    clock.now_s += 100.0
    found = {(s.revision, s.pod): s for s in scrapes(exporter, clock)}
    assert sorted(found) == [
        ("m-candidate", "m-candidate-0"), ("m-stable", "m-stable-0"), ("m-stable", "m-stable-1"),
    ]  # fmt: skip
    stable, candidate = found["m-stable", "m-stable-0"], found["m-candidate", "m-candidate-0"]
    assert sum(stable.outcomes.values()) == 1000
    assert sum(candidate.outcomes.values()) == 500
    assert candidate.namespace == "team"
    assert candidate.started_at_s == 1_000_000
    counts = [count for _, count in candidate.buckets]
    assert (candidate.buckets.bounds[-1], candidate.buckets.total) == (math.inf, 500)
    assert counts == sorted(counts)
    assert len(set(counts)) > 10


def test_a_page_has_the_series_that_a_real_server_has(exporter: Exporter) -> None:
    """Per pod as many series as our Prometheus keeps of a model server, of the same names."""
    metrics = Metrics()
    metrics.meters("m", "m-stable")
    real = [KEPT.match(line) for line in metrics.render().splitlines()]
    kept = sorted(found[1] for found in real if found)
    lines = [line for shard in range(SHARDS) for line in exporter.page(shard).splitlines()]
    mine = sorted(line.split(b"{")[0] for line in lines if b'pod="m-stable-1"' in line)
    assert mine == sorted([*kept, b"rampway_model_info"])  # one has no model loaded, ours have
    assert len(mine) > 60


def test_no_answer_is_a_retry(exporter: Exporter, clock: Clock) -> None:
    """The operator leaves retries out; played, they would not be the traffic that is told."""
    exporter.split({"m-stable": 20.0})
    clock.now_s += 60.0
    pages = [text_string_to_metric_families(exporter.page(n).decode()) for n in range(SHARDS)]
    samples = [sample for page in pages for family in page for sample in family.samples]
    retries = [s.value for s in samples if s.labels.get("attempt") == "retry"]
    assert len(retries) == 3 * 4
    assert set(retries) == {0.0}


def test_few_answers_fail_and_alike_on_both(exporter: Exporter, clock: Clock) -> None:
    """Calm traffic has the same small share of errors on stable and candidate."""
    exporter.split({"m-stable": 2000.0, "m-candidate": 1000.0})
    for _ in range(100):
        clock.now_s += 1.0
        found = scrapes(exporter, clock)
    for scrape in found:
        assert 0.001 < scrape.outcomes["model_error"] / 100_000 < 0.003


def test_a_candidate_that_turned_bad_only_fails(exporter: Exporter, clock: Clock) -> None:
    """After the turn no answer is fine, and the first scrape that shows it is noted."""
    exporter.split({"m-stable": 20.0, "m-candidate": 5.0})
    clock.now_s += 10.0
    before = {s.pod: s for s in scrapes(exporter, clock)}["m-candidate-0"]
    assert exporter.turn("m-candidate") == clock.now_s
    scrapes(exporter, clock)
    assert exporter.failing_s == {}  # nothing was answered since
    clock.now_s += 4.0
    after = {s.pod: s for s in scrapes(exporter, clock)}["m-candidate-0"]
    assert after.outcomes["ok"] == before.outcomes["ok"]
    assert after.outcomes["model_error"] == before.outcomes["model_error"] + 20
    assert exporter.failing_s == {"m-candidate": clock.now_s}
    clock.now_s += 4.0
    scrapes(exporter, clock)
    assert exporter.failing_s == {"m-candidate": clock.now_s - 4.0}


def test_traffic_follows_the_split(exporter: Exporter, clock: Clock) -> None:
    """A revision without weight counts nothing more; one that is gone has no series."""
    exporter.split({"m-candidate": 5.0})
    clock.now_s += 10.0
    exporter.split({"m-candidate": 0.0, "unknown": 3.0})
    clock.now_s += 10.0
    found = {s.pod: s for s in scrapes(exporter, clock)}
    assert sum(found["m-candidate-0"].outcomes.values()) == 50
    exporter.drop("m-candidate")
    assert exporter.pods == 2
    assert {s.revision for s in scrapes(exporter, clock)} == {"m-stable"}


def test_durations_are_log_normal() -> None:
    """Half of the answers take at most the median; all of them end."""
    assert cumulative(0.040) == pytest.approx(0.5)
    assert cumulative(math.inf) == 1.0
    assert cumulative(0.001) < 1e-9


def test_the_number_of_errors_is_poisson() -> None:
    """Mean and variance of many draws are the mean."""
    dice = Random(2)  # noqa: S311 - no secret
    drawn = [poisson(0.7, dice) for _ in range(20_000)]
    mean = sum(drawn) / len(drawn)
    assert mean == pytest.approx(0.7, rel=0.05)
    assert sum((d - mean) ** 2 for d in drawn) / len(drawn) == pytest.approx(0.7, rel=0.08)


def test_no_counter_falls_when_the_clock_does() -> None:
    """A clock that is set back adds nothing and takes nothing away."""
    pod = Pod(b"", started_s=0.0, at_s=100.0, rate_per_s=1000.0)
    dice = Random(3)  # noqa: S311 - no secret
    pod.advance(101.0, dice)
    seen = pod.answered, pod.failed
    pod.advance(90.0, dice)
    assert (pod.answered, pod.failed) == seen
    pod.advance(101.0, dice)
    assert pod.answered == seen[0]


async def test_prometheus_gets_the_pages_by_http(exporter: Exporter) -> None:
    """Each shard is a page of its own; there is no other."""
    import aiohttp

    runner, port = await exporter.serve("127.0.0.1")
    try:
        async with aiohttp.ClientSession() as session:
            texts = []
            for shard in range(SHARDS):
                async with session.get(f"http://127.0.0.1:{port}/{shard}") as answer:
                    assert answer.status == 200
                    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                    texts.append(await answer.text())
            async with session.get(f"http://127.0.0.1:{port}/{SHARDS}") as answer:
                assert answer.status == 404
    finally:
        await runner.cleanup()
    pods = [pod for pod in ("m-stable-0", "m-stable-1", "m-candidate-0")
            for text in texts if f'pod="{pod}"' in text]  # fmt: skip
    assert pods == ["m-stable-0", "m-stable-1", "m-candidate-0"]
