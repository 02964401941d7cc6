"""Every kind the operator reads or writes, and where the API server serves it."""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Kind:
    """One served kind; the group is empty for the core API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """What an object of this kind carries as `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """Return the request path; without a namespace, of all namespaces together.

        Raises:
            ValueError: a name without the namespace a namespaced kind needs, a namespace for a
                kind that has none, a subresource without a name, or a part with a slash.
        """
        for part in (namespace or "", name, subresource):
            if "/" in part or part in {".", ".."}:
                raise ValueError(f"{part!r} cannot be part of an API path of {self.plural}")
        if namespace and not self.namespaced:
            raise ValueError(f"{self.plural} have no namespace, yet {namespace!r} was given")
        if name and self.namespaced and not namespace:
            raise ValueError(f"{self.plural} {name!r} needs a namespace")
        if subresource and not name:
            raise ValueError(f"subresource {subresource!r} of {self.plural} needs a name")
        parts = ["/apis" if self.group else "/api", self.api_version]
        parts += ["namespaces", namespace] if namespace else []
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(quote(part, safe="/:") for part in parts)


MODEL_DEPLOYMENT = Kind("rampway.dev", "v1alpha1", "modeldeployments", "ModelDeployment")
MODEL_ROLLOUT = Kind("rampway.dev", "v1alpha1", "modelrollouts", "ModelRollout")
ROLLOUT_POLICY = Kind("rampway.dev", "v1alpha1", "rolloutpolicies", "RolloutPolicy")
CLUSTER_ROLLOUT_POLICY = Kind(
    "rampway.dev", "v1alpha1", "clusterrolloutpolicies", "ClusterRolloutPolicy", namespaced=False
)
METRIC_SOURCE = Kind("rampway.dev", "v1alpha1", "metricsources", "MetricSource")
CLUSTER_METRIC_SOURCE = Kind(
    "rampway.dev", "v1alpha1", "clustermetricsources", "ClusterMetricSource", namespaced=False
)
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
REPLICA_SET = Kind("apps", "v1", "replicasets", "ReplicaSet")
JOB = Kind("batch", "v1", "jobs", "Job")
SERVICE = Kind("", "v1", "services", "Service")
POD = Kind("", "v1", "pods", "Pod")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
POD_DISRUPTION_BUDGET = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
HORIZONTAL_POD_AUTOSCALER = Kind(
    "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"
)
PERSISTENT_VOLUME_CLAIM = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
NODE = Kind("", "v1", "nodes", "Node", namespaced=False)
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
EVENT = Kind("events.k8s.io", "v1", "events", "Event")
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
MUTATING_POLICY = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicies",
    "MutatingAdmissionPolicy",
    namespaced=False,
)
MUTATING_POLICY_BINDING = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicybindings",
    "MutatingAdmissionPolicyBinding",
    namespaced=False,
)
GATEWAY = Kind("gateway.networking.k8s.io", "v1", "gateways", "Gateway")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
