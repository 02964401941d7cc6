"""ModelRollout: one attempt to replace stable, with its policy, evidence and decisions."""

from typing import Annotated

from pydantic import Field, computed_field

from rampway.api.authors import Author
from rampway.api.base import (
    NAME_LENGTH,
    ApiModel,
    Label,
    Message,
    StatusModel,
    Timestamp,
    Token,
    listed,
)
from rampway.api.deployment import Info, Model, Server, ShortText
from rampway.api.policy import Policy
from rampway.api.rules import Rule, UniqueItems
from rampway.api.succession import OnNewRevision

_MAX_EVIDENCE = 1024 * 1024

Evidence = Annotated[str, Field(json_schema_extra={"maxLength": _MAX_EVIDENCE})]


class Contender(ApiModel):
    """A revision as it was when the rollout began."""

    revision: str = Field(max_length=64, description="Hash of the revision.")
    model: Model | None = Field(default=None, description="Its model, as it was.")
    server: Server | None = Field(default=None, description="Its server, as it was.")
    info: Info = Field(default_factory=Info, description="Version and lineage.")


class Request(ApiModel):
    """What a person asks for."""

    by: ShortText = Field(
        default="",
        description="Who asks. Stamped by the API server, or refused unless it is the user's own "
        "name, where the admission policies that come with the operator are installed; else "
        "whatever was written.",
    )
    message: str = Field(default="", max_length=1024, description="Why; goes on record.")


class StepApproval(Request):
    """Consent to one step."""

    step: Label = Field(description="Name of the step.")


class Requests(ApiModel):
    """What people ask of this attempt; nothing else of its spec may change."""

    approve: Annotated[tuple[StepApproval, ...], UniqueItems("step")] = Field(
        default=(),
        max_length=32,
        description="Steps that may go on: those with `approval`, or stopped by a failed check.",
    )
    promote: Request | None = Field(
        default=None, description="Skip the remaining steps. A failing check still rolls back."
    )
    abort: Request | None = Field(
        default=None, description="Put traffic back; not tried again until the spec changes."
    )
    retry: Request | None = Field(
        default=None, description="After a rollback: try the same revision again, from step one."
    )


_FIXED = (
    "deployment",
    "attempt",
    "candidate",
    "stable",
    "policy",
    "policyFrom",
    "onNewRevision",
    "progressDeadline",
    "releasedBy",
)


class ModelRolloutSpec(ApiModel):
    """What is attempted, which never changes, and what people ask of it."""

    rules = (
        Rule(
            cel=" && ".join(f"self.{name} == oldSelf.{name}" for name in _FIXED),
            message="nothing but requests can be changed: this is what was attempted; "
            "edit the ModelDeployment instead",
            holds=lambda _: True,  # about two versions: the API server's to judge
        ),
    )

    deployment: str = Field(max_length=NAME_LENGTH, description="Name of the ModelDeployment.")
    attempt: int = Field(
        ge=1, le=1_000_000, strict=True, description="Number of this rollout, counted from 1."
    )
    candidate: Contender = Field(description="The revision being rolled out.")
    stable: Contender = Field(description="The revision it would replace.")
    policy: Policy = Field(description="The policy as it was when the rollout began.")
    policy_from: str = Field(
        default="",
        max_length=512,
        description="Where it was copied from, with the generation that it had.",
    )
    on_new_revision: OnNewRevision = Field(
        default=OnNewRevision.RESTART,
        description="What a newer revision does to this rollout, as it was when it began.",
    )
    progress_deadline: str = Field(max_length=32, description="As it was.")
    released_by: Author = Field(
        default_factory=Author, description="Who put the candidate's model and server in the spec."
    )
    requests: Requests = Field(
        default_factory=Requests, description="What people ask of this attempt."
    )


class CheckStatus(StatusModel):
    """The latest answer of one check."""

    name: Token
    """Name of the check."""
    state: Token
    """Pass, Fail, Waiting (too little data yet) or Unknown (no data, or Prometheus is away)."""
    message: Message = ""
    """What was seen, how much of it, and what is missing."""
    unpaired: bool = False
    """Held against what stable showed before, not against stable at the same time."""
    view: Token = ""
    """ServerSideOnly where it counts the model servers' own answers: what only the gateway sees,
    such as a connection that breaks off or its own timeout, counts against nobody."""


class Decision(StatusModel):
    """One decision: when, what, by whom, why."""

    at: Timestamp
    """When it was taken."""
    actor: Token
    """Who took it: the operator, or a person."""
    action: Token
    """What was decided."""
    reason: Token
    """Why, in one word."""
    message: Message = ""
    """Why, in a sentence."""
    checks: Annotated[tuple[CheckStatus, ...], Field(json_schema_extra=listed(64, "name"))] = ()
    """What the checks said as the step before it ended; empty where none did."""


