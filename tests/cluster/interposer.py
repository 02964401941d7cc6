"""Stands between the operator and a server that it needs, and misbehaves as a plan says.

Started by `cluster.between` inside the cluster's network. The plan is a small JSON file that is
read at each request, so that a test changes it at any moment; what came and went is written to a
log, one JSON object a line. It ends when its standard input does.
"""

import argparse
import asyncio
import hashlib
import json
import random
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

OWN_HEADERS = frozenset(
    {"host", "connection", "transfer-encoding", "content-length", "accept-encoding"}
)
LOOK_S = 0.05
LONG_S = 3600.0

Plan = Mapping[str, Any]


@dataclass(slots=True)
class Interposer:
    """One server as the operator sees it.

    Attributes:
        to: Base address of the real server.
        plan_file: What to do: `fault` with its numbers, or `{}` to pass everything on. `refuse`
            refuses some tokens, `demand` all others.
    """

    to: str
    plan_file: Path
    log: TextIO
    session: ClientSession
    chance: random.Random
    held: int = field(default=0)

    def plan(self) -> Plan:
        """Return the present plan."""
        found: Plan = json.loads(self.plan_file.read_text())
        return found

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request as the plan says."""
        body, plan = await request.read(), self.plan()
        watch = request.query.get("watch") in {"true", "1"}
        fault = self._chosen(request, body, plan, watch=watch)
        note = {"at_s": time.time(), "method": request.method, "path": request.path,
                "from": request.remote, "fault": fault,
                "space": request.headers.get("X-Namespace", "")}  # fmt: skip
        try:
            answer = await self._answer(request, body, fault, plan)
        except (ClientError, ConnectionError, TimeoutError) as error:
            self._note(note | {"error": repr(error)})
            _cut(request)
            return web.Response(status=502)
        self._note(note | {"status": answer.status})
        return answer

    def _chosen(self, request: web.Request, body: bytes, plan: Plan, *, watch: bool) -> str:
        """Return the fault that this request meets, empty for none."""
        fault = str(plan.get("fault", ""))
        if fault in {"cut", "delay"}:
            return fault if watch else ""
        if fault == "hold":
            wanted = request.method == "PATCH" and "/httproutes/" in request.path
            if wanted and b"backendRefs" in body and not self.held:
                self.held += 1
                return fault
            return ""
        if fault in {"refuse", "demand"}:
            # The scheme may be written in small letters.
            _, _, token = request.headers.get("Authorization", "").partition(" ")
            known = hashlib.sha256(token.strip().encode()).hexdigest()
            return fault if (known in plan["tokens"]) is (fault == "refuse") else ""
        if fault and self.chance.random() >= float(plan.get("share", 1.0)):
            return ""
        return fault

    async def _answer(
        self, request: web.Request, body: bytes, fault: str, plan: Plan
    ) -> web.StreamResponse:
        if fault == "status":
            return _status(int(plan["status"]), plan.get("retry_after_s"))
        if fault in {"refuse", "demand"}:
            return _status(401, None)
        if fault == "hang":
            self._note({"at_s": time.time(), "path": request.path, "fault": fault})
            await asyncio.sleep(LONG_S)
        if fault == "slow":
            await asyncio.sleep(float(plan["slow_s"]))
        if fault == "hold":
            self._note({"at_s": time.time(), "holding": request.path})
            while self.plan().get("fault") == "hold":  # noqa: ASYNC110 - another process says
                await asyncio.sleep(LOOK_S)
        return await self._pass(request, body, fault, plan)

    async def _pass(
        self, request: web.Request, body: bytes, fault: str, plan: Plan
    ) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in OWN_HEADERS}
        headers["Accept-Encoding"] = "identity"  # answers are rewritten
        async with self.session.request(
            request.method, self.to + request.path_qs, data=body or None, headers=headers,
            allow_redirects=False,
        ) as real:  # fmt: skip
            kept = {k: v for k, v in real.headers.items() if k.lower() not in OWN_HEADERS}
            if fault in {"hold", "truncated", "partial", "nan", "several"}:
                return _changed(real.status, kept, await real.read(), fault)
            answer = web.StreamResponse(status=real.status, headers=kept)
            await answer.prepare(request)
            late_s = float(plan["delay_s"]) if fault == "delay" else 0.0
            for_s = float(plan["cut_s"]) if fault == "cut" else LONG_S
            await _copy(real.content.iter_any(), answer, late_s, for_s)
            if fault == "cut":
                _cut(request)
            else:
                await answer.write_eof()
            return answer

    def _note(self, said: Mapping[str, Any]) -> None:
        self.log.write(json.dumps(said) + "\n")
        self.log.flush()


async def _copy(
    chunks: AsyncIterator[bytes], answer: web.StreamResponse, late_s: float, for_s: float
) -> None:
    """Copy a stream: each piece so much later, and for so long at most."""
    limit_s = time.monotonic() + for_s
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        async for chunk in chunks:
            await pieces.put((time.monotonic() + late_s, chunk))
        await pieces.put((time.monotonic() + late_s, b""))

    reading = asyncio.create_task(read())
    try:
        while True:
            try:
                async with asyncio.timeout(max(0.0, limit_s - time.monotonic())):
                    due_s, chunk = await pieces.get()
            except TimeoutError:
                return
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            if not chunk:
                return
            await answer.write(chunk)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def _status(status: int, retry_after_s: float | None) -> web.Response:
    """Return an answer in the API server's form."""
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status,
            "message": f"the test's interposer says {status}"}  # fmt: skip
    headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
    return web.json_response(said, status=status, headers=headers)


