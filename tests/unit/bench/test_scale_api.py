"""The API client of `make bench-scale`, against a small server that plays the API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from bench.scale import api
from bench.scale.api import Api, Mirror, Refused, each

from rampway.kube.kinds import MODEL_ROLLOUT, NAMESPACE

PATH = "/apis/rampway.dev/v1alpha1/modelrollouts"


def obj(name: str, version: int, **more: Any) -> dict[str, Any]:
    """Return an object of a namespace."""
    return {
        "metadata": {"namespace": "team", "name": name, "resourceVersion": str(version)},
        **more,
    }


class Server:
    """Plays the API server: answers from a list, then notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._more = asyncio.Condition()
        self.statuses: list[int] = []
        self.pages: list[dict[str, Any]] = []
        self.watches: list[list[dict[str, Any]]] = []

    async def reached(self, requests: int) -> None:
        """Wait until so many requests came."""
        async with self._more:
            await self._more.wait_for(lambda: len(self.asked) >= requests)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        async with self._more:
            self.asked.append(f"{request.method} {request.path_qs}")
            self._more.notify_all()
        if "watch" in request.query:
            return await self._watch(request)
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            return web.json_response({"message": "so it is"}, status=status)
        if request.method == "GET" and self.pages:
            return web.json_response(self.pages.pop(0))
        return web.json_response(await request.json() if request.can_read_body else {})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        if not self.watches:
            await asyncio.sleep(3600)
        stream = web.StreamResponse()
        await stream.prepare(request)
        text = b"".join(orjson.dumps(event) + b"\n" for event in self.watches.pop(0))
        for begin in range(0, len(text), 7):  # in pieces that end anywhere
            await stream.write(text[begin : begin + 7])
        return stream


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return a server, for a client that waits for nothing between two tries."""
    monkeypatch.setattr(api, "FIRST_WAIT_S", 0.0)
    return Server()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Api]:
    """Return a client of that server."""
    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", server.answer)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with aiohttp.ClientSession() as session:
        yield Api(session, f"http://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()


async def test_passing_faults_are_tried_again(client: Api, server: Server) -> None:
    """A 429 or 500 is no failure until it has lasted; the server's words are told."""
    server.statuses = [429, 500, 200]
    assert await client.call("POST", "/x", {"a": 1}) == {"a": 1}
    assert len(server.asked) == 3
    server.statuses = [503] * api.TRIES
    with pytest.raises(Refused, match="GET /x: status 503: so it is"):
        await client.call("GET", "/x")


async def test_a_refusal_is_not_tried_again(client: Api, server: Server) -> None:
    """What is forbidden now is forbidden in a second."""
    server.statuses = [403]
    with pytest.raises(Refused) as caught:
        await client.call("GET", "/x")
    assert (caught.value.status, len(server.asked)) == (403, 1)


async def test_what_is_there_already_is_created(client: Api, server: Server) -> None:
    """After an answer that was lost the object exists; it is read instead."""
    server.statuses = [409]
    server.pages = [{"metadata": {"name": "a", "uid": "u"}}]
    made = await client.create(NAMESPACE, {"metadata": {"name": "a"}})
    assert made["metadata"]["uid"] == "u"
    assert server.asked == ["POST /api/v1/namespaces", "GET /api/v1/namespaces/a"]


async def test_what_is_gone_is_deleted(client: Api, server: Server) -> None:
    """Deleting twice is fine; a refusal is not."""
    server.statuses = [404, 403]
    await client.delete(NAMESPACE, None, "a")
    with pytest.raises(Refused):
        await client.delete(NAMESPACE, None, "a")


async def test_long_lists_come_in_pages(client: Api, server: Server) -> None:
    """All pages are read; to watch from is the version of the last."""
    server.pages = [
        {"metadata": {"resourceVersion": "7", "continue": "next"}, "items": [obj("a", 1)]},
        {"metadata": {"resourceVersion": "7"}, "items": [obj("b", 2)]},
    ]
    found, version = await client.snapshot(MODEL_ROLLOUT, selector="x=y")
    assert [one["metadata"]["name"] for one in found] == ["a", "b"]
    assert version == "7"
    assert "continue=next" in server.asked[1]
    assert "labelSelector=x%3Dy" in server.asked[1]


async def following(mirror: Mirror, server: Server, requests: int) -> None:
    """Run a mirror until it has made so many requests, of which the last one hangs."""
    task = asyncio.create_task(mirror.run())
    try:
        async with asyncio.timeout(10):
            await server.reached(requests)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_mirror_follows_the_watch(client: Api, server: Server) -> None:
    """It begins where the list ended, goes on where a watch ended, and tells of each object."""
    told: list[str] = []
    mirror = Mirror(client, MODEL_ROLLOUT, "", lambda found: {"seen": found["n"]},
                    lambda found: told.append(found["metadata"]["name"]))  # fmt: skip
    server.pages = [{"metadata": {"resourceVersion": "7"}, "items": [obj("a", 1, n=1)]}]
    server.watches = [
        [{"type": "ADDED", "object": obj("b", 8, n=2)},
         {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}],
        [{"type": "MODIFIED", "object": obj("b", 10, n=3)},
         {"type": "DELETED", "object": obj("a", 11, n=1)}],
    ]  # fmt: skip
    await following(mirror, server, 4)
    assert mirror.objects == {("team", "b"): {"seen": 3}}
    assert told == ["a", "b", "b"]
    assert mirror.synced.is_set()
    versions = [asked.partition("resourceVersion=")[2].partition("&")[0] for asked in server.asked]
    assert versions == ["", "7", "9", "11"]


async def test_a_mirror_lists_again_when_its_version_is_too_old(
    client: Api, server: Server
) -> None:
    """What disappeared meanwhile disappears from the copy too."""
    mirror = Mirror(client, MODEL_ROLLOUT, "", lambda found: found["metadata"])
    server.pages = [
        {"metadata": {"resourceVersion": "7"}, "items": [obj("a", 1), obj("b", 2)]},
        {"metadata": {"resourceVersion": "20"}, "items": [obj("b", 15)]},
    ]
    server.watches = [[{"type": "ERROR", "object": {"code": 410}}]]
    await following(mirror, server, 4)
    assert {key: meta["resourceVersion"] for key, meta in mirror.objects.items()} == {
        ("team", "b"): "15"
    }


async def test_work_is_done_for_each_and_a_failure_ends_it() -> None:
    """Many at a time, each once."""
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        if number == 50:
            raise ValueError("fifty")
        done.append(number)

    await each(range(50), work)
    assert sorted(done) == list(range(50))
    with pytest.raises(ExceptionGroup) as caught:
        await each(range(100), work)
    assert caught.group_contains(ValueError, match="fifty")