class HookStatus(StatusModel):
    """One run of a hook."""

    key: Token
    """Name of the hook, and of the step that it precedes."""
    state: Token
    """Running, Succeeded or Failed."""
    since: Timestamp = ""
    """When it was begun."""
    message: Message = ""
    """What it said."""


class StepStatus(StatusModel):
    """Where the rollout is."""

    index: int = 0
    """Position of the step in the policy, counted from 0."""
    name: Token = ""
    """Name of the step."""
    total: int = 0
    """Number of steps in the policy."""
    share: Token = ""
    """Whether the candidate gets the share that it was given, by the revisions' own counts:
    Confirmed, Contradicted (the step waits), or Unproven; empty where it cannot be known."""
    in_force_since: Timestamp = ""
    """Since when the step's weight has been in force; empty while it is not."""
    held_s: float = 0.0
    """Seconds that count towards its `hold` from before the weight was last out of force."""
    not_counted_s: float = 0.0
    """Seconds of this step without evidence; they do not count towards its `hold`."""
    stopped_by: Message = ""
    """The failed check that stopped it and asked a person; it stays until the step ends."""

    @computed_field(  # type: ignore[prop-decorator]  # mypy knows no decorated property
        description="The step as `kubectl get` shows it, such as 2/4."
    )
    @property
    def shown(self) -> Token:
        """The step, counted from 1, of how many; after all of them the last one."""
        return f"{min(self.index + 1, self.total)}/{self.total}" if self.total else ""


class ForeignWrite(StatusModel):
    """Somebody else wrote the rule that is split."""

    at: Timestamp
    """When, as the API server recorded it."""
    manager: Message = ""
    """Who: the field manager."""


class ModelRolloutStatus(StatusModel):
    """Course and state of the attempt."""

    phase: Token = ""
    """Where it stands: Starting, Stepping, Promoting, Watching (promoted, the old revision still
    warm), RollingBack; or how it ended: Promoted, RolledBack, Superseded (by a newer revision),
    Aborted (the spec went back to stable)."""
    reason: Token = ""
    """Why, in one word."""
    message: Message = ""
    """Why, in a sentence."""
    started_at: Timestamp = ""
    """When it began."""
    ended_at: Timestamp = ""
    """When it ended; empty while it runs."""
    step: StepStatus = Field(default_factory=StepStatus)
    """Where it is."""
    weight_pct: int = 0
    """Percent of the requests that the candidate is given now, as it was last decided."""
    mirror_pct: int = 0
    """Percent of the requests that it is given a copy of, likewise."""
    matched: bool = False
    """Whether requests chosen by what they bear go to it, likewise."""
    watched_since: Timestamp = ""
    """When the watch after promotion began; empty before."""
    traffic_since: Timestamp = ""
    """When the candidate got its first share of the requests."""
    unready_since: Timestamp = ""
    """Since when the candidate has not been ready: the clock of `progressDeadline`."""
    unschedulable_since: Timestamp = ""
    """Since when its pods have found no node."""
    unschedulable_s: float = 0.0
    """Seconds without a node before that; `progressDeadline` does not count them."""
    unknown_since: Timestamp = ""
    """Since when a check has not been able to tell: the clock of `onUnknown.after`."""
    crashes: Annotated[tuple[Token, ...], Field(json_schema_extra=listed(1000))] = ()
    """Ids of the candidate's containers that crashed under traffic."""
    return_at_once: bool = False
    """Whether the rollback does not wait for stable's every pod: the candidate serves nobody."""
    foreign_writes: Annotated[tuple[ForeignWrite, ...], Field(json_schema_extra=listed(16))] = ()
    """Writes of others to the rule in the last ten minutes; at three the rollout holds."""
    moved_on: bool = False
    """Whether the spec has changed since the end, so that the same content may be tried again."""
    checks: Annotated[tuple[CheckStatus, ...], Field(json_schema_extra=listed(64, "name"))] = ()
    """The latest answer of each check."""
    overruled: Annotated[tuple[Token, ...], Field(json_schema_extra=listed(64))] = ()
    """Names of the failed checks that a person's consent went over."""
    hooks: Annotated[tuple[HookStatus, ...], Field(json_schema_extra=listed(400, "key"))] = ()
    """The hooks that have run, and those that run."""
    checked_at: Timestamp = ""
    """When they answered."""
    decisions: Annotated[tuple[Decision, ...], Field(json_schema_extra=listed(1000))] = ()
    """What was decided in this rollout, oldest first."""
    evidence: Evidence = ""
    """Checkpoint of the evidence, from which a restarted operator goes on; JSON, for programs."""
