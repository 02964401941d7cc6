"""What is said of a mistake: what was expected, for example; what was seen, what may be meant."""

from typing import Any

import pytest
from mistakes import CHECKS, LEFT_OUT, POLICY, ROUTE, STEPS, changed, full

from rampway.api import advice
from rampway.api.parse import Unparseable, parse_deployment


def said(at: tuple[str | int, ...], value: Any) -> str:
    """Return what is said of a full sample with one field set."""
    with pytest.raises(Unparseable) as refusal:
        parse_deployment(changed(full(), at, value))
    return str(refusal.value)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (("spec", "info", "version"), 1, "expected a string; seen: 1 (a number: put it in quotes)"),
        (
            (*CHECKS, 0, "errorRate", "detect"),
            5,
            "a factor, for example 3x; seen: 5 (a number, not a string: write 5x)",
        ),
        (
            (*CHECKS, 2, "threshold", "max"),
            3,
            'for example "0.95"; seen: 3 (a number, not a string: put it in quotes: "3")',
        ),
        (
            (*CHECKS, 1, "latency", "percentile"),
            99,
            'for example "99"; seen: 99 (a number, not a string: put it in quotes: "99")',
        ),
        (
            (*STEPS, 0, "hold"),
            120,
            "1h30m; seen: 120 (a number, not a string: write its unit: 120s, 120m or 120h)",
        ),
        ((*POLICY, "falseRollbackRate"), 1, "seen: 1 (a number, not a string: write 1%)"),
        (
            (*ROUTE, "hostnames"),
            "digits.example",
            "hostnames: expected a list; seen: 'digits.example' (a list of one: [digits.example])",
        ),
        (STEPS, [], "steps: expected at least 1 item"),
        (
            ("spec", "server", "resources", "limits", "cpu"),
            "lots",
            "an amount as Kubernetes writes it, for example 2, 500m or 1Gi; seen: 'lots'",
        ),
        (
            (*POLICY, "rollback", "mode"),
            False,
            "or 'Off'; seen: False (as YAML reads off, no and false: put the word in quotes)",
        ),
    ],
)
def test_what_was_expected_has_an_example(at: tuple[str, ...], value: Any, words: str) -> None:
    """Also where the type is wrong: nobody needs to know the validator's words."""
    assert words in said(at, value)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ((*STEPS, 0, "minRequest"), "unknown field; seen: 3. Did you mean minRequests?"),
        ((*STEPS, 0, "min_requests"), "unknown field; seen: 3. Did you mean minRequests?"),
        (("spec", "rolout"), "spec.rolout: unknown field; seen: 3. Did you mean rollout?"),
        ((*POLICY, "watch"), "watch: expected an object; seen: 3"),
        ((*STEPS, 0, "duration"), "unknown field; seen: 3. Did you mean hold?"),
        ((*STEPS, 0, "setWeight"), "unknown field; seen: 3. Did you mean weight?"),
        ((*STEPS, 0, "rotation"), "unknown field; seen: 3. There are approval, automation, hold"),
        (("spec", "model", "url"), "unknown field; seen: 3. Did you mean uri?"),
        (("spec", "info", "x"), "spec.info.x: unknown field; seen: 3. There are lineage, version"),
    ],
)
def test_a_field_that_may_be_meant_is_named(at: tuple[str, ...], words: str) -> None:
    """By the fields there, as they are written in a manifest."""
    assert words in said(at, 3)


