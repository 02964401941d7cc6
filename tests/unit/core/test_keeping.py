"""What is kept of the past: pods for a while, five old revisions, ten rollouts (B3, B4)."""

from dataclasses import replace

import pytest
from unit.core.builders import (
    NOW_S,
    V1,
    V2,
    V3,
    ago,
    observation,
    pods,
    revision,
    rollout,
    stable,
)

from rampway.api.parse import ModelRollout
from rampway.core.actions import Action, Create, Delete, Scale
from rampway.core.model.keeping import DRAIN_S, info_of, record_digest, tidy
from rampway.core.observation import Revision

JUST = stable(promoted_at_s=NOW_S - 10)


def tidied(
    *others: Revision,
    serves: Revision | None = None,
    rollouts: tuple[ModelRollout, ...] = (),
    active: ModelRollout | None = None,
) -> tuple[list[Action], float | None]:
    """Return what has to go beside stable, and when the next thing will."""
    base = serves or stable()
    return tidy(observation(revisions=(base, *others), rollouts=rollouts), base, active)


def ended(phase: str, age_s: float, attempt: int = 1) -> ModelRollout:
    """Return a rollout of V2 that ended so long ago."""
    return rollout(attempt=attempt, status={"phase": phase, "endedAt": ago(age_s)})


def test_stable_and_candidate_are_left_alone() -> None:
    """Neither stable nor the candidate of an active rollout is touched."""
    assert tidied() == ([], None)
    assert tidied(revision(V2), active=rollout()) == ([], None)


def test_b05_the_predecessor_drains_before_its_pods_go() -> None:
    """B5: stable's predecessor keeps its pods for 30 s, then loses them."""
    old = revision(V2, promoted_at_s=NOW_S - 5000)
    assert tidied(old, serves=JUST) == ([], DRAIN_S - 10)
    assert tidied(old) == ([Scale(old.name, 0)], None)


def test_a_refused_candidate_keeps_its_pods_as_the_policy_says() -> None:
    """`keepCandidate` counts from the end of the rollout; ten minutes by default."""
    old = revision(V2)
    kept, again_s = tidied(old, rollouts=(ended("RolledBack", 540),))
    assert kept == []
    assert again_s == pytest.approx(60)
    assert tidied(old, rollouts=(ended("RolledBack", 600),)) == ([Scale(old.name, 0)], None)
    assert tidied(old, rollouts=(ended("Promoted", 540),)) == ([Scale(old.name, 0)], None)
    assert tidied(old, rollouts=(rollout(),)) == ([Scale(old.name, 0)], None)


def test_b04_five_old_revisions_stay_without_pods() -> None:
    """B4: the newest five stay; of the rest everything goes, once its pods are gone."""
    olds = [revision(f"old{n}", 0, created_s=NOW_S - n) for n in range(7)]
    busy = replace(olds[6], pods=pods(unready=1))
    found, _ = tidied(*olds[:6], busy)
    gone = olds[5]
    assert found == [
        Delete("Deployment", gone.name, gone.uid),
        Delete("Service", gone.name, ""),
        Delete("ConfigMap", gone.name, ""),
        Delete("PodDisruptionBudget", gone.name, ""),
    ]


def test_ten_rollouts_are_kept() -> None:
    """Older ones go by name and uid; one that has not ended stays, however old."""
    many = [ended("Aborted", 9000, attempt=n) for n in range(1, 13)]
    found, _ = tidied(rollouts=tuple(many))
    assert found == [Delete("ModelRollout", r.name, r.uid) for r in many[:2]]
    stuck = (rollout(attempt=1), *many[1:])
    assert tidied(rollouts=stuck)[0] == [Delete("ModelRollout", many[1].name, many[1].uid)]


def test_b03_a_digest_is_recorded_once_it_is_told() -> None:
    """B3: the first digest that a pod tells is pinned, and only while none is."""
    told = revision(V3, recorded_sha256="", reported_sha256="cd" * 32)
    (made,) = record_digest(observation(), told)
    assert isinstance(made, Create)
    assert made.kind == "ConfigMap"
    assert made.manifest["data"] == {"sha256": "cd" * 32}
    assert record_digest(observation(), replace(told, reported_sha256="")) == []
    assert record_digest(observation(), replace(told, recorded_sha256="ef" * 32)) == []


def test_info_is_what_the_deployment_still_tells() -> None:
    """An old revision's version is read from its Deployment; none stays none."""
    assert info_of(revision(V1, version="7")).version == "7"
    assert info_of(revision(V1)).version is None
