"""What the Gateways say of a route: whether it is in force as it is now (B13)."""

from rampway.kube.base import Obj


def objection(route: Obj) -> str:
    """Return why the route is not in force at its generation, empty if it is (B13)."""
    generation = route["metadata"].get("generation", 0)
    parents = route.get("status", {}).get("parents") or []
    wanted = route.get("spec", {}).get("parentRefs") or []
    if len(parents) < len(wanted):
        missing = len(wanted) - len(parents)
        return f"{missing} of {len(wanted)} Gateways have not answered for the route yet"
    for parent in parents:
        name = parent.get("parentRef", {}).get("name", "?")
        conditions = {c["type"]: c for c in parent.get("conditions") or []}
        for kind in ("Accepted", "ResolvedRefs"):
            found = conditions.get(kind)
            if found is None or found.get("observedGeneration", 0) < generation:
                return f"Gateway {name} has not processed the route's latest change yet"
            if found["status"] != "True":
                words = found.get("message") or found.get("reason", "no reason given")
                return f"Gateway {name}: {kind} is {found['status']}: {words}"
    return ""
