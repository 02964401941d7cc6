"""What is said of a mistake: what was expected, for example; what was seen, what may be meant."""

from typing import Any

import pytest
from mistakes import CHECKS, POLICY, ROUTE, STEPS, changed, full

from rampway.api.parse import Unparseable, parse_deployment

A_NUMBER = " (a number, not a string)"


def said(at: tuple[str | int, ...], value: Any) -> str:
    """Return what is said of a full sample with one field set."""
    with pytest.raises(Unparseable) as refusal:
        parse_deployment(changed(full(), at, value))
    return str(refusal.value)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (("spec", "info", "version"), 1, "expected a string; seen: 1 (a number: put it in quotes)"),
        ((*CHECKS, 0, "errorRate", "detect"), 5, f"a factor, for example 3x; seen: 5{A_NUMBER}"),
        ((*CHECKS, 2, "threshold", "max"), 3, f'for example "0.95"; seen: 3{A_NUMBER}'),
        ((*CHECKS, 1, "latency", "percentile"), 99, f'for example "99"; seen: 99{A_NUMBER}'),
        ((*STEPS, 0, "hold"), 120, f"for example 90s, 5m or 1h30m; seen: 120{A_NUMBER}"),
        ((*POLICY, "falseRollbackRate"), 1, f"for example 5% or 0.5%; seen: 1{A_NUMBER}"),
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
        (("spec", "info", "x"), "spec.info.x: unknown field; seen: 3. There are lineage, version"),
    ],
)
def test_a_field_that_may_be_meant_is_named(at: tuple[str, ...], words: str) -> None:
    """By the fields there, as they are written in a manifest."""
    assert words in said(at, 3)


TEN, HALF = {"name": "ten", "weight": "10%"}, {"name": "half", "weight": "50%"}
SHADOW = {"name": "shadow", "mirror": "10%"}
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


def test_what_else_names_a_step_is_named() -> None:
    """A hook of a step that is not there, and weights under BlueGreen."""
    hook = {"name": "smoke", "when": "BeforeStep", "step": "six", "http": {"url": "http://a/b"}}
    assert "seen: hooks[0] smoke before six" in said((*POLICY, "hooks"), [hook])
    assert "only; seen: steps[0] five, steps[1]" in said((*POLICY, "strategy"), "BlueGreen")
