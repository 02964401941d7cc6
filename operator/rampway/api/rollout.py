"""ModelRollout: one attempt to replace stable, with its policy, evidence and decisions."""

from pydantic import Field

from rampway.api.base import ApiModel, StatusModel, Timestamp
from rampway.api.deployment import Info, Model, Server
from rampway.api.policy import Policy


class Contender(ApiModel):
    """A revision as it was when the rollout began."""

    revision: str = Field(max_length=64, description="Hash of the revision.")
    model: Model | None = Field(default=None, description="Its model, as it was.")
    server: Server | None = Field(default=None, description="Its server, as it was.")
    info: Info = Field(default_factory=Info, description="Version and lineage.")


class ModelRolloutSpec(ApiModel):
    """What is attempted; never changed."""

    deployment: str = Field(max_length=52, description="Name of the ModelDeployment.")
    attempt: int = Field(ge=1, description="Number of this rollout, counted from 1.")
    candidate: Contender = Field(description="The revision being rolled out.")
    stable: Contender = Field(description="The revision it would replace.")
    policy: Policy = Field(description="The policy as it was when the rollout began.")
    progress_deadline: str = Field(max_length=32, description="As it was.")


class CheckStatus(StatusModel):
    """The latest answer of one check."""

    name: str
    state: str
    message: str = ""


class Decision(StatusModel):
    """One decision: when, what, by whom, why."""

    at: Timestamp
    actor: str
    action: str
    reason: str
    message: str = ""


class StepStatus(StatusModel):
    """Where the rollout is."""

    index: int = 0  # 0-based
    name: str = ""
    total: int = 0
    in_force_since: Timestamp = ""  # when the gateway accepted the weight
    not_counted_s: float = 0.0  # time of this step without evidence


class ModelRolloutStatus(StatusModel):
    """Course and state of the attempt."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    started_at: Timestamp = ""
    ended_at: Timestamp = ""
    step: StepStatus = Field(default_factory=StepStatus)
    weight_pct: int = 0
    traffic_since: Timestamp = ""  # first request share for the candidate
    unready_since: Timestamp = ""  # start of the progress deadline's clock
    unschedulable_since: Timestamp = ""
    unschedulable_s: float = 0.0  # time that the progress deadline does not count
    unknown_since: Timestamp = ""
    crashes: tuple[str, ...] = ()  # ids of candidate containers that crashed under traffic
    moved_on: bool = False  # the spec has changed since the end: the same content may be tried again
    checks: tuple[CheckStatus, ...] = ()
    checked_at: Timestamp = ""
    decisions: tuple[Decision, ...] = ()
    evidence: str = ""  # checkpoint of the evidence, JSON
