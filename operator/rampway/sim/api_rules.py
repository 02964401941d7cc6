"""What the API server does differently from kind to kind, and what it asks of all metadata."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.kinds import Kind

Check = Callable[[Obj, Obj | None], None]
"""Given the object about to be stored and the one it replaces: raises `Refused`, or fills in."""


class Refused(Exception):  # noqa: N818 - an answer, not a defect
    """An object that the API server answers with 422 and these words."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How one kind is stored.

    `status`: it has the subresource. `generation`: it counts changes of what is neither metadata
    nor status. `counts_annotations`: and those of annotations, as Deployments do.
    `first_status`: what a new object starts with.
    """

    status: bool = True
    generation: bool = True
    counts_annotations: bool = False
    first_status: Mapping[str, Any] | None = None
    checks: tuple[Check, ...] = field(default=())


def selector_fits(new: Obj, old: Obj | None) -> None:
    """Refuse a Deployment whose selector changes, or does not select its own pods."""
    spec = new.get("spec") or {}
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if old is not None and old["spec"]["selector"] != spec.get("selector"):
        raise Refused("spec.selector: Invalid value: field is immutable")
    if not wanted:
        raise Refused("spec.selector: Required value")
    if not wanted.items() <= labels.items():
        words = "`selector` does not match template `labels`"
        raise Refused(f"spec.template.metadata.labels: Invalid value: {words}")
    if not (template.get("spec") or {}).get("containers"):
        raise Refused("spec.template.spec.containers: Required value")


def _one_replica(new: Obj, _old: Obj | None) -> None:
    """Fill in the one default that the operator reads back."""
    new["spec"] = {"replicas": 1} | (new.get("spec") or {})


_PLAIN = Rules(status=False, generation=False)

RULES: Mapping[Kind, Rules] = MappingProxyType(
    {
        kinds.MODEL_DEPLOYMENT: Rules(),
        kinds.MODEL_ROLLOUT: Rules(),
        kinds.ROLLOUT_POLICY: Rules(status=False),
        kinds.CLUSTER_ROLLOUT_POLICY: Rules(status=False),
        kinds.METRIC_SOURCE: Rules(status=False),
        kinds.CLUSTER_METRIC_SOURCE: Rules(status=False),
        kinds.DEPLOYMENT: Rules(
            counts_annotations=True, first_status={}, checks=(_one_replica, selector_fits)
        ),
        kinds.REPLICA_SET: Rules(first_status={"replicas": 0}, checks=(_one_replica,)),
        kinds.SERVICE: Rules(generation=False, first_status={"loadBalancer": {}}),
        kinds.POD: Rules(first_status={"phase": "Pending"}),
        kinds.CONFIG_MAP: _PLAIN,
        kinds.JOB: Rules(),
        kinds.POD_DISRUPTION_BUDGET: Rules(first_status={}),
        kinds.HORIZONTAL_POD_AUTOSCALER: Rules(generation=False, first_status={}),
        kinds.PERSISTENT_VOLUME_CLAIM: Rules(generation=False, first_status={"phase": "Pending"}),
        kinds.NODE: Rules(generation=False),
        kinds.NAMESPACE: Rules(generation=False, first_status={"phase": "Active"}),
        kinds.EVENT: _PLAIN,
        kinds.ENDPOINT_SLICE: Rules(status=False),
        kinds.LEASE: _PLAIN,
        kinds.MUTATING_POLICY: Rules(status=False),
        kinds.MUTATING_POLICY_BINDING: Rules(status=False),
        kinds.GATEWAY: Rules(),
        kinds.HTTP_ROUTE: Rules(),
    }
)

_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_KEY = re.compile(r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
# Servers from 1.34 on also take a digit first; a conformant older one does not.
_SERVICE_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAX_ANNOTATIONS_BYTES = 256 * 1024


def check_metadata(kind: Kind, meta: Mapping[str, Any]) -> None:
    """Refuse names, labels and annotations that an API server refuses."""
    name_form = _SERVICE_NAME if kind == kinds.SERVICE else _NAME
    if not name_form.fullmatch(meta["name"]):
        raise Refused(f"metadata.name: Invalid value: {meta['name']!r}: no DNS name")
    for key, value in (meta.get("labels") or {}).items():
        if not _KEY.fullmatch(key) or not isinstance(value, str) or not _LABEL.fullmatch(value):
            raise Refused(f"metadata.labels: Invalid value: {key!r}: {value!r}")
    size = 0
    for key, value in (meta.get("annotations") or {}).items():
        if not _KEY.fullmatch(key) or not isinstance(value, str):
            raise Refused(f"metadata.annotations: Invalid value: {key!r}: {value!r}")
        size += len(key.encode()) + len(value.encode())
    if size > _MAX_ANNOTATIONS_BYTES:
        raise Refused(f"metadata.annotations: Too long: {size} bytes, at most 262144")
