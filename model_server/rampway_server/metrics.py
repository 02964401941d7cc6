"""What Prometheus sees; names and labels are a contract with the operator."""

from collections.abc import Sequence
from typing import Literal

import prometheus_client
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from rampway_server.automation import USES, Verdict
from rampway_server.model import Model
from rampway_server.telemetry import Collector, Telemetry

Outcome = Literal["ok", "client_error", "model_error", "server_error"]
Attempt = Literal["first", "retry"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "client_error", "model_error", "server_error")
ATTEMPTS: tuple[Attempt, ...] = ("first", "retry")
LABELS = ("model", "revision")
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


class Metrics:
    """The metrics of all models of this process, in a registry of their own."""

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._collector = Collector()
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)
        self.requests = self._counter(
            "rampway_requests",
            "Inference requests answered, by outcome; a retry is the gateway's, by its header.",
            "outcome",
            "attempt",
        )
        self.answers = self._counter(
            "rampway_answers",
            "Rows answered, by what the degree of automation says to do with the answer.",
            "automation",
        )
        self.durations = self._histogram(
            "rampway_request_duration_seconds",
            "Time from an inference request's arrival to its answer being ready.",
            duration_buckets_s(),
            LABELS,
        )
        self.in_flight = self._gauge(
            "rampway_in_flight_requests", "Inference requests being worked on."
        )
        self.info = self._gauge(
            "rampway_model_info",
            "Always 1; its labels say which bytes are served.",
            "version",
            "sha256",
        )
        self._batch_requests = self._histogram(
            "rampway_batch_requests", "Requests that were predicted together.", _BATCH_REQUESTS
        )
        self._queue_s = self._histogram(
            "rampway_queue_seconds",
            "Time that the first request of a batch waited for a thread.",
            _QUEUE_S,
        )

    def _counter(self, name: str, help_text: str, *more_labels: str) -> Counter:
        return Counter(name, help_text, [*LABELS, *more_labels], registry=self._registry)

    def _gauge(self, name: str, help_text: str, *more_labels: str) -> Gauge:
        return Gauge(name, help_text, [*LABELS, *more_labels], registry=self._registry)

    def _histogram(
        self, name: str, help_text: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(name, help_text, labels, buckets=bounds, registry=self._registry)

    def meters(self, model: str, revision: str) -> "Meters":
        """Return the metrics of one revision of a model."""
        return Meters(self, {"model": model, "revision": revision})

    def telemetry(self, meters: "Meters", model: Model) -> Telemetry:
        """Return counts of a model that is loaded now; it gives way to the next of its name."""
        found = Telemetry(model, list(meters.labels.values()))
        self._collector.add(found)
        return found

    def forget(self, meters: "Meters") -> None:
        """Show what was said of a loaded model no longer; what was counted of requests stays."""
        meters.unloaded()
        self._collector.remove(list(meters.labels.values()))

    def batch(self, requests: int, waited_s: float) -> None:
        """Count requests that are now predicted together."""
        self._batch_requests.observe(requests)
        self._queue_s.observe(waited_s)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)


class Meters:
    """The metrics of one revision of a model.

    Every combination of labels exists from the start, at 0: a series that appears late would
    lose its first increments to whoever computes increases.
    """

    def __init__(self, metrics: Metrics, labels: dict[str, str]) -> None:
        self._requests = {
            (outcome, attempt): metrics.requests.labels(**labels, outcome=outcome, attempt=attempt)
            for outcome in OUTCOMES
            for attempt in ATTEMPTS
        }
        self._durations = metrics.durations.labels(**labels)
        self.in_flight = metrics.in_flight.labels(**labels)
        self._answers = {use: metrics.answers.labels(**labels, automation=use) for use in USES}
        self._info = metrics.info
        self.labels = labels
        self._loaded: dict[str, str] = {}

    def told(self, verdict: Verdict) -> None:
        """Count what clients were told to do with each row's answer."""
        for use, count in verdict.counts.items():
            self._answers[use].inc(count)

    def loaded(self, version: str, sha256: str) -> None:
        """Say which bytes are served, and no other any more."""
        self.unloaded()
        self._loaded = {"version": version, "sha256": sha256}
        self._info.labels(**self.labels, **self._loaded).set(1)

    def unloaded(self) -> None:
        """Say that nothing is served."""
        if self._loaded:
            self._info.remove_by_labels(self.labels | self._loaded)
        self._loaded = {}

    def answered(self, outcome: Outcome, attempt: Attempt, duration_s: float) -> None:
        """Count one answered inference request, in the counter and the histogram together."""
        self._requests[outcome, attempt].inc()
        self._durations.observe(duration_s)
