"""What is seen of a rollout, and a line for every change of it: pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """The latest answer of one check."""

    name: str
    state: str
    message: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A ModelDeployment and its latest rollout at one moment.

    Attributes:
        promoted: Status of the condition Promoted for this generation; empty while the operator
            has not looked at it.
        stable: Hash of the stable revision.
        candidate: Hash of the revision being rolled out, or that was rolled back.
        step: `2/3`, or empty.
        step_name: Name of the step in the policy.
        checks: Latest answers, while a rollout runs and at its end.
    """

    promoted: str
    phase: str
    message: str
    stable: str = ""
    candidate: str = ""
    step: str = ""
    step_name: str = ""
    weight_pct: int = 0
    checks: tuple[Check, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether the rollout has come to an end, a good one or a bad one."""
        return (self.promoted == "True" and self.phase == "Healthy") or (
            self.promoted == "False" and self.phase in {"RolledBack", "Refused"}
        )


def seen(deployment: Mapping[str, Any], rollouts: Sequence[Mapping[str, Any]]) -> Seen:
    """Return what the objects, as kubectl prints them, say."""
    status = deployment.get("status") or {}
    generation = deployment["metadata"]["generation"]
    promoted = ""
    for condition in status.get("conditions", []):
        if condition["type"] == "Promoted" and condition["observedGeneration"] == generation:
            promoted = condition["status"]
    named = [r for r in rollouts if r["metadata"]["name"] == status.get("rollout")]
    return Seen(
        promoted=promoted,
        phase=status.get("phase", ""),
        message=status.get("message", ""),
        stable=(status.get("stable") or {}).get("revision", ""),
        candidate=(status.get("candidate") or {}).get("revision", ""),
        weight_pct=status.get("weightPct", 0),
        **(_of_rollout(named[0]) if named else {}),
    )


def _of_rollout(rollout: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Seen` that a ModelRollout tells of."""
    status = rollout.get("status") or {}
    step = status.get("step") or {}
    if not step.get("shown"):
        return {}
    return {
        "step": step["shown"],
        "step_name": step["name"],
        "checks": tuple(_check(check) for check in status.get("checks", [])),
    }


def _check(found: Mapping[str, Any]) -> Check:
    return Check(found["name"], found["state"], found.get("message", ""))


def changes(before: Seen | None, now: Seen) -> list[str]:
    """Return a line for everything that a watcher would want to hear of."""
    if not now.promoted:  # the operator has not seen the change yet: what is shown is the past
        return []
    if before is not None and not before.promoted:
        before = None
    lines = []
    if before is None or (before.phase, before.weight_pct) != (now.phase, now.weight_pct):
        where = f", step {now.step} {now.step_name}" if now.weight_pct and now.step else ""
        lines.append(f"{now.phase or 'Pending'}, candidate's weight {now.weight_pct} %{where}")
    states = {check.name: check.state for check in before.checks} if before else {}
    lines += [
        f"check {check.name}: {check.state}: {check.message}"
        for check in now.checks
        if states.get(check.name) != check.state
    ]
    if now.settled and (before is None or not before.settled):
        lines.append(now.message)
    return lines


def power(rollouts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return, for each step that ran, what each check had seen when it ended.

    A decision that ends a step has the answers that it was taken by; a rollback's are in the
    status. A check answers Pass only once it had power: an 80 % chance to see what `detect` names.
    """
    return [line for one in rollouts for line in _steps(one.get("status") or {})]


def _steps(status: Mapping[str, Any]) -> Iterator[str]:
    """Yield how a rollout's steps ended: by which answers of its checks."""
    running = ""
    for made in status.get("decisions", []):
        if running and made["action"] in _ENDS_A_STEP:
            yield f"{running}:"
            returns = made["action"] == "RollingBack"
            for check in map(_check, (status if returns else made).get("checks", [])):
                yield f"  {check.name}: {_POWER.get(check.state, check.state)}"
                yield f"    {check.message}"
            running = ""
        if made["action"] == "StepStarted":
            running = made["message"]


_ENDS_A_STEP = {"StepStarted", "Promoting", "RollingBack"}
_POWER = {
    "Pass": "had power (80 % for `detect`) and saw no harm",
    "Waiting": "had not enough power yet",
    "Fail": "needed no more power: harm proven",
    "Unknown": "could not tell",
}
