"""Who wrote a route's rules last, by the API server's own record."""

from rampway.kube.base import Obj

OURS = "rampway"
"""Our own field manager; see kube/client.py."""


def foreign_writer(route: Obj) -> tuple[str, str]:
    """Return the field manager, other than ours, that the rules belong to, and when it wrote them.

    The list of rules has one owner: whoever changed it last. Both are empty where that is us.
    """
    found = [
        (str(entry.get("time", "")), str(entry.get("manager", "")))
        for entry in route["metadata"].get("managedFields") or []
        if entry.get("manager") != OURS
        and not entry.get("subresource")
        and "f:rules" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    at, manager = max(found, default=("", ""))
    return manager, at
