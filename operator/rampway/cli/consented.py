"""What a step's checks still have to say, and what a person said instead. Pure."""

from collections.abc import Iterator

from rampway.api.checks import OnFailure
from rampway.api.conditions import Reason
from rampway.api.parse import ModelRollout
from rampway.api.rollout import CheckStatus
from rampway.cli.explanation import Need
from rampway.cli.words import clean
from rampway.core.checks.judged import CheckState
from rampway.core.model.authors import who
from rampway.core.rollout.reactions import reaction


def agreed(rollout: ModelRollout, step: str) -> str:
    """Return who agreed that a step goes on, empty if nobody did."""
    given = next((one for one in rollout.spec.requests.approve if one.step == step), None)
    return clean(who(given)) if given else ""


def needs(rollout: ModelRollout, step: str) -> Iterator[Need]:
    """Yield what a step waits for: that its checks pass, or a person's word on those that fail."""
    status, name = rollout.status, agreed(rollout, step)
    asking = status.reason == Reason.STOPPED_BY_CHECK
    for check in status.checks:
        does = reaction(rollout.spec.policy, check.name)
        if check.state != CheckState.FAIL or does is OnFailure.ROLLBACK:
            yield passes(check)
        elif does is OnFailure.NOTIFY:
            yield Need(True, clean(f"check {check.name} failed, which only tells: {check.message}"))
        elif name:
            text = f"check {check.name} failed, and {name} agreed to go on: {check.message}"
            yield Need(True, clean(text))
        else:
            asking = False
            yield Need(False, clean(f"a person's consent: check {check.name}: {check.message}"))
    if asking and not name:  # what stopped it is well again
        yield Need(False, clean(f"a person's consent: it was stopped by {status.step.stopped_by}"))


def passes(check: CheckStatus) -> Need:
    """Return that a check has to pass, and what it says now."""
    met = {CheckState.PASS.value: True, CheckState.UNKNOWN.value: None}.get(check.state, False)
    now = "" if met else f"; now {check.state}"
    return Need(met, clean(f"check {check.name} passes{now}: {check.message}"))
