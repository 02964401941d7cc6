"""The kinds of the API: what each CRD says beyond its schemas."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from rampway.api import labels
from rampway.api.base import NAME_EXPECTED, NAME_PATTERN
from rampway.api.deployment import ModelDeploymentSpec, ModelDeploymentStatus
from rampway.api.policy import Policy, PolicyKind
from rampway.api.rollout import ModelRolloutSpec, ModelRolloutStatus
from rampway.api.rules import VALIDATIONS
from rampway.api.schema import Schema
from rampway.api.sources import ClusterMetricSourceSpec, MetricSourceSpec, SourceKind

_AGE = ".metadata.creationTimestamp"
_DEFAULT = ".metadata.annotations." + labels.DEFAULT.replace(".", r"\.")
_POLICY_COLUMNS = {
    "Strategy": ".spec.strategy",
    "Rollback": ".spec.rollback.mode",
    "FalseRollbacks": ".spec.falseRollbackRate",
}
_SOURCE_COLUMNS = {"Address": ".spec.address", "Credentials": ".spec.credentials"}


@dataclass(frozen=True)
class Definition:
    """What a CRD says beyond its schemas."""

    kind: str
    short_name: str
    description: str
    spec: type[BaseModel]
    status: type[BaseModel] | None
    """None for what is only read."""
    columns: Mapping[str, str]
    """JSON paths by the heading that `kubectl get` shows."""
    root: Schema
    """What the object as a whole must meet, in addition."""
    wide: frozenset[str] = frozenset()
    """Columns that only `kubectl get -o wide` shows."""
    namespaced: bool = True
    scale: Mapping[str, str] | None = None
    """Paths of the `scale` subresource, where it has one."""

    @property
    def plural(self) -> str:
        """The name in the API's paths."""
        name = self.kind.lower()
        return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"

    @property
    def file(self) -> str:
        """The file's name in crds/."""
        return f"{self.plural}.yaml"


DEFINITIONS = (
    Definition(
        kind="ModelDeployment",
        short_name="mldep",
        description="A model that is served, and how its successors take its place. Rampway runs "
        "the model, and when `model` or `server` changes it moves the traffic to the new revision "
        "step by step, judges it on evidence, and puts the traffic back by itself when the "
        "evidence says so.",
        spec=ModelDeploymentSpec,
        status=ModelDeploymentStatus,
        columns={
            "Phase": ".status.phase",
            "Stable": ".status.stable.shown",
            "Candidate": ".status.candidate.shown",
            "Step": ".status.step",
            "Weight%": ".status.weightPct",
            "Reason": ".status.reason",
            "Queued": ".status.queued.shown",
            "Automation": ".status.stable.automation",
            "Age": _AGE,
        },
        wide=frozenset({"Queued", "Automation"}),
        scale={
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
        root={
            VALIDATIONS: [
                {
                    "rule": f"self.metadata.name.matches(r'{NAME_PATTERN}')",
                    "message": f"expected {NAME_EXPECTED}",
                    "fieldPath": ".metadata.name",
                }
            ]
        },
    ),
    Definition(
        kind="ModelRollout",
        short_name="mlro",
        description="One attempt to replace a ModelDeployment's stable revision: the policy as it "
        "was, the evidence, the decisions and who took them. Made by Rampway, kept as the record.",
        spec=ModelRolloutSpec,
        status=ModelRolloutStatus,
        columns={
            "Deployment": ".spec.deployment",
            "Candidate": ".spec.candidate.revision",
            "Version": ".spec.candidate.info.version",
            "Phase": ".status.phase",
            "Step": ".status.step.shown",
            "Weight%": ".status.weightPct",
            "Reason": ".status.reason",
            "Age": _AGE,
        },
        root={
            VALIDATIONS: [
                {
                    # A retry asked for beforehand would undo the very abort that follows it.
                    "rule": "!has(self.spec.requests) || !has(self.spec.requests.retry) || "
                    "(has(oldSelf.spec.requests) && has(oldSelf.spec.requests.retry)) || "
                    "(has(self.status) && has(self.status.phase) && "
                    "self.status.phase == 'RolledBack')",
                    "message": "retry: expected a rollout that has been rolled back "
                    "(status.phase RolledBack); this one has not",
                    "fieldPath": ".spec.requests.retry",
                }
            ]
        },
    ),
    Definition(
        kind=PolicyKind.NAMESPACED.value,
        short_name="mlpol",
        description="A rollout policy that the ModelDeployments of this namespace share by "
        "`spec.rollout.policyRef`. Each rollout goes by the copy that it took when it began.",
        spec=Policy,
        status=None,
        columns=_POLICY_COLUMNS | {"Age": _AGE},
        root={},
    ),
    Definition(
        kind=PolicyKind.CLUSTER.value,
        short_name="cmlpol",
        description="A rollout policy that ModelDeployments of all namespaces share by "
        '`spec.rollout.policyRef`. The one with the annotation `rampway.dev/default: "true"` is '
        "for those that name no policy. Each rollout goes by the copy that it took when it began.",
        spec=Policy,
        status=None,
        columns=_POLICY_COLUMNS | {"Default": _DEFAULT, "Age": _AGE},
        root={},
        namespaced=False,
    ),
    Definition(
        kind=SourceKind.NAMESPACED.value,
        short_name="mlms",
        description="A Prometheus that the ModelDeployments of this namespace may name in "
        "`spec.metrics.sourceRef`. Its address must be on the list of the operator's "
        "administrator, with this namespace.",
        spec=MetricSourceSpec,
        status=None,
        columns={**_SOURCE_COLUMNS, "Age": _AGE},
        root={},
    ),
    Definition(
        kind=SourceKind.CLUSTER.value,
        short_name="cmlms",
        description="A Prometheus that ModelDeployments of all namespaces may name in "
        "`spec.metrics.sourceRef`. Its address must be on the list of the operator's "
        'administrator. The one with the annotation `rampway.dev/default: "true"` is for those '
        "that name none.",
        spec=ClusterMetricSourceSpec,
        status=None,
        columns={**_SOURCE_COLUMNS, "Default": _DEFAULT, "Age": _AGE},
        root={},
        namespaced=False,
    ),
)
