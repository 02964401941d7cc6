"""What a data plane makes of a route: which rule a request meets, who answers, who gets a copy."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Headers = tuple[tuple[str, str], ...]
"""Names in small letters, and values."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A header that a rule asks for."""

    name: str
    value: str
    is_pattern: bool = False

    def borne(self, headers: Headers) -> bool:
        """Whether a request with these headers bears it; a pattern has to fit the whole value."""
        values = [value for name, value in headers if name == self.name]
        if self.is_pattern:
            return any(re.fullmatch(self.value, value) for value in values)
        return self.value in values


@dataclass(frozen=True, slots=True)
class Rule:
    """One match of one rule of a route; paths are not simulated.

    Attributes:
        backends: Services and weights.
        mirrors: Services that get a copy, and of how many percent of the requests.
    """

    wanted: tuple[Wanted, ...]
    backends: tuple[tuple[str, int], ...]
    mirrors: tuple[tuple[str, int], ...] = ()

    @property
    def services(self) -> Iterable[str]:
        """Names of all Services that it sends anything to."""
        return (name for name, _ in (*self.backends, *self.mirrors))


Rules = tuple[Rule, ...]


def rules_of(rules: Iterable[Mapping[str, Any]]) -> Rules:
    """Return the rules of an HTTPRoute, one for each of their matches."""
    return tuple(
        Rule(_wanted(match), _backends(rule), _mirrors(rule))
        for rule in rules
        for match in rule.get("matches") or [{}]
    )


def met(rules: Rules, headers: Headers) -> Rule | None:
    """Return the rule that a request with these headers meets, None if it meets none.

    The Gateway API prefers the one that asks for more headers, then the first.
    """
    return rules[0] if len(rules) == 1 and not rules[0].wanted else _best(rules, headers)


@lru_cache(maxsize=4096)
def _best(rules: Rules, headers: Headers) -> Rule | None:
    fitting = [rule for rule in rules if all(want.borne(headers) for want in rule.wanted)]
    return max(fitting, key=lambda rule: len(rule.wanted), default=None)


def _wanted(match: Mapping[str, Any]) -> tuple[Wanted, ...]:
    return tuple(
        Wanted(h["name"].lower(), h["value"], is_pattern=h.get("type") == "RegularExpression")
        for h in match.get("headers") or []
    )


def _backends(rule: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    refs = rule.get("backendRefs") or []
    return tuple((str(ref["name"]), int(ref.get("weight", 1))) for ref in refs)


def _mirrors(rule: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    mirrors = [f["requestMirror"] for f in rule.get("filters") or [] if "requestMirror" in f]
    return tuple((str(m["backendRef"]["name"]), int(m.get("percent", 100))) for m in mirrors)
