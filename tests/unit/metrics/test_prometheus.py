"""B17: whatever Prometheus answers, the source tells a whole answer from everything else."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.counters import Counter
from rampway.core.checks.history import Past
from rampway.core.evidence import Histogram
from rampway.metrics.base import MetricsUnavailable, RevisionKey
from rampway.metrics.profiles import RAMPWAY
from rampway.metrics.prometheus import AT_ONCE, PrometheusSource, portions
from rampway.metrics.questions import ALONE_AT_ONCE

NOW_S = 1_760_000_000.0
KEY = RevisionKey("space", "digits-1")
Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """A server that answers every query as the test says, and keeps what it was asked."""

    respond: Respond | None = None
    url: str = ""
    forms: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def answers(self, body: object, status: int = 200) -> None:
        """Answer with JSON, or with a text as it is."""
        text = body if isinstance(body, str) else json.dumps(body)

        async def respond(_: web.Request) -> web.StreamResponse:
            return web.Response(text=text, status=status, content_type="application/json")

        self.respond = respond

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note what was asked, and answer."""
        self.forms.append({key: str(value) for key, value in (await request.post()).items()})
        self.tokens.append(request.headers.get("Authorization", ""))
        assert self.respond is not None
        return await self.respond(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Serve on loopback."""
    found = Server()
    app = web.Application()
    app.router.add_post("/api/v1/query", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.fixture
async def source(server: Server) -> AsyncIterator[PrometheusSource]:
    """Give a source with a short patience and a small appetite."""
    found = PrometheusSource(server.url, deadline_s=0.5, longest_answer=10_000)
    yield found
    await found.close()


PAST = Past("space", "digits-1", ("digits-1-a.b", "digits-1-c"), NOW_S - 600.5, 5.0, buckets=True)


async def test_the_past_is_one_subquery(server: Server, source: PrometheusSource) -> None:
    """It names the pods and what is needed, and asks for as many samples as there are steps."""
    server.answers(success("matrix", []))
    assert await source.past(PAST, NOW_S) == ()
    assert await source.past(replace(PAST, buckets=False), NOW_S) == ()
    assert await source.past(replace(PAST, pods=()), NOW_S) == ()
    whole, plain = (form["query"] for form in server.forms)
    assert whole == (
        '{__name__=~"rampway_requests_total|rampway_request_duration_seconds_bucket|'
        'process_start_time_seconds",namespace=~"space",'
        'pod=~"digits-1-a\\\\.b|digits-1-c",attempt=~"first|"}[601s:5s]'
    )
    assert "bucket" not in plain
    assert server.forms[0]["time"] == f"{NOW_S:.3f}"


async def test_b36_the_past_of_users_is_one_subquery_in_the_namespace(
    server: Server, source: PrometheusSource
) -> None:
    """B36: of whichever pods tell them, of this revision; the start of each process beside."""
    at_s = NOW_S - 595.5
    labels = {"namespace": "space", "pod": "shop-a", "instance": "a", "job": "shop"}
    orders = labels | {"__name__": "orders", "revision": "digits-1"}
    other = labels | {"__name__": "orders", "revision": "digits-9"}
    started = labels | {"__name__": "process_start_time_seconds"}
    series = [
        {"metric": metric, "values": [[at_s, value]]}
        for metric, value in ((orders, "3"), (other, "9"), (started, "5"))
    ]
    server.answers(success("matrix", series))
    (found,) = await source.past(replace(PAST, pods=(), counters=(Counter("orders"),)), NOW_S)
    assert server.forms[0]["query"] == (
        '{namespace=~"space",__name__=~"orders|process_start_time_seconds",'
        'revision=~"digits-1|"}[601s:5s]'
    )
    assert (found.revision, found.pod, found.at_s) == ("digits-1", "shop-a", at_s)
    assert (found.started_at_s, found.counters) == (5.0, {"orders": 3.0})


async def test_b17_a_past_that_is_not_whole_is_unavailable(
    server: Server, source: PrometheusSource
) -> None:
    """B17: a refusal, a partial answer or one that is too long is no past."""
    server.answers(failure("bad_data", "no subqueries here"), 400)
    with pytest.raises(MetricsUnavailable, match="no subqueries here"):
        await source.past(PAST, NOW_S)
    server.answers(success("matrix", []) | {"warnings": ["store 2"]})
    with pytest.raises(MetricsUnavailable, match="store 2"):
        await source.past(PAST, NOW_S)
    server.answers(" " * 20_000)
    with pytest.raises(MetricsUnavailable, match="longer than"):
        await source.past(PAST, NOW_S)


async def ask(source: PrometheusSource, query: str, at_s: float) -> Answer:
    """Ask one query."""
    return (await source.queries([query], at_s))[query]


def success(kind: str, result: object) -> dict[str, object]:
    """Return an answer of Prometheus."""
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def one(value: object) -> list[dict[str, object]]:
    """Return a vector of one series."""
    return [{"metric": {"pod": "a"}, "value": [NOW_S, value]}]


def failure(kind: str, words: str) -> dict[str, str]:
    """Return an error of Prometheus."""
    return {"status": "error", "errorType": kind, "error": words}


FINE = success("vector", one("1"))
HINT = ["PromQL info: no counter"]
NOT_WHOLE: dict[str, tuple[int, object, str]] = {
    "500": (500, failure("internal", "disk"), "internal: disk"),
    "500 of many words": (500, failure("internal", "disk " * 1000), "internal: disk"),
    "422": (422, failure("execution", "expanding"), "status 422"),
    "503": (503, failure("timeout", "query timed out"), "timed out"),
    "401": (401, "Unauthorized\n", "status 401, not JSON"),
    "400 of a proxy": (400, "<html>bad</html>", "status 400, not JSON"),
    "400 of a stranger": (400, {"message": "no"}, "status 400"),
    "302": (302, FINE, "status 302"),
    "500 that says success": (500, FINE, "status 500"),
    "partial": (200, FINE | {"warnings": ["store 2"]}, "partial answer: store 2"),
    "garbage": (200, "}{", "not JSON"),
    "a list": (200, [1], "API documents"),
    "null": (200, None, "API documents"),
    "no data": (200, {"status": "success"}, "API documents"),
    "unknown type": (200, success("cube", []), "'cube'"),
    "no result": (200, {"status": "success", "data": {"resultType": "vector"}}, "API documents"),
    "a word for a value": (200, success("vector", one("many")), "API documents"),
    "nothing for a value": (200, success("vector", one(None)), "API documents"),
    "huge": (200, success("vector", one("1" * 20_000)), "longer than 10000 bytes"),
}


@pytest.mark.parametrize(("status", "body", "words"), NOT_WHOLE.values(), ids=list(NOT_WHOLE))
async def test_b17_what_is_no_whole_answer_is_unavailable(
    server: Server, source: PrometheusSource, status: int, body: object, words: str
) -> None:
    """B17: errors, partial answers and garbage are no verdict: queries say so, scrapes raise."""
    server.answers(body, status)
    answer = await ask(source, "up", NOW_S)
    assert (answer.kind, answer.value) == (AnswerKind.UNAVAILABLE, None)
    assert words in answer.message
    assert f"Prometheus at {server.url}" in answer.message
    assert len(answer.message) < 500
    with pytest.raises(MetricsUnavailable):
        await source.scrapes([KEY], NOW_S - 60, NOW_S)
    assert len(server.forms) == 2, "an answer was asked for again"


SERIES = {"__name__": "up", "pod": "a"}
Told = tuple[dict[str, object], AnswerKind, float | None, str]
READ: dict[str, Told] = {
    "value": (success("vector", one("0.25")), AnswerKind.VALUE, 0.25, ""),
    "scalar": (success("scalar", [NOW_S, "7"]), AnswerKind.VALUE, 7.0, ""),
    "infos": (FINE | {"infos": HINT}, AnswerKind.VALUE, 1.0, ""),
    "infos among warnings": (FINE | {"warnings": HINT}, AnswerKind.VALUE, 1.0, ""),
    "NaN": (success("vector", one("NaN")), AnswerKind.NOT_A_NUMBER, None, "'up' gives NaN"),
    "Inf": (success("scalar", [NOW_S, "-Inf"]), AnswerKind.NOT_A_NUMBER, None, "gives -Inf"),
    "nothing": (success("vector", []), AnswerKind.NO_DATA, None, "'up' found no data"),
    "several": (
        success("vector", [{"metric": SERIES, "value": [1, "1"]}, *one("2")]),
        AnswerKind.SEVERAL_SERIES,
        None,
        "'up' gives 2 series, the first is up{pod=\"a\"}",
    ),
    "several, in another order": (
        success("vector", [*one("2"), {"metric": SERIES, "value": [1, "1"]}]),
        AnswerKind.SEVERAL_SERIES,
        None,
        "'up' gives 2 series, the first is up{pod=\"a\"}",
    ),
    "matrix": (success("matrix", []), AnswerKind.WRONG_TYPE, None, "'up' gives a matrix"),
    "string": (success("string", [NOW_S, "x"]), AnswerKind.WRONG_TYPE, None, "gives a string"),
    "native histogram": (
        success("vector", [{"metric": {}, "histogram": [NOW_S, {}]}]),
        AnswerKind.WRONG_TYPE,
        None,
        "a native histogram",
    ),
}


@pytest.mark.parametrize("told", READ.values(), ids=list(READ))
async def test_b21_answers_are_told_apart(
    server: Server, source: PrometheusSource, told: Told
) -> None:
    """B21: one number is a value; for all else the message says what came, of which query."""
    body, kind, value, words = told
    server.answers(body)
    answer = await ask(source, "up", NOW_S)
    assert (answer.kind, answer.value, answer.at_s) == (kind, value, NOW_S)
    assert words in answer.message


async def test_b21_bad_query_in_prometheus_words(server: Server, source: PrometheusSource) -> None:
    """B21: a query that cannot be parsed is the user's, and told in Prometheus's words."""
    server.answers(failure("bad_data", "parse error: ("), 400)
    answer = await ask(source, "sum(", NOW_S)
    assert answer.kind is AnswerKind.BAD_QUERY
    assert answer.message == "query 'sum(': bad_data: parse error: ("
    with pytest.raises(MetricsUnavailable, match=r"refused .*bad_data: parse error"):
        await source.scrapes([KEY], NOW_S - 60, NOW_S)


async def test_b17_silent_server_is_left_at_the_deadline(
    server: Server, source: PrometheusSource
) -> None:
    """B17: neither silence nor a trickle holds a query beyond its deadline."""

    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(20)
        return web.Response()

    async def trickle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(200):
            await answer.write(b" ")
            await asyncio.sleep(0.1)
        return answer

    for respond in (silent, trickle):
        server.respond = respond
        began_s = asyncio.get_running_loop().time()
        answer = await ask(source, "up", NOW_S)
        assert asyncio.get_running_loop().time() - began_s < 2
        assert answer.kind is AnswerKind.UNAVAILABLE
        assert "did not answer within 0.5 s" in answer.message


async def test_small_answer_that_unpacks_to_a_huge_one_is_given_up(
    server: Server, source: PrometheusSource
) -> None:
    """The limit holds for what is unpacked, not for what was sent."""
    packed = gzip.compress(b" " * 50_000_000)

    async def respond(_: web.Request) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    server.respond = respond
    assert "longer than 10000 bytes" in (await ask(source, "up", NOW_S)).message


async def test_what_is_asked(server: Server, source: PrometheusSource) -> None:
    """Time and the server's own deadline, a little before ours, go along in milliseconds."""
    server.answers(success("scalar", [NOW_S, "1"]))
    await ask(source, "up", NOW_S + 0.1234)
    assert server.forms == [{"query": "up", "time": "1760000000.123", "timeout": "450ms"}]
    assert server.tokens == [""]


async def test_token_is_read_anew_each_time(server: Server, tmp_path: Path) -> None:
    """A rotated token is used at once; one that cannot be read is said to be so."""
    server.answers(success("scalar", [NOW_S, "1"]))
    token = tmp_path / "token"
    source = PrometheusSource(server.url, token_file=token)
    for text in ("first\n", "second\n"):
        token.write_text(text)
        await ask(source, "up", NOW_S)
    assert server.tokens == ["Bearer first", "Bearer second"]
    token.unlink()
    answer = await ask(source, "up", NOW_S)
    assert answer.kind is AnswerKind.UNAVAILABLE
    assert f"No such file or directory: '{token}'" in answer.message
    await source.close()


async def test_token_follows_no_redirection(server: Server, tmp_path: Path) -> None:
    """A redirection is an error: nobody but the configured server gets the token."""

    async def respond(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"{server.url}/api/v1/query"})

    server.respond = respond
    token = tmp_path / "token"
    token.write_text("first")
    source = PrometheusSource(server.url, token_file=token)
    assert "status 307" in (await ask(source, "up", NOW_S)).message
    assert server.tokens == ["Bearer first"]
    await source.close()


