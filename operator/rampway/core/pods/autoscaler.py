"""A revision's HorizontalPodAutoscaler: what is read of it, and what it is to be like (B12)."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from rampway.api import labels
from rampway.api.base import fraction
from rampway.api.capacity import Autoscaling, ScalingMetric
from rampway.api.parse import ModelDeployment
from rampway.core.model.belonging import owned_meta


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """An autoscaler as it is.

    Attributes:
        least: It never asks for fewer pods.
        most: It never asks for more.
        plan: Digest of the metrics that it was given by us.
        pods: Pods that it saw at its last look.
        load: What it measured of each pod then, the target being 1; None where it cannot measure.
        trouble: Why it cannot measure, in its own words, else empty.
    """

    least: int
    most: int
    plan: str = ""
    pods: int = 0
    load: float | None = None
    trouble: str = ""


def digest(plan: Autoscaling) -> str:
    """Return what tells one list of metrics from another."""
    told = [metric.model_dump(mode="json", exclude_none=True) for metric in plan.metrics]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:10]


def manifest(
    deployment: ModelDeployment, plan: Autoscaling, revision_hash: str, least: int, most: int
) -> dict[str, Any]:
    """Return the HorizontalPodAutoscaler of a revision."""
    name = labels.revision_name(deployment.name, revision_hash)
    meta = owned_meta(deployment, name, revision_hash)
    meta["annotations"] = meta.get("annotations", {}) | {labels.AUTOSCALING: digest(plan)}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta,
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [_metric(metric) for metric in plan.metrics],
        },
    }


def _metric(wanted: ScalingMetric) -> dict[str, Any]:
    if wanted.utilization is not None:
        percent = round(100 * fraction(wanted.utilization))
        target: dict[str, Any] = {"type": "Utilization", "averageUtilization": percent}
    else:
        target = {"type": "AverageValue", "averageValue": wanted.average_value}
    if wanted.resource is not None:
        return {"type": "Resource", "resource": {"name": str(wanted.resource), "target": target}}
    return {"type": "Pods", "pods": {"metric": {"name": wanted.metric}, "target": target}}
