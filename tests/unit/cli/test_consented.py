"""What `explain` says of a failed check before and after a person's consent (B11, B26)."""

from typing import Any

from unit.cli import scenes

from rampway.api.parse import ModelRollout, parse_rollout
from rampway.api.policy import RollbackMode
from rampway.cli import consented, ends

ERRORS = {"name": "errors", "state": "Fail", "message": "31 of 412 failed"}
CONSENT = {"approve": [{"step": "half", "by": "alice"}]}


def stopped(requests: dict[str, Any] | None = None, **status: Any) -> ModelRollout:
    """Return the rollout that check errors stopped in its step half."""
    (one,) = scenes.stopped_by_check.rollouts
    spec = one["spec"] | {"requests": requests or {}}
    return parse_rollout(one | {"spec": spec, "status": one["status"] | status})


def needs(rollout: ModelRollout) -> list[tuple[bool | None, str]]:
    """Return what its step waits for of checks and people."""
    return [(one.met, one.text) for one in consented.needs(rollout, "half")]


def test_b26_stopped_it_waits_for_a_person_not_for_the_check() -> None:
    """A check that has failed cannot pass any more; a person's word is what is missing."""
    found = stopped(checks=[ERRORS])
    assert needs(found) == [(False, "a person's consent: check errors: 31 of 412 failed")]
    assert "stops and asks" in next(ends.reactions(found, "half"))


def test_b26_a_check_that_is_well_again_leaves_the_question() -> None:
    """It says what it was stopped by, as the check does not any more."""
    step = {"index": 3, "name": "half", "total": 4, "stoppedBy": "check errors: 31 of 412 failed"}
    found = stopped(checks=[ERRORS | {"state": "Pass", "message": "fine"}], step=step)
    asked = "a person's consent: it was stopped by check errors: 31 of 412 failed"
    assert needs(found) == [(True, "check errors passes: fine"), (False, asked)]


def test_b11_with_consent_nothing_is_asked_any_more() -> None:
    """Who agreed is named; of the check's failure nothing follows in this step."""
    found = stopped(CONSENT, checks=[ERRORS], reason="StepRunning")
    said = "check errors failed, and alice agreed to go on: 31 of 412 failed"
    assert needs(found) == [(True, said)]
    assert next(ends.reactions(found, "half")).endswith("asks again after this step, not in it")
    assert "stops and asks" in next(ends.reactions(found, "another"))


def test_b26_what_only_tells_is_not_waited_for() -> None:
    """In the mode Off a failed check is told, and holds nothing."""
    found = stopped(checks=[ERRORS], reason="StepRunning")
    rollback = found.spec.policy.rollback.model_copy(update={"mode": RollbackMode.OFF})
    policy = found.spec.policy.model_copy(update={"rollback": rollback})
    spec = found.spec.model_copy(update={"policy": policy})
    off = ModelRollout(**(vars(found) | {"spec": spec}))
    assert needs(off) == [(True, "check errors failed, which only tells: 31 of 412 failed")]
