"""A download from any store: retried, with one deadline for everything, never half used."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rampway_server.errors import StartError
from rampway_server.logs import logger

# Four tries and these pauses end within about 10 s, so that a store that is gone is soon told.
_PAUSES_S = (0.25, 0.5, 1.0)
CONNECT_S = 2.0
SILENCE_S = 10.0
CHUNK_BYTES = 1 << 20
_RETRIED_STATUS = {408, 425, 429}


class TransientError(Exception):
    """Trying again may help."""


class BrokenOffError(TransientError):
    """The store ended before the content did."""


@dataclass(frozen=True)
class Content:
    """What a store sends.

    Attributes:
        chunks: Raises TransientError or StartError, and nothing else.
        size: In bytes, where the store says so beforehand.
    """

    chunks: AsyncIterator[bytes]
    size: int | None


class Source(Protocol):
    """Something to download; `name` is shown to people and holds no secret."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    def open(self) -> AbstractAsyncContextManager[Content]:
        """Ask the store; raises TransientError or StartError."""
        ...


def refusal(name: str, status: int, told: str, what: str = "model store") -> Exception:
    """Return the error that an answer's status is: the store's failure, or its last word."""
    if status >= 500 or status in _RETRIED_STATUS:  # noqa: PLR2004  # HTTP's own number
        return TransientError(f"{what} failed {name}: {told}")
    return StartError(f"{what} refused {name}: {told}")


async def download(source: Source, into: Path, timeout_s: float, max_bytes: int) -> str:
    """Write what the source holds into a file and return its sha256.

    Raises:
        StartError: refused, unreachable after several tries, too slow, too large, or disk full.
    """
    started_s = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            return await _with_retries(source, into, max_bytes)
    except TimeoutError:
        raise StartError(
            f"model store too slow {source.name}: {_size(into)} bytes after {timeout_s:g} s "
            "(--fetch-timeout-s)"
        ) from None
    except TransientError as error:
        tries, took_s = len(_PAUSES_S) + 1, time.monotonic() - started_s
        raise StartError(f"{error} ({tries} tries in {took_s:.1f} s)") from error


async def _with_retries(source: Source, into: Path, max_bytes: int) -> str:
    for pause_s in _PAUSES_S:
        try:
            return await _once(source, into, max_bytes)
        except TransientError as error:
            logger().warning("download failed, trying again", reason=str(error), pause_s=pause_s)
        await asyncio.sleep(pause_s)
    return await _once(source, into, max_bytes)


async def _once(source: Source, into: Path, max_bytes: int) -> str:
    try:
        async with source.open() as content:
            return await _save(content, source.name, into, max_bytes)
    except BrokenOffError as error:
        raise TransientError(
            f"model store broke off {source.name} after {_size(into)} bytes"
        ) from error


async def _save(content: Content, name: str, into: Path, max_bytes: int) -> str:
    digest, size = hashlib.sha256(), 0
    try:
        with into.open("wb") as file:
            async for chunk in content.chunks:
                size += len(chunk)
                if max(size, content.size or 0) > max_bytes:
                    raise StartError(
                        f"model at {name} has more than {max_bytes} bytes (--max-model-bytes)"
                    )
                digest.update(chunk)
                file.write(chunk)
    except OSError as error:  # the disk's: a store's have become others before they come here
        raise StartError(f"cannot write the model to {into.parent}: {error.strerror}") from error
    if content.size not in {None, size}:
        raise BrokenOffError
    return digest.hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
