"""What Prometheus sees; names and labels are a contract with the operator."""

import collections
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

from rampway_server.automation import USES, Use

Outcome = Literal["ok", "client_error", "model_error", "server_error"]
Attempt = Literal["first", "retry"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "client_error", "model_error", "server_error")
ATTEMPTS: tuple[Attempt, ...] = ("first", "retry")
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4


def duration_buckets_s() -> list[float]:
    """Return bucket bounds from 1 ms to 10 s, each 1.2 times the one before, at 3 digits."""
    bounds, bound_s = [], 0.001
    while bound_s < 10:  # noqa: PLR2004  # the last bound is exactly 10 s
        bounds.append(float(f"{bound_s:.3g}"))
        bound_s *= 1.2
    return [*bounds, 10.0]


class Metrics:
    """The metrics of one model revision, in a registry of their own.

    Every combination of labels exists from the start, at 0: a series that appears late would
    lose its first increments to whoever computes increases.
    """

    def __init__(self, model: str, revision: str) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        labels = {"model": model, "revision": revision}
        self._labels = labels
        requests = self._counter(
            "rampway_requests",
            "Inference requests answered, by outcome; a retry is the gateway's, by its header.",
            "outcome",
            "attempt",
        )
        self._requests = {
            (outcome, attempt): requests.labels(**labels, outcome=outcome, attempt=attempt)
            for outcome in OUTCOMES
            for attempt in ATTEMPTS
        }
        answers = self._counter(
            "rampway_answers",
            "Rows answered, by what the degree of automation says to do with the answer.",
            "automation",
        )
        self._answers = {use: answers.labels(**labels, automation=use) for use in USES}
        self._durations = Histogram(
            "rampway_request_duration_seconds",
            "Time from an inference request's arrival to its answer being ready.",
            list(labels),
            buckets=duration_buckets_s(),
            registry=self._registry,
        ).labels(**labels)
        self.in_flight = self._gauge(
            "rampway_in_flight_requests", "Inference requests being worked on."
        ).labels(**labels)
        self._info = self._gauge(
            "rampway_model_info",
            "Always 1; its labels say which bytes are served.",
            "version",
            "sha256",
        )

    def _counter(self, name: str, help_text: str, *more_labels: str) -> Counter:
        return Counter(name, help_text, [*self._labels, *more_labels], registry=self._registry)

    def _gauge(self, name: str, help_text: str, *more_labels: str) -> Gauge:
        return Gauge(name, help_text, [*self._labels, *more_labels], registry=self._registry)

    def told(self, uses: Sequence[Use]) -> None:
        """Count what clients were told to do with each row's answer."""
        for use, count in collections.Counter(uses).items():
            self._answers[use].inc(count)

    def loaded(self, version: str, sha256: str) -> None:
        """Say which bytes are served."""
        self._info.labels(**self._labels, version=version, sha256=sha256).set(1)

    def answered(self, outcome: Outcome, attempt: Attempt, duration_s: float) -> None:
        """Count one answered inference request, in the counter and the histogram together."""
        self._requests[outcome, attempt].inc()
        self._durations.observe(duration_s)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)
