"""Models from web servers: http, https, and Hugging Face's hub, which is one."""

import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import aiohttp

from rampway_server.download import (
    CHUNK_BYTES,
    CONNECT_S,
    SILENCE_S,
    BrokenOffError,
    Content,
    TransientError,
    refusal,
)
from rampway_server.errors import StartError

_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Web:
    """A file of a web server.

    Args:
        authorization: The header of that name, or empty; never sent on to another host.
    """

    url: str
    authorization: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The URL without what may be secret: user, password and the query's values."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Content]:
        """Send the request; raise unless the answer is 200."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        headers = {"Accept-Encoding": "identity"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        with self._told():
            async with (
                # trust_env: a cluster may reach its store only through a proxy.
                aiohttp.ClientSession(
                    timeout=timeout, trust_env=True, auto_decompress=False
                ) as session,
                session.get(self.url, headers=headers) as answer,
            ):
                if answer.status != 200:  # noqa: PLR2004  # HTTP's own number
                    told = f"{answer.status} {answer.reason or ''}".strip()
                    raise refusal(self.name, answer.status, told)
                yield Content(self._chunks(answer), answer.content_length)

    async def _chunks(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        with self._told():
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                yield chunk

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except aiohttp.InvalidURL as error:
            raise StartError(f"model URI {self.name!r} is no URL of a file") from error
        except aiohttp.ClientPayloadError as error:
            raise BrokenOffError from error
        except aiohttp.ClientError as error:
            raise TransientError(f"model store unreachable {self.name}: {_why(error)}") from error


def hub(uri: str, environ: Mapping[str, str] = os.environ) -> Web:
    """Return the file of `hf://OWNER/NAME[@REVISION]/PATH`, by the hub's URL for downloads.

    The variables are those of Hugging Face's own library: HF_ENDPOINT and HF_TOKEN.

    Raises:
        StartError: the URI has another form.
    """
    parts = urlsplit(uri)
    name, _, path = parts.path.lstrip("/").partition("/")
    name, _, revision = name.partition("@")
    if not (parts.netloc and name and path):
        raise StartError(f"model URI {uri!r} is not of the form hf://owner/name[@revision]/path")
    endpoint = environ.get("HF_ENDPOINT") or _HUB
    where = f"{parts.netloc}/{name}/resolve/{quote(unquote(revision or 'main'), safe='')}"
    token = environ.get("HF_TOKEN", "")
    url = f"{endpoint.rstrip('/')}/{where}/{quote(unquote(path))}"
    return Web(url, f"Bearer {token}" if token else "")


def _why(error: aiohttp.ClientError) -> str:
    """Return the system's words; the library's may hold a URL with a secret in its query."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection within {CONNECT_S:g} s"
    if isinstance(error, aiohttp.SocketTimeoutError):
        return f"silent for {SILENCE_S:g} s"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ssl.SSLError):
        return str(cause)
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)
    return type(cause).__name__
