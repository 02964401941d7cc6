"""The contract of a metric source (B17, B20, B21): in memory, and on a real Prometheus."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import count, groupby

import pytest
from contract.metrics_place import (
    MemoryPlace,
    Place,
    Pod,
    Prometheus,
    PrometheusPlace,
    running_prometheus,
)
from prometheus_api_client import PrometheusConnect

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.counters import Counter, Scrape
from rampway.core.checks.deltas import Delta, advance, start_ledger
from rampway.core.checks.history import Past
from rampway.core.evidence import UNTOLD, Histogram
from rampway.metrics.base import MetricsUnavailable, RevisionKey

BORN_S = 1_750_000_000.25
NUMBERS = count(1)
ANSWERS = {
    "1 + 1": Answer(AnswerKind.VALUE, 2.0),
    "vector(3)": Answer(AnswerKind.VALUE, 3.0),
    "absent_series": Answer(AnswerKind.NO_DATA),
    "vector(0) / 0": Answer(AnswerKind.NOT_A_NUMBER),
    "vector(1) / 0": Answer(AnswerKind.NOT_A_NUMBER),
    'label_replace(vector(1), "a", "1", "", "") or vector(1)': Answer(AnswerKind.SEVERAL_SERIES),
    "vector(1)[1m:10s]": Answer(AnswerKind.WRONG_TYPE),
    '"text"': Answer(AnswerKind.WRONG_TYPE),
    "sum(": Answer(AnswerKind.BAD_QUERY),
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run one Prometheus for all cases."""
    with running_prometheus(tmp_path_factory.mktemp("prometheus")) as found:
        yield found


