"""What EndpointSlices say: which pods the data plane sends a Service's requests to."""

from collections.abc import Iterable, Mapping
from typing import Any


def ready_behind(slices: Iterable[Mapping[str, Any]], service: str) -> frozenset[str]:
    """Read the names of the ready pods behind a Service."""
    ready = {
        endpoint.get("targetRef", {}).get("name", "")
        for piece in slices
        if piece["metadata"]["labels"].get("kubernetes.io/service-name") == service
        for endpoint in piece.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready", True)
    }
    return frozenset(ready - {""})
