"""What a failed check does: it rolls back, stops and asks, or only tells."""

from rampway.api.checks import OnFailure
from rampway.api.conditions import Reason
from rampway.api.policy import Policy, RollbackMode
from rampway.core.checks.judged import CheckResult, CheckState, Judged
from rampway.core.rollout.course import Course, Outcome, record

NOTIFIED = "Notified"


def reaction(policy: Policy, name: str) -> OnFailure:
    """Return what the failure of a check does: what it says itself, softened by the mode."""
    own = next((c.on_failure for c in policy.checks if c.name == name), OnFailure.ROLLBACK)
    if policy.rollback.mode is RollbackMode.OFF:
        return OnFailure.NOTIFY
    if policy.rollback.mode is RollbackMode.MANUAL and own is OnFailure.ROLLBACK:
        return OnFailure.PAUSE
    return own


def _does(policy: Policy, result: CheckResult) -> OnFailure:
    """Return what this answer does: without a comparison it only tells, unless the watch says."""
    whole = reaction(policy, result.name)
    if not result.tells or whole is OnFailure.NOTIFY:
        return whole
    asked = policy.watch.on_unpaired if policy.watch else OnFailure.NOTIFY
    return whole if asked is OnFailure.ROLLBACK else asked


def failed(policy: Policy, judged: Judged, does: OnFailure) -> CheckResult | None:
    """Return the first failed check whose failure does this."""
    return next(
        (
            result
            for result in judged.results
            if result.state is CheckState.FAIL and _does(policy, result) is does
        ),
        None,
    )


def notified(course: Course, outcome: Outcome) -> Outcome:
    """Return the outcome with each check that only tells on record, once in a rollout."""
    told = {d.message.split(":", 1)[0] for d in outcome.status.decisions if d.action == NOTIFIED}
    for result in course.judged.results:
        quiet = _does(course.policy, result) is OnFailure.NOTIFY
        about = f"check {result.name}"
        if result.state is CheckState.FAIL and quiet and about not in told:
            text = f"{about}: {result.message}"
            reason = Reason.UNPAIRED_CHECK_FAILED if result.unpaired else Reason.CHECK_FAILED
            outcome = record(outcome, course.now_s, NOTIFIED, reason, text)
    return outcome
