"""Who wrote a route's rules last, and whose they are, by the API server's own record."""

from typing import Any

from rampway.kube.base import JsonPatch, Obj

OURS = "rampway"
"""Our own field manager; see kube/client.py."""


def foreign_writer(route: Obj) -> tuple[str, str]:
    """Return the field manager, other than ours, that the rules belong to, and when it wrote them.

    The list of rules has one owner: whoever changed it last. Both are empty where that is us.
    """
    found = [
        (str(entry.get("time", "")), str(entry.get("manager", "")))
        for entry in _entries(route)
        if entry.get("manager") != OURS and _has_rules(entry)
    ]
    at, manager = max(found, default=("", ""))
    return manager, at


def is_ours(route: Obj) -> bool:
    """Whether the rules belong to us: whoever applies others, without force, is refused."""
    return any(entry.get("manager") == OURS and _has_rules(entry) for entry in _entries(route))


def let_go(route: Obj) -> JsonPatch:
    """Return the JSON patch by which the rules belong to us no more; they stay as they are.

    The list has one owner, and defaults in it are not compared: without this the user's own
    manifest, applied on the server without force, would be refused for good after one rollout.
    """
    version = route["metadata"]["resourceVersion"]
    kept = [
        _without_rules(entry) if entry.get("manager") == OURS and _has_rules(entry) else entry
        for entry in _entries(route)
    ]
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        # An empty list the API server would leave out of account.
        {
            "op": "replace",
            "path": "/metadata/managedFields",
            "value": [one for one in kept if one] or [{}],
        },
    ]


def _entries(route: Obj) -> list[dict[str, Any]]:
    return list(route["metadata"].get("managedFields") or [])


def _has_rules(entry: dict[str, Any]) -> bool:
    spec = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    return "f:rules" in spec and not entry.get("subresource")


def _without_rules(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what else a manager owns; nothing if that is all."""
    fields = entry["fieldsV1"]
    spec = {key: value for key, value in fields["f:spec"].items() if key != "f:rules"}
    rest = {key: value for key, value in fields.items() if key != "f:spec"}
    left = rest | ({"f:spec": spec} if spec else {})
    return entry | {"fieldsV1": left} if left else {}
