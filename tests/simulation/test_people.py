"""What people ask of a rollout, and what a failed check asks of people (B10, B11, B26)."""

from typing import Any

import pytest
from simulation.stage import (
    BROKEN,
    ERRORS,
    NAME,
    Stage,
    approval,
    match,
    mirror,
    model,
    policy,
    quick,
    ramp,
    serving,
    step,
)

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.traffic.split import STABLE_ONLY
from rampway.kube import kinds
from rampway.kube.errors import Transient
from rampway.metrics.memory import Mode
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE

FIRST_STEPS: dict[str, dict[str, Any]] = {
    "weight": step("first", 20, 600),
    "mirror": mirror("first", 20, 600),
    "match": match("first", 600, x_beta="yes"),
    "ramp": ramp("first", 20, 60, 900, "Linear"),
    "approval": approval("first"),
}
every_kind = pytest.mark.parametrize("kind", FIRST_STEPS)


def trial(kind: str = "weight", *, checks: tuple[Any, ...] = (), **more: Any) -> Stage:
    """Return a stage on which v2 is in a first step of this kind, without end."""
    rollout = policy(FIRST_STEPS[kind], step("half", 60, 600), checks=checks, **more)
    stage = serving(rollout=rollout)
    stage.release(2)
    if kind == "approval":
        stage.until(lambda: stage.world.status(NAME).reason == "WaitingForApproval", 60)
    else:
        stage.until_step("first")
    stage.run(2)
    return stage


def failing(kind: str = "weight", **more: Any) -> Stage:
    """Return the same with a candidate that answers three in ten with an error, found out."""
    stage = trial(kind, checks=(ERRORS,), **more)
    stage.harmed = True
    stage.world.behave(stage.desired, BROKEN)
    stage.until(lambda: any(c.state == "Fail" for c in stage.rollout.status.checks), 200)
    stage.run(2)
    return stage


def test_b11_an_approval_lets_its_step_go_on_once() -> None:
    """Without it nothing moves; with it the next step begins; who and when is on record, once."""
    rollout = quick(step("ten", 10), approval("look", "the minority classes"), step("half", 50))
    stage = serving(rollout=rollout)
    stage.release(2)
    stage.until(lambda: stage.world.status(NAME).reason == "WaitingForApproval", 60)
    stage.run(90)
    status = stage.world.status(NAME)
    assert (status.phase, stage.split.weight_pct) == ("Holding", 10)
    assert "the minority classes" in status.message
    assert stage.world.condition(NAME, "Stalled") == "True"
    stage.ask(approve="look")
    stage.until_phase("Healthy", 120)
    (given,) = stage.decided("Approved")
    assert (given.actor, given.message) == ("ann", "step look approved by ann")
    assert given.at
    assert stage.events("Asked") == [("Warning", "WaitingForApproval")]
    assert stage.events("Approved") == [("Normal", "Approved")]
    assert stage.stable == stage.desired


def test_b11_an_approval_of_another_step_moves_nothing() -> None:
    """Consent is bound to the step that it names."""
    stage = trial("approval")
    stage.ask(approve="half")
    stage.run(60)
    assert stage.rollout.status.step.name == "first"


def test_b11_an_approval_does_not_count_for_the_next_attempt() -> None:
    """A fresh rollout asks again."""
    stage = trial("approval")
    stage.ask(approve="first")
    stage.until_step("half")
    stage.release(3)
    stage.until(lambda: len(stage.world.rollouts(NAME)) == 2, 30)
    stage.until(lambda: stage.world.status(NAME).reason == "WaitingForApproval", 60)
    stage.run(30)
    assert stage.rollout.status.step.name == "first"


def test_b11_consent_counts_once_though_a_ramp_has_many_stages() -> None:
    """A ramp stopped by a check goes on with one consent, which is on record once."""
    check = ERRORS | {"onFailure": "Pause"}
    rising = ramp("up", 20, 29, 20, "Linear")
    stage = serving(rollout=policy(rising, checks=(check,)))
    stage.release(2, BROKEN)
    stage.harmed = True
    stage.until(lambda: stage.world.status(NAME).reason == "StoppedByCheck", 200)
    stage.ask(approve="up")
    stage.until_phase("Healthy", 200)
    assert len(stage.decided("Approved")) == 1
    assert stage.events("Asked") == [("Warning", "StoppedByCheck")]
    assert len(stage.decided("Asked")) == 1


