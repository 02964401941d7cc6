"""What would end or stop a rollout by itself: checks, pods, deadlines. Pure."""

from collections.abc import Iterator, Mapping

from rampway.api.base import seconds
from rampway.api.checks import Check, OnFailure
from rampway.api.conditions import RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.policy import Policy
from rampway.cli.consented import agreed
from rampway.core.instants import brief, from_wire
from rampway.core.rollout.reactions import reaction, unpaired, view_of

_SERVERS = "the servers' own failures, not the gateway's"
_DOES: Mapping[OnFailure, str] = {
    OnFailure.ROLLBACK: "rolls back",
    OnFailure.PAUSE: "stops and asks",
    OnFailure.NOTIFY: "is only told",
}
_AGREED = "asks again after this step, not in it"
_IN_WATCH: Mapping[OnFailure, str] = {
    OnFailure.ROLLBACK: "returns to the previous revision",
    OnFailure.PAUSE: "asks, and the watch does not end before somebody answers",
    OnFailure.NOTIFY: "is only told",
}


def reactions(rollout: ModelRollout, step: str = "") -> Iterator[str]:
    """Yield what the failure of each check would do in this step, and what pods would."""
    policy, name = rollout.spec.policy, agreed(rollout, step)
    for check in policy.checks:
        view = f" ({_SERVERS})" if view_of(policy, check.name) else ""
        does = reaction(policy, check.name)
        if name and does is OnFailure.PAUSE:
            yield f"check {check.name}{view}: its failure {_AGREED}"
        else:
            yield f"check {check.name}{view}: its failure {_DOES[does]}"
    yield "candidate pods that crash twice, run out of memory or are all unready: rolled back"


def in_watch(rollout: ModelRollout) -> Iterator[str]:
    """Yield what would return to the previous revision (B27)."""
    policy = rollout.spec.policy
    for check in policy.checks:
        alone = " unpaired, since the holdback is 0%:" if _unpaired(policy, check) else ""
        does = _IN_WATCH[_watched(policy, check)]
        yield f"check {check.name}:{alone} its failure {does}"
    yield (
        "pods of the new stable that crash twice, run out of memory or are all unready: back to "
        "the previous revision"
    )


def _unpaired(policy: Policy, check: Check) -> bool:
    """Whether a watch has nothing to compare this check's answers with."""
    return bool(check.comparison) and not (policy.watch and policy.watch.holdback_pct)


def _watched(policy: Policy, check: Check) -> OnFailure:
    """Return what its failure does in the watch."""
    return (unpaired if _unpaired(policy, check) else reaction)(policy, check.name)


def still(rollout: ModelRollout) -> str:
    """Return what failures do all the same while it is paused, by the policy that it goes by."""
    policy = rollout.spec.policy
    watched = rollout.status.phase == RolloutPhase.WATCHING
    back = "return to the previous revision" if watched else "roll back"
    by_reaction: dict[OnFailure, list[str]] = {}
    for check in policy.checks:
        does = _watched(policy, check) if watched else reaction(policy, check.name)
        by_reaction.setdefault(does, []).append(check.name)
    if by_reaction.keys() == {OnFailure.ROLLBACK}:
        return f"failing checks and crashes still {back}"
    words, alike = dict(_IN_WATCH if watched else _DOES), len(by_reaction) == 1
    if not watched and agreed(rollout, rollout.status.step.name):
        words[OnFailure.PAUSE] = _AGREED
    parts = []
    for does, names in by_reaction.items():
        what = "a failing check" if alike else f"the failure of {', '.join(names)}"
        parts.append(f"{what} {words[does]}")
    return "; ".join([*parts, f"crashes still {back}"])


def deadline(rollout: ModelRollout, now_s: float) -> Iterator[str]:
    """Yield how long the candidate may still take to become ready, while that clock runs."""
    since_s = from_wire(rollout.status.unready_since)
    if since_s is None:
        return
    limit_s = seconds(rollout.spec.progress_deadline)
    left_s = limit_s + rollout.status.unschedulable_s - (now_s - since_s)
    stopped = "; stopped while its pods find no node" if rollout.status.unschedulable_since else ""
    yield f"progressDeadline: {brief(max(0.0, left_s))} left to become ready{stopped}"