def _changed(
    status: int, headers: Mapping[str, str], body: bytes, fault: str
) -> web.StreamResponse:
    """Return an answer of Prometheus with something wrong in it."""
    if fault == "hold":
        return web.Response(status=status, headers=headers, body=body)
    said = json.loads(body)
    series = said.get("data", {}).get("result", [])
    if fault == "truncated":
        return web.Response(status=status, headers=headers, body=json.dumps(said)[:-20])
    if fault == "partial":
        said["warnings"] = ["not all of the stores could be reached"]
        said["data"]["result"] = series[: len(series) // 2]
    if fault == "several":
        extra = [{**one, "metric": {**one["metric"], "replica": "b"}} for one in series]
        said["data"]["result"] = series + extra
    if fault == "nan":
        for one in series:
            for sample in [*one.get("values", []), *([one["value"]] if "value" in one else [])]:
                sample[1] = "NaN"
    return web.Response(status=status, headers=headers, body=json.dumps(said))


def _cut(request: web.Request) -> None:
    """End the connection without a word."""
    if request.transport is not None:
        request.transport.abort()


async def run(options: argparse.Namespace) -> None:
    """Serve until standard input ends."""
    trusted = ssl.create_default_context(cafile=options.ca) if options.ca else None
    connector = TCPConnector(limit=0, ssl=trusted) if trusted else TCPConnector(limit=0)
    async with ClientSession(connector=connector, timeout=ClientTimeout(total=None)) as session:
        with Path(options.log).open("a") as log:  # noqa: ASYNC230 - before anything is served
            chance = random.Random(options.seed)  # noqa: S311 - no secret
            made = Interposer(options.to, Path(options.plan), log, session, chance)
            app = web.Application(client_max_size=64 * 1024 * 1024)
            app.router.add_route("*", "/{path:.*}", made.handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            tls = None
            if options.certificate:
                tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                tls.load_cert_chain(options.certificate, options.key)
            await web.TCPSite(runner, options.address, options.port, ssl_context=tls).start()
            print("ready", flush=True)  # noqa: T201 - whoever started us waits for it
            await asyncio.to_thread(sys.stdin.read)
            await runner.cleanup()


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser()
    for name in ("address", "to", "plan", "log", "ca", "certificate", "key"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
