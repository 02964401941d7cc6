"""When a status is worth a write: at once for news, now and then for numbers (B32)."""

from rampway.api.conditions import NO_EVIDENCE, Reason
from rampway.api.deployment import ModelDeploymentStatus
from rampway.api.rollout import ModelRolloutStatus
from rampway.core.instants import from_wire

_COUNTING = NO_EVIDENCE | frozenset(
    {
        Reason.STEP,
        Reason.EVIDENCE_WAITING,
        Reason.STABLE_CRASHES_TOO,
        Reason.HOOK_RUNNING,
        Reason.STOPPED_BY_CHECK,
        Reason.WATCHING,
        Reason.SHARE_CONTRADICTED,
    }
)
"""Reasons whose messages carry numbers that change at every look."""


def rollout_is_news(
    old: ModelRolloutStatus, new: ModelRolloutStatus, now_s: float, interval_s: float
) -> bool:
    """Whether a rollout's status has to be written now.

    Phase, step, weight, reason and the checks' states are news; counts and evidence are written
    with them, else every `interval_s` seconds.
    """
    if _essence(old) != _essence(new):
        return True
    if new == old:
        return False
    written_s = from_wire(old.checked_at)
    return written_s is None or now_s - written_s >= interval_s


def status_is_news(old: ModelDeploymentStatus, new: ModelDeploymentStatus) -> bool:
    """Whether the ModelDeployment's status has to be written now."""
    return _outline(old) != _outline(new)


def _essence(status: ModelRolloutStatus) -> tuple[object, ...]:
    counting = status.reason in _COUNTING
    bare = {"evidence": "", "checked_at": "", "checks": ()} | ({"message": ""} if counting else {})
    states = tuple((check.name, check.state) for check in status.checks)
    return vars(status) | bare, states


def _outline(status: ModelDeploymentStatus) -> tuple[object, ...]:
    counting = status.reason in _COUNTING
    bare = {"conditions": ()} | ({"message": ""} if counting else {})
    told = {"last_transition_time": ""} | ({"message": ""} if counting else {})
    conditions = tuple(vars(c) | told for c in status.conditions)
    return vars(status) | bare, conditions