async def test_so_many_requests_at_once_and_no_more(
    server: Server, source: PrometheusSource
) -> None:
    """However many are asked, Prometheus has so many of users' and so many in all at a time."""
    present, most = 0, 0

    async def respond(_: web.Request) -> web.StreamResponse:
        nonlocal present, most
        present += 1
        most = max(most, present)
        await asyncio.sleep(0.03)
        present -= 1
        return web.json_response(success("matrix", []))

    server.respond = respond
    answers = await source.queries([f"up{n}" for n in range(3 * ALONE_AT_ONCE)], NOW_S)
    assert {a.kind for a in answers.values()} == {AnswerKind.WRONG_TYPE}
    assert most == ALONE_AT_ONCE
    await asyncio.gather(*(source.scrapes([KEY], NOW_S - 9, NOW_S) for _ in range(3 * AT_ONCE)))
    assert most == AT_ONCE


async def test_scrapes_are_selected_by_quoted_names(
    server: Server, source: PrometheusSource
) -> None:
    """A name matches itself only, whatever characters it has."""
    server.answers(success("matrix", []))
    await source.scrapes([RevisionKey("s.1", 'a"b\\c-1')], NOW_S - 60, NOW_S)
    assert server.forms[0]["query"] == (
        '{__name__=~"rampway_requests_total|rampway_request_duration_seconds_bucket'
        '|process_start_time_seconds",namespace=~"s\\\\.1",pod=~"(a\\"b\\\\\\\\c-1).*",'
        'attempt=~"first|"}[60001ms]'
    )
    await source.scrapes([KEY], NOW_S - 60, NOW_S, histograms=False)
    names = '"rampway_requests_total|process_start_time_seconds"'
    assert server.forms[1]["query"].startswith(f"{{__name__=~{names},")


