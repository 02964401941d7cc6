"""What would end or stop a rollout by itself: checks, pods, deadlines. Pure."""

from collections.abc import Iterator

from rampway.api.base import seconds
from rampway.api.checks import OnFailure
from rampway.api.parse import ModelRollout
from rampway.cli.consented import agreed
from rampway.core.instants import brief, from_wire
from rampway.core.rollout.reactions import reaction, view_of

_SERVERS = "the servers' own failures, not the gateway's"
_DOES = {
    OnFailure.ROLLBACK: "rolls back",
    OnFailure.PAUSE: "stops and asks",
    OnFailure.NOTIFY: "is only told",
}


def reactions(rollout: ModelRollout, step: str = "") -> Iterator[str]:
    """Yield what the failure of each check would do in this step, and what pods would."""
    policy, name = rollout.spec.policy, agreed(rollout, step)
    for check in policy.checks:
        view = f" ({_SERVERS})" if view_of(policy, check.name) else ""
        does = reaction(policy, check.name)
        if name and does is OnFailure.PAUSE:
            yield f"check {check.name}{view}: its failure asks again after this step, not in it"
        else:
            yield f"check {check.name}{view}: its failure {_DOES[does]}"
    yield "candidate pods that crash twice, run out of memory or are all unready: rolled back"


def in_watch(rollout: ModelRollout) -> Iterator[str]:
    """Yield what would return to the previous revision (B27)."""
    policy = rollout.spec.policy
    held_back = policy.watch is not None and policy.watch.holdback_pct
    for check in policy.checks:
        if check.comparison and not held_back:
            does = _DOES[policy.watch.on_unpaired if policy.watch else OnFailure.NOTIFY]
            yield f"check {check.name}: unpaired, since the holdback is 0%: its failure {does}"
        elif reaction(policy, check.name) is OnFailure.ROLLBACK:
            yield f"check {check.name}: its failure returns to the previous revision"
        else:
            yield f"check {check.name}: its failure is only shown"
    yield "pods of the new stable that crash twice, run out of memory or are all unready: likewise"


def deadline(rollout: ModelRollout, now_s: float) -> Iterator[str]:
    """Yield how long the candidate may still take to become ready, while that clock runs."""
    since_s = from_wire(rollout.status.unready_since)
    if since_s is None:
        return
    limit_s = seconds(rollout.spec.progress_deadline)
    left_s = limit_s + rollout.status.unschedulable_s - (now_s - since_s)
    stopped = "; stopped while its pods find no node" if rollout.status.unschedulable_since else ""
    yield f"progressDeadline: {brief(max(0.0, left_s))} left to become ready{stopped}"
