"""ModelDeployment: what a user applies, and what its status says."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from rampway.api.base import ApiModel, Duration, StatusModel, seconds
from rampway.api.conditions import Condition
from rampway.api.policy import Policy

ShortText = Annotated[str, Field(max_length=253)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)]
Hostname = Annotated[
    str,
    Field(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        max_length=253,
    ),
]
ObjectName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$", max_length=253)
]


class Model(ApiModel):
    """The model's bytes."""

    uri: str = Field(
        pattern=r"^(file:///|pvc://[a-z0-9]|https?://[^/])",
        max_length=2048,
        description="Where the skops file is: file:///path (in the image), pvc://claim/path, "
        "http://… or https://….",
    )
    sha256: Digest | None = Field(
        default=None,
        description="Digest of the file. Given: other bytes are refused. Left out: the first "
        "digest loaded is recorded, and later pods of the revision refuse other bytes.",
    )
    trusted_types: tuple[ShortText, ...] = Field(
        default=(),
        max_length=32,
        description="Types in the file, beyond those that skops trusts, that may be loaded.",
    )


class Info(ApiModel):
    """Shown and carried everywhere; never part of the revision's hash."""

    version: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="The version in your own words, shown in every status."
    )
    lineage: dict[ShortText, ShortText] = Field(
        default_factory=dict,
        max_length=32,
        description="Where the model comes from: dataset, commit, run …",
    )


class Runtime(StrEnum):
    """Which server runs the model."""

    RAMPWAY = "Rampway"


class Resources(ApiModel):
    """Requests and limits of the server's container, as Kubernetes writes them."""

    requests: dict[ShortText, ShortText] = Field(
        default_factory=dict, max_length=16, description="Reserved, for example cpu: 500m."
    )
    limits: dict[ShortText, ShortText] = Field(
        default_factory=dict, max_length=16, description="Upper bounds, for example memory: 1Gi."
    )


class Server(ApiModel):
    """What runs the model."""

    runtime: Runtime = Field(default=Runtime.RAMPWAY, description="Which server runs the model.")
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        default=None,
        description="Image of the model server; left out, the operator's default at the moment "
        "the revision is made, which then stays.",
    )
    resources: Resources = Field(
        default_factory=Resources, description="Requests and limits of the container."
    )
    service_account_name: ObjectName | None = Field(
        default=None, description="ServiceAccount of the pods; no token is mounted without it."
    )
    pod_template_patch: dict[str, Any] = Field(
        default_factory=dict,
        description="Merged into the pod template: maps by key, lists of objects with a name by "
        "that name. Proven by a dry run before anything starts.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )


class ParentRef(ApiModel):
    """A Gateway that the route attaches to."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="Its namespace; its allowedRoutes decides who may attach."
    )
    section_name: ShortText | None = Field(default=None, description="One listener of it.")


class OwnedRoute(ApiModel):
    """An HTTPRoute that the operator makes, owns, and deletes with the ModelDeployment."""

    parent_refs: tuple[ParentRef, ...] = Field(
        min_length=1, max_length=8, description="Gateways to attach to."
    )
    hostnames: tuple[Hostname, ...] = Field(
        default=(), max_length=16, description="Hosts to answer for; none means all."
    )
    path_prefix: Annotated[str, Field(pattern=r"^/", max_length=512)] = Field(
        default="/", description="Paths to answer for."
    )


class TrafficType(StrEnum):
    """How requests reach the model."""

    OWNED_ROUTE = "OwnedRoute"


class Traffic(ApiModel):
    """How requests reach the model."""

    type: TrafficType = Field(default=TrafficType.OWNED_ROUTE, description="How traffic is split.")
    owned_route: OwnedRoute = Field(description="The HTTPRoute to make.")


class Rollout(ApiModel):
    """How a new revision takes the place of stable."""

    policy: Policy = Field(default_factory=Policy, description="Steps, checks, reactions.")
    progress_deadline: Duration = Field(
        default="10m",
        description="A candidate that is not ready for this long is given up; time in which its "
        "pods cannot be scheduled does not count.",
    )

    @property
    def progress_deadline_s(self) -> float:
        """The deadline in seconds."""
        return seconds(self.progress_deadline)


class ModelDeploymentSpec(ApiModel):
    """A model to be served, and how its successors are rolled out."""

    model: Model = Field(description="The model's bytes; a change makes a new revision.")
    info: Info = Field(default_factory=Info, description="Shown everywhere, decides nothing.")
    server: Server = Field(
        default_factory=Server, description="What runs the model; a change makes a new revision."
    )
    replicas: int = Field(default=1, ge=1, le=1000, description="Pods of a revision at 100 %.")
    traffic: Traffic = Field(description="How requests reach the model.")
    rollout: Rollout = Field(
        default_factory=Rollout, description="How a new revision takes the place of stable."
    )
    paused: bool = Field(
        default=False, description="Nothing advances while true; failing checks still roll back."
    )


class RevisionStatus(StatusModel):
    """One revision as the status names it."""

    revision: str = ""
    version: str = ""
    sha256: str = ""
    ready_replicas: int = 0


class ModelDeploymentStatus(StatusModel):
    """What is the case now; rebuilt from the objects at every pass."""

    observed_generation: int = 0
    phase: str = ""
    reason: str = ""
    message: str = ""
    stable: RevisionStatus | None = None
    candidate: RevisionStatus | None = None
    rollout: str = ""
    step: str = ""
    weight_pct: int = 0
    conditions: tuple[Condition, ...] = ()