async def test_b36_counters_are_asked_for_in_the_namespace_alone(
    server: Server, source: PrometheusSource
) -> None:
    """B36: a user names a series and values of labels; the namespace is said here, all quoted."""
    server.answers({"status": "success", "data": {"resultType": "matrix", "result": []}})
    odd = Counter("shop_orders_total", (("kind", 'x"} or {a="'),))
    await source.scrapes([RevisionKey("ml", "digits-1")], 970.0, 1000.0, counters=[odd])
    query = server.forms[-1]["query"]
    assert query == (
        '{namespace=~"ml",__name__=~"shop_orders_total|process_start_time_seconds",'
        'revision=~"digits-1|",kind=~"x\\"\\\\} or \\\\{a=\\"|"}[30001ms]'
    )


async def test_every_query_is_short(server: Server, source: PrometheusSource) -> None:
    """However many revisions are asked for, a query stays under 8 kB, and none is left out."""
    server.answers(success("matrix", []))
    keys = [RevisionKey(f"{'n' * 58}-{k:04}", f"{'r-' * 26}-{k:010}") for k in range(300)]
    await source.scrapes(keys, NOW_S - 60, NOW_S)
    assert max(len(form["query"]) for form in server.forms) < 8000
    assert sum(form["query"].count("nnn-") for form in server.forms) == 300
    assert [key for part in portions(keys) for key in part] == keys


