"""What a revision's pods are told while they run, and when it is written."""

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

from rampway.core.actions import TellPods
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
    return [(a.revision_hash, a.degree) for a in found if isinstance(a, TellPods)]


def test_full_need_not_be_told() -> None:
    """Without a degree in the spec nothing is written: pods take Full for granted."""
    assert told(observation(1)) == []
    assert told(observation(1, revisions=(stable(automation="Full"),))) == []


def test_b42_a_changed_degree_is_told_to_stable() -> None:
    """B42: an edit of the spec reaches the pods that run; once they know it, nothing is written."""
    wanted = deployment(1, automation=PARTIAL)
    assert told(observation(deployment=wanted)) == [(V1, "Partial 0.875")]
    known = observation(deployment=wanted, revisions=(stable(automation="Partial 0.875"),))
    assert told(known) == []
    back = observation(1, revisions=(stable(automation="Partial 0.875"),))
    assert told(back) == [(V1, "Full")]


@pytest.mark.parametrize(("index", "degree"), [(0, "Off"), (1, "Off"), (2, "Partial 0.875")])
def test_b42_steps_raise_the_candidates_degree(index: int, degree: str) -> None:
    """B42: a step's degree holds until a later step names another; stable keeps its own."""
    active = rollout(status=stepping(index), steps=STEPS)
    obs = observation(
        deployment=deployment(2, automation=ASSIST), rollouts=(active,),
        revisions=(stable(automation="Assist"), revision(V2, 4)),
    )  # fmt: skip
    assert automation.degree(obs, V2).told == degree
    assert automation.degree(obs, V1).told == "Assist"
    assert told(obs) == [(V2, degree)]


def test_b42_a_promoted_candidate_has_the_specs_degree() -> None:
    """B42: what a step said ends with the promotion."""
    active = rollout(status=stepping(2), steps=STEPS)
    promoted = replace(stable(automation="Partial 0.875"), hash=V2)
    obs = observation(deployment=deployment(2), rollouts=(active,), revisions=(promoted,))
    assert automation.degree(obs, V2).told == "Full"


def test_b42_the_degree_is_there_before_the_first_pod() -> None:
    """B42: it is written before the Deployment: no pod answers under a degree it was not given."""
    obs = observation(deployment=deployment(1, automation=ASSIST), revisions=())
    kinds = [type(action).__name__ for action in decide(obs).actions]
    assert "TellPods" in kinds
    assert kinds.index("TellPods") < kinds.index("Create")


def lineages(obs: Any) -> list[tuple[str, str]]:
    """Return which revisions are told which lineage by a pass."""
    found = decide(obs).actions
    return [(a.revision_hash, a.lineage) for a in found if isinstance(a, TellPods)]


ORIGIN = {"dataset": "digits@v7", "commit": "1a2b"}
TOLD = '{"commit": "1a2b", "dataset": "digits@v7"}'


def test_b02_a_changed_lineage_is_told_to_the_specs_revision() -> None:
    """B2: it reaches the pods that run, with their degree; once they know it nothing is written."""
    wanted = deployment(1, info={"lineage": ORIGIN}, automation=ASSIST)
    knows: dict[str, Any] = {"automation": "Assist", "lineage": TOLD}
    assert lineages(observation(deployment=wanted, revisions=(stable(),))) == [(V1, TOLD)]
    assert lineages(observation(deployment=wanted, revisions=(stable(**knows),))) == []
    assert lineages(observation(1, revisions=(stable(**knows),))) == [(V1, "")]


def test_b02_a_candidates_lineage_is_not_stables() -> None:
    """B2: each revision has its own: stable keeps what it was told when it was the spec's."""
    wanted = deployment(2, info={"lineage": ORIGIN})
    former = stable(automation="Full", lineage='{"commit": "old"}')
    obs = observation(deployment=wanted, rollouts=(rollout(),), revisions=(former, revision(V2, 4)))
    assert lineages(obs) == [(V2, TOLD)]
    edited = replace(obs, deployment=deployment(2, info={"lineage": ORIGIN}, automation=ASSIST))
    assert lineages(edited) == [(V1, '{"commit": "old"}'), (V2, TOLD)]


def test_b02_the_lineage_is_there_before_the_first_pod() -> None:
    """B2: written before the Deployment, so that no scrape of the pods lacks it."""
    wanted = deployment(1, info={"lineage": ORIGIN})
    found = decide(observation(deployment=wanted, revisions=())).actions
    kinds = [type(action).__name__ for action in found]
    assert kinds.index("TellPods") < kinds.index("Create")
