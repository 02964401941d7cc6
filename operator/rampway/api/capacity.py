"""How many pods a model has: what an autoscaler of ours goes by."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rampway.api.advice import whole_percent
from rampway.api.base import ApiModel, Quantity
from rampway.api.rules import Form, Rule

Utilization = Annotated[
    str,
    Field(max_length=4),
    Form(r"^[1-9][0-9]{0,2}%$", "a whole percentage from 1% to 999%", whole_percent(1, 999)),
]
MetricName = Annotated[
    str,
    Field(max_length=253),
    Form(r"^[A-Za-z_][-A-Za-z0-9_.:]*$", "the name of a metric, for example requests_per_second"),
]
PerPod = Annotated[
    Quantity,
    Rule(
        cel="type(self) == int ? self > 0 : self.matches(r'^[0-9.]*[1-9]')",
        message="expected an amount above 0",
        holds=lambda text: bool(re.match(r"[0-9.]*[1-9]", text)),
    ),
]
PodCount = Annotated[int, Field(ge=1, le=1000, strict=True)]


class Resource(StrEnum):
    """What the kubelet measures of every pod."""

    CPU = "cpu"
    MEMORY = "memory"


class ScalingMetric(ApiModel):
    """One thing that is measured of each pod, and how much of it a pod is to have on average."""

    rules = (
        Rule(
            cel="has(self.resource) != has(self.metric)",
            message="expected exactly one of resource and metric",
            holds=lambda m: (m.resource is None) != (m.metric is None),
        ),
        Rule(
            cel="has(self.utilization) != has(self.averageValue)",
            message="expected exactly one of utilization and averageValue",
            holds=lambda m: (m.utilization is None) != (m.average_value is None),
        ),
        Rule(
            cel="!has(self.utilization) || has(self.resource)",
            message="expected averageValue: utilization is about a resource that pods request",
            holds=lambda m: m.utilization is None or m.resource is not None,
        ),
    )

    resource: Resource | None = Field(
        default=None, description="cpu or memory, as `kubectl top pods` shows them."
    )
    metric: MetricName | None = Field(
        default=None,
        description="A metric of the pods from the cluster's API of custom metrics, for example "
        "requests_per_second.",
    )
    utilization: Utilization | None = Field(
        default=None, description="Of a resource: the part of what the pods request, such as 70%."
    )
    average_value: PerPod | None = Field(
        default=None, description="An amount per pod, such as 20 or 500m."
    )


CPU = ScalingMetric(resource=Resource.CPU, utilization="80%")


class Autoscaling(ApiModel):
    """Each revision has a HorizontalPodAutoscaler of its own, made by the operator."""

    rules = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            message="expected minReplicas of at most maxReplicas",
            holds=lambda a: a.min_replicas <= a.max_replicas,
        ),
    )

    min_replicas: PodCount = Field(
        default=1, description="Fewest pods of a revision that carries everything."
    )
    max_replicas: PodCount = Field(description="Most pods of a revision that carries everything.")
    metrics: tuple[ScalingMetric, ...] = Field(
        default=(CPU,),
        min_length=1,
        max_length=8,
        description="What is measured; the metric that asks for the most pods counts.",
    )

    def within(self, pods: int) -> int:
        """Return the number of pods, no fewer and no more than a revision may have."""
        return min(self.max_replicas, max(self.min_replicas, pods))


class Fallback(StrEnum):
    """How much of stable stays warm, so that traffic can return to it."""

    FULL = "Full"
    PROPORTIONAL = "Proportional"
    NONE = "None"


class Capacity(ApiModel):
    """How many pods a rollout may take beside those that serve."""

    rules = (
        Rule(
            cel="!has(self.maxSurge) || self.fallback != 'Full'",
            message="expected no maxSurge: with fallback Full a rollout needs as many pods again",
            holds=lambda c: c.max_surge is None or c.fallback is not Fallback.FULL,
        ),
    )

    fallback: Fallback = Field(
        default=Fallback.FULL,
        description="How much of stable stays warm until rollout and watch end. Full: all of it. "
        "Proportional: the pods of its share, at least one. None: likewise, and nothing in the "
        "watch beside its holdback.",
    )
    max_surge: PodCount | None = Field(
        default=None,
        description="With Proportional and None: so many pods more than `replicas` at most, of "
        "all revisions together. Left out: 1.",
    )

    @property
    def surge(self) -> int | None:
        """Pods beyond the full size that there may be; None: as many again."""
        return None if self.fallback is Fallback.FULL else self.max_surge or 1