LABELS = {"namespace": "space", "pod": "digits-1-a", "instance": "1"}


def series(name: str, values: list[tuple[float, str]], **labels: str) -> dict[str, Any]:
    """Return one series of a matrix."""
    return {"metric": {"__name__": name, **LABELS, **labels}, "values": values}


def requests(values: list[tuple[float, str]], **labels: str) -> dict[str, Any]:
    """Return a series of good answers."""
    return series(RAMPWAY.requests, values, revision="digits-1", outcome="ok", **labels)


def started(values: list[tuple[float, str]], **labels: str) -> dict[str, Any]:
    """Return a series of start times."""
    return series(RAMPWAY.started, values, **labels)


async def test_b20_scrape_without_a_start_time_is_left_out(
    server: Server, source: PrometheusSource
) -> None:
    """B20: counters of an instant that has no start time could be read either way: not at all."""
    times = [(NOW_S - 20, "5"), (NOW_S - 10, "7"), (NOW_S - 5, "9")]
    starts = [(NOW_S - 20, "100.5"), (NOW_S - 10, "NaN")]
    server.answers(success("matrix", [requests(times), started(starts)]))
    found = await source.scrapes([KEY], NOW_S - 60, NOW_S)
    assert [(s.at_s, s.started_at_s, s.outcomes) for s in found] == [(NOW_S - 20, 100.5, {"ok": 5})]


