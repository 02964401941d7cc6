"""What the garbage collector and the kubelets would delete next."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.kube.kinds import Kind
from rampway.sim.api_meta import instant

Objects = Mapping[Kind, Mapping[tuple[str, str], Obj]]
"""Stored objects by kind, then by namespace and name."""


def over(objects: Objects, now: datetime) -> Iterator[tuple[Kind, Obj]]:
    """Yield the pods marked for deletion whose time of grace is over."""
    for pod in objects.get(kinds.POD, {}).values():
        ends_at = pod["metadata"].get("deletionTimestamp")
        if ends_at and instant(ends_at) <= now and not pod["metadata"].get("finalizers"):
            yield kinds.POD, pod


def orphans(objects: Objects) -> Iterator[tuple[Kind, Obj]]:
    """Yield objects whose namespace is gone, or that had owners and have none left."""
    for kind, obj in _every(objects):
        meta = obj["metadata"]
        homeless = kind.namespaced and ("", meta["namespace"]) not in objects[kinds.NAMESPACE]
        refs = meta.get("ownerReferences") or []
        if homeless or (refs and not any(_alive(objects, meta, ref) for ref in refs)):
            yield kind, obj


def half_orphans(objects: Objects) -> Iterator[tuple[Kind, Obj, list[dict[str, Any]]]]:
    """Yield objects that lost some of their owners, with the owners they still have."""
    for kind, obj in _every(objects):
        refs = obj["metadata"].get("ownerReferences") or []
        alive = [ref for ref in refs if _alive(objects, obj["metadata"], ref)]
        if alive and len(alive) < len(refs):
            yield kind, obj, alive


def _every(objects: Objects) -> Iterator[tuple[Kind, Obj]]:
    for kind, held in objects.items():
        for obj in held.values():
            yield kind, obj


def _alive(objects: Objects, meta: Mapping[str, Any], ref: Mapping[str, Any]) -> bool:
    """Whether the very object that the reference names is there; unknown kinds are let be."""
    for kind, held in objects.items():
        if (kind.api_version, kind.kind) == (ref["apiVersion"], ref["kind"]):
            namespace = meta["namespace"] if kind.namespaced else ""
            owner = held.get((namespace, ref["name"]))
            return owner is not None and owner["metadata"]["uid"] == ref["uid"]
    return True
