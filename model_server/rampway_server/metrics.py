"""What Prometheus sees; names and labels are a contract with the operator."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import prometheus_client
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from rampway_server.automation import USES, Verdict
from rampway_server.lineage import Lineage
from rampway_server.model import Model
from rampway_server.sheet import Cells, Page, Sheet
from rampway_server.telemetry import Collector, Telemetry

Outcome = Literal["ok", "client_error", "model_error", "server_error"]
Attempt = Literal["first", "retry"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "client_error", "model_error", "server_error")
ATTEMPTS: tuple[Attempt, ...] = ("first", "retry")
_HTTP_CODES = ("200", "400", "404", "408", "413", "415", "500", "503", "504")
_GRPC_CODES = ("OK", "INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL", "UNAVAILABLE")
CODES = (*_HTTP_CODES, *_GRPC_CODES, "DEADLINE_EXCEEDED", "other")
_CODE_AT = {code: at for at, code in enumerate(CODES)}
LABELS = ("model", "revision")
_KINDS = tuple(product(OUTCOMES, ATTEMPTS))
_BATCH_REQUESTS = (1, 2, 4, 8, 16, 32, 64)
_QUEUE_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4


def duration_buckets_s() -> list[float]:
    """Return bucket bounds from 1 ms to 10 s, each 1.2 times the one before, at 3 digits."""
    bounds, bound_s = [], 0.001
    while bound_s < 10:  # noqa: PLR2004  # the last bound is exactly 10 s
        bounds.append(float(f"{bound_s:.3g}"))
        bound_s *= 1.2
    return [*bounds, 10.0]


_DURATIONS_S = duration_buckets_s()


class Histogram:
    """Counts by bucket, and their sum, in shared cells."""

    def __init__(self, bounds: Sequence[float], page: Page, *name: str) -> None:
        self._bounds = bounds
        self._names = [*(str(float(bound)) for bound in bounds), "+Inf"]
        self._cells = page.cells(*name, size=len(bounds) + 2)
        self._own = self._cells.own

    def observe(self, value: float) -> None:
        """Count a value."""
        self._own[bisect_left(self._bounds, value)] += 1
        self._own[-1] += value

    def add_to(self, family: Any, labels: Sequence[str]) -> None:
        """Add the counts of all workers to a family of metrics."""
        *counts, total = self._cells.total().tolist()
        cumulated, so_far = [], 0.0
        for name, count in zip(self._names, counts, strict=True):
            so_far += count
            cumulated.append((name, so_far))
        family.add_metric(labels, cumulated, total)


class Metrics:
    """The metrics of all models of a pod, in a registry of their own.

    Args:
        page: Where this worker counts; without one it is alone.
        leader: The process that started the workers: its start is the pod's.
    """

    def __init__(self, page: Page | None = None, leader: int | None = None) -> None:
        self._page = page or Sheet().page()
        self._registry = CollectorRegistry()
        self._models = Collector()
        self._meters: dict[tuple[str, str], Meters] = {}
        self._registry.register(self._models)
        self._registry.register(self)
        self._registry.register(Processes(leader))

    def meters(self, model: str, revision: str) -> "Meters":
        """Return the metrics of one revision of a model."""
        found = self._meters.get((model, revision))
        if found is None:
            found = self._meters[model, revision] = Meters(self._page, model, revision)
        return found

    def telemetry(self, meters: "Meters", model: Model) -> Telemetry:
        """Return counts of a model that is loaded now; it gives way to the next of its name."""
        found = Telemetry(model, meters.labels, self._page)
        self._models.add(found)
        return found

    def forget(self, meters: "Meters") -> None:
        """Show what was said of a loaded model no longer; what was counted of requests stays."""
        meters.unloaded()
        self._models.remove(meters.labels)

    def show(self, collector: Any) -> None:
        """Show what else somebody counts."""
        self._registry.register(collector)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Return the families of metrics, but for those of loaded models."""
        families = {
            name: kind(f"rampway_{name}", told, labels=labels)
            for name, (kind, told, labels) in _FAMILIES.items()
        }
        for meters in list(self._meters.values()):
            meters.add_to(families)
        yield from families.values()


