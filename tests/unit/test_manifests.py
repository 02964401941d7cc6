"""B35, B37: what `kubectl apply -k` installs, and what it gives away."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from mistakes import minimal

from rampway import handlers
from rampway.__main__ import STOP_S
from rampway.api import labels
from rampway.api.parse import parse_deployment
from rampway.api.rollout import Requests
from rampway.core.model.revision import workload
from rampway.kube.kinds import (
    EVENT,
    HTTP_ROUTE,
    LEASE,
    MODEL_DEPLOYMENT,
    MODEL_ROLLOUT,
    MUTATING_POLICY,
    MUTATING_POLICY_BINDING,
    SERVICE,
    Kind,
)
from rampway.metrics.profiles import RAMPWAY
from rampway.shell.authors import POLICY
from rampway.shell.execute import _KINDS as MADE
from rampway.shell.fence import STAMPED
from rampway.shell.settings import Settings
from rampway.shell.shared import KINDS as SHARED_KINDS
from tools.localcluster import versions

ROOT = Path(__file__).parents[2]
BASE = ROOT / "manifests"
PROMETHEUS = BASE / "overlays" / "prometheus"
STAMP = BASE / "people" / "stamp"
FORBIDDEN_RESOURCES = {"secrets", "pods/exec", "pods/attach", "serviceaccounts/token"}
FORBIDDEN_VERBS = {"*", "bind", "escalate", "impersonate"}
NAMESPACE = "rampway-system"
Obj = dict[str, Any]


def rendered(folder: Path) -> list[Obj]:
    """Return the objects of a kustomization, with its namespace and its images' tags."""
    found: list[Obj] = []
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for resource in wanted["resources"]:
        path = (folder / resource).resolve()
        found += (
            rendered(path) if path.is_dir() else yaml.load_all(path.read_text(), yaml.CSafeLoader)
        )
    for obj in found:
        if "namespace" in wanted and obj["kind"] in {"ServiceAccount", "Deployment", "Service"}:
            obj["metadata"]["namespace"] = wanted["namespace"]
        for container in containers(obj):
            for image in wanted.get("images", ()):
                if container["image"] == image["name"]:
                    container["image"] += f":{image['newTag']}"
    return found


def containers(obj: Obj) -> list[Obj]:
    """Return the containers of a Deployment, of another object none."""
    return obj["spec"]["template"]["spec"]["containers"] if obj["kind"] == "Deployment" else []