TEN, HALF = {"name": "ten", "weight": "10%"}, {"name": "half", "weight": "50%"}
SHADOW = {"name": "shadow", "mirror": "10%"}
PREVIEW = {"name": "preview", "match": {"headers": [{"name": "x-preview", "value": "yes"}]}}
GATEWAY = {"parentRefs": [{"name": "eg"}]}
RISE = {"name": "rise", "ramp": {"over": "1h"}}


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([HALF, SHADOW | {"name": "half"}], "seen: steps[0] half, steps[1] half"),
        ([TEN, HALF, TEN | {"name": "less"}], "seen: steps[2] less with 10% after steps[1] half"),
        ([RISE, RISE | {"name": "again"}], "seen: steps[0] rise, steps[1] again"),
        ([RISE, HALF], "seen: steps[1] half with 50% after steps[0] rise with 1% to 100%"),
        ([TEN, SHADOW], "seen: steps[1] shadow after steps[0] ten"),
    ],
)
def test_the_steps_that_break_a_rule_are_named(steps: list[dict[str, Any]], words: str) -> None:
    """By place and name; the sentence before it is the API server's."""
    assert words in said(STEPS, steps)


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ([HALF, SHADOW | {"name": "half"}], "steps[1].name: expected a name of its own"),
        ([TEN, HALF, TEN | {"name": "less"}], "steps[2].weight: expected weights that never fall"),
        ([HALF, RISE], "steps[1].ramp: expected weights that never fall"),
        ([RISE, RISE | {"name": "again"}], "steps[1].ramp: expected at most one ramp"),
        ([TEN, SHADOW], "steps[1].mirror: expected steps with mirror or match before"),
        ([TEN, PREVIEW], "steps[1].match: expected steps with mirror or match before"),
    ],
)
def test_the_path_is_that_of_the_step_that_breaks_a_rule(
    steps: list[dict[str, Any]], path: str
) -> None:
    """Not of all steps, which is what the API server can name."""
    assert f"spec.rollout.policy.{path}" in said(STEPS, steps)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (5, "seen: 5 (a number, not a string: write 5%)"),
        (0.05, "seen: 0.05 (a number, not a string: write 5%)"),
        ("5", "seen: '5' (write 5%)"),
        ("5 %", "seen: '5 %' (write 5%)"),
        ("0.05%", "seen: '0.05%' (write 1%, the least there is)"),
        ("2.5%", "seen: '2.5%' (no parts of a percent: write 2% or 3%)"),
        ("0%", "seen: '0%' (write 1%, the least there is)"),
        (250, "seen: 250 (a number, not a string: write 100%, the most there is)"),
        ("a tenth", "seen: 'a tenth' (write for example 5%)"),
    ],
)
def test_a_weight_that_is_none_is_told_how_it_is_written(seen: Any, words: str) -> None:
    """What a weight looks like, what was seen, and what to write."""
    text = said((*STEPS, 0, "weight"), seen)
    assert text.endswith(f"expected a whole percentage from 1% to 100%; {words}")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ("90", "(write its unit: 90s, 90m or 90h)"),
        ("10 minutes", "(write 10m)"),
        ("2 d", "(write 48h)"),
        ("5 ms", "(write 5ms)"),
        ("8 days", "seen: '8 days'"),
        ("soon", "seen: 'soon'"),
    ],
)
def test_a_duration_that_is_none_is_told_how_it_is_written(seen: str, words: str) -> None:
    """Its unit, and only units that there are."""
    assert said((*STEPS, 0, "hold"), seen).endswith(words)


@pytest.mark.parametrize(
    ("traffic", "words"),
    [
        (
            {"routeRef": {"name": "r"}},
            "seen: routeRef with no type, which means OwnedRoute: write type: RouteRef",
        ),
        (
            {"type": "Replicas", "ownedRoute": GATEWAY},
            "seen: ownedRoute with type Replicas: write type: OwnedRoute",
        ),
        (
            {"ownedRoute": GATEWAY, "routeRef": {"name": "r"}},
            "seen: both of them with no type: leave one out",
        ),
        ({"type": "RouteRef"}, "seen: type RouteRef, and no routeRef"),
        ({}, "seen: no type, which means OwnedRoute, and no ownedRoute"),
    ],
)
def test_a_type_that_does_not_belong_to_its_field_is_named(
    traffic: dict[str, Any], words: str
) -> None:
    """Most of all one that was left out."""
    changes = changed(full(), ("spec", "autoscaling"), LEFT_OUT)
    with pytest.raises(Unparseable) as refusal:
        parse_deployment(changed(changes, ("spec", "traffic"), traffic))
    assert words in str(refusal.value)


