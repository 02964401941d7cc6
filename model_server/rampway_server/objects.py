"""Objects of stores, read and written: S3 and what speaks like it, Google Cloud, Azure Blob."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

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

SCHEMES = ("s3", "gs", "az")
_TRIES = 4
# What asks a cloud's machines for credentials: reached only where none were given.
_METADATA = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")
_STATUS = re.compile(r"status code: (\d{3})( [A-Z][\w ]*)?")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_ASKED = re.compile(r"performing \w+ (\w+://[^\s?]+)")
_WORDS = re.compile(r'(?:message|error): "([^"]+)"')
_KIND = re.compile(r"\b([A-Z][a-z]+(?:[A-Z][a-z]+)+)\b(?=[,)\s]*[,)])")


@dataclass(frozen=True)
class Object:
    """An object of a bucket or container.

    Endpoint, region and credentials come from the environment, by the names that the clouds' own
    tools use (AWS_…, GOOGLE_…, AZURE_…), else from the machine that this runs on.

    Args:
        uri: s3://bucket/key, gs://bucket/key or az://container/key.
        timeout_s: After which the library may give up; whoever downloads has a deadline of its own.
        what: What the store is called in messages.
    """

    uri: str
    timeout_s: float
    what: str = "model store"

    @property
    def name(self) -> str:
        """The URI, which holds no secret."""
        return self.uri

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Content]:
        """Ask for the object."""
        import obstore  # 16 MB that files and claims do not need

        with self._told():
            # Tried again by the download, as any other source.
            found = await obstore.get_async(self._store(tries=1), self._key)
            yield Content(self._chunks(found), found.meta["size"])

    def put(self, content: bytes) -> None:
        """Write the object, whole or not at all.

        Raises:
            TransientError, StartError: in the store's words, after several tries where they help.
        """
        import obstore

        with self._told():
            # In one piece: of an upload in parts that breaks off the store would keep the parts.
            obstore.put(self._store(tries=_TRIES), self._key, content, use_multipart=False)

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.uri).path).lstrip("/")

    async def _chunks(self, found: Any) -> AsyncIterator[bytes]:
        from obstore.exceptions import BaseError

        try:
            async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)
        except BaseError as error:
            raise BrokenOffError from error

    def _store(self, tries: int) -> Any:
        from obstore import store

        parts = urlsplit(self.uri)
        if not parts.netloc or not parts.path.strip("/"):
            raise StartError(
                f"model URI {self.uri!r} is not of the form {parts.scheme}://bucket/key"
            )
        kind: Any = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}
        return kind[parts.scheme](
            parts.netloc,
            client_options={
                "allow_http": True,  # an endpoint is https unless whoever set it wrote http
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "read_timeout": timedelta(seconds=SILENCE_S),
                "timeout": timedelta(seconds=self.timeout_s),
            },
            retry_config={
                "max_retries": tries - 1,
                "retry_timeout": timedelta(seconds=self.timeout_s if tries > 1 else 0),
            },
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise self._error(str(error)) from error

    def _error(self, text: str) -> Exception:
        """Return what the library's words mean; they may hold a URL with a secret in its query."""
        told, _, debug = text.partition("\n\nDebug source:")
        asked = _ASKED.search(told)
        if asked and any(host in asked[1] for host in _METADATA):
            return TransientError(
                f"no credentials for {self.uri}: none in the environment, and none from {asked[1]}"
            )
        status = _STATUS.search(told)
        if status:
            code = _CODE.search(told)
            words = f"{status[1]}{(status[2] or '').rstrip()}" + (f" ({code[1]})" if code else "")
            return refusal(self.uri, int(status[1]), words, self.what)
        if asked is None:
            return StartError(f"{self.what} {self.uri} cannot be asked: {told.splitlines()[0]}")
        return TransientError(
            f"{self.what} unreachable {self.uri} ({asked[1]}): {_why(told, debug)}"
        )


def _why(told: str, debug: str) -> str:
    """Return the words of whoever failed at the bottom, which only the debugging text has."""
    if "TimedOut" in debug:
        return f"no answer within {CONNECT_S:g} s for a connection, or {SILENCE_S:g} s of silence"
    words = _WORDS.findall(debug) or _KIND.findall(debug)
    return words[-1] if words else told.rpartition(": ")[2]