def of_kind(kind: str, name: str, folder: Path = BASE) -> Obj:
    """Return the one object of this kind and name."""
    (found,) = [o for o in rendered(folder) if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


def rules(folder: Path) -> Iterator[tuple[str, Obj]]:
    """Yield every rule of every role, with the role's name."""
    for obj in rendered(folder):
        if obj["kind"] in {"Role", "ClusterRole"}:
            for rule in obj["rules"]:
                yield obj["metadata"]["name"], rule


def may(role: str, kind: Kind, verb: str, subresource: str = "") -> bool:
    """Return whether a role of the base allows a verb on a kind."""
    resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
    return any(
        kind.group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
        for name, rule in rules(BASE)
        if name == role
    )


@pytest.mark.parametrize("folder", [BASE, PROMETHEUS], ids=["base", "prometheus"])
def test_b37_no_secrets_and_no_wildcard(folder: Path) -> None:
    """B37: no rule reaches Secrets, says "everything", or lets its holder gain more rights."""
    found = list(rules(folder))
    assert found
    for role, rule in found:
        assert not FORBIDDEN_RESOURCES & set(rule["resources"]), role
        assert not FORBIDDEN_VERBS & set(rule["verbs"]), role
        assert "*" not in rule["apiGroups"], role
        assert not [r for r in rule["resources"] if "*" in r], role
        assert "nonResourceURLs" not in rule, role


def test_b37_the_operator_has_the_rights_that_its_code_uses() -> None:
    """B37: what it watches, lists, makes, changes and deletes is allowed, as the code names it."""
    role = "rampway-operator"
    for kind in (MODEL_DEPLOYMENT, *handlers.OWN_KINDS, *SHARED_KINDS):
        for verb in ("list", "watch"):
            assert may(role, kind, verb), (kind.plural, verb)
    for kind in MADE.values():
        for verb in ("list", "create", "delete"):
            assert may(role, kind, verb), (kind.plural, verb)
    for kind in {*STAMPED, SERVICE, HTTP_ROUTE}:
        assert may(role, kind, "patch"), kind.plural
        assert may(role, kind, "list"), kind.plural
    for verb in ("get", "create", "patch"):
        assert may(role, LEASE, verb), verb
    assert may(role, HTTP_ROUTE, "create")
    assert may(role, EVENT, "create")
    for kind in (MODEL_DEPLOYMENT, MODEL_ROLLOUT):
        assert may(role, kind, "patch", "status"), kind.plural
    assert may(role, MODEL_DEPLOYMENT, "update", "finalizers")


def test_b37_the_operator_cannot_change_what_people_ask_for() -> None:
    """B37: a ModelDeployment's spec is its owner's; pods are their controllers'."""
    for verb in ("create", "update", "patch", "delete"):
        assert not may("rampway-operator", MODEL_DEPLOYMENT, verb)
        assert not may("rampway-operator", Kind("", "v1", "pods", "Pod"), verb)
        assert not any(may("rampway-operator", shared, verb) for shared in SHARED_KINDS)


def test_b37_only_who_may_make_pods_may_make_models() -> None:
    """B37: the right to write is never part of view, which only reads our kinds."""
    aggregate = "rbac.authorization.k8s.io/aggregate-to-"
    view, edit = (of_kind("ClusterRole", f"rampway-{name}") for name in ("view", "edit"))
    assert view["metadata"]["labels"] == {f"{aggregate}view": "true"}
    assert {v for rule in view["rules"] for v in rule["verbs"]} == {"get", "list", "watch"}
    assert {g for rule in view["rules"] for g in rule["apiGroups"]} == {"rampway.dev"}
    assert edit["metadata"]["labels"] == {f"{aggregate}edit": "true"}
    assert may("rampway-edit", MODEL_DEPLOYMENT, "create")
    assert may("rampway-edit", MODEL_DEPLOYMENT, "patch", "scale")
    assert may("rampway-view", MODEL_DEPLOYMENT, "get", "scale")
    for kind in SHARED_KINDS:
        role = "rampway-view" if kind.namespaced else "rampway-cluster-view"
        assert may(role, kind, "get")
        assert may("rampway-edit", kind, "create") == kind.namespaced
    everybodys = of_kind("ClusterRole", "rampway-cluster-view")
    assert "labels" not in everybodys["metadata"]


def test_b37_a_say_in_rollouts_is_a_right_of_its_own() -> None:
    """B37: who may edit ModelDeployments does not thereby approve their rollouts (four eyes)."""
    approve = of_kind("ClusterRole", "rampway-approve")
    label = {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}
    assert approve["metadata"]["labels"] == label
    assert may("rampway-approve", MODEL_ROLLOUT, "patch")
    for verb in ("create", "update", "patch", "delete"):
        assert not may("rampway-edit", MODEL_ROLLOUT, verb)
        assert not may("rampway-approve", MODEL_DEPLOYMENT, verb)


@pytest.mark.parametrize("folder", [BASE, PROMETHEUS, STAMP], ids=["base", "prometheus", "stamp"])
def test_b11_who_asks_is_checked_by_default_and_stamped_where_wanted(folder: Path) -> None:
    """B11: requests of people alone, never the operator's status; a failure refuses the write.

    Only what every supported API server serves is installed by default.
    """
    kind = "MutatingAdmissionPolicy" if folder == STAMP else "ValidatingAdmissionPolicy"
    named = [obj for obj in rendered(folder) if obj["metadata"]["name"] == "rampway-people"]
    found = [obj for obj in named if "AdmissionPolicy" in obj["kind"]]
    assert [obj["kind"] for obj in found] == [kind, f"{kind}Binding"]
    spec, binding = (obj["spec"] for obj in found)
    assert binding["policyName"] == found[0]["metadata"]["name"]
    assert spec["failurePolicy"] == "Fail"
    assert spec["matchConstraints"]["resourceRules"] == [
        {
            "apiGroups": [MODEL_ROLLOUT.group],
            "apiVersions": [MODEL_ROLLOUT.version],
            "operations": ["CREATE", "UPDATE"],
            "resources": [MODEL_ROLLOUT.plural],
        }
    ]
    asked = {name for name in Requests.model_fields if name in yaml.safe_dump(found[0])}
    assert asked == set(Requests.model_fields)


def test_b11_who_paused_and_who_changed_is_stamped_where_wanted() -> None:
    """B11: at the spec of ModelDeployments alone, never at status or scale; no write goes past it.

    The operator may look whether it is there, under the very names, and may see no other policy.
    """
    found = [obj for obj in rendered(STAMP) if obj["metadata"]["name"] == POLICY]
    policy, binding = found
    assert [obj["kind"] for obj in found] == [MUTATING_POLICY.kind, MUTATING_POLICY_BINDING.kind]
    assert {obj["apiVersion"] for obj in found} == {MUTATING_POLICY.api_version}
    assert binding["spec"] == {"policyName": POLICY}
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert policy["spec"]["matchConstraints"]["resourceRules"] == [
        {
            "apiGroups": [MODEL_DEPLOYMENT.group],
            "apiVersions": [MODEL_DEPLOYMENT.version],
            "operations": ["CREATE", "UPDATE"],
            "resources": [MODEL_DEPLOYMENT.plural],
        }
    ]
    assert "matchConditions" not in policy["spec"]
    (written,) = [v for v in policy["spec"]["variables"] if v["name"] == "happened"]
    keys = set(re.findall(r"rampway.dev/[a-z-]+", written["expression"]))
    assert keys == {labels.PAUSED_BY, labels.RESUMED_BY, labels.CHANGED_BY}
    (rule,) = [one for _, one in rules(BASE) if MUTATING_POLICY.group in one["apiGroups"]]
    assert rule["resources"] == [MUTATING_POLICY.plural, MUTATING_POLICY_BINDING.plural]
    assert (rule["resourceNames"], rule["verbs"]) == ([POLICY], ["get"])


@pytest.mark.parametrize("folder", [BASE, PROMETHEUS], ids=["base", "prometheus"])
def test_b35_removing_the_operator_removes_no_model(folder: Path) -> None:
    """B35: neither CRDs nor our own kinds are among what is installed, so nor what is deleted."""
    assert {obj["kind"] for obj in rendered(folder)} <= {
        "Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Deployment", "Service",
        "Role", "RoleBinding", "PodDisruptionBudget",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
    }  # fmt: skip


@pytest.mark.parametrize("folder", [BASE, PROMETHEUS], ids=["base", "prometheus"])
def test_b37_every_pod_is_restricted(folder: Path) -> None:
    """B37: the namespace enforces restricted Pod Security, and every pod goes further."""
    space = of_kind("Namespace", NAMESPACE, folder)
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    deployments = [obj for obj in rendered(folder) if obj["kind"] == "Deployment"]
    assert deployments
    for obj in deployments:
        pod = obj["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not [v for v in pod["volumes"] if not {"emptyDir", "configMap"} & v.keys()]
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("folder", [BASE, PROMETHEUS], ids=["base", "prometheus"])
def test_everything_is_in_its_namespace_and_finds_its_pods(folder: Path) -> None:
    """Service accounts, bindings, Services and Deployments name one another rightly."""
    objs = rendered(folder)
    known = {(obj["kind"], obj["metadata"]["name"]) for obj in objs}
    pods = [obj["spec"]["template"] for obj in objs if obj["kind"] == "Deployment"]
    for obj in objs:
        if obj["kind"] in {"ServiceAccount", "Deployment", "Service"}:
            assert obj["metadata"]["namespace"] == NAMESPACE
        if obj["kind"] == "ClusterRoleBinding":
            assert ("ClusterRole", obj["roleRef"]["name"]) in known
            for subject in obj["subjects"]:
                assert ("ServiceAccount", subject["name"]) in known
                assert subject["namespace"] == NAMESPACE
        if obj["kind"] == "Service":
            wanted = obj["spec"]["selector"].items()
            assert [p for p in pods if wanted <= p["metadata"]["labels"].items()]
    for pod in pods:
        assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in known


def test_b33_two_operators_one_of_which_is_always_there() -> None:
    """B33: an upgrade or a drain never takes both; each has time to end its passes."""
    spec = of_kind("Deployment", "rampway-operator")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert of_kind("PodDisruptionBudget", "rampway-operator")["spec"]["maxUnavailable"] == 1
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 2 * STOP_S


def variables_of(container: Obj) -> dict[str, str]:
    """Return a container's variables; one that Kubernetes fills in has the name of its field."""
    return {
        one["name"]: one.get("value") or one["valueFrom"]["fieldRef"]["fieldPath"]
        for one in container["env"]
    }


def test_settings_in_the_manifest_are_those_that_the_operator_reads() -> None:
    """Every variable of the manifest is read, so that changing it there has an effect."""
    (container,) = containers(of_kind("Deployment", "rampway-operator"))
    variables = variables_of(container)
    as_installed = Settings.from_env(variables)
    for name, value in variables.items():
        other = "77" if value.isdigit() else "other"
        assert Settings.from_env(variables | {name: other}) != as_installed, name
    assert container["ports"] == [{"name": "http", "containerPort": as_installed.http_port}]
    probes = {container[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")}
    assert probes == {"/readyz", "/healthz"}


def test_operator_asks_the_overlays_prometheus() -> None:
    """The address that the operator is given is the overlay's Service."""
    (container,) = containers(of_kind("Deployment", "rampway-operator", PROMETHEUS))
    variables = variables_of(container)
    url = urlsplit(variables["RAMPWAY_PROMETHEUS_URL"])
    service = of_kind("Service", "prometheus", PROMETHEUS)
    assert url.hostname == f"{service['metadata']['name']}.{NAMESPACE}.svc"
    assert url.port == service["spec"]["ports"][0]["port"]


def test_images_are_those_that_are_built() -> None:
    """The names and tags in the manifests are those of the images that the project builds."""
    images = {c["image"] for obj in rendered(PROMETHEUS) for c in containers(obj)}
    assert images == {
        "rampway.local/operator:latest",
        f"rampway.local/prometheus:{versions.PROMETHEUS.version}",
    }


def scrape_config() -> Obj:
    """Return the overlay's one scrape configuration."""
    (job,) = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    found: Obj = job
    return found


def test_prometheus_scrapes_the_pods_of_a_revision() -> None:
    """Selector, container and port are those of the pods that the operator makes."""
    made = minimal()
    made["metadata"] |= {"namespace": "space", "uid": "1", "resourceVersion": "1"}
    template = workload(parse_deployment(made), "image", 1)["spec"]["template"]
    (container,) = template["spec"]["containers"]
    discovery = scrape_config()["kubernetes_sd_configs"]
    (selector,) = discovery[0]["selectors"]
    key, value = selector["label"].split("=")
    assert template["metadata"]["labels"][key] == value == labels.MANAGER
    place = f"{container['name']};{container['ports'][0]['name']}"
    chosen = [
        rule["regex"]
        for rule in scrape_config()["relabel_configs"]
        if "__meta_kubernetes_pod_container_port_name" in rule["source_labels"]
    ]
    assert len(chosen) == 1
    assert re.fullmatch(chosen[0], place)


def test_prometheus_keeps_what_evidence_needs_and_no_more() -> None:
    """Series of the runtime's profile are kept, with namespace and pod; the process's are not."""
    (keep,) = scrape_config()["metric_relabel_configs"]
    assert (keep["action"], keep["source_labels"]) == ("keep", ["__name__"])
    for name in (RAMPWAY.requests, RAMPWAY.buckets, RAMPWAY.started):
        assert re.fullmatch(keep["regex"], name), name
    assert not re.fullmatch(keep["regex"], "process_open_fds")
    targets = {
        rule["target_label"]: rule["source_labels"]
        for rule in scrape_config()["relabel_configs"]
        if "target_label" in rule
    }
    assert targets == {
        "namespace": ["__meta_kubernetes_namespace"],
        "pod": ["__meta_kubernetes_pod_name"],
    }


def test_a_pod_cannot_forge_who_it_is_or_when() -> None:
    """B20: labels and times of evidence are Prometheus's own; a pod's samples are limited."""
    job = scrape_config()
    assert job.get("honor_labels", False) is False
    assert job["honor_timestamps"] is False
    assert job["sample_limit"] <= 1000
