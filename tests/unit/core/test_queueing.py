"""`onNewRevision: Queue`: what waits, what status says, what is promoted (B7, B8, B1)."""

from dataclasses import replace
from typing import Any

import pytest
from unit.core.builders import (
    JUST_LOOKED,
    V1,
    V2,
    V3,
    deployment,
    hash_of,
    observation,
    revision,
    rollout,
    route,
    stable,
    stepping,
)

from rampway.api.conditions import Phase, Reason
from rampway.api.deployment import ModelDeploymentStatus
from rampway.api.parse import ModelRollout
from rampway.api.succession import OnNewRevision, Rollout
from rampway.core.actions import Create, Emit, WriteRollout, WriteStatus
from rampway.core.decide import decide
from rampway.core.model.policies import Policies
from rampway.core.model.standing import Standing, project
from rampway.core.model.verdict import Verdict
from rampway.core.observation import Observation
from rampway.core.rollout import queueing

NAME = f"digits-{V2}-1"
LEAVING = {"phase": "RollingBack", "message": "it leaves"}
WATCHING = {"phase": "Watching", "reason": "Watching", "watchedSince": "2027-01-15T08:00:00Z"}
Given = dict[str, Any]


def begun(status: Given | None = None, *, queue: bool = True, **more: Any) -> ModelRollout:
    """Return a rollout of V2 as it is under way, with its copy of onNewRevision."""
    found = rollout(status=stepping(held_s=5, weightPct=10) if status is None else status, **more)
    wanted = OnNewRevision.QUEUE if queue else OnNewRevision.RESTART
    return replace(found, spec=found.spec.model_copy(update={"on_new_revision": wanted}))


def seen(
    status: Given | None = None, *, number: int = 3, queue: bool = True, **more: Any
) -> Observation:
    """Return the observation of that rollout while the spec names another version."""
    known: Given = {
        "revisions": (stable(), revision(V2, 1)),
        "rollouts": (begun(status, queue=queue),),
        "route": route(10),
        "look": JUST_LOOKED,
    }
    return observation(number, **known | more)


def later(**status: Any) -> ModelRollout:
    """Return a second rollout, of V3."""
    return rollout(3, attempt=2, status=status)


PROMOTED = (revision(V2, 4, promoted_at_s=1e9), stable(promoted_at_s=9e8))
WAITS: dict[str, tuple[Observation, str]] = {
    "a newer revision": (seen(), V3),
    "without the queue nothing": (seen(queue=False), ""),
    "the candidate is on its way": (seen(number=2), ""),
    "B8: stable's content": (seen(number=1), ""),
    "nothing is under way": (seen(rollouts=()), ""),
    "the candidate was never made": (seen(revisions=(stable(),)), ""),
    "for a failed one that leaves": (seen(LEAVING | {"reason": "CheckFailed"}), V3),
    "the same without the queue": (seen(LEAVING | {"reason": "CheckFailed"}, queue=False), V3),
    "for an aborted one that leaves": (seen(LEAVING | {"reason": "AbortedByPerson"}), V3),
    "not for one that nobody wants": (seen(LEAVING | {"reason": "BackToStable"}), ""),
    "nor for one that was superseded": (seen(LEAVING | {"reason": "NewRevision"}), ""),
    "in the watch": (seen(WATCHING, revisions=PROMOTED), V3),
    "in a watch that may not end": (seen(WATCHING, queue=False, revisions=PROMOTED), V3),
    "B9: what served before": (seen(WATCHING, number=1, revisions=PROMOTED), ""),
    "what the watch is about": (seen(WATCHING, number=2, revisions=PROMOTED), ""),
    "not for one with successors": (
        seen({}, number=4, rollouts=(begun({}), later(phase="Promoted"))),
        "",
    ),
}


@pytest.mark.parametrize(("obs", "waits"), WAITS.values(), ids=WAITS.keys())
def test_b07_what_waits(obs: Observation, waits: str) -> None:
    """B7, B8, B9: content that serves, served before or is on trial never waits."""
    assert queueing.waiting(obs) == waits


def test_b07_the_rollout_has_its_own_copy() -> None:
    """B7: what the ModelDeployment says when it begins."""
    rules = Rollout.model_validate({"onNewRevision": "Queue"})
    wanted = deployment(2)
    wanted = replace(wanted, spec=wanted.spec.model_copy(update={"rollout": rules}))
    found = decide(observation(deployment=wanted, policies=Policies()))
    (made,) = (a for a in found.actions if isinstance(a, Create))
    assert made.manifest["spec"]["onNewRevision"] == "Queue"


def test_b07_the_step_goes_on_and_the_queue_is_told_once() -> None:
    """B7: no weight moves; one decision and one Event for each revision that waits."""
    found = decide(seen())
    (wrote,) = (a for a in found.actions if isinstance(a, WriteRollout))
    (told,) = (a for a in found.actions if isinstance(a, Emit))
    assert wrote.status.phase == "Stepping"
    text = f"digits-{V3} waits until rollout {NAME} has ended"
    assert [one.message for one in wrote.status.decisions] == [text]
    assert (told.action, told.reason, told.warning) == ("Queued", "Queued", False)
    assert told.message == f"digits-{V2}: {text}"
    on_record = begun(wrote.status.model_dump(mode="json", by_alias=True))
    again = decide(seen(rollouts=(on_record,)))
    assert not [a for a in again.actions if isinstance(a, Emit)]
    another = decide(seen(number=4, rollouts=(on_record,)))
    (told,) = (a for a in another.actions if isinstance(a, Emit))
    assert f"digits-{hash_of(4)} waits" in told.message


