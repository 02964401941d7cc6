"""What belongs to a ModelDeployment, by owner or by label, and what becomes of it (B34)."""

from typing import Any

from rampway.api import labels
from rampway.api.base import API_VERSION
from rampway.api.deployment import DeletionPolicy
from rampway.api.parse import ModelDeployment


def owner(kind: str, api_version: str, name: str, uid: str) -> dict[str, Any]:
    """Return an owner reference, by which the API server deletes what we made (B34)."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned_meta(
    deployment: ModelDeployment, name: str, revision: str | None = None, *, serves: bool = True
) -> dict[str, Any]:
    """Return the metadata of an object that belongs to a ModelDeployment.

    What does not serve goes with it in any case.
    """
    fate = belonging(deployment, serves=serves)
    marks, notes = ({k: v for k, v in fate[key].items() if v} for key in ("labels", "annotations"))
    found: dict[str, Any] = {
        "name": name,
        "namespace": deployment.namespace,
        "labels": own_labels(deployment.name, revision) | marks,
    }
    more = {"annotations": notes, "ownerReferences": fate["ownerReferences"]}
    return found | {key: value for key, value in more.items() if value}


def belonging(deployment: ModelDeployment, *, serves: bool = True) -> dict[str, Any]:
    """Return the metadata that say what becomes of an object when its ModelDeployment goes (B34).

    A null stands for what must not be there. With `RouteRef` or `Orphan` there is no owner: the
    garbage collector would take pods away under a route that goes on.
    """
    spec, ref = deployment.spec, deployment.spec.traffic.route_ref if serves else None
    mine = owner("ModelDeployment", API_VERSION, deployment.name, deployment.uid)
    mode = labels.DRAIN if ref else None
    if serves and spec.deletion_policy is DeletionPolicy.ORPHAN:
        mode = labels.KEEP
    return {
        "labels": {labels.ON_DELETION: mode},
        "annotations": {labels.ROUTE_REF: labels.route_ref(ref.name, ref.rule) if ref else None},
        "ownerReferences": [] if mode else [mine],
    }


def own_labels(deployment: str, digest: str | None) -> dict[str, str]:
    """Return the labels by which an object of a ModelDeployment, or of a revision, is found."""
    found = {labels.MANAGED_BY: labels.MANAGER, labels.DEPLOYMENT: deployment}
    if digest is not None:
        found[labels.REVISION] = digest
    return found