@every_kind
def test_b11_promote_skips_what_is_left(kind: str) -> None:
    """From any kind of step to everything, as ann's decision, losing nothing."""
    stage = trial(kind)
    stage.ask(promote="it is fine")
    stage.until_phase("Healthy", 60)
    assert stage.stable == stage.desired
    (said,) = stage.decided("Promoting")
    assert (said.actor, said.message) == ("ann", "remaining steps skipped by ann: it is fine")
    (done,) = stage.decided("Promoted")
    assert done.message.endswith("is stable: remaining steps skipped by ann: it is fine")


@every_kind
def test_b10_promote_waits_while_paused(kind: str) -> None:
    """A pause holds a person's promotion too."""
    stage = trial(kind)
    before = stage.split
    stage.apply(paused=True)
    stage.ask(promote="")
    stage.run(60)
    assert stage.split == before
    stage.apply(paused=False)
    stage.until_phase("Healthy", 60)


def test_b11_promote_does_not_shield_a_bad_candidate() -> None:
    """Whoever skips the steps still sees a failing check roll back."""
    stage = trial(checks=(ERRORS,))
    stage.harmed = True
    stage.world.behave(stage.desired, Behaviour(startup_s=20, error_rate=0.3))
    stage.ask(promote="")
    stage.until_phase("RolledBack", 120)
    assert stage.rollout.status.reason == "CheckFailed"


@every_kind
def test_b26_abort_puts_everything_back_at_once(kind: str) -> None:
    """From any kind of step, within a second; it counts as a rollback and is not tried again."""
    stage = trial(kind)
    stage.ask(abort="not today")
    stage.run(1)
    assert stage.split == STABLE_ONLY
    stage.until_phase("RolledBack", 10)
    (said,) = stage.decided("RollingBack")
    assert (said.actor, said.message) == ("ann", "aborted by ann: not today")
    stage.run(60)
    assert stage.world.condition(NAME, "Promoted") == "False"
    assert len(stage.world.rollouts(NAME)) == 1


def test_b26_abort_before_there_is_a_candidate() -> None:
    """The pod template is refused, and ann gives up: the rollout ends, and stays ended."""
    stage = serving(rollout=quick())
    stage.world.api.fail_next(
        Transient("later"), times=20, predicate=lambda call: call.verb == "create"
        and call.kind is kinds.DEPLOYMENT,
    )  # fmt: skip
    stage.release(2)
    stage.until(lambda: bool(stage.world.rollouts(NAME)), 30)
    stage.ask(abort="")
    stage.until_phase("RolledBack", 60)
    stage.run(30)
    assert len(stage.world.rollouts(NAME)) == 1
    assert stage.decided("RollingBack")[0].actor == "ann"


def test_b26_retry_tries_the_same_revision_again_and_only_so_often() -> None:
    """Each word of a person makes one attempt; maxRetries ends it, until the spec changes."""
    rollout = policy(step("half", 50), checks=(ERRORS,), rollback={"maxRetries": 2})
    stage = serving(rollout=rollout)
    stage.harmed = True
    second = stage.release(2, BROKEN)
    for attempt in (1, 2, 3):
        stage.until(lambda: stage.phase == "RolledBack", 200)
        stage.run(30)
        assert [r.spec.attempt for r in stage.world.rollouts(NAME)] == list(range(1, attempt + 1))
        stage.ask(retry="once more")
        stage.run(3)
    stage.run(60)
    assert stage.phase == "RolledBack"
    assert len(stage.world.rollouts(NAME)) == 3
    assert (
        "retried 2 times, which is all that maxRetries allows" in stage.world.status(NAME).message
    )
    stage.apply(model=model(1))
    stage.run(30)
    stage.world.behave(second, Behaviour())
    stage.apply(model=model(2))
    stage.until(lambda: stage.stable == second, 300)


def test_b26_retry_of_what_is_good_now_succeeds() -> None:
    """Mended outside: the second attempt promotes it, from step one."""
    stage = serving(rollout=policy(step("half", 50), checks=(ERRORS,)))
    stage.harmed = True
    second = stage.release(2, BROKEN)
    stage.until_phase("RolledBack", 200)
    stage.world.behave(second, Behaviour())
    stage.heal()
    stage.ask(retry="the store was down")
    stage.until_phase("Healthy", 400)
    first, again = stage.world.rollouts(NAME)
    assert (first.status.phase, again.status.phase) == ("RolledBack", "Promoted")
    assert again.status.decisions[0].action == "StepStarted"


