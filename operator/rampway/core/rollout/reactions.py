"""What a failed check does, and who is told: it rolls back, stops and asks, or only tells."""

from dataclasses import replace

from rampway.api.checks import OnFailure
from rampway.api.conditions import Act, Reason
from rampway.api.conditions import RolloutPhase as P
from rampway.api.policy import Policy, RollbackMode
from rampway.api.rollout import CheckStatus, ModelRolloutStatus
from rampway.core.checks.judged import CheckResult, CheckState, Judged
from rampway.core.model import authors
from rampway.core.rollout import queueing
from rampway.core.rollout.course import Course, Outcome, by, record

ASKS = frozenset(
    {Reason.APPROVAL, Reason.STOPPED_BY_CHECK, Reason.HOOK_FAILED, Reason.STEPS_NOT_POSSIBLE}
)
"""A person has to say something, else nothing moves (kstatus: Stalled)."""
SERVER_SIDE_ONLY = "ServerSideOnly"
"""A check's view: failures that only the gateway sees count against nobody (B22)."""
_AFRESH = frozenset({Act.STEP_STARTED, Act.PROMOTED})
"""After these a person is asked anew."""


def reaction(policy: Policy, name: str) -> OnFailure:
    """Return what the failure of a check does: what it says itself, softened by the mode."""
    own = next((c.on_failure for c in policy.checks if c.name == name), OnFailure.ROLLBACK)
    if policy.rollback.mode is RollbackMode.OFF:
        return OnFailure.NOTIFY
    if policy.rollback.mode is RollbackMode.MANUAL and own is OnFailure.ROLLBACK:
        return OnFailure.PAUSE
    return own


def view_of(policy: Policy, name: str) -> str:
    """Return whose failures a check counts: gateways tell theirs for a route, not for a backend."""
    counts = any(check.name == name and check.error_rate is not None for check in policy.checks)
    return SERVER_SIDE_ONLY if counts else ""


def answers(course: Course) -> tuple[CheckStatus, ...]:
    """Return what the checks say now, as a status has it."""
    return tuple(
        CheckStatus(
            name=one.name,
            state=one.state.value,
            message=one.message,
            unpaired=one.unpaired,
            view=view_of(course.policy, one.name),
        )
        for one in course.judged.results
    )


def unpaired(policy: Policy, name: str) -> OnFailure:
    """Return what a failure without a comparison does: it only tells, unless the watch says."""
    whole = reaction(policy, name)
    if whole is OnFailure.NOTIFY:
        return whole
    asked = policy.watch.on_unpaired if policy.watch else OnFailure.NOTIFY
    return whole if asked is OnFailure.ROLLBACK else asked


def _does(policy: Policy, result: CheckResult) -> OnFailure:
    return (unpaired if result.tells else reaction)(policy, result.name)


def failed(policy: Policy, judged: Judged, does: OnFailure) -> CheckResult | None:
    """Return the first failed check whose failure does this."""
    return next(iter(failing(policy, judged, does)), None)


def failing(policy: Policy, judged: Judged, does: OnFailure) -> list[CheckResult]:
    """Return the failed checks whose failure does this."""
    return [
        result
        for result in judged.results
        if result.state is CheckState.FAIL and _does(policy, result) is does
    ]


def told(course: Course, outcome: Outcome) -> Outcome:
    """Return the outcome with all on record that people have to know of."""
    outcome = _queued(course, outcome)
    return _held(course, _asked(course, _notified(course, outcome)))


def asks(status: ModelRolloutStatus) -> bool:
    """Whether a rollout waits until a person says something; no rollback ever does."""
    return status.reason in ASKS and status.phase not in {P.ROLLING_BACK, P.ROLLED_BACK}


def _held(course: Course, outcome: Outcome) -> Outcome:
    """Return the outcome with a pause on record, or its end, and who it was.

    The Event about it is the ModelDeployment's, which may be paused at rest as well.
    """
    made = [d.action for d in outcome.status.decisions if d.action in {Act.PAUSED, Act.RESUMED}]
    if course.paused == (made[-1:] == [Act.PAUSED]):
        return outcome
    whose = course.obs.authors
    if course.paused:
        act, reason, author = Act.PAUSED, Reason.PAUSED, whose.paused
    else:
        act, reason, author = Act.RESUMED, Reason.RESUMED, whose.resumed
    text = authors.in_full(act.lower(), author)
    who = authors.actor(author) or authors.SOMEBODY
    noted = by(record(outcome, course.now_s, act, reason, text), who)
    *before, latest = noted.status.decisions
    # A pause's end comes before what it lets begin in the same pass.
    at = len(before) - (0 if course.paused else len(outcome.news))
    decisions = (*before[:at], latest, *before[at:])
    status = noted.status.model_copy(update={"decisions": decisions})
    return replace(noted, status=status, news=outcome.news)


def _asked(course: Course, outcome: Outcome) -> Outcome:
    """Return the outcome with a question to people on record, once in a step."""
    status = outcome.status
    made = status.decisions
    begun = max((n for n, one in enumerate(made) if one.action in _AFRESH), default=0)
    known = any((d.action, d.reason) == (Act.ASKED, status.reason) for d in made[begun:])
    if known or not asks(status):
        return outcome
    return record(outcome, course.now_s, Act.ASKED, Reason(status.reason), status.message)


def _queued(course: Course, outcome: Outcome) -> Outcome:
    """Return the outcome with a newer revision that waits on record, once for each (B7)."""
    waits = queueing.waiting(course.obs)
    if not waits or P(outcome.status.phase).ended:
        return outcome
    text = queueing.sentence(course.obs, waits)
    made = [one.message for one in outcome.status.decisions if one.action == Act.QUEUED]
    if made[-1:] == [text]:
        return outcome
    return record(outcome, course.now_s, Act.QUEUED, Reason.QUEUED, text)


def _notified(course: Course, outcome: Outcome) -> Outcome:
    """Return the outcome with each check that only tells on record, once in a rollout."""
    made = [d.message for d in outcome.status.decisions if d.action == Act.NOTIFIED]
    known = {message.split(":", 1)[0] for message in made}
    for result in course.judged.results:
        quiet = _does(course.policy, result) is OnFailure.NOTIFY
        about = f"check {result.name}"
        if result.state is CheckState.FAIL and quiet and about not in known:
            text = f"{about}: {result.message}"
            reason = Reason.UNPAIRED_CHECK_FAILED if result.unpaired else Reason.CHECK_FAILED
            outcome = record(outcome, course.now_s, Act.NOTIFIED, reason, text)
    return outcome
