"""Where the contract of metric sources is tried: pods that count, and who scrapes them."""

import asyncio
import http.server
import operator
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from rampway.core.checks.answers import Answer
from rampway.core.checks.counters import Scrape
from rampway.core.evidence import Histogram
from rampway.metrics.base import MetricSource, RevisionKey
from rampway.metrics.memory import MemorySource, Mode
from rampway.metrics.prometheus import PrometheusSource
from tools.localcluster.catalog import catalog
from tools.localcluster.paths import layout

INTERVAL_MS = 100
SLOTS = 4
"""So many pods may there be at a time."""
PATIENCE_S = 20.0


@dataclass
class Pod:
    """One pod and what its server counted, as the model server exposes it.

    Attributes:
        retries: Second attempts; a source must not count them.
        orders: What the pod counts for its users: `shop_orders_total` by the revision that it
            names, none if empty, and by the label `kind`.
    """

    namespace: str
    revision: str
    name: str
    started_at_s: float
    outcomes: dict[str, int] = field(default_factory=lambda: {"ok": 0, "model_error": 0})
    buckets: dict[str, int] = field(default_factory=lambda: {"0.1": 0, "+Inf": 0})
    retries: int = 0
    orders: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def key(self) -> RevisionKey:
        """The pod's revision, as sources are asked for it."""
        return RevisionKey(self.namespace, self.revision)

    def serve(self, ok: int, failed: int = 0) -> None:
        """Answer requests; the good ones are fast, the others slow."""
        self.outcomes["ok"] += ok
        self.outcomes["model_error"] += failed
        self.buckets["0.1"] += ok
        self.buckets["+Inf"] += ok + failed

    def restart(self, started_at_s: float) -> None:
        """Begin anew from zero."""
        self.started_at_s = started_at_s
        self.outcomes = dict.fromkeys(self.outcomes, 0)
        self.buckets = dict.fromkeys(self.buckets, 0)

    def exposed(self) -> str:
        """Return the page that Prometheus reads, with the labels that it attaches to pods.

        A target's own labels change with the configuration only, which takes effect within five
        seconds: too long for so many cases.
        """
        target = f'namespace="{self.namespace}",pod="{self.name}"'
        label = f'{target},model="digits",revision="{self.revision}"'
        lines = [f"process_start_time_seconds{{{target}}} {self.started_at_s}"]
        for outcome, count in self.outcomes.items():
            name = f'rampway_requests_total{{{label},outcome="{outcome}"'
            lines += [
                f'{name},attempt="first"}} {count}',
                f'{name},attempt="retry"}} {self.retries}',
            ]
        for bound, count in self.buckets.items():
            name = "rampway_request_duration_seconds_bucket"
            lines.append(f'{name}{{{label},le="{bound}"}} {count}')
        for (revision, kind), count in self.orders.items():
            named = f',revision="{revision}"' if revision else ""
            lines.append(f'shop_orders_total{{{target}{named},kind="{kind}"}} {count}')
        return "\n".join([*lines, ""])


class Place(Protocol):
    """A metric source, and the pods that it sees."""

    namespace: str

    @property
    def source(self) -> MetricSource:
        """The source that is tried."""

    @property
    def unreachable(self) -> MetricSource:
        """A source of the same kind that gets no answer."""

    def add(self, *pods: Pod) -> None:
        """Let pods be scraped from now on."""

    def remove(self, pod: Pod) -> None:
        """Let a pod be gone."""

    async def scraped(self) -> float:
        """Wait until every pod was scraped as it is now; return the time."""


class MemoryPlace:
    """The source of the simulation; time goes by a second at each scrape."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.source = MemorySource(answers)
        self.unreachable = MemorySource(answers, Mode.DOWN)
        self.namespace = "space"
        self._now_s = 1_760_000_000.0
        self._pods: list[Pod] = []

    def add(self, *pods: Pod) -> None:
        """Let pods be scraped from now on."""
        self._pods += pods

    def remove(self, pod: Pod) -> None:
        """Let a pod be gone."""
        self._pods.remove(pod)

    async def scraped(self) -> float:
        """Scrape every pod twice, as Prometheus may."""
        for _ in range(2):
            self._now_s += 1
            for pod in self._pods:
                self.source.record(self._scrape(pod))
        return self._now_s

    def _scrape(self, pod: Pod) -> Scrape:
        return Scrape(
            pod.namespace,
            pod.revision,
            pod.name,
            self._now_s,
            pod.started_at_s,
            dict(pod.outcomes),
            Histogram.of({float(bound): count for bound, count in pod.buckets.items()}),
            counters=_told(pod),
        )


def _told(pod: Pod) -> dict[str, float]:
    """Return the orders of a pod's revision under all names that the tests ask for them by."""
    told: dict[str, float] = {}
    for (revision, kind), count in pod.orders.items():
        if revision in {"", pod.revision}:
            told[f'shop_orders_total{{kind="{kind}"}}'] = float(count)
            told[f"shop_orders_total kind={kind}"] = float(count)
            told["shop_orders_total"] = told.get("shop_orders_total", 0.0) + count
    return told


