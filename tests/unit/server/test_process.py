"""The real process: start, failures told to Kubernetes, signals, and the drain under load."""

import asyncio
import hashlib
import http.client
import importlib
import json
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import skops.io
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier
from unit.server.asgi import infer_body
from unit.server.conftest import Process, StartServer
from unit.server.waiting import DEADLINE_S, until, wait_until

BODY = json.dumps(infer_body([[1.0] * 64])).encode()
INFER = "/v2/models/digits/infer"
CLIENTS = 8


def test_model_is_served_and_ended_by_sigterm(start_server: StartServer, model_file: Path) -> None:
    """The server becomes ready, tells the digest (B3) and the metrics, and SIGTERM ends it at 0."""
    server = start_server(f"file://{model_file}")
    server.wait_ready()
    _, metadata = server.get("/v2/models/digits")
    digest = hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert json.loads(metadata)["parameters"] == {
        "sha256": digest,
        "revision": "digits-0",
        "lineage": "",
    }
    assert f'sha256="{digest}"'.encode() in server.get("/metrics")[1]
    server.popen.send_signal(signal.SIGTERM)
    code, stderr = server.end()
    assert code == 0, stderr
    assert [json.loads(line)["event"] for line in stderr.splitlines()] == [
        "serving",
        "draining",
        "ended",
    ]
    assert server.termination_log.read_text() == ""


