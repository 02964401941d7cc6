"""B36, B37: what each request to a metric source bears."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import encode_basic_auth, web

from rampway.core.checks.answers import AnswerKind
from rampway.core.checks.sources import OWN, Source
from rampway.metrics.access import Access
from rampway.metrics.base import MetricsUnavailable, RevisionKey
from rampway.metrics.memory import MemorySource
from rampway.metrics.prometheus import PrometheusSource
from rampway.metrics.unavailable import UnavailableSource
from rampway.shell.pool import Pool

NOW_S = 1_760_000_000.0


def folder(path: Path, files: Mapping[str, str]) -> Path:
    """Write mounted credentials."""
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def test_b37_a_token_or_a_password_is_read_anew_each_time(tmp_path: Path) -> None:
    """B37: from files that were mounted; no Secret is read."""
    access = Access(folder(tmp_path, {"token": "one\n"}))
    assert access.all_headers() == {"Authorization": "Bearer one"}
    folder(tmp_path, {"token": "two"})
    assert access.all_headers() == {"Authorization": "Bearer two"}
    (tmp_path / "token").unlink()
    folder(tmp_path, {"username": "me", "password": "secret\n"})
    assert access.all_headers() == {"Authorization": encode_basic_auth("me", "secret")}


def test_credentials_that_are_not_mounted_are_named(tmp_path: Path) -> None:
    """Nothing is asked without the login that was meant."""
    with pytest.raises(FileNotFoundError, match="credentials team: expected token"):
        Access(tmp_path / "team").all_headers()


async def test_b36_every_query_bears_its_namespace() -> None:
    """B36: in the address or a header, where no text of a query reaches; counters' queries too."""
    seen: list[tuple[str, str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        form = await request.post()
        header = request.headers.get("X-Namespace", "")
        seen.append((request.query_string, header, str(form["query"])))
        kind = "matrix" if "[" in str(form["query"]) else "vector"
        return web.json_response({"status": "success", "data": {"resultType": kind, "result": []}})

    app = web.Application()
    app.router.add_post("/api/v1/query", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    pool = Pool(MemorySource(), "")
    try:
        confined = Source(address, namespace="ml", parameter="namespace")
        for source in (confined, replace(confined, parameter="", header="X-Namespace")):
            client = pool.of(source)
            evil = "up) or vector(1) or (up&namespace=other"
            answers = await client.queries([evil, "up"], NOW_S)
            assert {a.kind for a in answers.values()} == {AnswerKind.NO_DATA}
            assert await client.scrapes([RevisionKey("ml", "digits-1")], NOW_S - 60, NOW_S) == ()
    finally:
        await pool.keep([])
        await runner.cleanup()
    assert len(seen) == 6
    assert {(query, header) for query, header, _ in seen[:3]} == {("namespace=ml", "")}
    assert {(query, header) for query, header, _ in seen[3:]} == {("", "ml")}


async def test_a_source_that_cannot_be_used_says_why() -> None:
    """Its words are the answer to everything: no advance, no rollback on that ground."""
    client = UnavailableSource("not allowed")
    with pytest.raises(MetricsUnavailable, match="not allowed"):
        await client.scrapes([], 0, 1)
    (answer,) = (await client.queries(["up"], NOW_S)).values()
    assert (answer.kind, answer.message) == (AnswerKind.UNAVAILABLE, "not allowed")


async def test_clients_are_made_once_and_closed_when_nobody_needs_them() -> None:
    """The operator's own stays; a source that is wanted again gets a new client."""
    own = MemorySource()
    pool = Pool(own, "")
    assert pool.of(OWN) is own
    source = Source("http://a:9090")
    first = pool.of(source)
    assert isinstance(first, PrometheusSource)
    assert pool.of(source) is first
    await pool.keep([source])
    assert pool.of(source) is first
    await pool.keep([])
    assert pool.of(source) is not first
