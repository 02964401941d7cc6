"""Conditions as Kubernetes keeps them: each with the time since when it is so."""

from collections.abc import Mapping, Sequence

from rampway.api.conditions import Condition, ConditionType, Reason
from rampway.core.instants import to_wire


def conditions(
    before: Sequence[Condition],
    wanted: Mapping[ConditionType, tuple[str, Reason, str]],
    generation: int,
    now_s: float,
) -> tuple[Condition, ...]:
    """Return conditions of (status, reason, message) each; what has not changed keeps its time."""
    since = {(c.type, c.status): c.last_transition_time for c in before}
    return tuple(
        Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            observed_generation=generation,
            last_transition_time=since.get((kind, status)) or to_wire(now_s),
        )
        for kind, (status, reason, message) in wanted.items()
    )
