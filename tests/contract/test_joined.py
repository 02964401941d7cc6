"""B21: queries that a real Prometheus is asked in one request, against each of them alone."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from contract.metrics_place import Pod, PrometheusPlace, running_prometheus

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.metrics.prometheus import PrometheusSource

Sources = Callable[..., PrometheusSource]
SPACE = "joined"
REQUESTS = f'rampway_requests_total{{namespace="{SPACE}"'
GOOD = {
    "one series": f'{REQUESTS},pod="digits-1-a",outcome="ok",attempt="first"}}',
    "with its name dropped": f'{REQUESTS},pod="digits-1-a",outcome="ok",attempt="first"}} * 2',
    "of a sum": f"sum({REQUESTS}}})",
    "of a rate": f"sum(rate({REQUESTS}}}[30s]))",
    "a comment at its end": f"sum({REQUESTS}}}) # sum((",
    "a comment in two lines": "# )\n sum(up) # or\n",
    "a weaker operator": f"sum(up) or sum({REQUESTS}}})",
    "an even weaker one": f"sum(up) > bool 1 unless sum({REQUESTS}}}) == 0",
    "quotes": "sum(up{instance!='}\\'\"',job!=`)\\`})",
    "a time before": f"sum({REQUESTS}}} offset 1ms)",
    "a time of its own": "sum(up @ end())",
    "a label as ours": 'label_replace(sum(up), "rampway_check", "0", "", "")',
    "the time": "time()",
    "a number": "1 / 3",
    "a huge one": "1e300 * 1e7",
    "hex": "0x1F",
    "pi": "vector(pi())",
    "a scalar of a vector": "scalar(sum(up))",
    "sorted": "sort_desc(topk(1, up))",
    "a subquery": "max_over_time(sum(up)[60s:50ms])",
    "a quantile of buckets": (
        f"histogram_quantile(0.9, sum by (le) (rampway_request_duration_seconds_bucket"
        f'{{namespace="{SPACE}"}}))'
    ),
}
ODD = {
    "no data": "absent_series",
    "nothing left": "up > 5",
    "NaN": "vector(0) / 0",
    "NaN, a scalar": "0 / 0",
    "Inf": "vector(1) / 0",
    "Inf, a scalar": "-1e300 * 1e10",
    "several": "up",
    "several that differ by name": '{__name__=~"up|scrape_samples_scraped",instance="0"}',
    "several, more": f"{REQUESTS}}}",
}
APART = {
    "a matrix": "up[1m]",
    "a string": '"text"',
    "no query": "sum(",
    "a bracket too many": "up)",
    "one that would reach its neighbours": 'up),"a","b","","") or (up',
    "a comment alone": "# nothing",
    "an unknown function": "frobnicate(up)",
    "not one to one": 'up * on () group_left () label_replace(up, "a", "b", "", "")',
    "the same labels twice": 'label_replace(up, "instance", "x", "", "")',
    "too many samples": "sum_over_time(vector(1)[2h:1ms])",
}
ALL = {**GOOD, **ODD, **APART}
BEFORE_S = 3600.0
"""So long ago there was no data, and every query is quick."""
AFTER_S = 250.0
"""So much later a series without newer samples still goes on."""
LATER_TROUBLE = {
    "heavy": "sum(sum_over_time(up[5m:1ms]))",
    "slow": 'sum(sum_over_time(sum_over_time(up{instance="0"}[60s:1ms])[240s:5ms]))',
}


@dataclass(frozen=True)
class Asked:
    """A Prometheus whose data stays as it was at a time when two pods had been scraped."""

    url: str
    at_s: float


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Scrape two pods, and then no more: else a scrape between two questions has them differ."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    pods = [Pod(SPACE, "digits-1", f"digits-1-{name}", 1_750_000_000.0) for name in "ab"]
    pods[0].serve(ok=90, failed=10)
    with running_prometheus(folder) as scraping:
        at_s = asyncio.run(_scraped(PrometheusPlace(scraping, SPACE), pods))
    with running_prometheus(folder, "--query.max-samples=1000000", scraping=False) as found:
        yield Asked(found.url, at_s)


async def _scraped(place: PrometheusPlace, pods: list[Pod]) -> float:
    place.add(*pods)
    at_s = await place.scraped()
    await place.source.close()
    await place.unreachable.close()
    return at_s


@pytest.fixture
async def sources(asked: Asked) -> AsyncIterator[Sources]:
    """Give sources; close them however the test ends, or the next is blamed for what they hold."""
    async with AsyncExitStack() as stack:

        def make(**more: Any) -> PrometheusSource:
            source = PrometheusSource(asked.url, **more)
            stack.push_async_callback(source.close)
            return source

        yield make


async def alone(sources: Sources, queries: Iterable[str], at_s: float) -> dict[str, Answer]:
    """Return what each query gives that is asked alone, by a source that knows of no other."""
    found: dict[str, Answer] = {}
    for query in queries:
        found |= await sources().queries([query], at_s)
    return found


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "in reverse"])
async def test_b21_joined_queries_are_answered_as_alone(
    sources: Sources, asked: Asked, order: int
) -> None:
    """B21: kinds, values and words are those of each query alone; only what may join does."""
    requests: list[str] = []
    source = sources(told=lambda result, *_: requests.append(result))
    texts = list(ALL.values())[::order]
    expected = await alone(sources, texts, asked.at_s)
    kinds = {name: expected[query].kind for name, query in ALL.items()}
    assert [name for name in GOOD if kinds[name] is not AnswerKind.VALUE] == []
    assert AnswerKind.VALUE not in {kinds[name] for name in (*ODD, *APART)}
    assert set(kinds.values()) == set(AnswerKind)
    for number in range(3):
        assert await source.queries(texts, asked.at_s) == expected
        assert len(requests) == (1 + len(APART) if number else len(ALL))
        requests.clear()


@pytest.mark.parametrize("trouble", LATER_TROUBLE)
async def test_b21_trouble_that_comes_later_holds_only_its_query(
    sources: Sources, asked: Asked, trouble: str
) -> None:
    """B21: a query that was quick and then is not is asked alone; its neighbours go on."""
    now_s, requests = asked.at_s, list[str]()
    source = sources(deadline_s=1.0, told=lambda result, *_: requests.append(result))
    good = [*GOOD.values(), *ODD.values()]
    expected = await alone(sources, good, now_s + AFTER_S)
    texts = [*good, LATER_TROUBLE[trouble]]
    await source.queries(texts, now_s - BEFORE_S)
    requests.clear()
    await source.queries(texts, now_s - BEFORE_S)
    assert requests == ["200"], "it was not one of them before"
    for number in range(2):
        requests.clear()
        found = await source.queries(texts, now_s + AFTER_S)
        problem = found.pop(LATER_TROUBLE[trouble])
        assert found == expected
        assert problem.kind is AnswerKind.UNAVAILABLE
        assert re.search("timed out|within 1 s|too many samples", problem.message)
        # The request of all, a probe and each of them; then two requests.
        assert len(requests) == (2 if number else 2 + len(texts))