def test_b07_in_the_end_nothing_is_told_to_wait() -> None:
    """B7: a revision that comes with the very end is next, and is told by its own rollout."""
    left = LEAVING | {"reason": "CheckFailed", "decisions": []}
    found = decide(seen(left, route=route(0)))
    (wrote,) = (a for a in found.actions if isinstance(a, WriteRollout))
    assert (wrote.status.phase, wrote.status.decisions) == ("RolledBack", ())


# The status


def conditions(status: ModelDeploymentStatus) -> str:
    """Return Promoted, Reconciling and Stalled, with the reason of Promoted."""
    found = {c.type: c for c in status.conditions}
    named = ("Promoted", "Reconciling", "Stalled")
    return " ".join([*(found[name].status for name in named), found["Promoted"].reason])


def standing(phase: Phase, reason: Reason, promoted: str, **more: Any) -> Standing:
    """Return how the rollout under way stands."""
    return Standing(phase, reason, "so it is", promoted, V2, rollout=NAME, **more)


REFUSAL = Verdict(Reason.CHECK_FAILED, NAME, "check errors: bad")
STANDINGS: dict[str, tuple[Standing, str]] = {
    "a step": (standing(Phase.PROGRESSING, Reason.STEP, "Unknown"), "Unknown True False Queued"),
    "a person is asked": (
        standing(Phase.HOLDING, Reason.APPROVAL, "Unknown", stalled=True),
        "Unknown False True Queued",
    ),
    "the candidate is stable, and not the spec's revision": (
        standing(Phase.WATCHING, Reason.WATCHING, "True"),
        "Unknown True False Queued",
    ),
    "its failure is not the release's": (
        standing(Phase.ROLLING_BACK, Reason.CHECK_FAILED, "False"),
        "Unknown True False Queued",
    ),
    "its end is not the release's": (
        Standing.rolled_back(REFUSAL, V2, f"digits-{V2}", stable()),
        "Unknown True False Queued",
    ),
    "the route is another's": (
        Standing.refused(Reason.ROUTE_CONFLICT, "taken"),
        "False False True RouteConflict",
    ),
}


@pytest.mark.parametrize(("found", "said"), STANDINGS.values(), ids=STANDINGS.keys())
def test_b07_promoted_is_about_the_revision_that_waits(found: Standing, said: str) -> None:
    """B7: how the rollout under way fares is not how the release fares that the spec asks for."""
    assert conditions(project(seen(), found)) == said


def test_b07_a_paused_queue_is_not_reconciling() -> None:
    """B7: recorded, and nothing moves."""
    wanted = deployment(3, paused=True)
    obs = seen(WATCHING, deployment=wanted, revisions=PROMOTED)
    found = project(obs, standing(Phase.WATCHING, Reason.PAUSED, "True"))
    assert conditions(found) == "Unknown False False Queued"


def test_b07_the_status_names_what_waits() -> None:
    """B7: by hash and, where the spec has one, version; the rollout's own words are beside it."""
    wanted = deployment(3, info={"version": "three"})
    found = project(seen(deployment=wanted), standing(Phase.PROGRESSING, Reason.STEP, "Unknown"))
    assert found.queued is not None
    assert (found.queued.revision, found.queued.shown) == (V3, "three")
    assert (found.reason, found.message) == ("StepRunning", "so it is")
    (promoted,) = (c for c in found.conditions if c.type == "Promoted")
    assert promoted.message == (
        f"digits-{V3} (three) waits until rollout {NAME} has ended; now StepRunning: so it is"
    )
    calm = project(seen(number=2), standing(Phase.PROGRESSING, Reason.STEP, "Unknown"))
    assert calm.queued is None


# Nothing is promoted unchecked


ENDED = {"phase": "RolledBack", "reason": "CheckFailed", "message": "bad"}


@pytest.mark.parametrize("queue", [True, False])
@pytest.mark.parametrize(
    ("status", "number"),
    [(None, 3), (None, 2), (ENDED, 3), ({"phase": "Superseded"}, 3), ({"phase": "Promoted"}, 3)],
)
def test_b01_without_stable_nothing_is_promoted_unchecked(
    status: Given | None, number: int, queue: bool
) -> None:
    """B1: whoever is queued, on trial or next: only what served last is made at once."""
    obs = seen(status, number=number, queue=queue, revisions=(revision(V2, 1),))
    (wrote,) = (a for a in decide(obs).actions if isinstance(a, WriteStatus))
    assert (wrote.status.phase, wrote.status.reason) == ("Degraded", "NoReadyPod")
    assert "is not promoted unchecked" in wrote.status.message


@pytest.mark.parametrize(("status", "number"), [(None, 1), (ENDED, 1), ({"phase": "Promoted"}, 2)])
def test_b01_what_served_last_is_made_again(status: Given | None, number: int) -> None:
    """B1: by the latest rollout: its stable, or its candidate where that was promoted."""
    found = decide(seen(status, number=number, revisions=()))
    made = [a.manifest["metadata"]["name"] for a in found.actions if isinstance(a, Create)]
    assert f"digits-{(V1, V2)[number - 1]}" in made
