"""Counters read from the pods themselves, against a real HTTP server."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from rampway.core.evidence import Histogram
from rampway.metrics import direct
from rampway.metrics.direct import HttpPodReader, Target, read_page
from rampway.metrics.profiles import RAMPWAY

PAGE = """\
# HELP rampway_requests_total Answers.
# TYPE rampway_requests_total counter
rampway_requests_total{model="digits",revision="digits-2",outcome="ok",attempt="first"} 40.0
rampway_requests_total{model="digits",revision="digits-2",outcome="ok",attempt="retry"} 9.0
rampway_requests_total{model="digits",revision="digits-2",outcome="model_error",attempt="first"} 2
rampway_requests_total{model="digits",revision="digits-1",outcome="ok",attempt="first"} 7.0
rampway_request_duration_seconds_bucket{model="digits",revision="digits-2",le="0.01"} 30.0
rampway_request_duration_seconds_bucket{model="digits",revision="digits-2",le="+Inf"} 42.0
rampway_request_duration_seconds_sum{model="digits",revision="digits-2"} 0.4
process_start_time_seconds 1.7e+09
process_open_fds 12.0
"""
POD = Target("ml", "digits-2", "digits-2-x", "127.0.0.1")


@dataclass
class Server:
    """A pod's HTTP server.

    Attributes:
        wait_s: So long it takes to answer.
    """

    page: str = PAGE
    status: int = 200
    wait_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    port: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as told."""
        self.asked.append(request.path)
        await asyncio.sleep(self.wait_s)
        return web.Response(text=self.page, status=self.status)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Give a server on a port of its own."""
    made = Server()
    app = web.Application()
    app.router.add_get("/metrics", made.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.fixture
async def reader(server: Server) -> AsyncIterator[HttpPodReader]:
    """Give a reader of that server."""
    async with aiohttp.ClientSession() as session:
        yield HttpPodReader(session, server.port, lambda: 5000.0)


async def test_a_pods_counters_are_those_of_its_page(reader: HttpPodReader) -> None:
    """B20: first attempts by outcome, buckets and start come together, of this revision only."""
    (found,) = await reader.scrapes([POD])
    assert (found.namespace, found.revision, found.pod) == ("ml", "digits-2", "digits-2-x")
    assert found.outcomes == {"ok": 40, "model_error": 2}
    assert found.buckets == Histogram.of({0.01: 30, float("inf"): 42})
    assert (found.at_s, found.started_at_s, found.direct) == (5000.0, 1.7e9, True)


@pytest.mark.parametrize(
    "how",
    [
        {"status": 500},
        {"page": "rampway_requests_total{ this is no metric"},
        {"page": "x 1\n" * (direct.LONGEST_PAGE // 4 + 1)},
        {"page": PAGE.replace("process_start_time_seconds", "other")},
        {"wait_s": 2.0},
    ],
    ids=["500", "not the format", "too long", "no start", "too slow"],
)
async def test_a_pod_that_cannot_be_read_is_left_out(
    server: Server, reader: HttpPodReader, how: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """B17: one that is slow, broken or gone costs its own word only, and never an error."""
    monkeypatch.setattr(direct, "DEADLINE_S", 0.3)
    gone = Target("ml", "digits-2", "gone", "127.0.0.2")
    for name, value in how.items():
        setattr(server, name, value)
    assert await reader.scrapes([gone, POD]) == ()


async def test_one_broken_pod_keeps_no_other_from_being_heard(reader: HttpPodReader) -> None:
    """The pods are asked side by side."""
    gone = Target("ml", "digits-2", "gone", "127.0.0.2")
    assert [s.pod for s in await reader.scrapes([gone, POD])] == ["digits-2-x"]


def test_an_address_of_ipv6_is_one() -> None:
    """A page is read the same wherever it came from."""
    target = Target("ml", "digits-1", "p", "fd00::1")
    (found,) = read_page(PAGE, target, 1.0, RAMPWAY)
    assert found.outcomes == {"ok": 7}


async def test_a_pod_that_stays_silent_is_let_be_for_a_while(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B17: others wait for each one that does not answer; it is asked again after some seconds."""
    monkeypatch.setattr(direct, "DEADLINE_S", 0.1)
    now_s = 5000.0
    server.wait_s = 1.0
    async with aiohttp.ClientSession() as session:
        reader = HttpPodReader(session, server.port, lambda: now_s)
        for _ in range(direct.SILENCES + 3):
            assert await reader.scrapes([POD]) == ()
        assert len(server.asked) == direct.SILENCES
        now_s += direct.LET_BE_S
        server.wait_s = 0.0
        assert [s.pod for s in await reader.scrapes([POD])] == [POD.pod]
        server.wait_s = 1.0
        await reader.scrapes([POD])
        await reader.scrapes([POD])  # silent anew: counted from one
        assert len(server.asked) == direct.SILENCES + 3