@pytest.mark.parametrize("kind", ["weight", "mirror", "match", "ramp"])
def test_b26_mode_manual_stops_and_asks(kind: str) -> None:
    """A failed check keeps the split and asks; abort rolls back."""
    stage = trial(kind, checks=(ERRORS,), rollback={"mode": "Manual"})
    stage.world.cluster.bear(SPACE, NAME, 0.3, {"x-beta": "yes"})
    before = stage.split
    stage.harmed = True
    stage.world.behave(stage.desired, BROKEN)
    stage.until(lambda: stage.world.status(NAME).reason == "StoppedByCheck", 200)
    stage.run(60)
    status = stage.world.status(NAME)
    assert (stage.split, status.phase) == (before, "Holding")
    assert "Approve step first to go on all the same, or abort" in status.message
    assert stage.world.condition(NAME, "Stalled") == "True"
    stage.ask(abort="")
    stage.until_phase("RolledBack", 5)


def test_b26_a_check_that_is_well_again_does_not_answer_for_people() -> None:
    """Stopped and asked, it waits for a person, also once the value is within its limits again."""
    limit = {"name": "orders", "threshold": {"query": "orders", "max": "5"}, "onFailure": "Pause"}
    stage = serving(rollout=policy(step("ten", 10), step("half", 50), checks=(limit,)))
    value = 3.0
    stage.world.source.answers = lambda _, at_s: Answer(AnswerKind.VALUE, value, at_s=at_s)
    stage.release(2)
    stage.until_step("ten")
    value = 9.0
    stage.until(lambda: stage.world.status(NAME).reason == "StoppedByCheck", 60)
    value = 3.0
    stage.run(120)
    status = stage.world.status(NAME)
    assert (status.reason, stage.split.weight_pct) == ("StoppedByCheck", 10)
    assert "check orders" in status.message
    stage.world.kill()
    stage.world.start()
    stage.run(30)
    assert stage.world.status(NAME).reason == "StoppedByCheck"
    stage.ask(approve="ten")
    stage.until_phase("Healthy", 120)
    assert stage.stable == stage.desired


def test_b26_mode_manual_goes_on_with_consent_and_asks_at_the_next_step() -> None:
    """Consent is for one step: the next one asks again; promote asks no more."""
    rollout = policy(step("ten", 10), step("half", 50), checks=(ERRORS,),
                     rollback={"mode": "Manual"})  # fmt: skip
    stage = serving(rollout=rollout)
    stage.harmed = True
    stage.release(2, BROKEN)
    stage.until(lambda: stage.world.status(NAME).reason == "StoppedByCheck", 300)
    assert stage.rollout.status.step.name == "ten"
    stage.ask(approve="ten")
    stage.run(60)
    assert stage.split.weight_pct == 50
    assert stage.world.status(NAME).reason == "StoppedByCheck"
    stage.ask(promote="we know")
    stage.until_phase("Healthy", 60)
    assert stage.stable == stage.desired
    over = "step ten approved over check errors by ann"
    assert [(d.reason, d.message) for d in stage.decided("Approved")] == [("StoppedByCheck", over)]
    skipped = f"remaining steps skipped over check errors by ann: we know; {over}"
    assert stage.rollout.status.message.endswith(f"is stable: {skipped}")


def test_b18_what_a_stopped_step_sees_counts_on() -> None:
    """Whoever is asked again at the next step sees its figures, not those of the step before."""
    stage = failing(rollback={"mode": "Manual"})
    stage.ask(approve="first")
    stage.until(lambda: stage.rollout.status.step.name == "half", 700)
    stage.run(30)
    step, before = stage.rollout.status.step, stage.rollout.status.checks[0].message
    assert step.in_force_since
    assert stage.split.weight_pct == 60
    stage.run(60)
    assert stage.world.status(NAME).reason == "StoppedByCheck"
    assert stage.rollout.status.checks[0].message != before


def test_b11_consent_is_on_record_at_once_whatever_follows() -> None:
    """The step holds on, the consent is a decision already, and an abort does not take it away."""
    stage = failing(rollback={"mode": "Manual"})
    stage.ask(approve="first")
    stage.run(2)
    assert stage.rollout.status.step.name == "first"
    assert [d.actor for d in stage.decided("Approved")] == ["ann"]
    assert stage.events("Approved") == [("Normal", "StoppedByCheck")]
    stage.ask(abort="no, wait")
    stage.until_phase("RolledBack", 20)
    assert [d.actor for d in stage.decided("Approved")] == ["ann"]


