"""ModelDeployment: what a user applies, and what its status says."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, computed_field

from rampway.api.authors import Author
from rampway.api.automation import Automation
from rampway.api.base import (
    ApiModel,
    Message,
    ObjectName,
    Quantity,
    StatusModel,
    Token,
    listed,
)
from rampway.api.capacity import Autoscaling, Capacity, Fallback
from rampway.api.conditions import Condition
from rampway.api.rules import Form, Rule, UniqueItems
from rampway.api.sources import Metrics
from rampway.api.succession import Rollout
from rampway.api.traffic import Traffic, TrafficType

MAX_KEY_LENGTH = 253
SHORT_KEYS = Rule(
    cel=f"self.all(key, key.size() <= {MAX_KEY_LENGTH})",
    message=f"expected keys of at most {MAX_KEY_LENGTH} characters",
    holds=lambda found: all(len(key) <= MAX_KEY_LENGTH for key in found),
)

ShortText = Annotated[str, Field(max_length=253)]
Digest = Annotated[
    str,
    Field(max_length=64),
    Form(r"^[0-9a-f]{64}$", "64 hexadecimal digits in lower case, as sha256sum prints them"),
]
Uri = Annotated[
    str,
    Field(max_length=2048),
    Form(
        r"^(file:///|pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/|https?://[^/\s]|"
        r"(s3|gs|az|hf)://[^/\s]+/[^/\s])\S*$",
        "file:///path, pvc://claim/path, http(s)://host/path, s3://bucket/key, gs://bucket/key, "
        "az://container/key or hf://owner/name/path",
    ),
]
Quantities = Annotated[dict[str, Quantity], SHORT_KEYS]


class SecretRef(ApiModel):
    """A Secret of the same namespace."""

    name: ObjectName = Field(description="The Secret's name.")


class Auth(ApiModel):
    """What lets the pods into the model's store."""

    secret_ref: SecretRef = Field(
        description="Its keys become environment variables of the server, such as "
        "AWS_ACCESS_KEY_ID; the operator does not read it."
    )


class Model(ApiModel):
    """The model's bytes."""

    uri: Uri = Field(
        description="Where the model's file is: file:///path (in the image), pvc://claim/path, "
        "http://…, https://…, s3://bucket/key, gs://bucket/key, az://container/key or "
        "hf://owner/name[@revision]/path.",
    )
    sha256: Digest | None = Field(
        default=None,
        description="Digest of the file. Given: other bytes are refused. Left out: the first "
        "digest loaded is recorded, and later pods of the revision refuse other bytes.",
    )
    auth: Auth | None = Field(
        default=None,
        description="What lets the pods into the store; left out, they ask as who they are.",
    )
    trusted_types: Annotated[tuple[ShortText, ...], UniqueItems()] = Field(
        default=(),
        max_length=32,
        description="Types in the file, beyond those that skops trusts, that may be loaded.",
    )


class Info(ApiModel):
    """Shown and carried everywhere; never part of the revision's hash."""

    version: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="The version in your own words, shown in every status."
    )
    lineage: Annotated[dict[str, ShortText], SHORT_KEYS] = Field(
        default_factory=dict,
        max_length=32,
        description="Where the model comes from: dataset, commit, run …",
    )


class Runtime(StrEnum):
    """Which server runs the model."""

    RAMPWAY = "Rampway"


