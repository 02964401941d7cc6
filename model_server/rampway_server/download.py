"""A download over http or https: retried, with one deadline for everything, never half used."""

import asyncio
import hashlib
import os
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from rampway_server.errors import StartError
from rampway_server.logs import logger

# Four tries and these pauses end within about 10 s, so that a store that is gone is soon told.
_PAUSES_S = (0.25, 0.5, 1.0)
_CONNECT_S = 2.0
_SILENCE_S = 10.0
_RETRIED_STATUS = {408, 425, 429}
_CHUNK_BYTES = 1 << 20


class _TransientError(Exception):
    """Trying again may help."""


def public(url: str) -> str:
    """Return the URL without what may be secret: user, password and the query's values."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


async def download(url: str, into: Path, timeout_s: float, max_bytes: int) -> str:
    """Write what the URL holds into a file and return its sha256.

    Raises:
        StartError: refused, unreachable after several tries, too slow, too large, or disk full.
    """
    started_s = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            return await _with_retries(url, into, max_bytes)
    except TimeoutError:
        raise StartError(
            f"model store too slow {public(url)}: {_size(into)} bytes after {timeout_s:g} s "
            "(--fetch-timeout-s)"
        ) from None
    except _TransientError as error:
        tries, took_s = len(_PAUSES_S) + 1, time.monotonic() - started_s
        raise StartError(f"{error} ({tries} tries in {took_s:.1f} s)") from error


async def _with_retries(url: str, into: Path, max_bytes: int) -> str:
    for pause_s in _PAUSES_S:
        try:
            return await _once(url, into, max_bytes)
        except _TransientError as error:
            logger().warning("download failed, trying again", reason=str(error), pause_s=pause_s)
        await asyncio.sleep(pause_s)
    return await _once(url, into, max_bytes)


async def _once(url: str, into: Path, max_bytes: int) -> str:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
    try:
        async with (
            # trust_env: a cluster may reach its store only through a proxy.
            aiohttp.ClientSession(
                timeout=timeout, trust_env=True, auto_decompress=False
            ) as session,
            session.get(url, headers={"Accept-Encoding": "identity"}) as answer,
        ):
            _check_status(answer, url)
            return await _save(answer, url, into, max_bytes)
    except aiohttp.InvalidURL as error:
        raise StartError(f"model URI {public(url)!r} is no URL of a file") from error
    except aiohttp.ClientPayloadError as error:
        raise _TransientError(
            f"model store broke off {public(url)} after {_size(into)} bytes"
        ) from error
    except aiohttp.ClientError as error:
        raise _TransientError(f"model store unreachable {public(url)}: {_why(error)}") from error


def _why(error: aiohttp.ClientError) -> str:
    """Return the system's words; the library's may hold a URL with a secret in its query."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection within {_CONNECT_S:g} s"
    if isinstance(error, aiohttp.SocketTimeoutError):
        return f"silent for {_SILENCE_S:g} s"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ssl.SSLError):
        return str(cause)
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)
    return type(cause).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_status(answer: aiohttp.ClientResponse, url: str) -> None:
    if answer.status == 200:  # noqa: PLR2004  # HTTP's own number
        return
    told = f"{public(url)}: {answer.status} {answer.reason or ''}".strip()
    if answer.status >= 500 or answer.status in _RETRIED_STATUS:  # noqa: PLR2004  # as above
        raise _TransientError(f"model store failed {told}")
    raise StartError(f"model store refused {told}")


async def _save(answer: aiohttp.ClientResponse, url: str, into: Path, max_bytes: int) -> str:
    digest, size = hashlib.sha256(), 0
    try:
        with into.open("wb") as file:
            async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                size += len(chunk)
                if max(size, answer.content_length or 0) > max_bytes:
                    raise StartError(
                        f"model at {public(url)} has more than {max_bytes} bytes "
                        "(--max-model-bytes)"
                    )
                digest.update(chunk)
                file.write(chunk)
    except aiohttp.ClientError:
        raise  # some are OSErrors too, but not the disk's
    except TimeoutError:
        raise
    except OSError as error:
        raise StartError(f"cannot write the model to {into.parent}: {error.strerror}") from error
    return digest.hexdigest()
