"""A split as rules of an HTTPRoute: weights, a mirror, a rule for requests with certain headers.

One rule is split: it holds the weights, and while requests are copied one RequestMirror filter more
(B14). Requests chosen by their headers have a rule of their own, last in the route: the Gateway API
prefers the rule with more header matches wherever it stands.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rampway.api.steps import HeaderMatch, MatchType
from rampway.core.split import STABLE_ONLY, Split
from rampway.kube.base import Obj

PORT = 80
MIRROR = "RequestMirror"
ALL_PCT = 100

Rule = dict[str, Any]
Patch = list[dict[str, Any]]


def made(matches: Sequence[Mapping[str, Any]], stable: str, split: Split) -> list[Rule]:
    """Return the rules of a route of our own.

    Args:
        matches: What requests bear that are for this model, headers left out.
        stable: Name of stable's Service.
        split: Who gets which of them.
    """
    first: Rule = {"matches": list(matches), "backendRefs": backends(stable, split)}
    if split.mirror_pct:
        first["filters"] = [_mirror(split)]
    return [first, *([_chosen(first, split)] if split.headers else [])]


def backends(stable: str, split: Split) -> list[Rule]:
    """Return the backends of the rule that is split: stable alone, or weights of 100 in sum."""
    if not split.weight_pct:
        return [_backend(stable, 1)]
    return [
        _backend(stable, ALL_PCT - split.weight_pct),
        _backend(split.candidate, split.weight_pct),
    ]


def changes(route: Obj, index: int, stable: str, split: Split) -> Patch:
    """Return the JSON patch that gives a route this split and leaves all else byte for byte (B14).

    Args:
        route: The route as it was read.
        index: Position of the rule that is split.
        stable: Name of stable's Service.
        split: Who shall get which requests.
    """
    found = _rules(route)
    rule, path = found[index], f"/spec/rules/{index}"
    patch: Patch = []
    wanted = backends(stable, split)
    if rule.get("backendRefs") != wanted:
        write = "replace" if "backendRefs" in rule else "add"
        patch.append({"op": write, "path": f"{path}/backendRefs", "value": wanted})
    others = [f for f in rule.get("filters") or [] if not _is_ours(f, stable)]
    filters = [*others, *([_mirror(split)] if split.mirror_pct else [])]
    if filters != (rule.get("filters") or []):
        patch.append(
            {"op": "add", "path": f"{path}/filters", "value": filters}
            if filters
            else {"op": "remove", "path": f"{path}/filters"}
        )
    kept = [r for r in found if not _is_chosen(r, stable)]
    last = [_chosen(rule, split)] if split.headers else []
    if [*kept, *last] != found:
        places = [n for n, r in enumerate(found) if _is_chosen(r, stable)]
        patch += [{"op": "remove", "path": f"/spec/rules/{n}"} for n in reversed(places)]
        patch += [{"op": "add", "path": "/spec/rules/-", "value": r} for r in last]
    return patch


def read(route: Obj, index: int, stable: str) -> Split:
    """Return the split that a route carries, whoever wrote it."""
    found = _rules(route)
    if len(found) <= index:
        return STABLE_ONLY
    weights = {ref["name"]: ref.get("weight", 1) for ref in found[index].get("backendRefs") or []}
    others = {name: weight for name, weight in weights.items() if name != stable}
    total = sum(weights.values())
    chosen = next((r for r in found if _is_chosen(r, stable)), None)
    mirror = next((f for f in found[index].get("filters") or [] if _is_ours(f, stable)), None)
    candidate = next(iter(others), "")
    weight_pct = round(ALL_PCT * others[candidate] / total) if candidate and total else 0
    candidate = candidate or _target(mirror, chosen)
    return Split(
        candidate,
        weight_pct,
        mirror[_MIRROR_KEY].get("percent", ALL_PCT) if mirror else 0,
        _headers(chosen),
    )


def serves(route: Obj, index: int, stable: str) -> bool:
    """Whether stable's Service is the only backend of the rule."""
    found = _rules(route)
    refs = found[index].get("backendRefs") or [] if len(found) > index else []
    return [ref["name"] for ref in refs] == [stable]


def alike(found: Sequence[Rule], wanted: Sequence[Rule]) -> bool:
    """Whether a route of our own has these rules; its backends may differ."""
    return len(found) == len(wanted) and all(
        have.get("matches") == want["matches"] and have.get("filters") == want.get("filters")
        for have, want in zip(found, wanted, strict=True)
    )


_MIRROR_KEY = "requestMirror"


def _backend(name: str, weight: int) -> Rule:
    # group and kind are the API server's defaults, written out so that a read equals a write.
    return {"group": "", "kind": "Service", "name": name, "port": PORT, "weight": weight}


def _mirror(split: Split) -> Rule:
    ref = {"group": "", "kind": "Service", "name": split.candidate, "port": PORT}
    return {"type": MIRROR, _MIRROR_KEY: {"backendRef": ref, "percent": split.mirror_pct}}


def _is_ours(one: Mapping[str, Any], stable: str) -> bool:
    """Whether a filter copies requests to a revision of this model."""
    if one.get("type") != MIRROR:
        return False
    target = one.get(_MIRROR_KEY, {}).get("backendRef", {}).get("name", "")
    return _is_revision(target, stable)


def _is_revision(name: str, stable: str) -> bool:
    return name.rpartition("-")[0] == stable


def _chosen(rule: Mapping[str, Any], split: Split) -> Rule:
    """Return the rule for requests with the split's headers, like the one that is split."""
    headers = [
        {"type": header.type.value, "name": header.name, "value": header.value}
        for header in split.headers
    ]
    matches = [
        {**match, "headers": [*match.get("headers", []), *headers]}
        for match in rule.get("matches") or [{"path": {"type": "PathPrefix", "value": "/"}}]
    ]
    return {"matches": matches, "backendRefs": [_backend(split.candidate, 1)]}


def _is_chosen(rule: Mapping[str, Any], stable: str) -> bool:
    """Whether a rule sends everything to a revision: such a rule is ours."""
    refs = rule.get("backendRefs") or []
    matches = rule.get("matches") or []
    by_headers = bool(matches) and all(match.get("headers") for match in matches)
    return by_headers and len(refs) == 1 and _is_revision(refs[0]["name"], stable)


def _headers(chosen: Mapping[str, Any] | None) -> tuple[HeaderMatch, ...]:
    if chosen is None:
        return ()
    return tuple(
        HeaderMatch(name=h["name"], value=h["value"], type=MatchType(h.get("type", "Exact")))
        for h in chosen["matches"][0]["headers"]
    )


def _target(*parts: Mapping[str, Any] | None) -> str:
    for part in parts:
        if part is not None:
            refs = [part[_MIRROR_KEY]["backendRef"]] if "type" in part else part["backendRefs"]
            return str(refs[0]["name"])
    return ""


def _rules(route: Obj) -> list[Rule]:
    return list(route.get("spec", {}).get("rules") or [])