@pytest.fixture(params=["memory", "prometheus"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Give a source, and a namespace that no other case uses."""
    if request.param == "memory":
        yield MemoryPlace(ANSWERS)
        return
    found = PrometheusPlace(request.getfixturevalue("prometheus"), f"space-{next(NUMBERS)}")
    yield found
    await found.source.close()
    await found.unreachable.close()
    found.clear()


def pod(place: Place, name: str = "digits-1-rs-a", revision: str = "digits-1") -> Pod:
    """Return a pod that has not served yet."""
    return Pod(place.namespace, revision, name, BORN_S)


async def scrapes_of(place: Place, *pods: Pod, now_s: float) -> list[Scrape]:
    """Return all scrapes of the pods' revisions in the last minute."""
    keys = sorted({one.key for one in pods}, key=lambda k: (k.namespace, k.revision))
    return list(await place.source.scrapes(keys, now_s - 60, now_s))


def said(scrapes: list[Scrape], one: Pod) -> list[tuple[float, int]]:
    """Return what a pod said one after another: start and good answers, repeats left out."""
    told = [(s.started_at_s, s.outcomes["ok"]) for s in scrapes if s.pod == one.name]
    return [key for key, _ in groupby(told)]


async def test_b20_counters_of_one_scrape_come_together(place: Place) -> None:
    """B20: a scrape has start, outcomes and buckets of one instant, and first attempts only."""
    one = pod(place)
    one.serve(ok=7, failed=2)
    one.retries = 5
    place.add(one)
    now_s = await place.scraped()
    found = (await scrapes_of(place, one, now_s=now_s))[-1]
    assert (found.namespace, found.revision, found.pod) == (place.namespace, "digits-1", one.name)
    assert found.started_at_s == BORN_S
    assert found.outcomes == {"ok": 7, "model_error": 2}
    assert found.buckets == Histogram.of({0.1: 7, float("inf"): 9})
    assert now_s - 30 < found.at_s <= now_s


async def test_b20_counters_come_without_their_histogram_too(place: Place) -> None:
    """B20: where durations are not wanted, the same scrapes come, without buckets."""
    one = pod(place)
    one.serve(ok=7, failed=2)
    place.add(one)
    now_s = await place.scraped()
    window = [one.key], now_s - 60, now_s
    whole = await place.source.scrapes(*window)
    plain = await place.source.scrapes(*window, histograms=False)
    assert plain == tuple(replace(scrape, buckets=UNTOLD) for scrape in whole)
    assert plain


async def test_b20_users_counters_come_by_revision_with_their_process(place: Place) -> None:
    """B20: of a user's counter come the series with its labels, of pods and of what they name."""
    one = pod(place)
    one.orders = {("", "placed"): 3, ("", "cart"): 8, ("digits-9", "placed"): 5}
    place.add(one)
    now_s = await place.scraped()
    placed = Counter("shop_orders_total", (("kind", "placed"),))
    window = [one.key], now_s - 60, now_s
    found = await place.source.scrapes(*window, counters=[placed])
    last = found[-1]
    assert (last.namespace, last.revision, last.pod) == (place.namespace, "digits-1", one.name)
    assert (last.started_at_s, last.counters) == (BORN_S, {str(placed): 3.0})
    assert not last.outcomes
    assert all(not scrape.counters for scrape in await place.source.scrapes(*window))
    elsewhere = [RevisionKey("elsewhere", "digits-1")]
    assert await place.source.scrapes(elsewhere, now_s - 60, now_s, counters=[placed]) == ()


async def test_b20_slices_of_a_counter_come_beside_the_whole(place: Place) -> None:
    """B20: each value of the label by which slices are taken is counted apart, of one scrape."""
    one = pod(place)
    one.orders = {("", "placed"): 3, ("", "cart"): 8}
    place.add(one)
    now_s = await place.scraped()
    by_kind = Counter("shop_orders_total", by="kind")
    window = [one.key], now_s - 60, now_s
    last = (await place.source.scrapes(*window, counters=[by_kind]))[-1]
    assert last.counters == {
        "shop_orders_total": 11.0,
        "shop_orders_total kind=placed": 3.0,
        "shop_orders_total kind=cart": 8.0,
    }


async def test_b20_every_scrape_is_seen_once_in_order(place: Place) -> None:
    """B20: no scrape is left out between two looks, none comes twice in one answer."""
    one, other = pod(place), pod(place, "digits-1-rs-b")
    place.add(one, other)
    now_s = 0.0
    for _ in range(4):
        now_s = await place.scraped()
        one.serve(ok=1)
        other.serve(ok=10)
    found = await scrapes_of(place, one, other, now_s=now_s)
    # A scrape is dated when it begins: one that is slow may hold what was served since.
    assert [ok for _, ok in said(found, one)][:4] == [0, 1, 2, 3]
    assert [ok for _, ok in said(found, other)][:4] == [0, 10, 20, 30]
    assert [s.at_s for s in found] == sorted(s.at_s for s in found)
    assert len({(s.pod, s.at_s) for s in found}) == len(found)


async def test_b20_an_independent_reader_finds_the_same(prometheus: Prometheus) -> None:
    """B20: what prometheus-api-client reads of a counter is what our scrapes say, one by one."""
    place = PrometheusPlace(prometheus, f"space-{next(NUMBERS)}")
    one = pod(place)
    place.add(one)
    for _ in range(3):
        one.serve(ok=1)
        now_s = await place.scraped()
    ours = await place.source.scrapes([one.key], now_s - 60, now_s)
    labels = f'namespace="{place.namespace}",outcome="ok",attempt="first"'
    query = f"rampway_requests_total{{{labels}}}[60s]"
    (series,) = PrometheusConnect(prometheus.url).custom_query(query, {"time": f"{now_s:.3f}"})
    theirs = [(float(at_s), int(count)) for at_s, count in series["values"]]
    assert [(s.at_s, s.outcomes["ok"]) for s in ours] == theirs
    await place.source.close()
    place.clear()


async def test_b20_window_is_open_below_and_closed_above(place: Place) -> None:
    """B20: neighbouring windows neither share a scrape nor leave one out."""
    one = pod(place)
    place.add(one)
    await place.scraped()
    now_s = await place.scraped()  # one of each two is stored for sure
    whole = await scrapes_of(place, one, now_s=now_s)
    first, last = whole[0], whole[-1]
    assert len(whole) >= 2
    between = await place.source.scrapes([one.key], first.at_s, last.at_s)
    assert list(between) == whole[1:]
    assert await place.source.scrapes([one.key], last.at_s, last.at_s) == ()
    until_first = await place.source.scrapes([one.key], first.at_s - 60, first.at_s)
    assert list(until_first) == [first]


async def test_b20_dead_pod_keeps_what_was_scraped(place: Place) -> None:
    """B20: a pod that is gone is still told of."""
    dead, alive = pod(place), pod(place, "digits-1-rs-b")
    place.add(dead, alive)
    dead.serve(ok=5)
    await place.scraped()
    place.remove(dead)
    alive.serve(ok=1)
    now_s = await place.scraped()
    found = await scrapes_of(place, alive, now_s=now_s)
    assert said(found, dead)[-1] == (BORN_S, 5)
    assert said(found, alive)[-1] == (BORN_S, 1)


async def test_b20_restart_shows_by_its_start_time(place: Place) -> None:
    """B20: a new process of the same pod has its own start time, and counts from zero."""
    one = pod(place)
    place.add(one)
    one.serve(ok=8)
    await place.scraped()
    one.restart(BORN_S + 100)
    one.serve(ok=3)
    found = await scrapes_of(place, one, now_s=await place.scraped())
    assert said(found, one)[0] == (BORN_S, 8)
    assert said(found, one)[-1] == (BORN_S + 100, 3)


async def test_b20_scrapes_add_up_to_the_truth(place: Place) -> None:
    """B20: read in overlapping windows, with a restart between, the counts are the true ones."""
    old, new = pod(place), pod(place, "digits-2-rs-a", "digits-2")
    place.add(old)
    old.serve(ok=1000)
    began_s = now_s = await place.scraped()
    ledger, _ = advance(start_ledger(began_s), await scrapes_of(place, old, now_s=now_s))
    new.started_at_s = began_s + 5
    place.add(new)
    whole: dict[str, Delta] = {}
    for step in range(4):
        old.serve(ok=10, failed=1)
        new.serve(ok=4, failed=2)
        now_s = await place.scraped()
        if step == 2:
            new.restart(began_s + 20)
        ledger, deltas = advance(ledger, await scrapes_of(place, old, new, now_s=now_s))
        for revision, delta in deltas.items():
            whole[revision] = whole.get(revision, Delta()).plus(delta)
    assert whole["digits-1"].outcomes == {"ok": 40, "model_error": 4}
    assert whole["digits-2"] == Delta(
        {"ok": 16, "model_error": 8}, Histogram.of({0.1: 16, float("inf"): 24})
    )


async def test_only_the_revisions_asked_for(place: Place) -> None:
    """Other revisions, and namesakes in other namespaces, are not told of."""
    mine = pod(place, "digits-1-rs-a")
    longer = pod(place, "digits-10-rs-a", "digits-10")
    elsewhere = Pod(f"{place.namespace}-else", "digits-1", "digits-1-rs-a", BORN_S)
    place.add(mine, longer, elsewhere)
    found = await scrapes_of(place, mine, now_s=await place.scraped())
    assert {(s.namespace, s.revision) for s in found} == {(place.namespace, "digits-1")}


async def test_long_names_and_many_revisions(place: Place) -> None:
    """Names as long as Kubernetes allows, of more revisions than one query holds, are found."""
    revision = f"{'d-' * 26}-0123456789"
    one = pod(place, f"{revision}-abcdefghij"[:58] + "vwxyz", revision)
    place.add(one)
    now_s = await place.scraped()
    others = [RevisionKey(place.namespace, f"{'o-' * 26}-{k:010}") for k in range(200)]
    found = await place.source.scrapes([*others, one.key], now_s - 60, now_s)
    assert {s.pod for s in found} == {one.name}


async def test_nobody_known_is_no_failure(place: Place) -> None:
    """B17: that there are no scrapes is an answer; asking for nothing gives nothing."""
    now_s = await place.scraped()
    unknown = RevisionKey(place.namespace, "never-1")
    assert await place.source.scrapes([unknown], now_s - 60, now_s) == ()
    assert await place.source.scrapes([], now_s - 60, now_s) == ()


async def test_the_past_of_users_counters_by_steps(place: Place) -> None:
    """Told by whichever pods of the namespace, with the process; of this revision alone."""
    one = pod(place)
    one.orders = {("", "placed"): 3, ("digits-9", "placed"): 5}
    place.add(one, pod(place, "digits-2-rs-a", "digits-2"))
    began_s = await place.scraped()
    await asyncio.sleep(1.1)
    one.orders[("", "placed")] = 7
    await place.scraped()
    await asyncio.sleep(1.1)
    now_s = await place.scraped()
    placed = Counter("shop_orders_total", (("kind", "placed"),))
    past = Past(
        place.namespace, "digits-1", (), began_s - 1, 1.0, buckets=False, counters=(placed,)
    )
    found = await place.source.past(past, now_s)
    assert {(s.pod, s.revision, s.started_at_s) for s in found} == {(one.name, "digits-1", BORN_S)}
    assert found[-1].counters == {str(placed): 7.0}
    assert all(began_s - 1 < s.at_s <= now_s and not s.outcomes for s in found)
    assert len({s.at_s for s in found}) == len(found)
    with pytest.raises(MetricsUnavailable):
        await place.unreachable.past(past, now_s)


async def test_the_past_of_a_few_pods_by_steps(place: Place) -> None:
    """What each pod had counted at the end of each second, histograms only where asked for."""
    one, other = pod(place), pod(place, "digits-1-rs-b")
    place.add(one, other, pod(place, "digits-1-rs-c"))
    began_s = await place.scraped()
    for _ in range(3):
        one.serve(ok=1)
        other.serve(ok=10, failed=1)
        await place.scraped()
        await asyncio.sleep(1.1)
    now_s = await place.scraped()
    names = (one.name, other.name)
    past = Past(place.namespace, "digits-1", names, began_s - 1, 1.0, buckets=True)
    found = await place.source.past(past, now_s)
    assert {s.pod for s in found} == set(names)
    assert all(began_s - 1 < s.at_s <= now_s and s.at_s == round(s.at_s) for s in found)
    assert [s.at_s for s in found] == sorted(s.at_s for s in found)
    assert len({(s.pod, s.at_s) for s in found}) == len(found)
    assert {s.started_at_s for s in found} == {BORN_S}
    assert said(list(found), one)[-1] == (BORN_S, 3)
    assert len(said(list(found), other)) >= 3
    last = found[-1]
    assert last.buckets.total == last.outcomes["ok"] + last.outcomes["model_error"]
    plain = await place.source.past(replace(past, buckets=False), now_s)
    if isinstance(place, PrometheusPlace):
        assert {s.buckets for s in plain} == {UNTOLD}
    assert [(s.pod, s.outcomes) for s in plain] == [(s.pod, s.outcomes) for s in found]
    assert await place.source.past(replace(past, pods=()), now_s) == ()
    assert await place.source.past(replace(past, counters=(Counter("none_total"),)), now_s) == ()
    assert await place.source.past(replace(past, revision="digits-2"), now_s) == ()
    with pytest.raises(MetricsUnavailable):
        await place.unreachable.past(past, now_s)


async def test_b17_unreachable_is_no_verdict(place: Place) -> None:
    """B17: without an answer there are no scrapes, and a query says so instead of raising."""
    key = RevisionKey(place.namespace, "digits-1")
    with pytest.raises(MetricsUnavailable, match=r"Prometheus at .*[Cc]onnect"):
        await place.unreachable.scrapes([key], BORN_S, BORN_S + 60)
    for answer in (await place.unreachable.queries(list(ANSWERS), BORN_S)).values():
        assert (answer.kind, answer.value) == (AnswerKind.UNAVAILABLE, None)
        assert "Prometheus at" in answer.message


@pytest.mark.parametrize(("query", "expected"), ANSWERS.items(), ids=list(ANSWERS))
async def test_b21_what_a_query_may_give(place: Place, query: str, expected: Answer) -> None:
    """B17, B21: one number is a value; all else is told apart, and has none."""
    answer = (await place.source.queries([query], await place.scraped()))[query]
    assert answer.kind is expected.kind
    assert answer.value == expected.value


async def test_b21_together_each_is_answered_as_alone(place: Place) -> None:
    """B21: of many queries each gets the very answer that it gets alone, look after look."""
    at_s = await place.scraped()
    alone = {
        query: answer
        for query in ANSWERS
        for answer in (await place.source.queries([query], at_s)).values()
    }
    for _ in range(3):
        assert await place.source.queries(list(ANSWERS), at_s) == alone
    assert {query: answer.kind for query, answer in alone.items()} == {
        query: answer.kind for query, answer in ANSWERS.items()
    }


async def test_close_may_come_twice(place: Place) -> None:
    """A source that never spoke, or was closed, may be closed."""
    await place.source.close()
    await place.source.close()
