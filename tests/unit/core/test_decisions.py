"""What a rollout keeps on record where there is more than room for it (B11)."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from unit.core.builders import ago, course, stepping

from rampway.api.authors import Author
from rampway.api.conditions import Act, Reason
from rampway.api.rollout import CheckStatus, Decision
from rampway.core.model.authors import Authors
from rampway.core.rollout import reactions
from rampway.core.rollout.course import Course, Outcome, record
from rampway.core.rollout.decisions import MAX_ANSWERS, MAX_DECISIONS, kept

ALICE = Author(by="alice", at="2026-03-04T02:00:00Z", told="Stamp")
BOB = Author(by="bob", at="2026-03-04T03:00:00Z", told="Stamp")
LIGHT = {Act.PAUSED, Act.RESUMED, Act.QUEUED, Act.ASKED, Act.STEP_STARTED}
"""What may be pushed off the record by other things."""


def made(*acts: Act) -> tuple[Decision, ...]:
    """Return decisions with these actions; each message is its number."""
    return tuple(
        Decision(at=ago(1), actor="bob", action=act, reason="x", message=str(n))
        for n, act in enumerate(acts)
    )


def said(decisions: tuple[Decision, ...]) -> str:
    """Return the messages of decisions, which are their numbers."""
    return " ".join(one.message for one in decisions)


def toggled(found: Course, times: int) -> tuple[Decision, ...]:
    """Return what is on record once alice has paused, and bob resumed, so many times."""
    status = found.status
    for n in range(2 * times):
        paused = n % 2 == 0
        spec = found.obs.deployment.spec.model_copy(update={"paused": paused})
        who = Authors(paused=ALICE) if paused else Authors(resumed=BOB)
        obs = replace(found.obs, deployment=replace(found.obs.deployment, spec=spec), authors=who)
        status = reactions.told(replace(found, obs=obs), Outcome(status)).status
    return status.decisions


def test_b11_pauses_push_nothing_else_off_the_record() -> None:
    """B11: the approval is there after any number of them, and the latest pause, with its end."""
    before = made(Act.STEP_STARTED, Act.APPROVED, Act.STEP_STARTED)
    found = toggled(course(stepping(held_s=5, decisions=before), weight_pct=10), 100)
    assert len(found) in {MAX_DECISIONS - 1, MAX_DECISIONS}
    assert found[:3] == before
    assert [(one.actor, one.action) for one in found[-2:]] == [
        ("alice", "Paused"),
        ("bob", "Resumed"),
    ]


def test_b11_a_pauses_end_comes_before_what_it_lets_begin() -> None:
    """B11: both are decided in one pass, and the record tells which followed from which."""
    found = course(stepping(held_s=5, decisions=made(Act.STEP_STARTED, Act.PAUSED)), weight_pct=10)
    begun = record(Outcome(found.status), 1.0, Act.STEP_STARTED, Reason.STEP, "step 2/2")
    told = reactions.told(found, begun)
    acts = [one.action for one in told.status.decisions]
    assert acts == ["StepStarted", "Paused", "Resumed", "StepStarted"]
    assert [one.action for one in told.news] == ["StepStarted"]


def test_b11_answers_of_the_oldest_decisions_go_where_there_is_no_room() -> None:
    """Many checks in many steps: the decisions stay, the newest with what the checks said."""
    many = tuple(CheckStatus(name=f"c{n}", state="Pass") for n in range(MAX_ANSWERS // 3))
    steps = [one.model_copy(update={"checks": many}) for one in made(*[Act.STEP_STARTED] * 5)]
    found = kept((*steps, *made(Act.PROMOTED)))
    assert [len(one.checks) for one in found] == [0, 0, *[len(many)] * 3, 0]


def test_b11_a_full_record_has_room_for_one_end_of_a_pause() -> None:
    """B11: of decisions alone; while it is paused that is on record, so it is not told again."""
    full = made(*[Act.APPROVED] * (MAX_DECISIONS - 1))
    found = course(stepping(held_s=5, decisions=full), weight_pct=10)
    assert toggled(found, 7)[:-1] == full
    assert toggled(found, 7)[-1].action == Act.RESUMED


def test_b11_what_there_is_much_of_goes_before_what_was_decided() -> None:
    """B11: pauses that are over first, then the queue, questions and steps, then the oldest."""
    pause = (Act.PAUSED, Act.RESUMED)
    assert said(kept(made(Act.APPROVED, *pause, *pause, Act.STEP_STARTED), 4)) == "0 3 4 5"
    assert said(kept(made(*pause, Act.QUEUED, Act.QUEUED, Act.PAUSED), 3)) == "2 3 4"
    queue = made(Act.STEP_STARTED, Act.ASKED, Act.QUEUED, Act.QUEUED, Act.STEP_STARTED)
    assert said(kept(queue, 4)) == "0 1 3 4"
    assert said(kept(queue, 3)) == "1 3 4"
    assert said(kept(made(Act.APPROVED, Act.STEP_STARTED, Act.PROMOTING), 2)) == "1 2"


def test_b11_half_of_a_pause_goes_alone() -> None:
    """B11: where the other half is gone, or is the newest decision, which always stays."""
    assert said(kept(made(Act.RESUMED, Act.APPROVED, Act.PROMOTING), 2)) == "1 2"
    assert said(kept(made(Act.PAUSED, Act.APPROVED, Act.RESUMED), 2)) == "1 2"
    assert said(kept(made(Act.APPROVED, Act.PAUSED, Act.PROMOTING), 2)) == "1 2"


@given(st.lists(st.sampled_from(list(Act)), max_size=120), st.integers(min_value=1, max_value=40))
def test_b11_the_record_is_bounded_and_in_order(acts: list[Act], most: int) -> None:
    """B11: whatever happens; the newest is there, and weighty ones are while they have room."""
    found: tuple[Decision, ...] = ()
    for one in made(*acts):
        found = kept((*found, one), most)
        assert found[-1] == one
        assert len(found) <= most
    numbers = [int(one.message) for one in found]
    assert numbers == sorted(set(numbers))
    plenty = kept(made(*acts))
    weighty = [one.message for one in made(*acts) if one.action not in LIGHT]
    if len(weighty) <= MAX_DECISIONS - len(LIGHT):
        assert set(weighty) <= {one.message for one in plenty}