class Meters:
    """The metrics of one revision of a model.

    Every combination of labels exists from the start, at 0: a series that appears late would
    lose its first increments to whoever computes increases.
    """

    def __init__(self, page: Page, model: str, revision: str) -> None:
        self.labels = [model, revision]
        self._requests = page.cells("requests", *self.labels, size=len(_KINDS))
        self._responses = page.cells("responses", *self.labels, size=len(CODES))
        self._answers = page.cells("answers", *self.labels, size=len(USES))
        self._durations = Histogram(_DURATIONS_S, page, "durations", *self.labels)
        self._batch_requests = Histogram(_BATCH_REQUESTS, page, "batch requests", *self.labels)
        self._queue_s = Histogram(_QUEUE_S, page, "queue", *self.labels)
        self._in_flight = page.cells("in flight", *self.labels, size=1)
        self._in_flight.own[0] = 0  # what a predecessor had in flight went with it
        self._info: list[str] = []
        self._lineage = Lineage()

    def begun(self) -> None:
        """Count a request as in flight."""
        self._in_flight.own[0] += 1

    def ended(self) -> None:
        """Count a request as in flight no longer."""
        self._in_flight.own[0] -= 1

    def answered(self, outcome: Outcome, attempt: Attempt, duration_s: float, code: str) -> None:
        """Count one answered inference request, in all counters and the histogram together.

        Args:
            outcome: What it counts as.
            attempt: Whether the gateway had asked before.
            duration_s: What it took.
            code: HTTP's status, or the name of gRPC's.
        """
        self._requests.own[_KINDS.index((outcome, attempt))] += 1
        self._responses.own[_CODE_AT.get(code, -1)] += 1
        self._durations.observe(duration_s)

    def told(self, verdict: Verdict) -> None:
        """Count what clients were told to do with each row's answer."""
        for use, count in verdict.counts.items():
            self._answers.own[USES.index(use)] += count

    def batch(self, requests: int, waited_s: float) -> None:
        """Count requests that are now predicted together, and how long the first waited."""
        self._batch_requests.observe(requests)
        self._queue_s.observe(waited_s)

    def loaded(self, version: str, sha256: str, lineage: Lineage) -> None:
        """Say which bytes are served, and no other any more, and where they come from."""
        self._info = [version, sha256]
        self._lineage = lineage

    def unloaded(self) -> None:
        """Say that nothing is served."""
        self._info = []

    def add_to(self, families: dict[str, Any]) -> None:
        """Add the counts of all workers to families of metrics."""
        for kind, count in zip(_KINDS, _whole(self._requests), strict=True):
            families["requests"].add_metric([*self.labels, *kind], count)
        for code, count in zip(CODES, _whole(self._responses), strict=True):
            families["responses"].add_metric([*self.labels, code], count)
        for use, count in zip(USES, _whole(self._answers), strict=True):
            families["answers"].add_metric([*self.labels, use], count)
        self._durations.add_to(families["request_duration_seconds"], self.labels)
        self._batch_requests.add_to(families["batch_requests"], self.labels)
        self._queue_s.add_to(families["queue_seconds"], self.labels)
        families["in_flight_requests"].add_metric(self.labels, *_whole(self._in_flight))
        if self._info:
            about = [*self.labels, *self._info, self._lineage.value]
            families["model_info"].add_metric(about, 1)


def _whole(cells: Cells) -> list[float]:
    found: list[float] = cells.total().tolist()
    return found


class Processes:
    """What a pod's processes take of the machine; their start is that of the first.

    Args:
        leader: The process that starts the workers; None: this one, which has none.
    """

    def __init__(self, leader: int | None) -> None:
        self._leader = leader

    def collect(self) -> Iterator[Metric]:
        """Return the sums over all processes."""
        found: dict[str, Metric] = {}
        for pid in self._pids():
            for family in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                known = found.setdefault(family.name, family)
                if known is not family and family.name != "process_start_time_seconds":
                    (sample,), (more,) = known.samples, family.samples
                    known.samples = [sample._replace(value=sample.value + more.value)]
        yield from found.values()

    def _pids(self) -> list[str]:
        if self._leader is None:
            return ["self"]
        children = Path(f"/proc/{self._leader}/task/{self._leader}/children")
        try:
            return [str(self._leader), *children.read_text(encoding="ascii").split()]
        except OSError:  # a kernel without that file
            return [str(self._leader)]


_FAMILIES: dict[str, tuple[Any, str, Sequence[str]]] = {
    "requests": (
        CounterMetricFamily,
        "Inference requests answered, by outcome; a retry is the gateway's, by its header.",
        [*LABELS, "outcome", "attempt"],
    ),
    "responses": (
        CounterMetricFamily,
        "Inference requests answered, by HTTP's status or the name of gRPC's.",
        [*LABELS, "code"],
    ),
    "answers": (
        CounterMetricFamily,
        "Rows answered, by what the degree of automation says to do with the answer.",
        [*LABELS, "automation"],
    ),
    "request_duration_seconds": (
        HistogramMetricFamily,
        "Time from an inference request's arrival to its answer being ready.",
        LABELS,
    ),
    "in_flight_requests": (GaugeMetricFamily, "Inference requests being worked on.", LABELS),
    "model_info": (
        GaugeMetricFamily,
        "Always 1; its labels say which bytes are served, and where they come from.",
        [*LABELS, "version", "sha256", "lineage"],
    ),
    "batch_requests": (HistogramMetricFamily, "Requests that were predicted together.", LABELS),
    "queue_seconds": (
        HistogramMetricFamily,
        "Time that the first request of a batch waited to be predicted.",
        LABELS,
    ),
}
