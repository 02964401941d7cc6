"""The rule for chosen requests comes and goes through a door, so that none of them fails.

To a Gateway's proxies a rule is two things, a route and the pods behind it, which reach them one
after the other in either order. While a proxy knows the route without the pods, each request that
meets it is answered 503 (seen with Envoy Gateway 1.5: some 25 of them each time the rule was taken
out under 500 requests a second; none through the door). So the rule is made closed, by one header
more that nobody sends, is opened once every proxy has it, is closed before it is taken out, and
taken out once every proxy knows that. Closing takes effect at once: a rollback waits for nothing.
"""

from collections.abc import Mapping, Sequence

from rampway.kube.base import Obj
from rampway.routers.chosen import Rule
from rampway.routers.parents import objection

CLOSED = "x-rampway-closed-at"
"""Header that nobody sends; its value says since when the rule is closed (seconds since 1970)."""
SETTLE_S = 2.0
"""How long a change takes at most from the Gateway's word to the last proxy; seen: under 1 s."""


def is_closed(rule: Mapping[str, object]) -> bool:
    """Whether a rule for chosen requests lets nobody through."""
    return _closed_at(rule) is not None


def through(route: Obj, have: Sequence[Rule], want: Sequence[Rule], now_s: float) -> list[Rule]:
    """Return the rules for chosen requests to write next, on the way to those that are wanted.

    Args:
        route: The route as it was read.
        have: Those that it has: none or one.
        want: Those that it shall have in the end: none or one, open.
        now_s: The present, seconds since 1970.
    """
    if not have:
        return [_close(rule, now_s) for rule in want]
    closed_at = _closed_at(have[0])
    if closed_at is None:
        return list(want) or [_close(have[0], now_s)]  # another rule in its place has its pods
    same = not want or _close(want[0], closed_at) == have[0]
    if not same:
        return [_close(want[0], now_s)]
    settled = not objection(route) and now_s - closed_at >= SETTLE_S
    return list(want) if settled else list(have)


def _close(rule: Rule, now_s: float) -> Rule:
    shut = {"type": "Exact", "name": CLOSED, "value": f"{now_s:.1f}"}
    matches = [{**match, "headers": [*match.get("headers", []), shut]} for match in rule["matches"]]
    return {**rule, "matches": matches}


def _closed_at(rule: Mapping[str, object]) -> float | None:
    """Return since when it is closed, None if it is open; a time nobody can read is long ago."""
    matches = rule.get("matches")
    first = matches[0] if isinstance(matches, list) and matches else {}
    value = next((h["value"] for h in first.get("headers") or [] if h["name"] == CLOSED), None)
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        return 0.0
