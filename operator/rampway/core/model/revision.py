"""A revision's identity (B2, B3) and the objects it consists of."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rampway.api import labels
from rampway.api.deployment import Model, ModelDeploymentSpec, Server
from rampway.api.parse import ModelDeployment
from rampway.core.actions import TellPods
from rampway.core.model.belonging import own_labels, owned_meta

HASH_LENGTH = 10
GRACE_S = 45
"""Longer than the model server's drain: 5 s delay and up to 20 s of requests in flight."""


def content(model: Model, server: Server) -> str:
    """Return what makes a revision, as canonical JSON.

    Defaults are left out: a field added to the API later changes no existing hash.
    """
    fields = {
        "model": model.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "server": server.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def revision_hash(spec: ModelDeploymentSpec) -> str:
    """Return the revision's hash: a pure function of the user's `model` and `server` fields."""
    digest = hashlib.sha256(content(spec.model, spec.server).encode()).hexdigest()
    return digest[:HASH_LENGTH]


def workload(deployment: ModelDeployment, image: str, replicas: int) -> dict[str, Any]:
    """Return the Deployment of the spec's revision, its template fixed for good (B3).

    Args:
        deployment: The ModelDeployment.
        image: Image of the model server where the user named none.
        replicas: Pods to begin with.
    """
    spec = deployment.spec
    digest = revision_hash(spec)
    name = labels.revision_name(deployment.name, digest)
    template = merge(_template(deployment, digest, image), spec.server.pod_template_patch)
    template["metadata"]["labels"] |= own_labels(deployment.name, digest)
    meta = owned_meta(deployment, name, digest)
    meta["annotations"] = meta.get("annotations", {}) | {
        labels.CONTENT: content(spec.model, spec.server)
    }
    if spec.info.version:
        meta["annotations"][labels.VERSION] = spec.info.version
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            # Rollouts have their own deadline, which knows what the Deployment's does not (B25).
            "progressDeadlineSeconds": 2_147_483_647,
            "selector": {"matchLabels": selector(deployment.name, digest)},
            "template": template,
        },
    }


def service(deployment: ModelDeployment, name: str, digest: str) -> dict[str, Any]:
    """Return a Service `name` that selects the pods of one revision."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": owned_meta(deployment, name, digest if name != deployment.name else None),
        "spec": {
            "selector": selector(deployment.name, digest),
            "ports": [
                {"name": "http", "port": 80, "targetPort": labels.SERVER_PORT, "protocol": "TCP"}
            ],
        },
    }


def digest_record(deployment: ModelDeployment, digest: str, sha256: str) -> dict[str, Any]:
    """Return the ConfigMap that pins the bytes of a revision for its later pods (B3)."""
    name = labels.revision_name(deployment.name, digest)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": owned_meta(deployment, name, digest),
        "data": {labels.DIGEST_KEY: sha256},
        "immutable": True,
    }


def told_record(deployment: ModelDeployment, told: TellPods) -> dict[str, Any]:
    """Return the ConfigMap that tells a revision's pods what may change while they run.

    It has both keys always: what is missing changes nothing in a pod, what is empty does.
    """
    name = labels.automation_name(told.revision)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": owned_meta(deployment, name, told.revision_hash),
        "data": {labels.AUTOMATION_KEY: told.degree, labels.LINEAGE_KEY: told.lineage},
    }


def selector(deployment: str, digest: str) -> dict[str, str]:
    """Return the labels by which a revision's pods are found."""
    return {labels.DEPLOYMENT: deployment, labels.REVISION: digest}


def merge(base: Any, patch: Any) -> Any:
    """Merge a patch into a template: maps by key, lists of named objects by name, null removes."""
    if isinstance(base, Mapping) and isinstance(patch, Mapping):
        merged = {k: v for k, v in base.items() if not (k in patch and patch[k] is None)}
        for key, value in patch.items():
            if value is not None:
                merged[key] = merge(base[key], value) if key in base else value
        return merged
    if _named(base) and _named(patch):
        by_name = {item["name"]: item for item in base}
        for item in patch:
            known = by_name.get(item["name"])
            by_name[item["name"]] = item if known is None else merge(known, item)
        return list(by_name.values())
    return patch


