"""What is seen of a rollout, and a line for every change of it: pure."""

from collections.abc import Mapping, Sequence
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
        step_weight: Its weight in the policy, such as `20%`.
        checks: Latest answers, while a rollout runs and at its end.
    """

    promoted: str
    phase: str
    message: str
    stable: str = ""
    candidate: str = ""
    step: str = ""
    step_name: str = ""
    step_weight: str = ""
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
        "step_weight": rollout["spec"]["policy"]["steps"][step["index"]]["weight"],
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


def power(history: Sequence[Seen]) -> list[str]:
    """Return, for each step of one rollout, what each check had seen at its end.

    A check answers Pass only once it had power: an 80 % chance to see what `detect` names.
    """
    last = {now.step: number for number, now in enumerate(history) if now.weight_pct and now.step}
    lines = []
    for number in last.values():
        now = history[number]
        lines.append(f"step {now.step} {now.step_name}, {now.step_weight}:")
        for check in _answers_at_end(history, number):
            lines.append(f"  {check.name}: {_POWER.get(check.state, check.state)}")
            lines.append(f"    {check.message}")
    return lines


def _answers_at_end(history: Sequence[Seen], last: int) -> tuple[Check, ...]:
    """Return the answers that ended a step which was seen last at `history[last]`.

    They are in the status first seen after it, unless that tells of no rollout any more.
    """
    following = history[last + 1].checks if last + 1 < len(history) else ()
    return following or history[last].checks


_POWER = {
    "Pass": "had power (80 % for `detect`) and saw no harm",
    "Waiting": "had not enough power yet",
    "Fail": "needed no more power: harm proven",
    "Unknown": "could not tell",
}
