"""A refusal as it is written on the refused revision's Deployment, so that it outlives status."""

from dataclasses import dataclass

from rampway.api.conditions import Reason
from rampway.core.observation import Revision

_REFUSED = "RolledBack"
_MOVED_ON = "MovedOn"
_PARTS = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a revision was rolled back.

    Attributes:
        rollout: Name of the ModelRollout that found it.
    """

    reason: Reason
    rollout: str
    message: str

    def written(self) -> str:
        """Return the annotation's value."""
        return f"{_REFUSED}: {self.reason}: {self.rollout}: {self.message}"


def read(known: Revision | None) -> Verdict | None:
    """Return the verdict that stands on a revision's Deployment, None if it is not refused."""
    parts = known.verdict.split(": ", _PARTS - 1) if known else []
    if len(parts) != _PARTS or parts[0] != _REFUSED or parts[1] not in set(Reason):
        return None
    return Verdict(Reason(parts[1]), parts[2], parts[3])


def moved_on(known: Revision) -> str:
    """Return the annotation once the spec has changed: on record, but in force no more (B26)."""
    return known.verdict.replace(_REFUSED, _MOVED_ON, 1)