def test_what_else_names_a_step_is_named() -> None:
    """A hook of a step that is not there, and weights under BlueGreen."""
    hook = {"name": "smoke", "when": "BeforeStep", "step": "six", "http": {"url": "http://a/b"}}
    assert "seen: hooks[0] smoke before six" in said((*POLICY, "hooks"), [hook])
    assert "only; seen: steps[0] five, steps[1]" in said((*POLICY, "strategy"), "BlueGreen")


MEAN = {"sum": {"metric": "s"}, "count": {"metric": "n"}, "lower": "1", "upper": "5"}
EVENTS = {"events": {"metric": "e"}, "exposures": {"metric": "v"}}


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (
            {"errorRate": {"value": "2%"}},
            "'2%' with against: Stable (write against: Value beside it, or leave value out)",
        ),
        (
            {"errorRate": {"against": "Value"}},
            "seen: against: Value without value (add value: what is usual)",
        ),
        ({"errorRate": {"against": "Value", "value": "150%"}}, "can fail; seen: 150%"),
        (
            {"counts": EVENTS | {"against": "Value", "value": "0%", "harmWhen": "Less"}},
            "else nothing could be harm; seen: 0% with harmWhen: Less",
        ),
        (
            {"mean": MEAN | {"against": "Value", "value": "5.5"}},
            "seen: 5.5 with lower 1, upper 5 and harmWhen: More",
        ),
        (
            {"latency": {"against": "Value", "value": "200ms"}},
            "seen: value '200ms' without percentile",
        ),
        (
            {"latency": {"against": "Value", "percentile": "99", "value": "0s"}},
            "above 0s, for example 200ms; seen: 0s",
        ),
        (
            {"latency": {"against": "Value", "percentile": "99", "value": 200}},
            "seen: 200 (a number, not a string: write its unit: 200ms or 200s)",
        ),
        (
            {"latency": {"against": "Value", "percentile": "99", "value": "0.2s"}},
            "seen: '0.2s' (write 200ms)",
        ),
        (
            {"latency": {"against": "Value", "percentile": "99", "value": "1 min"}},
            "(write 1m)",
        ),
    ],
)
def test_what_a_value_lacks_is_told_with_what_was_written(
    check: dict[str, Any], words: str
) -> None:
    """Both fields, their bounds, and what to write."""
    assert said(CHECKS, [{"name": "held"} | check]).endswith(words)


@pytest.mark.parametrize(
    "check",
    [
        {"counts": EVENTS | {"against": "Value", "value": "100%", "harmWhen": "Less"}},
        {"counts": EVENTS | {"against": "Value", "value": "0%"}},
        {"mean": MEAN | {"against": "Value", "value": "5", "harmWhen": "Less"}},
        {"mean": MEAN | {"against": "Value", "value": "1", "ignoreBelow": "0.1"}},
    ],
)
def test_a_value_at_the_bound_that_harm_leads_away_from_is_good(check: dict[str, Any]) -> None:
    """Nothing can be better, but much can be worse."""
    parse_deployment(changed(full(), CHECKS, [{"name": "held"} | check]))


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ("5", "write 5%"),
        ("0.25", "write 25%"),
        ("0.0001%", "at most three decimals: write 0.001%"),
        ("1.23456%", "at most three decimals: write 1.235%"),
        ("1e-6", ""),
        ("2000%", ""),
    ],
)
def test_a_percentage_is_advised_that_is_taken(seen: str, words: str) -> None:
    """Never the one that was refused, and none with an exponent."""
    assert advice.percent(seen) == words
