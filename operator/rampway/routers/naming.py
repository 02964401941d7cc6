"""Whether a route, anybody's, sends requests to a model: as a backend, or copies of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from rampway.kube.base import Obj
from rampway.routers.chosen import is_revision


def names_any(route: Obj, namespace: str, stable: str) -> bool:
    """Whether any rule of a route names stable's Service or that of a revision."""
    home = route["metadata"]["namespace"]
    return any(
        ref.get("namespace", home) == namespace
        and (ref.get("name") == stable or is_revision(str(ref.get("name", "")), stable))
        for rule in route.get("spec", {}).get("rules") or []
        for ref in _named(rule)
    )


def _named(rule: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from rule.get("backendRefs") or []
    for one in rule.get("filters") or []:
        yield (one.get("requestMirror") or {}).get("backendRef") or {}
