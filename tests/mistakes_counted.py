"""Of the checks of users' own counters: one that sets every field, and mistakes in them."""

from typing import Any

ORDERS: dict[str, Any] = {
    "events": {"metric": "orders"},
    "exposures": {"metric": "visits"},
    "harmWhen": "Less",
}
WHOLE_COUNTS: dict[str, Any] = {
    "name": "orders",
    "onFailure": "Pause",
    "counts": {
        "events": {
            "metric": "shop_orders_total",
            "labels": [{"name": "kind", "value": "placed"}],
        },
        "exposures": {"metric": "shop_visits_total"},
        "harmWhen": "Less",
        "maxChange": "20%",
        "ignoreBelow": "0.5%",
        "detect": "2x",
        "lag": "5m",
        "slices": {"by": "region", "atMost": 20, "waitFor": "5%"},
    },
}
WHOLE_MEAN: dict[str, Any] = {
    "name": "basket",
    "mean": {
        "sum": {"metric": "shop_basket_sum"},
        "count": {"metric": "shop_basket_count"},
        "lower": "0",
        "upper": "500",
        "harmWhen": "Less",
        "maxChange": "5%",
        "ignoreBelow": "1.5",
        "detect": "1.2x",
        "lag": "5m",
        "slices": {"by": "region", "atMost": 20, "waitFor": "5%"},
    },
}
NOTHING = {"maxChange": "0%", "ignoreBelow": "0%"}
_COUNTS: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    (
        "a harm to detect that is tolerated, by rarer events",
        ORDERS | {"maxChange": "60%", "detect": "2x"},
        "checks[0].counts",
        "detect: expected more than what maxChange tolerates",
    ),
    (
        "all events may go",
        ORDERS | {"maxChange": "100%"},
        "checks[0].counts",
        "maxChange: expected less than 100%",
    ),
    (
        "proof without a tolerance, of counts",
        ORDERS | NOTHING | {"require": "HarmRuledOut"},
        "checks[0].counts",
        "require: HarmRuledOut proves no more than a tolerance",
    ),
    (
        "a label that is not the user's to say",
        ORDERS | {"events": {"metric": "x", "labels": [{"name": "namespace", "value": "y"}]}},
        "checks[0].counts.events.labels[0]",
        "for Rampway to say",
    ),
    (
        "a value that nothing is held against",
        ORDERS | {"value": "2%"},
        "checks[0].counts",
        "expected value where against is Value",
    ),
    (
        "slices of what is held against a value",
        ORDERS | {"against": "Value", "value": "2%", "slices": {"by": "region"}},
        "checks[0].counts",
        "slices are compared with those of stable",
    ),
    (
        "slices by what is Rampway's to say",
        ORDERS | {"slices": {"by": "revision"}},
        "checks[0].counts.slices",
        "by: namespace, pod and revision are for Rampway to say",
    ),
    (
        "PromQL where a series belongs",
        ORDERS | {"exposures": {"metric": 'x{a="b"}'}},
        "checks[0].counts.exposures.metric",
        "the name of a series",
    ),
)
"""What it is called, the field `counts`, where it is told of, and in which words."""
COUNTED = tuple((name, {"counts": counts}, at, text) for name, counts, at, text in _COUNTS)