def _named(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(i, Mapping) and "name" in i for i in value)
    )


def _template(deployment: ModelDeployment, digest: str, image: str) -> dict[str, Any]:
    server = deployment.spec.server
    name = labels.revision_name(deployment.name, digest)
    volumes, mounts = _volumes(deployment.spec.model.uri, name)
    pod: dict[str, Any] = {
        "containers": [
            _container(deployment, name, server.image or image) | {"volumeMounts": mounts}
        ],
        "volumes": volumes,
        "automountServiceAccountToken": server.service_account_name is not None,
        # A Service called "rampway" would set RAMPWAY_PORT in every pod of the namespace.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if server.service_account_name:
        pod["serviceAccountName"] = server.service_account_name
    return {"metadata": {"labels": own_labels(deployment.name, digest)}, "spec": pod}


def _container(deployment: ModelDeployment, name: str, image: str) -> dict[str, Any]:
    resources = deployment.spec.server.resources
    auth = deployment.spec.model.auth
    return {
        "name": labels.SERVER_CONTAINER,
        "image": image,
        "env": _environment(deployment, name),
        # What `env` sets, no key of the Secret can change.
        **({"envFrom": [{"secretRef": {"name": auth.secret_ref.name}}]} if auth else {}),
        "ports": [{"name": "http", "containerPort": labels.SERVER_PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": labels.SERVER_PORT},
            "periodSeconds": 1,
            "timeoutSeconds": 3,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            "httpGet": {"path": "/v2/health/live", "port": labels.SERVER_PORT},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "resources": resources.model_dump(mode="json", exclude_defaults=True),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _environment(deployment: ModelDeployment, name: str) -> list[dict[str, str]]:
    model = deployment.spec.model
    values = {
        "RAMPWAY_MODEL_NAME": deployment.name,
        "RAMPWAY_MODEL_URI": model.uri,
        labels.SHA256_VARIABLE: model.sha256 or "",
        "RAMPWAY_MODEL_SHA256_FILE": f"/etc/rampway/{labels.DIGEST_KEY}",
        "RAMPWAY_AUTOMATION_FILE": f"/etc/rampway/{labels.AUTOMATION_KEY}",
        "RAMPWAY_LINEAGE_FILE": f"/etc/rampway/{labels.LINEAGE_KEY}",
        "RAMPWAY_MODEL_VERSION": deployment.spec.info.version or "",
        "RAMPWAY_REVISION": name,
        "RAMPWAY_PORT": str(labels.SERVER_PORT),
        "RAMPWAY_CACHE_DIR": "/var/cache/rampway",
        "RAMPWAY_TRUST": ",".join(model.trusted_types),
    }
    return [{"name": key, "value": value} for key, value in values.items() if value]


def _volumes(uri: str, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    told = labels.automation_name(name)
    volumes: list[dict[str, Any]] = [
        {"name": "cache", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        # Both optional: the digest is recorded when the first pod has loaded the model (B3), and
        # that the degree of automation is Full, and that there is no lineage, need not be told.
        {"name": "pin", "projected": {"sources": [_optional(name), _optional(told)]}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "cache", "mountPath": "/var/cache/rampway"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own, an emptyDir
        {"name": "pin", "mountPath": "/etc/rampway", "readOnly": True},
    ]
    if uri.startswith("pvc://"):
        claim = uri.removeprefix("pvc://").split("/", 1)[0]
        source = {"claimName": claim, "readOnly": True}
        volumes.append({"name": "model", "persistentVolumeClaim": source})
        mounts.append({"name": "model", "mountPath": f"/models/{claim}", "readOnly": True})
    return volumes, mounts


def _optional(name: str) -> dict[str, Any]:
    return {"configMap": {"name": name, "optional": True}}
