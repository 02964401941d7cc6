"""Backends that a user's rule had before it sent any request to this model (B16).

In the first rollout they have the part of stable: what the candidate does not get goes to them, in
the proportions that they have among each other. How they were stands in an annotation of the route,
written and removed by the same patches as the weights.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rampway.api import labels
from rampway.core.traffic.split import Split
from rampway.kube.base import Obj
from rampway.routers.chosen import Rule, backend, is_revision

ALL_PCT = 100
MOST = 10_000
"""Sum of the weights that are told apart; the Gateway API allows a million in each."""

Patch = list[dict[str, Any]]


def of(route: Obj, refs: Sequence[Rule], stable: str) -> list[Rule]:
    """Return a rule's backends as they were before, empty where it never had others' backends."""
    mine = any(is_revision(str(ref["name"]), stable) for ref in refs)
    noted = _noted(route, stable)
    if mine and noted:
        return noted
    theirs = [ref for ref in refs if not is_revision(str(ref["name"]), stable)]
    strangers = any(ref["name"] != stable for ref in theirs)
    return theirs if strangers and any(_weight(ref) for ref in theirs) else []


def backends(before: Sequence[Rule], split: Split) -> list[Rule]:
    """Return the backends of the rule: those before, and the candidate beside them."""
    if not split.weight_pct:
        return list(before)
    weights = [_weight(ref) for ref in before]
    total = sum(weights)
    if total > MOST:
        weights = [weight * MOST // total for weight in weights]  # never more than MOST in sum
        total = sum(weights)
    left = ALL_PCT - split.weight_pct
    theirs = [ref | {"weight": w * left} for ref, w in zip(before, weights, strict=True)]
    # What filters do to a backend of theirs is for that one, a path of its own for instance.
    return [*theirs, backend(split.candidate, total * split.weight_pct)]


def weighted(refs: Sequence[Mapping[str, Any]], stable: str) -> tuple[str, int]:
    """Return the candidate among the backends and its share; some is never none, nor all."""
    weights = [(str(ref["name"]), _weight(ref)) for ref in refs]
    candidate = next((name for name, _ in weights if is_revision(name, stable)), "")
    total = sum(weight for _, weight in weights)
    mine = sum(weight for name, weight in weights if name == candidate)
    if not mine or mine == total:
        return candidate, ALL_PCT if mine else 0
    return candidate, min(max(round(ALL_PCT * mine / total), 1), ALL_PCT - 1)


def note(route: Obj, stable: str, before: Sequence[Rule]) -> Patch:
    """Return the JSON patch by which the route tells how the rule was, or tells no more."""
    key = labels.adopted(stable)
    notes = route["metadata"].get("annotations")
    path = f"/metadata/annotations/{key.replace('/', '~1')}"
    have, want = (notes or {}).get(key), json.dumps(list(before)) if before else None
    if have == want:
        return []
    if want is None:
        return [{"op": "remove", "path": path}]
    base: Patch = [] if notes else [{"op": "add", "path": "/metadata/annotations", "value": {}}]
    return [*base, {"op": "add", "path": path, "value": want}]


def is_noted(route: Obj, stable: str) -> bool:
    """Whether the route tells how the rule was: its first rollout is not over."""
    return bool(_noted(route, stable))


def _weight(ref: Mapping[str, Any]) -> int:
    return int(ref.get("weight", 1))


def _noted(route: Obj, stable: str) -> list[Rule]:
    text = (route["metadata"].get("annotations") or {}).get(labels.adopted(stable), "")
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []  # edited by hand: what is in the rule now counts
    usable = isinstance(found, list) and all(isinstance(r, dict) and "name" in r for r in found)
    return found if usable else []
