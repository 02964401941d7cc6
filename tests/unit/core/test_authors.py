"""Who paused, resumed and changed: in words, on record, as Events (B10, B11)."""

from dataclasses import replace

import pytest
from unit.core.builders import (
    NAME,
    V1,
    V2,
    ago,
    course,
    deployment,
    observation,
    revision,
    rollout,
    route,
    stable,
    stepping,
)

from rampway.api.authors import Author
from rampway.core.actions import Create, Emit, WriteRollout, WriteStatus
from rampway.core.decide import decide
from rampway.core.model import authors
from rampway.core.model.authors import Authors
from rampway.core.observation import Observation
from rampway.core.rollout import reactions
from rampway.core.rollout.course import Course, Outcome
from rampway.core.rollout.phases import advance

AT = "2026-03-04T02:00:00Z"
ALICE = Author(by="alice", at=AT, told="Stamp")
BOB = Author(by="bob", at="2026-03-04T03:00:00Z", told="Stamp")
PATCH = Author(by="kubectl-patch", at=AT, told="Manager")
IN_WATCH = {
    "phase": "Watching",
    "step": {"index": 2, "total": 2},
    "trafficSince": ago(300),
    "watchedSince": ago(20),
}


def known(found: Course, **who: Author) -> Course:
    """Return the course where the API server tells who it was."""
    return replace(found, obs=replace(found.obs, authors=Authors(**who)))


def events(obs: Observation) -> list[tuple[str, str]]:
    """Return action and message of the Events about a pause."""
    made = [one for one in decide(obs).actions if isinstance(one, Emit)]
    return [(one.action, one.message) for one in made if one.action in {"Paused", "Resumed"}]


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (ALICE, f"paused at 10 % by alice at {AT} (spec.paused)"),
        (
            PATCH,
            (
                f"paused at 10 % by somebody with kubectl-patch, which wrote last at {AT} "
                "(spec.paused; no names are stamped here)"
            ),
        ),
        (ALICE.model_copy(update={"at": ""}), "paused at 10 % by alice (spec.paused)"),
        (Author(), "paused at 10 % (spec.paused)"),
        (None, "paused at 10 % (spec.paused)"),
    ],
)
def test_b11_a_pause_says_who_and_when_as_far_as_that_is_known(
    who: Author | None, words: str
) -> None:
    """B11: a user's name only where the API server put it down; else it says what it is."""
    assert authors.pause(who, " at 10 %") == words


def test_b10_a_paused_step_says_who_paused_it() -> None:
    """B10: in the rollout's message, which is the ModelDeployment's too."""
    found = known(course(stepping(held_s=600), weight_pct=10, paused=True), paused=ALICE)
    assert f"paused by alice at {AT} (spec.paused)" in advance(found).status.message


def test_b11_pause_and_end_are_on_record_once_by_whoever_did_them() -> None:
    """B11: who resumed is another; what is on record already is not recorded again."""
    held = known(course(stepping(held_s=5), weight_pct=10, paused=True), paused=ALICE)
    noted = reactions.told(held, Outcome(held.status))
    assert [(d.actor, d.action) for d in noted.status.decisions] == [("alice", "Paused")]
    assert noted.news == (), "its Event is the ModelDeployment's"
    again = reactions.told(held, replace(noted, news=()))
    assert again.status.decisions == noted.status.decisions
    goes_on = known(course(stepping(held_s=5), weight_pct=10), resumed=BOB)
    ended = reactions.told(goes_on, noted).status.decisions
    assert [(d.actor, d.action) for d in ended] == [("alice", "Paused"), ("bob", "Resumed")]
    assert ended[-1].message == f"resumed by bob at {BOB.at}"
    assert reactions.told(goes_on, Outcome(goes_on.status)).status.decisions == ()


def test_b11_a_program_is_nobodys_name_on_record() -> None:
    """B11: the actor is somebody, and the message has the program."""
    held = known(course(stepping(held_s=5), weight_pct=10, paused=True), paused=PATCH)
    (made,) = reactions.told(held, Outcome(held.status)).status.decisions
    assert made.actor == "somebody"
    assert "with kubectl-patch" in made.message
    assert "no names are stamped here" in made.message


