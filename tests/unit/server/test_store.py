"""Where models come from, and what is said when they cannot be had (B28)."""

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web as aio
from unit.server.stores import CONTENT, DIGEST, OTHER, Handler, serving
from unit.server.waiting import DEADLINE_S

from rampway_server import download, store, web
from rampway_server.errors import StartError
from rampway_server.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a cache and a models folder of the test's own."""
    return Settings(cache_dir=tmp_path / "cache", models_dir=tmp_path / "models")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without long pauses."""
    monkeypatch.setattr(download, "_PAUSES_S", (0.01, 0.01, 0.01))


async def _fetch(settings: Settings, uri: str, **more: object) -> tuple[bytes, str]:
    return await store.fetch(dataclasses.replace(settings, uri=uri, **more))  # type: ignore[arg-type]


async def _outcome(settings: Settings, uri: str, **more: object) -> object:
    """Return what was fetched, or the sentence that says why it was not."""
    try:
        return await _fetch(settings, uri, **more)
    except StartError as error:
        return str(error)


async def _content(_: aio.Request) -> aio.Response:
    return aio.Response(body=CONTENT)


async def test_file_is_read(settings: Settings, tmp_path: Path) -> None:
    """file:///path is read, and its digest returned; percent escapes are undone."""
    path = tmp_path / "a model"
    path.write_bytes(CONTENT)
    assert await _fetch(settings, f"file://{tmp_path}/a%20model") == (CONTENT, DIGEST)


async def test_claim_is_read_where_it_is_mounted(settings: Settings) -> None:
    """pvc://claim/path is the file that the operator has mounted under the models folder."""
    path = settings.models_dir / "claim" / "deep" / "m.skops"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert await _fetch(settings, "pvc://claim/deep/m.skops") == (CONTENT, DIGEST)


async def test_download_is_cached_under_its_digest(settings: Settings) -> None:
    """A download of a known digest is not repeated by the pod's next container."""
    async with serving(_content) as url:
        assert await _fetch(settings, url) == (CONTENT, DIGEST)
    assert [path.name for path in settings.cache_dir.iterdir()] == [f"{DIGEST}.model"]
    assert await _fetch(settings, url, sha256=DIGEST) == (CONTENT, DIGEST)


async def test_damaged_cache_is_not_believed(settings: Settings) -> None:
    """A cached file of the right name and other bytes is fetched anew."""
    settings.cache_dir.mkdir()
    (settings.cache_dir / f"{DIGEST}.model").write_bytes(b"other")
    async with serving(_content) as url:
        assert await _outcome(settings, url, sha256=DIGEST) == (CONTENT, DIGEST)


@pytest.mark.parametrize("scheme", ["file", "http"])
async def test_b3_wrong_digest_is_refused(scheme: str, settings: Settings, tmp_path: Path) -> None:
    """B3, B28: other bytes than the manifest's are refused, with both digests and their origin."""
    (tmp_path / "m").write_bytes(CONTENT)
    async with serving(_content) as url:
        uri = url if scheme == "http" else f"file://{tmp_path}/m"
        with pytest.raises(StartError) as refused:
            await _fetch(settings, uri, sha256=OTHER)
    expected = f"wrong digest: got {DIGEST}, expected {OTHER} (spec.model.sha256)"
    assert str(refused.value) == expected
    if scheme == "http":
        assert list(settings.cache_dir.iterdir()) == []