def test_b11_consent_and_an_abort_in_one_breath_are_both_on_record() -> None:
    """The abort wins, and who had agreed is known."""
    stage = failing(rollback={"mode": "Manual"})
    stage.ask(approve="first", abort="no, wait")
    stage.until_phase("RolledBack", 20)
    made = [(d.actor, d.action) for d in stage.rollout.status.decisions[-2:]]
    assert made == [("ann", "Approved"), ("ann", "RollingBack")]


def test_b25_mode_manual_and_off_do_not_keep_a_crashing_candidate() -> None:
    """Pods that crash roll back in any case."""
    for mode in ("Manual", "Off"):
        stage = trial(rollback={"mode": mode})
        stage.harmed = True
        for pod in stage.world.cluster.pods(SPACE, stage.desired):
            stage.world.cluster.crash(SPACE, pod.name, "OOMKilled")
        stage.until_phase("RolledBack", 5)


def test_b26_mode_off_only_tells() -> None:
    """The failure is on record once, and the rollout goes on to its end."""
    stage = serving(rollout=policy(step("half", 50), checks=(ERRORS,), rollback={"mode": "Off"}))
    stage.harmed = True
    stage.release(2, BROKEN)
    stage.until_phase("Healthy", 400)
    assert stage.stable == stage.desired
    told = [decision.message.split(": ")[0] for decision in stage.decided("Notified")]
    assert told == ["check errors"]
    ended = "all steps are over; check errors failed, which only tells"
    assert stage.rollout.status.message.endswith(f"is stable: {ended}")


@pytest.mark.parametrize(
    ("does", "phase", "reason"),
    [
        ("Rollback", "RolledBack", "CheckFailed"),
        ("Pause", "Holding", "StoppedByCheck"),
        ("Notify", "Healthy", "AtRest"),
    ],
)
def test_b26_each_check_says_what_its_failure_does(does: str, phase: str, reason: str) -> None:
    """A check's own onFailure, under the mode Automatic."""
    check = ERRORS | {"onFailure": does}
    stage = serving(rollout=policy(step("half", 50), checks=(check,)))
    stage.harmed = True
    stage.release(2, BROKEN)
    stage.until_phase(phase, 400)
    stage.run(5)
    assert stage.world.status(NAME).reason == reason


def test_b06_what_a_check_stopped_stays_within_its_pods() -> None:
    """Stopped and asking, a candidate that loses pods keeps no more than the others carry."""
    rollout = policy(mirror("first", 100, 600), checks=(ERRORS,), rollback={"mode": "Manual"})
    stage = serving(rollout=rollout, replicas=4)
    second = stage.release(2, Behaviour(startup_s=20, error_rate=0.3))
    stage.until(lambda: stage.world.status(NAME).reason == "StoppedByCheck", 300)
    assert stage.split.mirror_pct == 100
    stage.world.cluster.delete_pod(SPACE, stage.world.cluster.pods(SPACE, second)[0].name)
    stage.run(1)
    assert stage.split.mirror_pct == 75


def test_b32_a_stopped_rollout_is_not_written_every_second() -> None:
    """It says the same until somebody answers; numbers are written with the checkpoints."""
    stage = failing(rollback={"mode": "Manual"})
    before = len([c for c in stage.world.api.calls if c.writes])
    stage.run(120)
    wrote = [c for c in stage.world.api.calls if c.writes][before:]
    assert len(wrote) <= 2 * (120 // 30 + 1), [c.kind.kind for c in wrote]


@every_kind
def test_b33_a_request_made_while_nobody_is_there_counts_later(kind: str) -> None:
    """The operator is away when ann aborts; the next one does it."""
    stage = trial(kind)
    stage.world.kill()
    stage.ask(abort="now")
    stage.run(20)
    assert not stage.rollout.status.ended_at
    stage.world.start()
    stage.until_phase("RolledBack", 10)
    assert stage.decided("RollingBack")[0].actor == "ann"


def test_b11_promote_goes_on_without_prometheus() -> None:
    """A person may promote what nobody can judge now; the record says who."""
    stage = trial(checks=(ERRORS,))
    stage.world.source.mode = Mode.DOWN
    stage.run(70)
    assert stage.world.status(NAME).reason == "EvidenceUnknown"
    stage.ask(promote="I looked myself")
    stage.until_phase("Healthy", 60)
    assert stage.decided("Promoting")[0].actor == "ann"
