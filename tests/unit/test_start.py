"""The operator as a process, started while there is no API server yet (B30)."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from unit.kube_pages import pages

from rampway.kube.kinds import MODEL_DEPLOYMENT

PATIENCE_S = 60


def free_port() -> int:
    """Return a TCP port of loopback that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Process:
    """An operator, the API server of which is at `port`."""

    running: asyncio.subprocess.Process
    port: int
    health: str
    log: Path

    async def readiness(self) -> tuple[int, str]:
        """Return what /readyz answers; status 0 without an answer."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self.health) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until something is so; the operator has to live through it."""
        async with asyncio.timeout(PATIENCE_S):
            while not met():
                assert self.running.returncode is None, self.log.read_text()
                await asyncio.sleep(0.05)

    async def stopped(self) -> int:
        """Stop it by SIGTERM; return its exit code."""
        self.running.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.running.wait(), PATIENCE_S)


@asynccontextmanager
async def operator(folder: Path) -> AsyncIterator[Process]:
    """Start an operator without an API server."""
    port, health = free_port(), free_port()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
    }
    (folder / "config").write_text(json.dumps(config))
    env = os.environ | {
        "KUBECONFIG": str(folder / "config"),
        "RAMPWAY_HTTP_PORT": str(health),
        "RAMPWAY_PROMETHEUS_URL": "http://127.0.0.1:1",
    }
    log = folder / "log"
    with log.open("w") as out:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rampway", env=env, stdout=out, stderr=out
        )
    try:
        yield Process(running, port, f"http://127.0.0.1:{health}/readyz", log)
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def test_b30_an_operator_waits_for_its_api_server(tmp_path: Path) -> None:
    """B30: refused connections, then 503s: it says so, is not ready, and lives to watch."""
    async with operator(tmp_path) as process:
        await process.until(lambda: "resync failed, trying again" in process.log.read_text())
        assert await process.readiness() == (503, "waiting for the first list")
        async with pages(process.port, away=True) as server:
            await process.until(lambda: server.refused >= 3)
            assert await process.readiness() == (503, "waiting for the first list")
            assert server.selectors == {}
            server.away = False
            await process.until(lambda: MODEL_DEPLOYMENT.plural in server.selectors)
            await process.until(lambda: "pods" in server.selectors)  # kopf watches
            assert await process.readiness() == (200, "ok")
            assert await process.stopped() == 0


async def test_b30_kopf_too_waits_for_an_api_server_that_leaves_again(tmp_path: Path) -> None:
    """B30: the server goes away between the first list and kopf's discovery, and comes back."""
    async with operator(tmp_path) as process, pages(process.port) as server:
        await process.until(lambda: MODEL_DEPLOYMENT.plural in server.selectors)
        server.away = True
        await process.until(lambda: server.refused >= 6)
        server.away = False
        await process.until(lambda: "pods" in server.selectors)
        assert await process.stopped() == 0


async def test_an_operator_without_an_api_server_can_be_stopped(tmp_path: Path) -> None:
    """SIGTERM while it waits ends it at once, with exit code 0."""
    async with operator(tmp_path) as process:
        await process.until(lambda: "resync failed, trying again" in process.log.read_text())
        assert await process.stopped() == 0
