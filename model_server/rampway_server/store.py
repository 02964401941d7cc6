"""Where models come from: a file, a mounted claim, or a store; digests are checked."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rampway_server import objects, web
from rampway_server.cache import Cache
from rampway_server.download import Source, download
from rampway_server.errors import StartError
from rampway_server.settings import Settings, read_digest_file

EXPECTED = (
    "file:///path, pvc://claim/path, http://…, https://…, s3://bucket/key, gs://bucket/key, "
    "az://container/key or hf://owner/name/path"
)


@dataclass(frozen=True)
class Demand:
    """A digest that the model's bytes must have, and who demands it."""

    sha256: str
    origin: str


def demands(settings: Settings) -> list[Demand]:
    """Return the digests that the model's bytes must have."""
    given = [
        Demand(settings.sha256, "spec.model.sha256"),
        Demand(read_digest_file(settings.sha256_file), "the digest this revision first loaded"),
    ]
    return [demand for demand in given if demand.sha256]


async def fetch(settings: Settings) -> tuple[bytes, str]:
    """Return the model's bytes and their sha256, checked against every demand.

    Raises:
        StartError: it cannot be had, is too large, or has another digest.
    """
    wanted = demands(settings)
    scheme = urlsplit(settings.uri).scheme
    if scheme == "file":
        path = _file(settings.uri)
    elif scheme == "pvc":
        path = _claim(settings.uri, settings.models_dir)
    else:
        path = await _cached(_source(scheme, settings), settings, wanted)
    # In a thread: the liveness probe must be answered while a large file is read.
    data, digest = await asyncio.to_thread(_read, path, settings)
    _check(digest, wanted)
    return data, digest


def _check(digest: str, wanted: Sequence[Demand]) -> None:
    for demand in wanted:
        if digest != demand.sha256:
            raise StartError(
                f"wrong digest: got {digest}, expected {demand.sha256} ({demand.origin})"
            )


def _file(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise StartError(f"model URI {uri!r} names no absolute path; expected file:///path")
    return Path(unquote(parts.path))


def _claim(uri: str, models_dir: Path) -> Path:
    """Return where the operator has mounted the claim, read-only, plus the path inside."""
    parts = urlsplit(uri)
    inside = Path(unquote(parts.path).lstrip("/"))
    if not parts.netloc or inside == Path() or ".." in inside.parts:
        raise StartError(f"model URI {uri!r} is not of the form pvc://claim/path/in/it")
    return models_dir / parts.netloc / inside


def _read(path: Path, settings: Settings) -> tuple[bytes, str]:
    try:
        size = path.stat().st_size
        if size > settings.max_model_bytes:
            raise StartError(
                f"model file {path} has {size} bytes; at most {settings.max_model_bytes} are "
                "accepted (--max-model-bytes)"
            )
        data = path.read_bytes()
    except OSError as error:
        raise StartError(
            f"cannot read model file {path} ({settings.uri.split('?')[0]}): {error.strerror}"
        ) from error
    return data, hashlib.sha256(data).hexdigest()


def _source(scheme: str, settings: Settings) -> Source:
    if scheme in {"http", "https"}:
        return web.Web(settings.uri, settings.authorization)
    if scheme == "hf":
        return web.hub(settings.uri)
    if scheme in objects.SCHEMES:
        return objects.Object(settings.uri, settings.fetch_timeout_s)
    raise StartError(f"model URI {settings.uri!r} has scheme {scheme!r}; expected {EXPECTED}")


async def _cached(source: Source, settings: Settings, wanted: Sequence[Demand]) -> Path:
    """Return the download, or what an earlier container or another pod left of its digest."""
    cache = Cache(settings.cache_dir, settings.max_cache_bytes)
    cache.prepare()
    known = wanted[0].sha256 if wanted else ""
    async with cache.partial(known, settings.fetch_timeout_s) as partial:
        found = await cache.find(known) if known else None
        if found is not None:
            return found
        digest = await download(source, partial, settings.fetch_timeout_s, settings.max_model_bytes)
        _check(digest, wanted)
        return cache.keep(partial, digest)
