"""The operator's logs and its own metrics."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import Counter, Gauge, Histogram

from rampway.kube.errors import KubeError

RECONCILES = Counter("rampway_reconciles_total", "Passes over ModelDeployments.", ["result"])
RECONCILED = Gauge(
    "rampway_reconciled_objects", "ModelDeployments that had a whole pass since this process leads."
)
DURATION = Histogram("rampway_reconcile_duration_seconds", "Duration of a pass.")
QUEUE_WAIT = Histogram(
    "rampway_queue_wait_seconds", "From a key's coming into the queue to the begin of its pass."
)
DECISION = Histogram(
    "rampway_decision_seconds",
    "From the newest evidence that a decision could rest on to a change of weight.",
)
API_CALLS = Counter(
    "rampway_api_requests_total",
    "Calls to the API server, by what came of them: a status, or no answer.",
    ["verb", "kind", "code"],
)
API_DURATION = Histogram(
    "rampway_api_request_duration_seconds", "Duration of calls to the API server.", ["verb"]
)
QUERIES = Counter("rampway_metrics_queries_total", "Queries to Prometheus.", ["result"])
QUERY_DURATION = Histogram("rampway_metrics_query_duration_seconds", "Duration of the queries.")
QUERY_BYTES = Counter("rampway_metrics_answer_bytes_total", "Bytes of Prometheus's answers.")
POD_READS = Counter("rampway_pod_reads_total", "Direct looks at pods.", ["result"])
LEADER = Gauge("rampway_leader", "1 in the process that leads, 0 in the others.")
TERM = Gauge("rampway_leader_term", "Term of the process that leads, 0 before its first.")
ROLLOUTS = Gauge("rampway_rollouts", "Rollouts that have not ended, by phase.", ["phase"])
QUEUE_DEPTH = Gauge("rampway_queue_depth", "Keys that wait for their pass.")

log = structlog.get_logger("rampway.reconcile")


def configure(level: str) -> None:
    """Log as JSON lines on standard error.

    Raises:
        ValueError: the level is none of debug, info, warning, error.
    """
    number = {"debug": 10, "info": 20, "warning": 30, "error": 40}.get(level.lower())
    if number is None:
        raise ValueError(f"RAMPWAY_LOG_LEVEL={level!r}: expected debug, info, warning or error")
    logging.basicConfig(stream=sys.stderr, level=max(number, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


@contextmanager
def reconcile(key: tuple[str, str]) -> Iterator[None]:
    """Count and time a pass; log one that failed, with its object and the reason."""
    began_s = time.monotonic()
    try:
        yield
    except Exception as error:
        RECONCILES.labels("error").inc()
        log.warning("pass failed, trying again", namespace=key[0], name=key[1], why=str(error),
                    exc_info=not isinstance(error, KubeError))  # fmt: skip
        raise
    RECONCILES.labels("ok").inc()
    DURATION.observe(time.monotonic() - began_s)


def api_call(verb: str, kind: str, code: str, duration_s: float) -> None:
    """Count a call to the API server; its words for `code` are a status, timeout or no answer."""
    API_CALLS.labels(verb, kind, code).inc()
    API_DURATION.labels(verb).observe(duration_s)


def query(result: str, duration_s: float, size: int) -> None:
    """Count a query to Prometheus; `result` is a status, timeout or no answer."""
    QUERIES.labels(result).inc()
    QUERY_DURATION.observe(duration_s)
    QUERY_BYTES.inc(size)


def pod_read(result: str) -> None:
    """Count a direct look at one pod."""
    POD_READS.labels(result).inc()


def rollout(before: str, after: str) -> None:
    """Note that a rollout went from a phase to another; empty: there was, or is, none."""
    if before == after:
        return
    if before:
        ROLLOUTS.labels(before).dec()
    if after:
        ROLLOUTS.labels(after).inc()
