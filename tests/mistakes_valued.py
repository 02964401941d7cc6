"""Mistakes in checks of durations and means: a check, its field and the words that tell of it."""

from typing import Any

MEAN = {
    "sum": {"metric": "shop_revenue_sum"},
    "count": {"metric": "shop_revenue_count"},
    "lower": "1",
    "upper": "500",
}
HELD = {"against": "Value", "value": "40"}
COUNTS = {
    "against": "Value",
    "events": {"metric": "shop_orders_total"},
    "exposures": {"metric": "shop_visits_total"},
}
QUICK = {"against": "Value", "percentile": "99", "value": "200ms"}


_VALUES: tuple[tuple[str, str, dict[str, Any], str, str], ...] = (
    (
        "bounds the wrong way round",
        "mean",
        MEAN | {"lower": "500.5"},
        "",
        "expected lower below upper",
    ),
    (
        "a usual mean that no mean can be",
        "mean",
        MEAN | HELD | {"value": "0.9"},
        "",
        "value: expected a mean from lower to upper",
    ),
    (
        "a usual mean above all values",
        "mean",
        MEAN | HELD | {"value": "501"},
        "",
        "value: expected a mean from lower to upper",
    ),
    (
        "a usual mean that none is below",
        "mean",
        MEAN | HELD | {"value": "1", "harmWhen": "Less"},
        "",
        "with harmWhen: Less, above lower: else nothing could be harm",
    ),
    (
        "a usual mean that none is above",
        "mean",
        MEAN | HELD | {"value": "500"},
        "",
        "and below upper",
    ),
    (
        "failures of more than all answers",
        "errorRate",
        {"against": "Value", "value": "150%"},
        "",
        "value: expected a share of the answers below 100%",
    ),
    (
        "failures of all answers, beside which nothing is worse",
        "errorRate",
        {"against": "Value", "value": "100%"},
        "",
        "value: expected a share of the answers below 100%",
    ),
    (
        "events of more than all exposures",
        "counts",
        COUNTS | {"value": "150%"},
        "",
        "value: expected a share of the exposures below 100%",
    ),
    (
        "more events than exposures, where less is harm",
        "counts",
        COUNTS | {"value": "100.5%", "harmWhen": "Less"},
        "",
        "with harmWhen: Less, above 0% and up to 100%",
    ),
    (
        "no events, where less is harm",
        "counts",
        COUNTS | {"value": "0%", "harmWhen": "Less"},
        "",
        "with harmWhen: Less, above 0% and up to 100%",
    ),
    (
        "a usual mean as a share",
        "mean",
        MEAN | HELD | {"value": "40%"},
        ".value",
        "expected a number from 0 on",
    ),
    (
        "a usual mean beside stable's",
        "mean",
        MEAN | {"value": "40"},
        "",
        "expected value where against is Value",
    ),
    (
        "a usual duration of no percentile",
        "latency",
        {"against": "Value", "value": "200ms"},
        "",
        "percentile: expected beside value",
    ),
    (
        "a usual duration of nothing",
        "latency",
        QUICK | {"value": "0s"},
        "",
        "value: expected a duration above 0s",
    ),
    (
        "a usual duration as a share",
        "latency",
        QUICK | {"value": "2%"},
        ".value",
        "expected a duration",
    ),
)
VALUED = tuple(
    (name, {kind: asked}, f"checks[0].{kind}{at}", text) for name, kind, asked, at, text in _VALUES
)