async def test_b3_digest_first_loaded_is_enforced(settings: Settings, tmp_path: Path) -> None:
    """B3: a later pod of the revision refuses other bytes; an empty file demands nothing."""
    (tmp_path / "m").write_bytes(CONTENT)
    first = tmp_path / "first"
    uri = f"file://{tmp_path}/m"
    first.write_text("")
    assert (await _fetch(settings, uri, sha256_file=str(first)))[1] == DIGEST
    first.write_text(DIGEST)
    assert (await _fetch(settings, uri, sha256_file=str(first)))[1] == DIGEST
    first.write_text(OTHER)
    with pytest.raises(StartError, match=r"\(the digest this revision first loaded\)"):
        await _fetch(settings, uri, sha256_file=str(first))


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("ftp://host/m", "has scheme 'ftp'; expected file:///path, pvc://claim/path"),
        ("s3://bucket", "is not of the form s3://bucket/key"),
        ("az:///m", "is not of the form az://bucket/key"),
        ("hf://owner/name", "is not of the form hf://owner/name[@revision]/path"),
        ("m.skops", "has scheme ''"),
        ("file://host/m", "names no absolute path"),
        ("file:///no/such/m", "cannot read model file /no/such/m"),
        ("file:///", "Is a directory"),
        ("pvc://claim", "is not of the form pvc://claim/path/in/it"),
        ("pvc:///m", "is not of the form"),
        ("pvc://claim/../other/m", "is not of the form"),
        ("pvc://claim/m", "No such file or directory"),
        ("http://", "is no URL of a file"),
    ],
)
async def test_bad_uris_are_told(uri: str, sentence: str, settings: Settings) -> None:
    """B28: a URI that cannot be read is told with what is wrong about it."""
    with pytest.raises(StartError) as refused:
        await _fetch(settings, uri)
    assert sentence in str(refused.value)


async def test_too_large_a_model_is_refused(settings: Settings, tmp_path: Path) -> None:
    """A model over the limit is refused before it fills memory or disk."""
    (tmp_path / "m").write_bytes(CONTENT)
    with pytest.raises(StartError, match="at most 10 are accepted"):
        await _fetch(settings, f"file://{tmp_path}/m", max_model_bytes=10)
    async with serving(_content) as url:
        with pytest.raises(StartError, match="has more than 10 bytes"):
            await _fetch(settings, url, max_model_bytes=10)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_b28_refusal_is_told_at_once(status: int, settings: Settings) -> None:
    """B28: a store's 4xx is final and shown in its own words."""
    asked = 0

    async def refuse(_: aio.Request) -> aio.Response:
        nonlocal asked
        asked += 1
        return aio.Response(status=status)

    async with serving(refuse) as url:
        with pytest.raises(StartError) as refused:
            await _fetch(settings, url)
    assert str(refused.value).startswith(f"model store refused {url}: {status} ")
    assert asked == 1


async def _unavailable(_: aio.Request) -> aio.StreamResponse:
    return aio.Response(status=503)


async def _broken_off(request: aio.Request) -> aio.StreamResponse:
    reply = aio.StreamResponse(headers={"Content-Length": str(len(CONTENT))})
    await reply.prepare(request)
    await reply.write(CONTENT[:500])
    assert request.transport is not None
    request.transport.close()
    return reply


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [
        (_unavailable, "model store failed {url}: 503 Service Unavailable (4 tries in "),
        (_broken_off, "model store broke off {url} after "),
    ],
)
async def test_b28_lasting_failure_is_told_after_four_tries(
    handler: Handler, sentence: str, settings: Settings
) -> None:
    """B28: what may pass is tried four times; a partial download is never left or used."""
    async with serving(handler) as url:
        with pytest.raises(StartError) as failed:
            await _fetch(settings, url)
    assert str(failed.value).startswith(sentence.format(url=url))
    assert list(settings.cache_dir.iterdir()) == []


async def test_passing_failure_is_survived(settings: Settings) -> None:
    """A store that fails, breaks off, then answers gives the whole model."""
    handlers: list[Handler] = [_unavailable, _broken_off, _content]

    async def next_handler(request: aio.Request) -> aio.StreamResponse:
        return await handlers.pop(0)(request)

    async with serving(next_handler) as url:
        assert await _outcome(settings, url) == (CONTENT, DIGEST)