@pytest.mark.parametrize(
    ("uri", "environment", "sentence"),
    [
        ("file:///no/such.skops", {}, "cannot read model file /no/such.skops (file:///no/such"),
        ("gopher://x/y", {}, "model URI 'gopher://x/y' has scheme 'gopher'"),
        ("", {}, "no model given: set --uri or RAMPWAY_MODEL_URI"),
        ("file:///m", {"RAMPWAY_PORT": "x"}, "RAMPWAY_PORT is 'x'"),
        ("file:///m", {"RAMPWAY_HOST": "192.0.2.1", "RAMPWAY_GRPC_PORT": "0"}, "cannot listen on "),
        ("file:///m", {"RAMPWAY_HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1:"),
        ("file:///m", {"RAMPWAY_HOST": "no.invalid"}, "cannot listen on no.invalid:"),
    ],
)
def test_b28_start_failure_is_one_sentence_for_the_user(
    uri: str, environment: dict[str, str], sentence: str, start_server: StartServer
) -> None:
    """B28: the reason is in the termination log and in the log's last line; the code is not 0."""
    server = start_server(uri, **environment)
    code, stderr = server.end()
    assert code == 1
    told = server.termination_log.read_text()
    assert told.startswith(sentence)
    assert "\n" not in told
    assert json.loads(stderr.splitlines()[-1])["event"] == told


def test_b28_wrong_digest_ends_the_server(start_server: StartServer, model_file: Path) -> None:
    """B3, B28: bytes of another digest are never served; both digests are told."""
    server = start_server(f"file://{model_file}", RAMPWAY_MODEL_SHA256="0" * 64)
    code, _ = server.end()
    assert code == 1
    assert server.termination_log.read_text().startswith("wrong digest: got ")


def test_b28_unreachable_store_is_told(start_server: StartServer) -> None:
    """B28: a store that refuses connections ends the server, once its retries are over."""
    server = start_server("http://127.0.0.1:1/m.skops")
    code, _ = server.end()
    assert code == 1
    told = server.termination_log.read_text()
    assert told.startswith("model store unreachable http://127.0.0.1:1/m.skops: ")


def test_missing_termination_log_is_not_made(start_server: StartServer, tmp_path: Path) -> None:
    """Outside Kubernetes no file appears for the last words."""
    absent = tmp_path / "absent"
    server = start_server("gopher://x/y", RAMPWAY_TERMINATION_LOG=str(absent))
    assert server.end()[0] == 1
    assert not absent.exists()


def test_warm_up_that_raises_does_not_block(start_server: StartServer, tmp_path: Path) -> None:
    """A model that raises on zeros is served; the log says that it is not warm."""
    picky = make_pipeline(OrdinalEncoder(), DecisionTreeClassifier(random_state=0))
    path = tmp_path / "picky.skops"
    skops.io.dump(picky.fit([[1.0], [2.0]], [0, 1]), path)
    server = start_server(f"file://{path}", RAMPWAY_TRUST="sklearn.tree._tree.Tree")
    server.wait_ready()
    server.popen.send_signal(signal.SIGTERM)
    code, stderr = server.end()
    assert code == 0
    assert "no warm-up prediction; serving all the same" in stderr


def test_sigterm_while_loading_ends_at_once(start_server: StartServer) -> None:
    """A server that waits for its store ends on SIGTERM with code 0 and no last words."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = start_server(f"http://127.0.0.1:{silent.getsockname()[1]}/m")
        silent.settimeout(DEADLINE_S)
        connection, _ = silent.accept()
        with connection:
            wait_until(lambda: server.get("/v2/health/live")[0] == 200)
            assert server.get("/v2/health/ready")[0] == 503
            server.popen.send_signal(signal.SIGTERM)
            code, _ = server.end()
    assert code == 0
    assert server.termination_log.read_text() == ""


SLEEPER_MODULE = '''
import time
from pathlib import Path
from sklearn.base import BaseEstimator

class Sleeper(BaseEstimator):
    """Predicts once a file is there, but the warm-up's zeros at once."""

    def __init__(self, file=""):
        self.file = file
        self.n_features_in_ = 64

    def predict(self, rows):
        while rows.any() and not Path(self.file).exists():
            time.sleep(0.01)
        return rows[:, 0]
'''


@dataclass
class Load:
    """What clients with kept-alive connections saw, over a changing set of ready servers."""

    servers: list[Process]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    answered: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    async def client(self, number: int) -> None:
        """Send one request after another to the ready servers in turn, over kept connections."""
        async with aiohttp.ClientSession() as session:
            turn = number
            while not self.stop.is_set():
                turn += 1
                server = self.servers[turn % len(self.servers)]
                url = f"http://127.0.0.1:{server.port}{INFER}"
                try:
                    async with session.post(url, data=BODY) as reply:
                        await reply.read()
                        assert reply.status == 200, reply.status
                        revision = reply.headers["rampway-revision"]
                        self.answered[revision] = self.answered.get(revision, 0) + 1
                except (aiohttp.ClientError, AssertionError, OSError) as error:
                    self.failures.append(f"{server.port}: {error!r}")

    async def endpoints(self, lag_s: float) -> None:
        """Drop servers that are not ready, some time after they said so, as Kubernetes does."""
        while not self.stop.is_set():
            for server in list(self.servers):
                status, _ = await asyncio.to_thread(server.get, "/v2/health/ready")
                if status != 200:
                    await asyncio.sleep(lag_s)
                    self.servers.remove(server)
            await asyncio.sleep(0.05)


async def test_drain_loses_no_request(start_server: StartServer, model_file: Path) -> None:
    """A server taken down under load with kept-alive clients loses none of their requests.

    The delay is what a crowded machine may take until clients have heard of it.
    """
    stays, goes = (
        start_server(f"file://{model_file}", RAMPWAY_DRAIN_DELAY_S="6") for _ in range(2)
    )
    for server in (stays, goes):
        await asyncio.to_thread(server.wait_ready)
    load = Load([stays, goes])
    running = [asyncio.create_task(load.client(number)) for number in range(CLIENTS)]
    running.append(asyncio.create_task(load.endpoints(lag_s=0.2)))
    await until(lambda: min(load.answered.get(f"digits-{n}", 0) for n in (0, 1)) > 50)
    goes.popen.send_signal(signal.SIGTERM)
    await until(lambda: goes not in load.servers)
    code, stderr = await asyncio.to_thread(goes.end)
    before = load.answered["digits-0"]
    await until(lambda: load.answered["digits-0"] > before)
    load.stop.set()
    await asyncio.gather(*running)
    assert load.failures == []
    assert (code, "Traceback" in stderr) == (0, False)


def test_drain_sends_kept_connections_away(start_server: StartServer, model_file: Path) -> None:
    """A client that never asks for endpoints is told to close, and may still connect anew."""
    server = start_server(f"file://{model_file}", RAMPWAY_DRAIN_DELAY_S="3600")
    server.wait_ready()
    kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
    for expected in (None, "close"):
        kept.request("POST", INFER, BODY)
        reply = kept.getresponse()
        reply.read()
        assert (reply.status, reply.getheader("connection")) == (200, expected)
        server.popen.send_signal(signal.SIGTERM)
        wait_until(lambda: server.get("/v2/health/ready")[0] == 503)
    assert kept.sock is None
    assert server.get("/v2/health/live")[0] == 200


async def test_drain_finishes_what_is_in_flight(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prediction that takes longer than the drain delay is answered before the server ends."""
    server = _start_sleeper(start_server, tmp_path, monkeypatch, RAMPWAY_DRAIN_TIMEOUT_S="120")
    async with aiohttp.ClientSession() as session:
        request = asyncio.create_task(_post(session, server))
        await asyncio.to_thread(wait_until, lambda: _in_flight(server))
        server.popen.send_signal(signal.SIGTERM)
        await asyncio.to_thread(wait_until, lambda: server.get("/v2/health/live")[0] == 0)
        assert not request.done()
        (tmp_path / "go on").touch()
        assert await request == 200
    assert (await asyncio.to_thread(server.end))[0] == 0


async def test_prediction_that_never_ends_does_not_keep_the_server(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for requests in flight is bounded: a hung model is left behind."""
    server = _start_sleeper(start_server, tmp_path, monkeypatch, RAMPWAY_DRAIN_TIMEOUT_S="1")
    async with aiohttp.ClientSession() as session:
        request = asyncio.create_task(_post(session, server))
        await asyncio.to_thread(wait_until, lambda: _in_flight(server))
        server.popen.send_signal(signal.SIGTERM)
        assert (await asyncio.to_thread(server.end))[0] == 0
        assert await request == 500


def _in_flight(server: Process) -> bool:
    series = b'rampway_in_flight_requests{model="digits",revision="digits-0"} 1.0'
    return series in server.get("/metrics")[1]


async def _post(session: aiohttp.ClientSession, server: Process) -> int:
    url = f"http://127.0.0.1:{server.port}{INFER}"
    async with session.post(url, data=BODY) as reply:
        return reply.status


def _start_sleeper(
    start_server: StartServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    **environment: str,
) -> Process:
    """Start a server whose model answers once the file `go on` is in this test's folder."""
    # A class of its own module: the server's process must import what it unpacks.
    (tmp_path / "sleeper.py").write_text(SLEEPER_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "sleeper.skops"
    skops.io.dump(importlib.import_module("sleeper").Sleeper(str(tmp_path / "go on")), path)
    monkeypatch.delitem(sys.modules, "sleeper")
    server = start_server(
        f"file://{path}",
        RAMPWAY_TRUST="sleeper.Sleeper",
        PYTHONPATH=str(tmp_path),
        **environment,
    )
    server.wait_ready()
    return server
