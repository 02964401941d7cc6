"""Who wrote the rules last, as real API servers record it (B14)."""

from typing import Any

import pytest

from rampway.kube.objects import lightened
from rampway.routers.managers import foreign_writer, is_ours, let_go

RULES: dict[str, Any] = {"f:spec": {".": {}, "f:rules": {}}}
HOSTS: dict[str, Any] = {"f:spec": {"f:hostnames": {}}}
ARGO = {"manager": "argocd-controller", "operation": "Apply", "time": "2026-01-01T00:00:09Z"}
KUBECTL = {"manager": "kubectl-edit", "operation": "Update", "time": "2026-01-01T00:00:05Z"}
OURS = {"manager": "rampway", "operation": "Update", "time": "2026-01-01T00:00:10Z"}
GATEWAY = {"manager": "envoy-gateway", "subresource": "status", "time": "2026-01-01T00:01:00Z"}


@pytest.mark.parametrize(
    ("fields", "writer"),
    [
        (None, ""),
        ([OURS | {"fieldsV1": RULES}], ""),
        ([ARGO | {"fieldsV1": HOSTS}, OURS | {"fieldsV1": RULES}], ""),
        ([ARGO | {"fieldsV1": RULES}], "argocd-controller"),
        ([KUBECTL | {"fieldsV1": RULES}, ARGO | {"fieldsV1": RULES}], "argocd-controller"),
        ([KUBECTL | {"fieldsV1": RULES}, GATEWAY | {"fieldsV1": RULES}], "kubectl-edit"),
        ([KUBECTL, {"manager": "odd", "fieldsV1": None}], ""),
    ],
)
def test_b14_the_rules_belong_to_who_changed_them_last(
    fields: list[dict[str, Any]] | None, writer: str
) -> None:
    """B14: not we, not who writes hosts or status; the latest of several."""
    route = {"metadata": {"managedFields": fields} if fields else {}}
    found, at = foreign_writer(route)
    assert found == writer
    assert bool(at) == bool(writer)


def test_b14_a_routes_record_is_kept_and_others_are_dropped() -> None:
    """B14: managedFields of routes are read, so the client leaves them there."""
    for kind, kept in (("HTTPRoute", True), ("Deployment", False)):
        obj = {"kind": kind, "metadata": {"managedFields": [OURS]}}
        lightened(obj)
        assert ("managedFields" in obj["metadata"]) == kept


def test_b14_only_the_rules_are_let_go() -> None:
    """B14: what others own stays theirs, what else we own stays ours; an empty record is one."""
    stamp: dict[str, Any] = {"f:metadata": {"f:annotations": {"f:rampway.dev/term": {}}}}
    argo, gateway = ARGO | {"fieldsV1": HOSTS}, GATEWAY | {"fieldsV1": RULES}
    mine: dict[str, Any] = OURS | {"fieldsV1": {"f:spec": {"f:rules": {}}} | stamp}
    route: dict[str, Any] = {
        "metadata": {"resourceVersion": "7", "managedFields": [argo, mine, gateway]}
    }
    assert is_ours(route)
    test, change = let_go(route)
    assert test == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert change["path"] == "/metadata/managedFields"
    assert change["value"] == [argo, OURS | {"fieldsV1": stamp}, gateway]
    route["metadata"]["managedFields"] = change["value"]
    assert not is_ours(route)
    route["metadata"]["managedFields"] = [OURS | {"fieldsV1": {"f:spec": {"f:rules": {}}}}]
    assert let_go(route)[1]["value"] == [{}]
