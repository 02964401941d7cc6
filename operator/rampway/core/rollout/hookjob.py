"""The Job of a hook: named by its run, so that it is made once, whoever makes it (B29)."""

import hashlib
import re
from typing import Any

from rampway.api import labels
from rampway.api.hooks import HookJob
from rampway.api.parse import ModelDeployment
from rampway.core.actions import RunHook
from rampway.core.model.belonging import owned_meta
from rampway.core.model.revision import merge

KEPT_S = 3600
"""A Job that has ended stays so long, for its logs."""
RETRIES = 3
_PREFIX = 40


def name_of(rollout: str, key: str) -> str:
    """Return the name of the Job of a run: at most 63 characters, its own for each run."""
    digest = hashlib.sha256(f"{rollout}/{key}".encode()).hexdigest()[:10]
    return f"{rollout[:_PREFIX].rstrip('-.')}-{digest}"


def manifest(deployment: ModelDeployment, run: RunHook, job: HookJob) -> dict[str, Any]:
    """Return the Job of one run of a hook.

    Its pods bear none of the labels by which a revision's pods are found.
    """
    meta = owned_meta(deployment, name_of(run.rollout, run.key), serves=False)
    meta["annotations"] = {labels.HOOK: f"{run.rollout}/{run.key}"}
    template = {"metadata": {"labels": {labels.HOOK: run.hook.name}}, "spec": _pod(run, job)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta,
        "spec": {
            "backoffLimit": RETRIES,
            "activeDeadlineSeconds": max(1, round(run.hook.timeout_s)),
            "ttlSecondsAfterFinished": KEPT_S,
            "template": merge(template, job.pod_template_patch),
        },
    }


def _pod(run: RunHook, job: HookJob) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "hook",
        "image": job.image,
        "env": [{"name": _variable(k), "value": value} for k, value in run.facts.items()],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if job.command:
        container["command"] = list(job.command)
    if job.args:
        container["args"] = list(job.args)
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "containers": [container],
        "automountServiceAccountToken": job.service_account_name is not None,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if job.service_account_name:
        pod["serviceAccountName"] = job.service_account_name
    return pod


def _variable(fact: str) -> str:
    return "RAMPWAY_" + re.sub(r"\W", "_", fact).upper()