def test_b11_a_pause_at_rest_has_one_event_and_its_end_another() -> None:
    """B11: told once, until the status tells of it; a program's later write is no other pause."""
    held = deployment(1, paused=True)
    assert events(observation(deployment=held, authors=Authors(paused=ALICE))) == [
        ("Paused", f"paused by alice at {AT}")
    ]
    for who, later in ((ALICE, ALICE), (PATCH, PATCH.model_copy(update={"at": BOB.at}))):
        told = deployment(1, paused=True, status={"pausedBy": who.model_dump(by_alias=True)})
        assert events(observation(deployment=told, authors=Authors(paused=later))) == []
        over = replace(told, spec=deployment(1).spec)
        ended = events(observation(deployment=over, authors=Authors(resumed=BOB)))
        assert ended == [("Resumed", f"resumed by bob at {BOB.at}")]
    told = deployment(1, paused=True, status={"pausedBy": ALICE.model_dump(by_alias=True)})
    assert events(observation(deployment=told, authors=Authors(paused=BOB))) == [
        ("Paused", f"paused by bob at {BOB.at}")
    ]
    assert events(observation(1, authors=Authors(resumed=BOB))) == []


def test_b29_the_event_about_a_pause_comes_before_the_status_that_ends_it() -> None:
    """B29: killed in between, the next operator tells it again, under the same name."""
    held = observation(deployment=deployment(1, paused=True), authors=Authors(paused=ALICE))
    done = [type(one) for one in decide(held).actions]
    assert done.index(Emit) < done.index(WriteStatus)


def test_b11_the_status_tells_who_and_forgets_a_resume_that_nobody_stamped() -> None:
    """B11: who set a field to what it is by default may be whoever made the object."""
    who = Authors(resumed=PATCH, changed=ALICE)
    (wrote,) = [
        a for a in decide(observation(1, authors=who)).actions if isinstance(a, WriteStatus)
    ]
    assert (wrote.status.resumed_by, wrote.status.changed_by) == (None, ALICE)
    who = Authors(resumed=BOB)
    (wrote,) = [
        a for a in decide(observation(1, authors=who)).actions if isinstance(a, WriteStatus)
    ]
    assert wrote.status.resumed_by == BOB


def test_b11_a_rollout_bears_the_name_of_whoever_released_it() -> None:
    """B11: it goes with the attempt, whoever changes the spec later."""
    found = decide(observation(2, authors=Authors(changed=ALICE))).actions
    (made,) = [one for one in found if isinstance(one, Create)]
    assert made.manifest["spec"]["releasedBy"] == {"by": "alice", "at": AT, "told": "Stamp"}
    (news,) = [one for one in found if isinstance(one, Emit)]
    assert news.message.endswith(f"; spec changed by alice at {AT}")


def decided(obs: Observation) -> tuple[str, str, str]:
    """Return actor, action and message of the latest decision that a pass writes."""
    (wrote,) = [one for one in decide(obs).actions if isinstance(one, WriteRollout)]
    made = wrote.status.decisions[-1]
    return made.actor, made.action, made.message


@pytest.mark.parametrize(
    ("number", "action", "words"),
    [
        (1, "Aborted", "the spec was put back to stable's content by alice"),
        (3, "Superseded", "by alice"),
    ],
)
def test_b11_who_takes_a_rollout_back_is_on_record(number: int, action: str, words: str) -> None:
    """B11: back to stable's content, or to another revision; with a candidate or before."""
    step = stepping(held_s=5)
    for revisions in ((stable(), revision(V2)), (stable(),)):
        obs = observation(
            number,
            revisions=revisions,
            rollouts=(rollout(status=step),),
            route=route(10 if len(revisions) > 1 else 0),
            authors=Authors(changed=ALICE),
        )
        actor, did, text = decided(obs)
        assert actor == "alice"
        assert "by alice" in text
        if len(revisions) > 1:
            assert did == action
            assert words in text
    assert decided(replace(obs, authors=Authors()))[0] == "rampway"


def test_b09_an_undo_in_the_watch_is_somebodys() -> None:
    """B9, B11: by name, also where the return was cut short after stable had changed (B29)."""
    before, now = stable(promoted_at_s=1.0), revision(V2, 4, promoted_at_s=2.0)
    watch = {"hold": "10m", "holdback": "10%"}
    obs = observation(
        1,
        revisions=(before, now),
        rollouts=(rollout(2, status=IN_WATCH, watch=watch),),
        route=route(10, V1),
        authors=Authors(changed=ALICE),
    )
    actor, _, text = decided(obs)
    assert actor == "alice"
    assert text == f"undone by alice: the spec went back to {NAME}-{V1} within the watch"
    cut = replace(obs, revisions=(replace(before, promoted_at_s=3.0), now), route=route(100, V1))
    assert decided(cut)[0] == "alice"
