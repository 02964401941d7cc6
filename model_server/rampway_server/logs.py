"""One JSON object per line on stderr, for this server's and the libraries' log records."""

import contextlib
import logging
import sys
from pathlib import Path

import structlog

_TERMINATION_LOG_BYTES = 4096  # Kubernetes' own limit


def configure(level: str) -> None:
    """Send every log record at or above `level` to stderr as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # uvicorn tells its life at INFO; this server tells its own, so only its warnings are of use.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def keep_short() -> None:
    """Leave variables out of tracebacks where nobody has said how to log, as in a test."""
    if not structlog.is_configured():
        formatter = structlog.dev.plain_traceback
        processors = structlog.get_config()["processors"][:-1]
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=formatter)
        structlog.configure(processors=[*processors, renderer])


def logger() -> structlog.stdlib.BoundLogger:
    """Return the server's logger."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger("rampway_server")
    return bound


def tell_end(sentence: str, termination_log: Path) -> None:
    """Say why the server cannot start: in the log, and where Kubernetes shows it in the status."""
    logger().error(sentence)
    # Only where it exists: Kubernetes makes it, and a laptop's /dev is no place for new files.
    if termination_log.exists():
        with contextlib.suppress(OSError):
            termination_log.write_bytes(sentence.encode()[:_TERMINATION_LOG_BYTES])