class Short:
    """A source that announces more than it gives, and ends as if all were well."""

    name = "store/m"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[download.Content]:
        """Announce ten bytes and give three."""

        async def chunks() -> AsyncIterator[bytes]:
            yield b"abc"

        yield download.Content(chunks(), 10)


async def test_b28_less_than_announced_is_no_model(tmp_path: Path) -> None:
    """B28: what is shorter than the store said beforehand is a download broken off."""
    with pytest.raises(StartError, match=r"broke off store/m after 3 bytes \(4 tries"):
        await download.download(Short(), tmp_path / "m", DEADLINE_S, 100)


async def test_b28_unreachable_store_is_told(settings: Settings) -> None:
    """B28: a refused connection is told with the system's words and without secrets."""
    async with serving(_content) as url:
        pass
    secret = url.replace("http://", "http://user:word@") + "?token=abc"
    with pytest.raises(StartError) as failed:
        await _fetch(settings, secret)
    told = str(failed.value)
    assert told.startswith(f"model store unreachable {url}?…: Connection refused ")
    assert "(4 tries in" in told
    assert "word" not in told
    assert "abc" not in told


async def test_b28_slow_store_meets_one_deadline(settings: Settings) -> None:
    """B28: a store that drips bytes is given up at the deadline of the whole download."""

    async def drip(request: aio.Request) -> aio.StreamResponse:
        reply = aio.StreamResponse(headers={"Content-Length": str(len(CONTENT))})
        await reply.prepare(request)
        while True:
            await reply.write(b"x")
            await asyncio.sleep(0.02)

    async with serving(drip) as url:
        with pytest.raises(StartError, match=r"model store too slow .* after 0\.3 s"):
            await _fetch(settings, url, fetch_timeout_s=0.3)
    assert list(settings.cache_dir.iterdir()) == []


async def test_b28_silent_store_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B28: a store that accepts and says nothing is told as silent."""
    monkeypatch.setattr(web, "SILENCE_S", 0.05)

    async def silent(_: aio.Request) -> aio.StreamResponse:
        never: asyncio.Future[aio.StreamResponse] = asyncio.get_running_loop().create_future()
        return await never

    async with serving(silent) as url:
        with pytest.raises(StartError, match=r"model store unreachable .*: silent for 0\.05 s"):
            await _fetch(settings, url)


async def test_b28_store_that_hangs_up_is_told(settings: Settings) -> None:
    """B28: a store that closes the connection without a word is told so, without the query."""

    async def hang_up(request: aio.Request) -> aio.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return aio.Response()

    async with serving(hang_up) as url:
        with pytest.raises(StartError, match="ServerDisconnectedError") as failed:
            await _fetch(settings, url + "?token=abc")
    assert "abc" not in str(failed.value)


async def test_b28_unencrypted_store_is_told(settings: Settings) -> None:
    """B28: https to a store that speaks http is told in the words of the TLS library."""
    async with serving(_content) as url:
        with pytest.raises(StartError, match=r"unreachable https://.*: \[SSL"):
            await _fetch(settings, url.replace("http://", "https://"))


async def test_b28_unknown_host_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B28: a host without an address is told in the resolver's words."""
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def unknown(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(StartError, match="unreachable http://store/m: Name or service not known"):
        await _fetch(settings, "http://store/m")


async def test_b28_full_disk_is_told(settings: Settings) -> None:
    """B28: a disk without room is told as such, not as the store's failure."""
    settings.cache_dir.mkdir()
    async with serving(_content) as url:
        with pytest.raises(StartError, match=r"cannot write the model to /dev: No space left"):
            await download.download(web.Web(url), Path("/dev/full"), DEADLINE_S, 10**6)


async def test_unwritable_cache_is_told(settings: Settings, tmp_path: Path) -> None:
    """A cache folder that cannot be made is told by its path."""
    (tmp_path / "file").touch()
    async with serving(_content) as url:
        with pytest.raises(StartError, match="cannot write to cache"):
            await _fetch(settings, url, cache_dir=tmp_path / "file" / "cache")
