"""Web servers that want to know who asks, and Hugging Face's hub."""

from pathlib import Path

import pytest
from aiohttp import web as aio
from unit.server.stores import CONTENT, DIGEST, serving

from rampway_server import store
from rampway_server.errors import StartError
from rampway_server.settings import Settings
from rampway_server.web import Web, hub


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a cache of the test's own."""
    return Settings(cache_dir=tmp_path / "cache")


async def _guarded(request: aio.Request) -> aio.Response:
    if request.headers.get("Authorization") != "Bearer abc":
        return aio.Response(status=401)
    return aio.Response(body=CONTENT)


async def test_authorization_is_sent(settings: Settings) -> None:
    """A guarded web server hands the model to who shows what the Secret says."""
    async with serving(_guarded) as url:
        with pytest.raises(StartError, match=r"refused .*: 401 Unauthorized"):
            await store.fetch(_with(settings, url, ""))
        assert await store.fetch(_with(settings, url, "Bearer abc")) == (CONTENT, DIGEST)


async def test_authorization_is_sent_to_no_other_host(settings: Settings) -> None:
    """A redirect to another address, as the hub and signed URLs make, gets no token."""
    seen: list[str | None] = []

    async def other(request: aio.Request) -> aio.Response:
        seen.append(request.headers.get("Authorization"))
        return aio.Response(body=CONTENT)

    async with serving(other) as there:

        async def redirect(request: aio.Request) -> aio.Response:
            seen.append(request.headers.get("Authorization"))
            raise aio.HTTPFound(there)

        async with serving(redirect) as url:
            assert await store.fetch(_with(settings, url, "Bearer abc")) == (CONTENT, DIGEST)
    assert seen == ["Bearer abc", None]


def test_token_is_not_shown() -> None:
    """Neither a repr nor the name in messages holds what proves who asks."""
    source = Web("https://user:word@host/m?token=abc", "Bearer abc")
    assert source.name == "https://host/m?…"
    assert "Bearer" not in repr(source)


async def test_hub_is_asked_like_its_own_library_does(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hf://owner/name@revision/path, with the token and endpoint of the library's variables."""
    asked: list[str] = []

    async def answer(request: aio.Request) -> aio.Response:
        asked.append(request.raw_path)
        return await _guarded(request)

    async with serving(answer) as url:
        monkeypatch.setenv("HF_ENDPOINT", url.removesuffix("/m"))
        monkeypatch.setenv("HF_TOKEN", "abc")
        uri = "hf://owner/name@refs%2Fpr%2F1/deep/a%20model.skops"
        assert await store.fetch(_with(settings, uri, "")) == (CONTENT, DIGEST)
    assert asked == ["/owner/name/resolve/refs%2Fpr%2F1/deep/a%20model.skops"]


def test_hub_without_a_revision_means_main() -> None:
    """The hub's default branch, at the hub's own address, without a token."""
    found = hub("hf://owner/name/m.skops", {})
    assert found == Web("https://huggingface.co/owner/name/resolve/main/m.skops", "")


def _with(settings: Settings, uri: str, authorization: str) -> Settings:
    return Settings(cache_dir=settings.cache_dir, uri=uri, authorization=authorization)
