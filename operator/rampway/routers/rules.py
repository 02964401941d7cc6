"""A split as rules of an HTTPRoute: weights, a mirror, a rule for requests with certain headers.

One rule is split: it holds the weights, and while requests are copied one RequestMirror filter more
(B14). Requests chosen by their headers have a rule of their own, last in the route: the Gateway API
prefers the rule with more header matches wherever it stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rampway.api.steps import HeaderMatch
from rampway.core.traffic.route import MOST_RULES, Guests
from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.kube.base import Obj
from rampway.routers import chosen, door, guests
from rampway.routers.chosen import PORT, Rule, backend, is_revision

MIRROR = "RequestMirror"
ALL_PCT = 100

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
    return [first, *([chosen.made(first, [], stable, split)] if split.headers else [])]


def backends(stable: str, split: Split, known: Mapping[str, Any] | None = None) -> list[Rule]:
    """Return the backends of the rule that is split: stable alone, or weights of 100 in sum.

    Args:
        stable: Name of stable's Service.
        split: Who gets which requests.
        known: What the rule says of stable's Service now; filters there hold for both.
    """
    more = {"filters": known["filters"]} if known and known.get("filters") else {}
    if not split.weight_pct:
        return [backend(stable, 1) | more]
    return [
        backend(stable, ALL_PCT - split.weight_pct) | more,
        backend(split.candidate, split.weight_pct) | more,
    ]


def changes(route: Obj, index: int, stable: str, split: Split, now_s: float | None = None) -> Patch:
    """Return the JSON patch that gives a route this split and leaves all else byte for byte (B14).

    Args:
        route: The route as it was read.
        index: Position of the rule that is split.
        stable: Name of stable's Service.
        split: Who shall get which requests.
        now_s: The present, where the rule for chosen requests comes and goes in steps (`door.py`);
            None: all that is left to be done.
    """
    found = _rules(route)
    rule, path = found[index], f"/spec/rules/{index}"
    patch: Patch = []
    refs = rule.get("backendRefs") or []
    before = guests.of(route, refs, stable) if split.guests else []
    if before:
        wanted = guests.backends(before, split)
        same = refs == wanted
    else:
        known = next((ref for ref in refs if ref["name"] == stable), None)
        wanted = backends(stable, split, known)
        same = _alike(refs, wanted)
    patch += guests.note(route, stable, before if split.weight_pct else [])
    if not same:
        write = "replace" if "backendRefs" in rule else "add"
        patch.append({"op": write, "path": f"{path}/backendRefs", "value": wanted})
    others = [f for f in rule.get("filters") or [] if not _is_ours(f, stable)]
    patch += _filters(rule, path, [*others, *([_mirror(split)] if split.mirror_pct else [])])
    want = [chosen.made(rule, others, stable, split)] if split.headers else []
    have = _ours(found, rule, stable)
    if now_s is not None:
        want = door.through(route, have, want, now_s)
    if have != want:
        places = [n for n, r in enumerate(found) if any(r is one for one in have)]
        patch += [{"op": "remove", "path": f"/spec/rules/{n}"} for n in reversed(places)]
        patch += [{"op": "add", "path": "/spec/rules/-", "value": r} for r in want]
    return patch


def read(route: Obj, index: int, stable: str, *, against_guests: bool = False) -> Split:
    """Return the split that a route carries, whoever wrote it."""
    found = _rules(route)
    if len(found) <= index:
        return STABLE_ONLY
    rule = found[index]
    ours = [r for r in _ours(found, rule, stable) if not door.is_closed(r)]
    mirror = next((f for f in rule.get("filters") or [] if _is_ours(f, stable)), None)
    weighted = guests.weighted if against_guests else _weighted
    candidate, weight_pct = weighted(rule.get("backendRefs") or [], stable)
    targets = [mirror[_MIRROR_KEY]["backendRef"]] if mirror else []
    targets += [ref for r in ours for ref in r["backendRefs"]]
    candidate = candidate or next((str(ref["name"]) for ref in targets), "")
    headers: tuple[HeaderMatch, ...] = chosen.headers(ours[0], rule) if ours else ()
    mirror_pct = mirror[_MIRROR_KEY].get("percent", ALL_PCT) if mirror else 0
    return Split(candidate, weight_pct, mirror_pct, headers)


def beside(route: Obj, index: int, stable: str) -> Guests | None:
    """Return who had the rule before, and the split with them for stable; None without any."""
    refs = _rules(route)[index].get("backendRefs") or []
    before = guests.of(route, refs, stable)
    if not before:
        return None
    split = read(route, index, stable, against_guests=True).or_rest()
    return Guests(
        names=tuple(dict.fromkeys(str(ref["name"]) for ref in before)),
        split=split,
        in_shape=not changes(route, index, stable, replace(split, guests=True)),
        noted=guests.is_noted(route, stable),
    )


def ajar(route: Obj, index: int, stable: str) -> bool:
    """Whether a rule for chosen requests is on its way in or out: there, and closed."""
    found = _rules(route)
    return len(found) > index and any(map(door.is_closed, _ours(found, found[index], stable)))


def serves(route: Obj, index: int, stable: str) -> bool:
    """Whether stable's Service is the only backend of the rule."""
    return names(route, index) == [stable]


