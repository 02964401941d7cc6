"""Models, applications and real server processes for the model server's tests."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import skops.io
from hypothesis import HealthCheck, settings
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from unit.server.waiting import DEADLINE_S, wait_until

from rampway_server.app import App, Limits
from rampway_server.automation import Dial
from rampway_server.batching import Batcher
from rampway_server.control import Control
from rampway_server.estimators import describe
from rampway_server.lineage import Lineage
from rampway_server.metrics import Metrics
from rampway_server.repository import Repository
from rampway_server.team import Team

MAX_BODY_BYTES = 100_000
ANY_SPEED = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PORTS = range(12_000, 30_000)  # below those that Linux gives to clients
LIMITS = Limits(body_bytes=MAX_BODY_BYTES)


@pytest.fixture(scope="session")
def digits() -> tuple[Any, Any]:
    """Scikit-learn's digits: pixels of shape [1797, 64] and labels."""
    pixels, labels = load_digits(return_X_y=True)
    return pixels, labels


@pytest.fixture(scope="session")
def classifier(digits: tuple[Any, Any]) -> LogisticRegression:
    """A logistic regression on 64 pixels."""
    pixels, labels = digits
    return LogisticRegression().fit(pixels[:300] / 16, labels[:300])


@pytest.fixture(scope="session")
def model_bytes(classifier: LogisticRegression) -> bytes:
    """The classifier as a skops file."""
    data: bytes = skops.io.dumps(classifier)
    return data


@pytest.fixture
def model_file(model_bytes: bytes, tmp_path: Path) -> Path:
    """The classifier's skops file on disk."""
    path = tmp_path / "model.skops"
    path.write_bytes(model_bytes)
    return path


def made(
    repository: Repository,
    metrics: Metrics,
    batcher: Batcher,
    limits: Limits = LIMITS,
    revision: str = "",
) -> App:
    """Return an application whose models stay as they are."""
    control = Control(repository, None, Team())
    return App(repository, metrics, batcher, limits, control, revision=revision)


MakeApp = Callable[..., tuple[App, Metrics]]


@pytest.fixture
def make_app() -> Iterator[MakeApp]:
    """Return a maker of applications that serve an estimator (None: not loaded yet)."""
    batchers: list[Batcher] = []
    estimators: list[Any] = []

    def make(
        estimator: Any,
        *,
        workers: int = 1,
        max_waiting: int = 8,
        dial: Dial | None = None,
        lineage: Lineage | None = None,
        limits: Limits = LIMITS,
    ) -> tuple[App, Metrics]:
        metrics = Metrics()
        estimators.append(estimator)
        batchers.append(Batcher(workers, max_waiting))
        repository = Repository(metrics, dial or Dial(""), lineage=lineage)
        repository.expect("digits", "2", "digits-abc")
        if estimator is not None:
            repository.load("digits", "2", describe(estimator, "f" * 64))
        return made(repository, metrics, batchers[-1], limits, "digits-abc"), metrics

    yield make
    for estimator in estimators:
        if hasattr(estimator, "go_on"):  # a test that failed has left it waiting
            estimator.go_on.set()
    for batcher in batchers:
        batcher.close()


@dataclass
class Process:
    """A server process on loopback ports of its own."""

    popen: subprocess.Popen[str]
    port: int
    grpc_port: int
    termination_log: Path

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body; status 0 when nobody answers."""
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=DEADLINE_S) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, b""

    def wait_ready(self) -> None:
        """Wait until the model is served."""

        def ready() -> bool:
            assert self.popen.poll() is None, self.end()
            return self.get("/v2/health/ready")[0] == 200

        wait_until(ready, "the server is never ready")

    def end(self) -> tuple[int, str]:
        """Wait for the end; return exit code and standard error."""
        _, stderr = self.popen.communicate(timeout=DEADLINE_S)
        return self.popen.returncode, stderr


StartServer = Callable[..., Process]


@contextlib.contextmanager
def starter(folder: Path) -> Iterator[StartServer]:
    """Give a starter of real server processes, set by environment as the operator does."""
    started: list[Process] = []

    def start(uri: str, **environment: str) -> Process:
        port, grpc_port, index = free_port(), free_port(), len(started)
        log = folder / f"termination-log-{index}"
        log.touch()
        given = {
            "RAMPWAY_HOST": "127.0.0.1",
            "RAMPWAY_PORT": str(port),
            "RAMPWAY_GRPC_PORT": str(grpc_port),
            "RAMPWAY_CACHE_DIR": str(folder / "cache"),
            "RAMPWAY_TERMINATION_LOG": str(log),
            "RAMPWAY_DRAIN_DELAY_S": "0.3",
            "RAMPWAY_WORKERS": "1",
        }
        if uri:  # of what a path names, these are the folder's
            given["RAMPWAY_MODEL_URI"] = uri
            given["RAMPWAY_MODEL_NAME"] = "digits"
            given["RAMPWAY_REVISION"] = f"digits-{index}"
        command = [sys.executable, "-m", "rampway_server"]
        popen = subprocess.Popen(
            command, env=os.environ | given | environment, stderr=subprocess.PIPE, text=True
        )
        started.append(Process(popen, port, grpc_port, log))
        return started[-1]

    yield start
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Return a starter of servers for one test."""
    with starter(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def digits_server(
    tmp_path_factory: pytest.TempPathFactory, model_bytes: bytes
) -> Iterator[Process]:
    """A server of the digits classifier for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "model.skops").write_bytes(model_bytes)
    with starter(folder) as start:
        server = start(f"file://{folder / 'model.skops'}")
        server.wait_ready()
        yield server


def free_port() -> int:
    """Return a port of loopback that nobody has, and that no client's connection is given.

    The kernel's own choice could be the near end of another test's connection by the time that a
    server listens there.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