class Exporter:
    """Serves the page of the pod in each slot at /slot on loopback, and counts its readers."""

    def __init__(self) -> None:
        self.slots: list[Pod | None] = [None] * SLOTS
        self.read = [0] * SLOTS
        exporter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                slot = int(self.path[1:])
                pod = exporter.slots[slot]
                self.send_response(200 if pod else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                if pod:
                    self.wfile.write(pod.exposed().encode())
                exporter.read[slot] += 1

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class Prometheus:
    """A real Prometheus, a process on loopback."""

    url: str
    exporter: Exporter

    def ready(self) -> bool:
        """Return whether it answers queries yet."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False


class PrometheusPlace:
    """The source of the operator, at a real Prometheus."""

    def __init__(self, prometheus: Prometheus, namespace: str) -> None:
        self._exporter = prometheus.exporter
        self.namespace = namespace
        self.source = PrometheusSource(prometheus.url)
        self.unreachable = PrometheusSource(f"http://127.0.0.1:{free_port()}")

    def add(self, *pods: Pod) -> None:
        """Let pods be scraped from now on."""
        for pod in pods:
            self._exporter.slots[self._exporter.slots.index(None)] = pod

    def remove(self, pod: Pod) -> None:
        """Let a pod be gone."""
        self._exporter.slots[self._exporter.slots.index(pod)] = None

    async def scraped(self) -> float:
        """Wait for two scrapes of every slot: the second begins when the first is stored."""
        wanted = [number + 2 for number in self._exporter.read]
        end_s = time.monotonic() + PATIENCE_S
        while any(map(operator.lt, self._exporter.read, wanted)):
            assert time.monotonic() < end_s, f"Prometheus did not read {wanted} in time"
            await asyncio.sleep(0.02)
        return time.time()

    def clear(self) -> None:
        """Let all pods be gone."""
        self._exporter.slots[:] = [None] * SLOTS


@contextmanager
def running_prometheus(folder: Path, *options: str, scraping: bool = True) -> Iterator[Prometheus]:
    """Run a Prometheus on loopback, its data in a folder; without scraping nothing is added."""
    exporter = Exporter()
    port = free_port()
    prometheus = Prometheus(f"http://127.0.0.1:{port}", exporter)
    config = _config(exporter.address) if scraping else {}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                find_prometheus(),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                *options,
            ],
            stdout=log,
            stderr=log,
        )
    try:
        end_s = time.monotonic() + PATIENCE_S
        while not prometheus.ready():
            said = (folder / "log").read_text()[-2000:]
            assert process.poll() is None, f"Prometheus ended: {said}"
            assert time.monotonic() < end_s, f"Prometheus is not ready: {said}"
            time.sleep(0.05)
        yield prometheus
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
        exporter.close()


def _config(address: str) -> dict[str, object]:
    every = f"{INTERVAL_MS}ms"
    targets = [
        {"targets": [address], "labels": {"__metrics_path__": f"/{slot}", "instance": f"{slot}"}}
        for slot in range(SLOTS)
    ]
    job = {"job_name": "pods", "honor_labels": True, "static_configs": targets}
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every},
        "scrape_configs": [job],
    }


def find_prometheus() -> str:
    """Return the cluster's Prometheus, or else the machine's own."""
    built = catalog(layout()).folder("prometheus") / "prometheus"
    program = str(built) if built.exists() else shutil.which("prometheus")
    if program is None:
        pytest.fail(
            f"no Prometheus to try the contract on: neither {built} nor one on PATH; "
            "run `make cluster-up`, which builds it, or `apt-get install prometheus`"
        )
    return program


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