def names(route: Obj, index: int) -> list[str]:
    """Return the names of a rule's backends."""
    found = _rules(route)
    refs = found[index].get("backendRefs") or [] if len(found) > index else []
    return [str(ref["name"]) for ref in refs]


def strangers(route: Obj, index: int, stable: str) -> tuple[str, ...]:
    """Return the names of a rule's backends that are not of this model, each once."""
    others = (name for name in names(route, index) if name != stable)
    return tuple(dict.fromkeys(name for name in others if not is_revision(name, stable)))


def headers(route: Obj, index: int) -> frozenset[str]:
    """Return the names, in small letters, of the headers that a rule's own matches ask for."""
    matches = _rules(route)[index].get("matches") or []
    return frozenset(h["name"].lower() for match in matches for h in match.get("headers") or [])


def is_full(route: Obj, index: int, stable: str) -> bool:
    """Whether a route has no room for the rule that we would add."""
    found = _rules(route)
    others = [r for r in found if not chosen.is_ours(r, found[index], stable)]
    return len(others) >= MOST_RULES


def is_of(route: Obj, index: int, stable: str) -> bool:
    """Whether a rule sends requests to this model and to nobody else."""
    return bool(names(route, index)) and not strangers(route, index, stable)


def tidy(route: Obj, index: int, stable: str) -> bool:
    """Whether a route has its split in our own form: no third backend, no second mirror."""
    if len(_rules(route)) <= index:
        return False
    return not changes(route, index, stable, read(route, index, stable))


def besides(route: Obj, index: int, stable: str) -> list[Rule]:
    """Return the rules without the one for chosen requests."""
    found = _rules(route)
    ours = _ours(found, found[index], stable) if len(found) > index else []
    return [rule for rule in found if rule not in ours]


def alike(found: Sequence[Rule], wanted: Sequence[Rule]) -> bool:
    """Whether a route of our own has these rules; its backends may differ."""
    return len(found) == len(wanted) and all(
        have.get("matches") == want["matches"] and have.get("filters") == want.get("filters")
        for have, want in zip(found, wanted, strict=True)
    )


_MIRROR_KEY = "requestMirror"


def _filters(rule: Rule, path: str, wanted: Sequence[Rule]) -> Patch:
    """Return the JSON patch that gives a rule these filters."""
    if list(wanted) == (rule.get("filters") or []):
        return []
    if not wanted:
        return [{"op": "remove", "path": f"{path}/filters"}]
    return [{"op": "add", "path": f"{path}/filters", "value": list(wanted)}]


def _weighted(refs: Sequence[Mapping[str, Any]], stable: str) -> tuple[str, int]:
    """Return the candidate among the backends and its share; some is never none, nor all."""
    weights: dict[str, int] = {}
    for ref in refs:
        weights[ref["name"]] = weights.get(ref["name"], 0) + ref.get("weight", 1)
    others = [name for name in weights if name != stable]
    candidate = next((n for n in others if is_revision(n, stable)), next(iter(others), ""))
    total, mine = sum(weights.values()), weights.get(candidate, 0)
    if not mine or mine == total:
        return candidate, ALL_PCT if mine else 0
    return candidate, min(max(round(ALL_PCT * mine / total), 1), ALL_PCT - 1)


def _alike(refs: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> bool:
    """Whether backends get the same shares; one alone gets everything, whatever its weight."""
    have = [_DEFAULTS | dict(ref) for ref in refs]
    if len(have) == len(wanted) == 1 and have[0]["weight"]:
        have[0]["weight"] = 1
    return sorted(have, key=_name) == sorted(map(dict, wanted), key=_name)


_DEFAULTS: Rule = {"group": "", "kind": "Service", "weight": 1}
"""What the API server fills in."""


def _name(ref: Mapping[str, Any]) -> str:
    return str(ref["name"])


def _mirror(split: Split) -> Rule:
    ref = {"group": "", "kind": "Service", "name": split.candidate, "port": PORT}
    return {"type": MIRROR, _MIRROR_KEY: {"backendRef": ref, "percent": split.mirror_pct}}


def _is_ours(one: Mapping[str, Any], stable: str) -> bool:
    """Whether a filter copies requests to a revision of this model."""
    if one.get("type") != MIRROR:
        return False
    target = one.get(_MIRROR_KEY, {}).get("backendRef", {}).get("name", "")
    return is_revision(target, stable)


def _ours(found: Sequence[Rule], rule: Rule, stable: str) -> list[Rule]:
    return [r for r in found if r is not rule and chosen.is_ours(r, rule, stable)]


def _rules(route: Obj) -> list[Rule]:
    return list(route.get("spec", {}).get("rules") or [])
