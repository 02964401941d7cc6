"""The few pages of an API server that kopf reads, with one object of each kind."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from rampway.api import labels
from rampway.handlers import OWN_KINDS
from rampway.kube.kinds import LEASE, MODEL_DEPLOYMENT, NAMESPACE, Kind
from rampway.shell.shared import KINDS as SHARED_KINDS

CRD = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CRD", namespaced=False)
KINDS = (MODEL_DEPLOYMENT, *OWN_KINDS, *SHARED_KINDS, NAMESPACE, CRD)
Obj = dict[str, Any]


@dataclass
class Pages:
    """A server of lists and watches; it notes all that is not a GET, and the label selectors.

    Attributes:
        news: Events for each kind's watch, by plural.
        selectors: Label selectors of lists and watches, by plural.
        writes: Method and path of everything that would change something.
        away: Every request is answered by 503.
        refused: So many were.
    """

    news: dict[str, asyncio.Queue[Obj]] = field(
        default_factory=lambda: {k.plural: asyncio.Queue() for k in KINDS}
    )
    selectors: dict[str, set[str]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    url: str = ""
    away: bool = False
    refused: int = 0

    def tell(self, kind: Kind, name: str, **found: str) -> None:
        """Let the watch of a kind bring an object that changed, with these labels."""
        self.news[kind.plural].put_nowait({"type": "MODIFIED", "object": obj(kind, name, found)})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer any request."""
        if self.away:
            self.refused += 1
            return web.json_response({}, status=503)
        if request.method != "GET":
            self.writes.append(f"{request.method} {request.path}")
            return web.json_response({}, status=403)
        if LEASE.plural in request.path:
            return web.json_response({}, status=404)
        kind = next((k for k in KINDS if k.path() == request.path), None)
        if kind is None:
            return self._discovery(request.path)
        asked = request.query.get("labelSelector", "")
        self.selectors.setdefault(kind.plural, set()).add(asked)
        if request.query.get("watch"):
            return await self._watch(request, kind)
        meta = {"resourceVersion": "1"}
        items = [obj(kind, f"first-{kind.plural}", {labels.DEPLOYMENT: "digits"})]
        return web.json_response({"metadata": meta, "items": items})

    def _discovery(self, path: str) -> web.Response:
        groups = sorted({k.group for k in KINDS} - {""})
        versions = {k.group: k.version for k in KINDS}
        if path == "/api":
            return web.json_response({"versions": ["v1"]})
        if path == "/apis":
            found = [
                {"name": g, "versions": [{"version": versions[g]}],
                 "preferredVersion": {"version": versions[g]}}
                for g in groups
            ]  # fmt: skip
            return web.json_response({"groups": found})
        here = [k for k in KINDS if k.path().rpartition("/")[0] == path]
        resources = [
            {"name": k.plural, "singularName": k.kind.lower(), "kind": k.kind,
             "namespaced": k.namespaced, "verbs": ["get", "list", "watch", "patch"]}
            for k in here
        ]  # fmt: skip
        return web.json_response({"resources": resources})

    async def _watch(self, request: web.Request, kind: Kind) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        while True:
            event = await self.news[kind.plural].get()
            await stream.write(json.dumps(event).encode() + b"\n")


def obj(kind: Kind, name: str, found: dict[str, str]) -> Obj:
    """Return an object with these labels."""
    meta: Obj = {"name": name, "uid": name, "resourceVersion": "2", "labels": found}
    if kind.namespaced:
        meta["namespace"] = "ml"
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}


@asynccontextmanager
async def pages(port: int = 0, *, away: bool = False) -> AsyncIterator[Pages]:
    """Serve the pages on loopback, on a free port or this one."""
    found = Pages(away=away)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()
