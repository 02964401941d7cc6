"""Degrees of automation: which one a revision's pods are told, and when it is written."""

from dataclasses import replace
from typing import Any

import pytest
from unit.core.builders import (
    V1,
    V2,
    deployment,
    observation,
    revision,
    rollout,
    stable,
    stepping,
)

from rampway.core.actions import TellAutomation
from rampway.core.decide import decide
from rampway.core.rollout import automation

ASSIST = {"level": "Assist"}
PARTIAL = {"level": "Partial", "confidence": "87.5%"}
STEPS = [
    {"name": "shadow", "mirror": "100%", "automation": {"level": "Off"}},
    {"name": "tenth", "weight": "10%"},
    {"name": "half", "weight": "50%", "automation": PARTIAL},
]


def told(obs: Any) -> list[tuple[str, str]]:
    """Return which revisions are told which degree by a pass."""
    found = decide(obs).actions
    return [(a.revision_hash, a.degree) for a in found if isinstance(a, TellAutomation)]


def test_full_need_not_be_told() -> None:
    """Without a degree in the spec nothing is written: pods take Full for granted."""
    assert told(observation(1)) == []
    assert told(observation(1, revisions=(stable(automation="Full"),))) == []


def test_a_changed_degree_is_told_to_stable() -> None:
    """An edit of the spec reaches the pods that run; once they know it, nothing is written."""
    wanted = deployment(1, automation=PARTIAL)
    assert told(observation(deployment=wanted)) == [(V1, "Partial 0.875")]
    known = observation(deployment=wanted, revisions=(stable(automation="Partial 0.875"),))
    assert told(known) == []
    back = observation(1, revisions=(stable(automation="Partial 0.875"),))
    assert told(back) == [(V1, "Full")]


@pytest.mark.parametrize(("index", "degree"), [(0, "Off"), (1, "Off"), (2, "Partial 0.875")])
def test_steps_raise_the_candidates_degree(index: int, degree: str) -> None:
    """A step's degree holds until a later step names another; stable keeps its own."""
    active = rollout(status=stepping(index), steps=STEPS)
    obs = observation(
        deployment=deployment(2, automation=ASSIST), rollouts=(active,),
        revisions=(stable(automation="Assist"), revision(V2, 4)),
    )  # fmt: skip
    assert automation.degree(obs, V2).told == degree
    assert automation.degree(obs, V1).told == "Assist"
    assert told(obs) == [(V2, degree)]


def test_a_promoted_candidate_has_the_specs_degree() -> None:
    """What a step said ends with the promotion."""
    active = rollout(status=stepping(2), steps=STEPS)
    promoted = replace(stable(automation="Partial 0.875"), hash=V2)
    obs = observation(deployment=deployment(2), rollouts=(active,), revisions=(promoted,))
    assert automation.degree(obs, V2).told == "Full"


def test_the_degree_is_there_before_the_first_pod() -> None:
    """It is written before the Deployment: no pod answers under a degree it was not given."""
    obs = observation(deployment=deployment(1, automation=ASSIST), revisions=())
    kinds = [type(action).__name__ for action in decide(obs).actions]
    assert kinds.index("TellAutomation") < kinds.index("Create")
