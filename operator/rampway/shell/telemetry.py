"""The operator's logs and its own metrics."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import Counter, Histogram

from rampway.kube.errors import KubeError

RECONCILES = Counter("rampway_reconciles_total", "Passes over ModelDeployments.", ["result"])
DURATION = Histogram("rampway_reconcile_duration_seconds", "Duration of a pass.")

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
