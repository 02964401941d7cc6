"""The strategies that are simulated: each of three stages or more, its last one named alike."""

from typing import Any

from simulation.stage import NAME, approval, match, mirror, policy, ramp, step
from simulation.systematic.invariants import LAST_STEP

from rampway.sim.world import SPACE

SEEN = 300
"""Requests of the candidate that each step must have judged."""
ERRORS = {"name": "errors", "errorRate": {"ignoreBelow": "1%", "detect": "10x"}}
SLOW = {"name": "slow", "latency": {"detect": "10x"}}
QUERY = "orders"
REVENUE = {"name": "revenue", "threshold": {"query": QUERY, "min": "3"}}
PER_POD = {"metric": "requests_per_second", "averageValue": 3000}
"""Two pods' worth of what is sent."""
HEADERS = {"x-beta": "yes"}
HEADERS_SHARE = 0.2
JUDGED = {"minRequests": SEEN}


def _weight(name: str, weight_pct: int) -> dict[str, Any]:
    return step(name, weight_pct, 1) | JUDGED


BY_WEIGHT = [_weight("ten", 10), _weight("half", 50), _weight(LAST_STEP, 80)]
GATES = ("BeforeRollout", "BeforeStep", "BeforePromotion")
HOOKS: list[dict[str, Any]] = [
    {"name": moment.lower(), "when": moment, "http": {"url": "http://hooks.example/go"}}
    for moment in (*GATES, "AfterPromotion", "AfterRollback")
]
WATCH = {"watch": {"hold": "8s", "holdback": "20%"}}

STEPS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "canary": (BY_WEIGHT, {}),
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
    "ramp": ([ramp("rise", 10, 12, 3, "Linear") | JUDGED, _weight(LAST_STEP, 50)], {}),
    "automated": (
        [
            _weight("ten", 10) | {"automation": {"level": "Off"}},
            _weight("half", 50) | {"automation": {"level": "Assist"}},
            _weight(LAST_STEP, 80) | {"automation": {"level": "Partial", "confidence": "90%"}},
        ],
        {},
    ),
    "hooked": (BY_WEIGHT, {"hooks": HOOKS}),
    "watched": (BY_WEIGHT, WATCH),
    "scarce": (BY_WEIGHT, {}),
    "scarce-watched": (BY_WEIGHT, WATCH),
    "autoscaled": (BY_WEIGHT, {}),
    "queued": (BY_WEIGHT, WATCH),
    "route-ref": (BY_WEIGHT, {}),
    "replicas": ([_weight("third", 33), _weight("half", 50), approval(LAST_STEP)], {}),
}
RULE = "predict"
ROUTE: dict[str, Any] = {
    "metadata": {"name": NAME, "namespace": SPACE},
    "spec": {
        "parentRefs": [{"name": "eg"}],
        "hostnames": ["shop.example"],
        "rules": [
            {
                "name": RULE,
                "matches": [{"path": {"type": "PathPrefix", "value": "/v2"}}],
                "timeouts": {"request": "9s"},
                "backendRefs": [{"name": NAME, "port": 80, "weight": 1}],
            },
            {"name": "shop", "backendRefs": [{"name": "shop", "port": 80, "weight": 1}]},
        ],
    },
}
"""The route of a user who has only one rule of it split."""
SPECS: dict[str, dict[str, Any]] = {
    "route-ref": {"traffic": {"type": "RouteRef", "routeRef": {"name": NAME, "rule": RULE}}},
    "scarce": {"capacity": {"fallback": "Proportional", "maxSurge": 1}},
    "scarce-watched": {"capacity": {"fallback": "None"}},
    "autoscaled": {"autoscaling": {"minReplicas": 2, "maxReplicas": 4, "metrics": [PER_POD]}},
    "replicas": {"traffic": {"type": "Replicas"}},
}
"""What a strategy asks for beside its policy."""
ROLLOUTS: dict[str, dict[str, Any]] = {"queued": {"onNewRevision": "Queue"}}
"""The same of `spec.rollout`."""


def course(strategy: str) -> dict[str, Any]:
    """Return the policy of a strategy."""
    steps, more = STEPS[strategy]
    checks = (ERRORS, SLOW, REVENUE)
    return policy(*steps, checks=checks, falseRollbackRate="50%", **more)
