"""The strategies that are simulated: each of three stages or more, its last one named alike."""

from typing import Any

from simulation.stage import approval, match, mirror, policy, step
from simulation.systematic.invariants import LAST_STEP

SEEN = 300
"""Requests of the candidate that each step must have judged."""
ERRORS = {"name": "errors", "errorRate": {"ignoreBelow": "1%", "detect": "10x"}}
SLOW = {"name": "slow", "latency": {"detect": "10x"}}
QUERY = "orders"
REVENUE = {"name": "revenue", "threshold": {"query": QUERY, "min": "3"}}
HEADERS = {"x-beta": "yes"}
HEADERS_SHARE = 0.2
JUDGED = {"minRequests": SEEN}


def _weight(name: str, weight_pct: int) -> dict[str, Any]:
    return step(name, weight_pct, 1) | JUDGED


STEPS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "canary": ([_weight("ten", 10), _weight("half", 50), _weight(LAST_STEP, 80)], {}),
    "shadow": (
        [
            mirror("some", 50, 1, **JUDGED),
            mirror("copies", 100, 1, **JUDGED),
            _weight(LAST_STEP, 50),
        ],
        {},
    ),
    "ab": (
        [match("beta", 1, x_beta="yes") | JUDGED, _weight("half", 50), _weight(LAST_STEP, 80)],
        {},
    ),
    "blue-green": (
        [
            mirror("copies", 50, 1, **JUDGED),
            match("beta", 1, x_beta="yes") | JUDGED,
            approval(LAST_STEP),
        ],
        {"strategy": "BlueGreen"},
    ),
    "watched": (
        [_weight("ten", 10), _weight("half", 50), _weight(LAST_STEP, 80)],
        {"watch": {"hold": "8s", "holdback": "20%"}},
    ),
}


def course(strategy: str) -> dict[str, Any]:
    """Return the policy of a strategy."""
    steps, more = STEPS[strategy]
    checks = (ERRORS, SLOW, REVENUE)
    return policy(*steps, checks=checks, falseRollbackRate="50%", **more)
