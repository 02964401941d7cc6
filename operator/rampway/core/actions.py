"""What a decision may ask for: frozen data, executed by the shell in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rampway.api.deployment import ModelDeploymentStatus
from rampway.api.hooks import Hook
from rampway.api.rollout import ModelRolloutStatus
from rampway.core.traffic.split import Split


@dataclass(frozen=True, slots=True)
class Create:
    """Make an object by name; one that exists already is left as it is (B29)."""

    kind: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """Ask for so many pods of a revision."""

    revision: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Autoscale:
    """Have a revision's autoscaler be like this; made if it is missing."""

    revision: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Annotate:
    """Write annotations on a revision's Deployment."""

    revision: str
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TellPods:
    """Have a revision's pods told what may change while they run.

    Attributes:
        degree: Their degree of automation, as the model server reads it.
        lineage: Where their model comes from, a JSON object; empty if nobody says.
    """

    revision: str
    revision_hash: str
    degree: str
    lineage: str = ""


@dataclass(frozen=True, slots=True)
class RunHook:
    """Begin a run of a hook; one that was begun already is left as it is (B29).

    Attributes:
        key: Names the run within its rollout.
        facts: What it is told.
    """

    rollout: str
    rollout_uid: str
    key: str
    hook: Hook
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PointService:
    """Let the Service `<name>` select a revision, by hash; made if it is missing."""

    revision_hash: str


@dataclass(frozen=True, slots=True)
class SetSplit:
    """Split traffic; at rest stable's Service is the only backend (B14)."""

    split: Split


@dataclass(frozen=True, slots=True)
class WriteRollout:
    """Write the status of a rollout."""

    name: str
    status: ModelRolloutStatus


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Write the status of the ModelDeployment."""

    status: ModelDeploymentStatus


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one of our objects, this very one."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Emit:
    """Record an Event; `key` makes it happen once.

    Attributes:
        action: What was done, as `status.decisions` has it; `reason` is why.
        warning: Of type Warning instead of Normal.
    """

    key: str
    action: str
    reason: str
    message: str
    warning: bool = False


Action = (
    Create
    | Scale
    | Autoscale
    | Annotate
    | TellPods
    | RunHook
    | PointService
    | SetSplit
    | WriteRollout
    | WriteStatus
    | Delete
    | Emit
)
