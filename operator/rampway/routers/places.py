"""Where requests for a rule of a route arrive: its Gateways, hosts and matches (B15)."""

import json
from collections.abc import Mapping
from typing import Any

from rampway.core.traffic.route import Place, prefix
from rampway.kube.base import Obj
from rampway.routers.chosen import ANY

_PREFIX, _GATEWAY = "PathPrefix", "Gateway"


def read(route: Obj, index: int) -> Place:
    """Return where requests for a rule of a route arrive.

    Args:
        route: The route.
        index: Position of the rule.
    """
    spec = route["spec"]
    return Place(
        frozenset(
            _parent(ref, route["metadata"]["namespace"]) for ref in spec.get("parentRefs", [])
        ),
        frozenset(spec.get("hostnames") or []),
        frozenset(_text(match) for match in spec["rules"][index].get("matches") or [ANY]),
    )


def _parent(ref: Mapping[str, Any], home: str) -> tuple[str, str, str]:
    """Return namespace, name and listener; what is no Gateway is named by its kind too."""
    kind = ref.get("kind", _GATEWAY)
    name = ref["name"] if kind == _GATEWAY else f"{kind} {ref['name']}"
    port = f":{ref['port']}" if ref.get("port") else ""
    return ref.get("namespace", home), name, f"{ref.get('sectionName', '')}{port}"


def _text(match: Mapping[str, Any]) -> str:
    """Return a text that is equal for matches of the same requests, in whatever order written."""
    path = ANY["path"] | match.get("path", {})
    if path["type"] == _PREFIX:
        path = path | {"value": prefix(path["value"])}
    lists = {
        key: sorted(({"type": "Exact"} | dict(one) for one in match[key]), key=_name)
        for key in ("headers", "queryParams")
        if match.get(key)
    }
    for header in lists.get("headers", []):
        header["name"] = header["name"].lower()
    more = lists | ({"method": match["method"]} if match.get("method") else {})
    if path["type"] == _PREFIX and not more:
        return str(path["value"])
    return json.dumps({"path": path} | more, sort_keys=True, separators=(",", ":"))


def _name(one: Mapping[str, Any]) -> str:
    return str(one["name"]).lower()
