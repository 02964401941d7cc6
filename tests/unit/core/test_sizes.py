"""How large a revision is where an autoscaler counts its pods (B6, B12)."""

from dataclasses import replace
from typing import Any

import pytest
from unit.core.builders import (
    NAME,
    NOW_S,
    V2,
    deployment,
    observation,
    pods,
    revision,
    rollout,
    route,
    stable,
    stepping,
)

from rampway.api.base import amount
from rampway.core.actions import Autoscale, Delete, Scale
from rampway.core.observation import Observation, Revision
from rampway.core.pods import sizes
from rampway.core.pods.autoscaler import Autoscaler, digest

PLAN = {"minReplicas": 2, "maxReplicas": 20}


def scaler(load: float | None, count: int, most: int = 20) -> Autoscaler:
    """Return an autoscaler that found this load on so many pods."""
    return Autoscaler(2, most, digest(plan()), count, load)


def plan() -> Any:
    """Return the plan of PLAN."""
    found = deployment(2, autoscaling=PLAN).spec.autoscaling
    assert found is not None
    return found


def beside(first: Revision, second: Revision, held_s: float = 90.0) -> Observation:
    """Return a rollout at half that has been in force for so long."""
    return observation(
        deployment=deployment(2, autoscaling=PLAN),
        revisions=(first, second),
        rollouts=(rollout(status=stepping(held_s=held_s)),),
        route=route(50),
    )


FIRST = stable(4, autoscaler=scaler(1.0, 4))
SECOND = revision(V2, 2, autoscaler=scaler(2.0, 2, most=10))


def test_b12_the_load_of_both_says_how_large_one_has_to_be() -> None:
    """Four pods at their target, and two at twice that: one revision alone needs eight."""
    assert sizes.full(beside(FIRST, SECOND)) == 8


@pytest.mark.parametrize(
    ("first", "second", "held_s"),
    [
        (FIRST, replace(SECOND, autoscaler=scaler(2.0, 2)), 59.0),
        (FIRST, replace(SECOND, autoscaler=scaler(None, 2)), 90.0),
        (FIRST, replace(SECOND, autoscaler=scaler(2.0, 3)), 90.0),
        (FIRST, replace(SECOND, replicas=3), 90.0),
        (FIRST, replace(SECOND, pods=pods(1, 1)), 90.0),
        (FIRST, replace(SECOND, autoscaler=None), 90.0),
        (
            FIRST,
            replace(
                SECOND, pods=tuple(replace(p, ready_since_s=NOW_S - 59) for p in SECOND.pods)
            ),
            90.0,
        ),
        (replace(FIRST, autoscaler=scaler(0.5, 4)), replace(SECOND, autoscaler=scaler(1.1, 2)), 90),
    ],
    ids=[
        "just split", "nothing measured", "seen before it grew", "growing", "not ready",
        "no autoscaler", "just ready", "within the tolerance",
    ],
)  # fmt: skip
def test_b12_what_is_not_sure_drives_nothing(
    first: Revision, second: Revision, held_s: float
) -> None:
    """Any doubt about the measurements, and stable's own pods are the size."""
    assert sizes.full(beside(first, second, held_s)) == 4


def test_b12_a_candidate_counts_as_no_more_than_it_may_have() -> None:
    """Ten times its target on two pods, of which it may have ten at most."""
    wild = replace(SECOND, autoscaler=scaler(10.0, 2, most=10))
    assert sizes.full(beside(FIRST, wild)) == 14


def test_b12_bounds_come_before_pods() -> None:
    """An autoscaler that still has the old bounds would undo the number at once."""
    obs = observation(deployment=deployment(2, autoscaling=PLAN))
    bound, scaled = sizes.size(obs, revision(V2, 1), 3, 10)
    assert isinstance(bound, Autoscale)
    assert (bound.manifest["spec"]["minReplicas"], bound.manifest["spec"]["maxReplicas"]) == (3, 10)
    assert scaled == Scale(f"{NAME}-{V2}", 3)


def test_b12_between_its_bounds_an_autoscaler_is_let_be() -> None:
    """What it set is not written again; beyond its bounds it is."""
    obs = observation(deployment=deployment(2, autoscaling=PLAN))
    known = Autoscaler(2, 20, digest(plan()))
    for count in (2, 7, 20):
        assert sizes.size(obs, revision(V2, count, autoscaler=known), 2, 20) == []
    assert sizes.size(obs, revision(V2, 25, autoscaler=known), 2, 20) == [Scale(f"{NAME}-{V2}", 20)]


def test_b12_without_the_field_its_autoscaler_goes_first() -> None:
    """Else it would scale against the number of the spec."""
    left = revision(V2, 7, autoscaler=Autoscaler(2, 20))
    assert sizes.size(observation(), left, 4, 4) == [
        Delete("HorizontalPodAutoscaler", f"{NAME}-{V2}", ""),
        Scale(f"{NAME}-{V2}", 4),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), ("1.5", 1.5), ("500m", 0.5), ("20k", 2e4), ("1Gi", 2**30), ("3M", 3e6), ("7n", 7e-9),
     ("2e3", 2000), ("1E", 1e18), ("1Ki", 1024)],
)  # fmt: skip
def test_an_amount_is_read_as_kubernetes_writes_it(text: str, value: float) -> None:
    """Decimal and binary suffixes, and exponents."""
    assert amount(text) == pytest.approx(value)


def test_what_is_no_amount_is_refused() -> None:
    """With what was expected."""
    with pytest.raises(ValueError, match="expected for example 2, 500m or 1Gi"):
        amount("many")
