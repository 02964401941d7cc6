"""The folder of downloads: shared, bounded, and left clean whoever is killed."""

import asyncio
import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web as aio
from unit.server.stores import CONTENT, DIGEST, OTHER, serving
from unit.server.waiting import DEADLINE_S

from rampway_server import store
from rampway_server.cache import Cache
from rampway_server.errors import StartError
from rampway_server.settings import Settings


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A cache that keeps up to three models of the test's size."""
    found = Cache(tmp_path / "cache", 3 * len(CONTENT))
    found.prepare()
    return found


def _files(cache: Cache) -> set[str]:
    return {path.name for path in cache.folder.iterdir()}


async def test_pods_of_a_node_download_once(tmp_path: Path) -> None:
    """Five that want the same digest at once: one asks the store, all get the model."""
    asked = 0

    async def slow(_: aio.Request) -> aio.Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.2)
        return aio.Response(body=CONTENT)

    async with serving(slow) as url:
        settings = Settings(cache_dir=tmp_path / "cache", uri=url, sha256=DIGEST)
        found = await asyncio.gather(*(store.fetch(settings) for _ in range(5)))
    assert found == [(CONTENT, DIGEST)] * 5
    assert asked == 1


async def test_who_waits_too_long_goes_alone(cache: Cache) -> None:
    """A pod whose download hangs holds up no other for ever."""

    async def second() -> Path:
        async with cache.partial(DIGEST, 0.05) as path:
            return path

    async with cache.partial(DIGEST, 1) as first:
        done, _ = await asyncio.wait({asyncio.create_task(second())}, timeout=DEADLINE_S)
        assert [one.result() != first for one in done] == [True]
    assert _files(cache) == set()


async def test_unknown_digests_do_not_wait(cache: Cache) -> None:
    """Two first pods of revisions nobody knows the digest of have a file each."""
    wait_s = 3600.0
    async with (
        asyncio.timeout(DEADLINE_S),
        cache.partial("", wait_s) as first,
        cache.partial("", wait_s) as second,
    ):
        assert first != second


def test_leftovers_of_the_killed_are_removed(cache: Cache) -> None:
    """A download whose process was killed is removed; one under way stays."""
    path = cache.folder / "a.partial"
    code = f"from rampway_server import cache; from pathlib import Path; import sys; \
held = cache._hold(Path({str(path)!r})); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        cache.prepare()
        assert _files(cache) == {"a.partial"}
        process.kill()
        process.wait()
    cache.prepare()
    assert _files(cache) == set()


async def test_what_was_used_longest_ago_goes_first(cache: Cache) -> None:
    """Beyond its size the cache drops models; finding one counts as use."""
    digests = []
    for number in range(4):
        data = bytes([number]) * len(CONTENT)
        digests.append(hashlib.sha256(data).hexdigest())
        if number == 3:
            assert await cache.find(digests[0]) is not None
        async with cache.partial("", 1) as partial:
            partial.write_bytes(data)
            kept = cache.keep(partial, digests[-1])
        if number < 3:
            os.utime(kept, (number, number))
    kept_names = {f"{digests[number]}.model" for number in (0, 2, 3)}
    assert _files(cache) == kept_names


async def test_too_small_a_cache_keeps_what_is_needed_now(tmp_path: Path) -> None:
    """The model just fetched is never dropped, whatever its size."""
    cache = Cache(tmp_path, 1)
    async with cache.partial("", 1) as partial:
        partial.write_bytes(CONTENT)
        path = cache.keep(partial, DIGEST)
    assert path.read_bytes() == CONTENT


async def test_b3_shared_cache_is_not_believed(tmp_path: Path) -> None:
    """B3: what another pod has put there under a digest must have it."""

    async def other(_: aio.Request) -> aio.Response:
        return aio.Response(body=b"other")

    async with serving(other) as url:
        settings = Settings(cache_dir=tmp_path, uri=url)
        (tmp_path / f"{OTHER}.model").write_bytes(CONTENT)
        with pytest.raises(StartError, match="wrong digest"):
            await store.fetch(dataclasses.replace(settings, sha256=OTHER))
