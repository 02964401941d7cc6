"""Models, applications and real server processes for the model server's tests."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import skops.io
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from rampway_server import model as models
from rampway_server.app import App
from rampway_server.automation import Dial
from rampway_server.metrics import Metrics
from rampway_server.pool import Pool

MAX_BODY_BYTES = 100_000


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


MakeApp = Callable[..., tuple[App, Metrics]]


@pytest.fixture
def make_app() -> Iterator[MakeApp]:
    """Return a maker of applications that serve an estimator (None: not loaded yet)."""
    pools: list[Pool] = []

    def make(
        estimator: Any, *, workers: int = 1, max_waiting: int = 8, dial: Dial | None = None
    ) -> tuple[App, Metrics]:
        metrics = Metrics("digits", "digits-abc")
        pools.append(Pool(workers, max_waiting))
        app = App(
            name="digits",
            revision="digits-abc",
            version="2",
            metrics=metrics,
            pool=pools[-1],
            max_body_bytes=MAX_BODY_BYTES,
            dial=dial or Dial(""),
        )
        if estimator is not None:
            app.load(models.describe(estimator, "f" * 64))
        return app, metrics

    yield make
    for pool in pools:
        pool.close()


@dataclass
class Process:
    """A server process on a loopback port of its own."""

    popen: subprocess.Popen[str]
    port: int
    termination_log: Path

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, b""

    def wait_ready(self) -> None:
        """Wait until the model is served."""
        deadline_s = time.monotonic() + 30
        while self.get("/v2/health/ready")[0] != 200:
            assert self.popen.poll() is None, self.end()
            assert time.monotonic() < deadline_s, "not ready in 30 s"
            time.sleep(0.02)

    def end(self, timeout_s: float = 30) -> tuple[int, str]:
        """Wait for the end; return exit code and standard error."""
        _, stderr = self.popen.communicate(timeout=timeout_s)
        return self.popen.returncode, stderr


StartServer = Callable[..., Process]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Return a starter of real server processes, set by environment as the operator does."""
    started: list[Process] = []

    def start(uri: str, **environment: str) -> Process:
        port, index = _free_port(), len(started)
        log = tmp_path / f"termination-log-{index}"
        log.touch()
        given = {
            "RAMPWAY_MODEL_URI": uri,
            "RAMPWAY_MODEL_NAME": "digits",
            "RAMPWAY_REVISION": f"digits-{index}",
            "RAMPWAY_HOST": "127.0.0.1",
            "RAMPWAY_PORT": str(port),
            "RAMPWAY_CACHE_DIR": str(tmp_path / "cache"),
            "RAMPWAY_TERMINATION_LOG": str(log),
            "RAMPWAY_DRAIN_DELAY_S": "0.3",
        }
        command = [sys.executable, "-m", "rampway_server"]
        popen = subprocess.Popen(
            command, env=os.environ | given | environment, stderr=subprocess.PIPE, text=True
        )
        started.append(Process(popen, port, log))
        return started[-1]

    yield start
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
