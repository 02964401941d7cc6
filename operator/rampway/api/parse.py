"""From the API server's JSON to typed objects: the only place where raw objects are read."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rampway.api import labels
from rampway.api.base import NAME_EXPECTED, NAME_PATTERN
from rampway.api.deployment import ModelDeploymentSpec, ModelDeploymentStatus
from rampway.api.policy import Policy, PolicyKind
from rampway.api.rollout import ModelRolloutSpec, ModelRolloutStatus
from rampway.api.sharing import sharing, sharing_parts
from rampway.api.sources import ClusterMetricSourceSpec, MetricSourceSpec, SourceKind
from rampway.api.wording import explain

_M = TypeVar("_M", bound=BaseModel)


class Unparseable(ValueError):  # noqa: N818 - a state of the world, not a defect
    """An object whose content cannot be understood; the message names each field."""


@dataclass(frozen=True)
class Metadata:
    """The part of an object's metadata that decisions may look at."""

    name: str
    namespace: str
    uid: str
    generation: int
    resource_version: str
    created_at: str
    """RFC 3339, UTC; empty when the API server has not seen the object yet."""
    deleting: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class ModelDeployment(Metadata):
    """A ModelDeployment as it was read; `head`: of `head_of`."""

    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus
    head: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True)
class ModelRollout(Metadata):
    """A ModelRollout as it was read; `head`: of `head_of`."""

    spec: ModelRolloutSpec
    status: ModelRolloutStatus
    head: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True)
class SharedPolicy(Metadata):
    """A RolloutPolicy or ClusterRolloutPolicy as it was read.

    Attributes:
        spec: None if it cannot be understood.
        mistake: Why not, else empty.
    """

    kind: PolicyKind
    spec: Policy | None
    mistake: str = ""

    @property
    def default(self) -> bool:
        """Whether it is marked as what is used where no policy is named."""
        return self.annotations.get(labels.DEFAULT) == "true"


@dataclass(frozen=True)
class SharedSource(Metadata):
    """A MetricSource or ClusterMetricSource as it was read; `spec` and `mistake` as above."""

    kind: SourceKind
    spec: MetricSourceSpec | None
    mistake: str = ""

    @property
    def default(self) -> bool:
        """Whether it is marked as what is used where no source is named."""
        return self.annotations.get(labels.DEFAULT) == "true"


def parse_deployment(
    obj: Mapping[str, Any], known: ModelDeployment | None = None
) -> ModelDeployment:
    """Parse a ModelDeployment; raise Unparseable with the fields named.

    Where `known` is this very version of it, there is nothing to parse.

    A status that cannot be read counts as lost, not as a mistake: it is rebuilt from the
    objects at every pass (B1), and refusing it would keep the operator from repairing it.
    """
    metadata = _metadata(obj)
    if known and _same(known, metadata):
        return known
    if not re.fullmatch(NAME_PATTERN, metadata["name"]):
        raise Unparseable(f"metadata.name: expected {NAME_EXPECTED}; seen: {metadata['name']!r}")
    return ModelDeployment(
        **metadata,
        spec=_validated(ModelDeploymentSpec, obj, "spec"),
        status=parse_status(obj),
        head=head_of(obj),
    )


def head_of(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an object is needed to write its status, and to tell who wrote it.

    All else is in what was parsed: the objects of a thousand rollouts, kept whole, are 30 MB, and
    their managedFields as much again. `status` names the status's fields; `writers` has, of each
    manager of the object itself, its name, when it wrote (RFC 3339), and the fields of the spec
    that it owns.
    """
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion")
    return {
        "kind": obj.get("kind", ""),
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "status": tuple(map(sys.intern, obj.get("status") or ())),
        "writers": tuple(
            (str(entry.get("manager", "")), str(entry.get("time", "")), _owned(entry))
            for entry in metadata.get("managedFields") or ()
            if not entry.get("subresource")
        ),
    }


def _owned(entry: Mapping[str, Any]) -> frozenset[str]:
    spec = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    return frozenset(sys.intern(field.removeprefix("f:")) for field in spec)


def parse_status(obj: Mapping[str, Any]) -> ModelDeploymentStatus:
    """Parse the status of a ModelDeployment, an empty one if it cannot be read."""
    try:
        return sharing(ModelDeploymentStatus.model_validate(obj.get("status") or {}))
    except ValidationError:
        return ModelDeploymentStatus()


def parse_rollout(obj: Mapping[str, Any], known: ModelRollout | None = None) -> ModelRollout:
    """Parse a ModelRollout; raise Unparseable with the fields named.

    Where `known` is this very version of it, there is nothing to parse.

    Its status holds evidence and decisions that exist nowhere else, so one that cannot be read
    is refused rather than forgotten.
    """
    metadata = _metadata(obj)
    if known and _same(known, metadata):
        return known
    return ModelRollout(
        **metadata,
        spec=_validated(ModelRolloutSpec, obj, "spec"),
        status=_validated(ModelRolloutStatus, obj, "status"),
        head=head_of(obj),
    )


def parse_policy(obj: Mapping[str, Any], known: SharedPolicy | None = None) -> SharedPolicy:
    """Parse a shared policy; one that cannot be understood says why, and harms no other.

    Where `known` is this very version of it, there is nothing to parse.
    """
    metadata = _metadata(obj)
    if known and _same(known, metadata):
        return known
    kind = PolicyKind(obj["kind"])
    try:
        return SharedPolicy(**metadata, kind=kind, spec=_validated(Policy, obj, "spec"))
    except Unparseable as mistake:
        return SharedPolicy(**metadata, kind=kind, spec=None, mistake=str(mistake))


def parse_source(obj: Mapping[str, Any], known: SharedSource | None = None) -> SharedSource:
    """Parse a metric source, in the same way."""
    metadata = _metadata(obj)
    if known and _same(known, metadata):
        return known
    kind = SourceKind(obj["kind"])
    cluster = kind == SourceKind.CLUSTER
    model: type[MetricSourceSpec] = ClusterMetricSourceSpec if cluster else MetricSourceSpec
    try:
        return SharedSource(**metadata, kind=kind, spec=_validated(model, obj, "spec"))
    except Unparseable as mistake:
        return SharedSource(**metadata, kind=kind, spec=None, mistake=str(mistake))


def _same(known: Metadata, metadata: Mapping[str, Any]) -> bool:
    version = known.uid, known.resource_version
    return all(version) and version == (metadata["uid"], metadata["resource_version"])


def _metadata(obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping) or not metadata.get("name"):
        raise Unparseable("metadata.name: missing; an object needs a name")
    return {
        "name": metadata["name"],
        "namespace": metadata.get("namespace", ""),
        "uid": metadata.get("uid", ""),
        "generation": metadata.get("generation", 0),
        "resource_version": metadata.get("resourceVersion", ""),
        "created_at": metadata.get("creationTimestamp") or "",
        "deleting": bool(metadata.get("deletionTimestamp")),
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
    }


def _validated(model: type[_M], obj: Mapping[str, Any], key: str) -> _M:
    written = obj.get(key) or {}
    try:
        found = sharing(model.model_validate(written, by_name=False))
    except ValidationError as error:
        raise Unparseable(explain(error, model, key)) from error
    return sharing_parts(found, written) if key == "spec" else found
