"""The API server for a bench with thousands of objects: many calls at a time, and watches.

kubectl would be a process for each; the operator's own client has no watches.
"""

import asyncio
import base64
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import orjson
import yaml

from rampway.kube.kinds import Kind

Obj = dict[str, Any]
T = TypeVar("T")

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
PAGE = 500
CALL_S = 60.0
WATCH_S = 300
TRIES = 6
FIRST_WAIT_S = 0.25
AT_ONCE = 16
CONFLICT, GONE, NOT_FOUND = 409, 410, 404
PASSING = frozenset({429, 500, 502, 503, 504})
TROUBLE = (aiohttp.ClientError, TimeoutError, OSError)


class Refused(RuntimeError):  # noqa: N818 - named after what it is
    """The API server said no; the message holds what was asked, and its words."""

    def __init__(self, status: int, asked: str, said: str) -> None:
        super().__init__(f"{asked}: status {status}: {said}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Api:
    """Calls to one API server; passing faults are tried again."""

    session: aiohttp.ClientSession
    server: str

    async def call(
        self,
        method: str,
        path: str,
        body: Obj | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Obj:
        """Send one request; return the answer's object.

        Raises:
            Refused: the server says no, or not yet for too long.
        """
        for number in range(TRIES):
            last = number == TRIES - 1
            try:
                return await self._once(method, path, body, content_type, query or {})
            except Refused as error:
                if error.status not in PASSING or last:
                    raise
            except TROUBLE:
                if last:
                    raise
            await asyncio.sleep(FIRST_WAIT_S * 2**number)
        raise AssertionError("the last try returns or raises")

    async def _once(
        self, method: str, path: str, body: Obj | None, content_type: str, query: Mapping[str, str]
    ) -> Obj:
        data = None if body is None else orjson.dumps(body)
        timeout = aiohttp.ClientTimeout(total=CALL_S)
        async with self.session.request(
            method, self.server + path, data=data, params=query, timeout=timeout,
            headers={"Content-Type": content_type},
        ) as answer:  # fmt: skip
            text = await answer.read()
            if answer.status >= 400:
                raise Refused(answer.status, f"{method} {path}", _words(text))
            found: Obj = orjson.loads(text)
            return found

    async def create(self, kind: Kind, obj: Obj) -> Obj:
        """Create an object; one that is there already is returned as it is."""
        meta = obj["metadata"]
        path = kind.path(meta.get("namespace"))
        try:
            return await self.call("POST", path, obj)
        except Refused as error:
            if error.status != CONFLICT:
                raise
        return await self.get(kind, meta.get("namespace"), meta["name"])

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Obj:
        """Return one object."""
        return await self.call("GET", kind.path(namespace, name))

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, patch: Obj, *,
        content_type: str = MERGE, subresource: str = "",
    ) -> Obj:  # fmt: skip
        """Change an object."""
        return await self.call(
            "PATCH", kind.path(namespace, name, subresource), patch, content_type
        )

    async def delete(self, kind: Kind, namespace: str | None, name: str) -> None:
        """Begin to delete an object; one that is gone is fine."""
        try:
            await self.call("DELETE", kind.path(namespace, name))
        except Refused as error:
            if error.status != NOT_FOUND:
                raise

    async def every(
        self, kind: Kind, namespace: str | None = None, selector: str = ""
    ) -> list[Obj]:
        """Return all objects with these labels."""
        return (await self.snapshot(kind, namespace, selector))[0]

    async def snapshot(
        self, kind: Kind, namespace: str | None = None, selector: str = ""
    ) -> tuple[list[Obj], str]:
        """Return all objects with these labels, and the version from which to watch."""
        query = {"limit": str(PAGE), "labelSelector": selector, "continue": ""}
        found: list[Obj] = []
        while True:
            page = await self.call("GET", kind.path(namespace), query=query)
            found += page.get("items") or []
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return found, str(page["metadata"]["resourceVersion"])

    async def watch(self, kind: Kind, version: str, selector: str) -> AsyncIterator[Obj]:
        """Yield what happens to all objects of a kind, until the server ends the watch."""
        query = {
            "watch": "true", "resourceVersion": version, "labelSelector": selector,
            "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S),
        }  # fmt: skip
        timeout = aiohttp.ClientTimeout(total=None, sock_read=WATCH_S + 30)
        url = self.server + kind.path()
        async with self.session.get(url, params=query, timeout=timeout) as answer:
            if answer.status >= 400:
                raise Refused(answer.status, f"watch {kind.plural}", _words(await answer.read()))
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield orjson.loads(line)


def _words(text: bytes) -> str:
    try:
        return str(orjson.loads(text)["message"])[:500]
    except (ValueError, LookupError, TypeError):
        return text[:200].decode(errors="replace")


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Api]:
    """Give a client with the first user of a kubeconfig that holds its certificates."""
    server, tls = credentials(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=tls, limit=4 * AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Api(session, server)


def credentials(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    """Return the address of a kubeconfig's first cluster, and its first user's certificate."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    tls = ssl.create_default_context(cadata=authority)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("client-certificate-data", "client-key-data")]
        for path in paths:
            path.touch(mode=0o600)
            path.write_bytes(base64.b64decode(user[path.name]))
        tls.load_cert_chain(paths[0], paths[1])
    return cluster["server"].rstrip("/"), tls


@dataclass(slots=True)
class Mirror:
    """A copy of all objects of a kind, kept by a watch.

    Attributes:
        keep: What of an object is kept.
        told: Hears of each object as it came, before its copy is changed; not of deletions.
    """

    api: Api
    kind: Kind
    selector: str
    keep: Callable[[Obj], Obj]
    told: Callable[[Obj], None] = lambda _: None
    objects: dict[tuple[str, str], Obj] = field(default_factory=dict)
    synced: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Keep the copy until cancelled."""
        while True:
            try:
                version = await self._list()
                self.synced.set()
                while version:
                    version = await self._follow(version)
            except (Refused, *TROUBLE):
                await asyncio.sleep(1.0)

    async def _list(self) -> str:
        found, version = await self.api.snapshot(self.kind, selector=self.selector)
        there = {_key(obj) for obj in found}
        for obj in found:
            self._take(obj)
        for key in self.objects.keys() - there:
            del self.objects[key]
        return version

    async def _follow(self, version: str) -> str:
        """Take in one watch; return from where to go on, empty if all has to be listed again."""
        async for event in self.api.watch(self.kind, version, self.selector):
            obj = event["object"]
            if event["type"] == "ERROR":
                return ""
            version = str(obj["metadata"]["resourceVersion"])
            if event["type"] == "DELETED":
                self.objects.pop(_key(obj), None)
            elif event["type"] != "BOOKMARK":
                self._take(obj)
        return version

    def _take(self, obj: Obj) -> None:
        self.told(obj)
        self.objects[_key(obj)] = self.keep(obj)


def _key(obj: Obj) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


async def each(items: Iterable[T], work: Callable[[T], Awaitable[object]]) -> None:
    """Do the work for each item, so many at once; the first failure ends it all."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
