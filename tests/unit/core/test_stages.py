"""What a policy's steps come to, and what follows from a split."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rampway.api.policy import Policy
from rampway.api.steps import HeaderMatch
from rampway.core.rollout import stages
from rampway.core.rollout.stages import Stage
from rampway.core.traffic.split import STABLE_ONLY, Split

BETA = HeaderMatch(name="x-beta", value="yes")
MATCH = {"name": "beta", "match": {"headers": [{"name": "x-beta", "value": "yes"}]}}


def of(*steps: dict[str, Any], **more: Any) -> tuple[Stage, ...]:
    """Return the stages of a policy with these steps."""
    return stages.of(Policy.model_validate({"steps": list(steps)} | more))


def test_b06_a_stage_has_the_pods_that_its_requests_need() -> None:
    """As many as the weight or the copies; chosen requests and blue-green have them all."""
    found = of({"name": "m", "mirror": "30%"}, MATCH, {"name": "w", "weight": "40%"})
    assert [stage.size_pct for stage in found] == [30, 100, 40]
    blue = of(
        {"name": "m", "mirror": "30%"}, {"name": "look", "approval": {}}, strategy="BlueGreen"
    )
    assert [stage.size_pct for stage in blue] == [100, 100]


def test_b11_nothing_moves_while_a_person_thinks() -> None:
    """An approval has the split of the step before it, without its hold; the first has none."""
    first, beta, look = of(
        {"name": "first", "approval": {"message": "go?"}},
        MATCH | {"hold": "9m"},
        {"name": "look", "approval": {}},
    )
    assert (first.split("c"), first.approval, first.size_pct) == (STABLE_ONLY, "go?", 1)
    assert look.split("c") == beta.split("c") == Split("c", headers=(BETA,))
    assert (look.hold_s, look.min_requests, look.approval) == (0.0, 0, "")


def test_b11_a_step_is_told_with_the_share_that_it_keeps() -> None:
    """B11: one sentence wherever a step is named; who is asked wants to know what is at stake."""
    found = of(
        {"name": "go", "approval": {}},
        {"name": "copies", "mirror": "30%"},
        MATCH,
        {"name": "tenth", "weight": "10%"},
        {"name": "look", "approval": {}},
        {"name": "sure", "approval": {}},
    )
    assert [stages.sentence(found, index) for index in range(len(found))] == [
        "step 1/6 go: approval",
        "step 2/6 copies: mirror 30%",
        "step 3/6 beta: match",
        "step 4/6 tenth: 10%",
        "step 5/6 look: 10% (approval)",
        "step 6/6 sure: 10% (approval)",
    ]


@given(
    first=st.integers(1, 99),
    more=st.integers(1, 99),
    shape=st.sampled_from(["Linear", "Exponential"]),
)
def test_b18_a_ramp_rises_from_its_first_share_to_its_last(
    first: int, more: int, shape: str
) -> None:
    """At most ten stages, each above the one before; all of it is the promotion, no stage."""
    last = min(100, first + more)
    rises = {"from": f"{first}%", "to": f"{last}%", "over": "100s", "shape": shape}
    found = of({"name": "up", "ramp": rises})
    weights = [stage.weight_pct for stage in found]
    assert 1 <= len(found) <= stages.RAMP_STAGES
    assert weights[0] == first
    assert weights[-1] == last or last == 100
    assert all(a < b < 100 for a, b in pairwise(weights))
    assert sum(stage.hold_s for stage in found) == pytest.approx(100)
    assert {stage.name for stage in found} == {"up"}


@pytest.mark.parametrize(
    ("wanted", "now", "takes"),
    [
        (Split("c", 5), Split("c", 10), True),
        (Split("c", 10), Split("c", 5), False),
        (STABLE_ONLY, Split("c", mirror_pct=5), True),
        (STABLE_ONLY, Split("c", headers=(BETA,)), True),
        (Split("c", 5), Split("c", mirror_pct=50), False),
        (Split("c", mirror_pct=50), Split("c", mirror_pct=100), True),
        (STABLE_ONLY, STABLE_ONLY, False),
    ],
)
def test_b23_what_takes_away_is_known(wanted: Split, now: Split, *, takes: bool) -> None:
    """Such a change comes before everything else."""
    assert wanted.takes_from(now) is takes


def test_b14_at_rest_there_is_one_split() -> None:
    """Whoever was the candidate: nothing for it is nothing."""
    assert Split("c").or_rest() == STABLE_ONLY
    assert Split("c", headers=(BETA,)).or_rest().candidate == "c"
