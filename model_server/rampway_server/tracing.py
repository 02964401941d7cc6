"""OpenTelemetry traces: a span for each inference request, set up by the standard variables.

Off unless `OTEL_TRACES_EXPORTER` or an OTLP endpoint is set. Spans are made after the answer, out
of its time, and exported by a thread with a bounded queue.
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rampway_server import __version__
from rampway_server.errors import StartError
from rampway_server.metrics import Outcome

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_ATTRIBUTES = ("rampway.model", "rampway.revision", "rampway.outcome")


class Tracer:
    """Makes spans.

    Args:
        provider: OpenTelemetry's own.
    """

    def __init__(self, provider: Any) -> None:
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("rampway_server", __version__)
        self._parents = TraceContextTextMapPropagator()
        self._kind, self._error = SpanKind.SERVER, StatusCode.ERROR

    def tell(
        self,
        labels: Sequence[str],
        outcome: Outcome,
        headers: Mapping[bytes, bytes],
        duration_s: float,
    ) -> None:
        """Make the span of a request that has just been answered.

        Args:
            labels: The model and its revision.
            outcome: What it counts as.
            headers: Of the request; `traceparent` says whose child it is.
            duration_s: What it took.
        """
        carrier = {
            name: headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in headers
        }
        span = self._tracer.start_span(
            "infer",
            context=self._parents.extract(carrier),
            kind=self._kind,
            attributes=dict(zip(_ATTRIBUTES, (*labels, outcome), strict=True)),
            start_time=time.time_ns() - int(duration_s * 1e9),
        )
        if outcome in {"model_error", "server_error"}:
            span.set_status(self._error)
        span.end()

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()


def tracer(environ: Mapping[str, str] = os.environ) -> Tracer | None:
    """Return what the environment asks for, if anything.

    Raises:
        StartError: it cannot be had.
    """
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return None
    if not exporter and not any(environ.get(name) for name in _ENDPOINTS):
        return None
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise StartError(
            "traces are asked for (OTEL_…), and OpenTelemetry is not installed; use the image "
            "model-server-full, or install rampway[server-full]"
        ) from None
    # Service, sampler and limits are read from the environment by OpenTelemetry itself.
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_exporter(exporter or "otlp", environ)))
    return Tracer(provider)


def _exporter(name: str, environ: Mapping[str, str]) -> Any:
    protocol = next((environ[one] for one in _PROTOCOLS if environ.get(one)), "http/protobuf")
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if name == "otlp" and protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    if name == "otlp" and protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
            OTLPSpanExporter as GrpcExporter,
        )

        return GrpcExporter()
    raise StartError(
        f"traces are asked for by exporter {name!r} and protocol {protocol!r}; expected console or "
        "otlp (OTEL_TRACES_EXPORTER), http/protobuf or grpc (OTEL_EXPORTER_OTLP_PROTOCOL)"
    )