class Resources(ApiModel):
    """Requests and limits of the server's container, as Kubernetes writes them."""

    requests: Quantities = Field(
        default_factory=dict, max_length=16, description="Reserved, for example cpu: 500m."
    )
    limits: Quantities = Field(
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


class DeletionPolicy(StrEnum):
    """What becomes of pods and Services when the ModelDeployment is deleted."""

    DELETE = "Delete"
    ORPHAN = "Orphan"


class ModelDeploymentSpec(ApiModel):
    """A model to be served, and how its successors are rolled out."""

    rules = (
        Rule(
            cel="!has(self.autoscaling) || self.traffic.type != 'Replicas'",
            message="expected no autoscaling with traffic.type Replicas: numbers of pods are its "
            "shares, so an autoscaler would change them; take a gateway, or spec.replicas",
            holds=lambda spec: not (spec.autoscaling and spec.traffic.type is TrafficType.REPLICAS),
        ),
        Rule(
            cel="self.capacity.fallback == 'Full' || self.traffic.type != 'Replicas'",
            message="expected capacity.fallback Full with traffic.type Replicas: numbers of pods "
            "are its shares",
            holds=lambda spec: (
                spec.capacity.fallback is Fallback.FULL
                or spec.traffic.type is not TrafficType.REPLICAS
            ),
        ),
        Rule(
            cel="!has(self.autoscaling) || self.capacity.fallback == 'Full'",
            message="expected capacity.fallback Full with autoscaling: an autoscaler needs room",
            holds=lambda s: s.autoscaling is None or s.capacity.fallback is Fallback.FULL,
        ),
    )

    model: Model = Field(description="The model's bytes; a change makes a new revision.")
    info: Info = Field(default_factory=Info, description="Shown everywhere, decides nothing.")
    server: Server = Field(
        default_factory=Server, description="What runs the model; a change makes a new revision."
    )
    replicas: int = Field(
        default=1, ge=0, le=1000, strict=True, description="Pods of a revision at 100 %; 0: none."
    )
    autoscaling: Autoscaling | None = Field(
        default=None,
        description="Pods as the load needs them, instead of `replicas`; 0 replicas stay none.",
    )
    capacity: Capacity = Field(
        default_factory=Capacity,
        description="How many pods a rollout may take beside those that serve.",
    )
    traffic: Traffic = Field(description="How requests reach the model.")
    automation: Automation = Field(
        default_factory=Automation,
        description="What applications are told to do with the model's answers.",
    )
    rollout: Rollout = Field(
        default_factory=Rollout, description="How a new revision takes the place of stable."
    )
    metrics: Metrics = Field(
        default_factory=Metrics, description="Where the evidence about a candidate comes from."
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.DELETE,
        description="What becomes of everything when this is deleted. Delete: it goes too; with "
        "RouteRef once no HTTPRoute names its Services any more. Orphan: it stays and serves. The "
        "route is put at rest in any case.",
    )
    paused: bool = Field(
        default=False,
        strict=True,
        description="Nothing advances while true; failing checks still roll back.",
    )


class RevisionStatus(StatusModel):
    """One revision as the status names it."""

    revision: Token = ""
    """Hash of the revision: its Deployment and Service are `<name>-<hash>`."""
    version: Token = ""
    """The version in your own words, `info.version`."""
    sha256: Token = ""
    """Digest of the model that its pods have loaded."""
    ready_replicas: int = 0
    """Pods that have loaded the model and answer."""
    automation: Token = ""
    """Degree of automation in force, in the server's words: Off, Assist, Partial 0.95 (with its
    least confidence) or Full. A change reaches running pods within about a minute."""

    @computed_field(  # type: ignore[prop-decorator]  # mypy knows no decorated property
        description="As `kubectl get` shows it: the version, else the revision."
    )
    @property
    def shown(self) -> Token:
        """The version, or the revision's hash where the user named none."""
        return self.version or self.revision


class ModelDeploymentStatus(StatusModel):
    """What is the case now; rebuilt from the objects at every pass."""

    observed_generation: int = 0
    """The `metadata.generation` that this status is about."""
    phase: Token = ""
    """Pending (first revision, not serving yet), Healthy (the spec's revision serves),
    Progressing (a rollout is under way), Paused, Holding (it waits for a person, or for evidence
    that it cannot get), Watching (promoted, the old revision is kept warm), RollingBack,
    RolledBack (the spec's revision was refused), Degraded (stable has no ready pod),
    ScaledToZero (nothing is to serve) or Refused (the spec cannot be acted upon)."""
    reason: Token = ""
    """Why, in one word."""
    message: Message = ""
    """Why, in a sentence."""
    paused_by: Author | None = None
    """Who paused it, while it is paused."""
    resumed_by: Author | None = None
    """Who ended the last pause, where the API server stamps that."""
    changed_by: Author | None = None
    """Who changed `model` or `server` last."""
    stable: RevisionStatus | None = None
    """The revision that has been promoted."""
    candidate: RevisionStatus | None = None
    """The revision being rolled out."""
    queued: RevisionStatus | None = None
    """The revision that the spec names, while it waits for the rollout under way to end."""
    rollout: Token = ""
    """Name of the ModelRollout that is under way, or was the last one."""
    step: Token = ""
    """The step, counted from 1, of how many: 2/4."""
    weight_pct: int = 0
    """Percent of the requests that the candidate is given now, as it was last decided."""
    replicas: int = 0
    """Pods of stable, ready or not."""
    size: int = 0
    """Pods of a revision that carries everything: `spec.replicas`, or as many as the autoscaler
    found to be needed."""
    fallback: Message = ""
    """In a rollout where capacity.fallback is not Full: how much of the traffic can return to
    stable at once, and how long the rest takes."""
    selector: Message = ""
    """Labels of the pods that answer requests, those of a candidate with a share among them: what
    an autoscaler measures."""
    address: Message = ""
    """Gateways, hosts and path that it was given, of a rule of yours with its matches; nobody else
    gets them until it gives them up."""
    conditions: Annotated[tuple[Condition, ...], Field(json_schema_extra=listed(16, "type"))] = ()
    """Wait for these: `kubectl wait --for=condition=Promoted modeldeployment/NAME`."""
