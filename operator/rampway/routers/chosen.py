"""The rule for requests chosen by their headers: like the one that is split, with headers more."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rampway.api.steps import HeaderMatch, MatchType
from rampway.core.model.revision import HASH_LENGTH
from rampway.core.traffic.split import Split

PORT = 80
Rule = dict[str, Any]

ANY: Rule = {"path": {"type": "PathPrefix", "value": "/"}}
"""What a rule without matches matches."""


def made(
    rule: Mapping[str, Any], filters: Sequence[Mapping[str, Any]], stable: str, split: Split
) -> Rule:
    """Return the rule that sends requests with the split's headers to the candidate.

    What else the user's rule does to a request (filters, timeouts) is done to these too.

    Args:
        rule: The rule that is split.
        filters: Its filters, our mirror left out.
        stable: Name of stable's Service.
        split: Who gets which requests.
    """
    more = [
        {"type": header.type.value, "name": header.name, "value": header.value}
        for header in split.headers
    ]
    kept = {k: v for k, v in rule.items() if k not in {"name", "backendRefs", "filters"}}
    known: Mapping[str, Any] = next(
        (ref for ref in rule.get("backendRefs") or [] if ref["name"] == stable), {}
    )
    matches = [
        {**match, "headers": [*match.get("headers", []), *more]}
        for match in rule.get("matches") or [ANY]
    ]
    found: Rule = kept | {"matches": matches}
    found["backendRefs"] = [backend(split.candidate, 1)]
    if known.get("filters"):
        found["backendRefs"][0]["filters"] = known["filters"]
    if filters:
        found["filters"] = list(filters)
    if rule.get("name"):
        found["name"] = _mark(stable)
    return found


def is_ours(one: Mapping[str, Any], rule: Mapping[str, Any], stable: str) -> bool:
    """Whether a rule is the one that we added beside the rule that is split.

    Where rules have names ours has one of its own. In a route of our own they have none: there it
    is the one that sends everything with certain headers to a revision.
    """
    if rule.get("name"):
        return bool(one.get("name") == _mark(stable))
    refs, matches = one.get("backendRefs") or [], one.get("matches") or []
    by_headers = bool(matches) and all(match.get("headers") for match in matches)
    return by_headers and len(refs) == 1 and is_revision(refs[0]["name"], stable)


def headers(one: Mapping[str, Any], rule: Mapping[str, Any]) -> tuple[HeaderMatch, ...]:
    """Return the headers that a rule of ours has beyond those of the rule that is split."""
    own = ((rule.get("matches") or [ANY])[0]).get("headers") or []
    found = ((one.get("matches") or [ANY])[0]).get("headers") or []
    beyond = found[len(own) :] if found[: len(own)] == own else found
    return tuple(
        # Not validated: whoever edited the rule is not bound by what a step may say.
        HeaderMatch.model_construct(
            name=h["name"], value=h["value"], type=MatchType(h.get("type", "Exact"))
        )
        for h in beyond
    )


def backend(name: str, weight: int) -> Rule:
    """Return a backend, with the API server's defaults written out: a read equals a write."""
    return {"group": "", "kind": "Service", "name": name, "port": PORT, "weight": weight}


def is_revision(name: str, stable: str) -> bool:
    """Whether a Service is that of a revision of this model; `digits-eu` is none of `digits`."""
    model, _, revision = name.rpartition("-")
    return model == stable and re.fullmatch(rf"[0-9a-f]{{{HASH_LENGTH}}}", revision) is not None


def _mark(stable: str) -> str:
    return f"rampway-{stable}"