async def test_b20_two_targets_of_a_pod_do_not_mix(
    server: Server, source: PrometheusSource
) -> None:
    """B20: a pod scraped by two jobs in the same instant gives two scrapes, each of one target."""
    at = NOW_S - 5
    both = [
        requests([(at, "5")]),
        started([(at, "100")]),
        requests([(at, "6")], instance="2"),
        started([(at, "200")], instance="2"),
    ]
    server.answers(success("matrix", both))
    found = await source.scrapes([KEY], NOW_S - 60, NOW_S)
    assert sorted((s.started_at_s, s.outcomes["ok"]) for s in found) == [(100, 5), (200, 6)]


async def test_models_of_one_revision_add_up(server: Server, source: PrometheusSource) -> None:
    """Series that differ in what the server says, not in the target, are one revision's."""
    at = NOW_S - 5
    both = [
        row
        for model, count in (("a", "5"), ("b", "6"))
        for row in (
            requests([(at, count)], model=model),
            series(RAMPWAY.buckets, [(at, count)], revision="digits-1", model=model, le="+Inf"),
        )
    ]
    server.answers(success("matrix", [*both, started([(at, "100")])]))
    (found,) = await source.scrapes([KEY], NOW_S - 60, NOW_S)
    assert found.outcomes == {"ok": 11}
    assert found.buckets == Histogram.of({float("inf"): 11})


async def test_samples_outside_the_window_are_left_out(
    server: Server, source: PrometheusSource
) -> None:
    """Old releases also give the sample at the window's very beginning; it was read before."""
    times = [NOW_S - 60, NOW_S - 59.999, NOW_S, NOW_S + 0.001]
    both = [requests([(t, "5") for t in times]), started([(t, "100") for t in times])]
    server.answers(success("matrix", both))
    found = await source.scrapes([KEY], NOW_S - 60, NOW_S)
    assert [s.at_s for s in found] == times[1:3]


async def test_every_query_is_told(server: Server) -> None:
    """Status, seconds and bytes of each query are told; of one without an answer the reason."""
    heard = list[tuple[str, int]]()

    def told(result: str, duration_s: float, size: int) -> None:
        assert 0 <= duration_s < 2
        heard.append((result, size))

    found = PrometheusSource(server.url, deadline_s=0.3, told=told)
    server.answers(success("scalar", [1, "5"]))
    await ask(found, "x", 1.0)
    server.answers("oops", 503)
    await ask(found, "x", 1.0)

    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    server.respond = silent
    await ask(found, "x", 1.0)
    await found.close()
    assert [result for result, _ in heard] == ["200", "503", "timeout"]
    assert heard[0][1] > 0
    assert heard[2][1] == 0


async def test_b17_a_counter_that_is_no_number_is_no_answer(
    server: Server, source: PrometheusSource
) -> None:
    """B17: NaN among the counters is told, and never passes for a quiet pod."""
    name = {"__name__": "rampway_requests_total", "revision": "digits-1", "outcome": "ok"}
    where = {"namespace": "ml", "pod": "digits-1-a"}
    values = [[NOW_S - 10, "NaN"]]
    server.answers(success("matrix", [{"metric": name | where, "values": values}]))
    with pytest.raises(MetricsUnavailable, match=r"is nan at .*, not a number"):
        await source.scrapes([RevisionKey("ml", "digits-1")], NOW_S - 20, NOW_S)
