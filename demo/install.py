"""Puts onto the cluster what the demo needs: Rampway, Prometheus, a Gateway, a model store."""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from demo.cluster import ROOT, WORK, DemoError, Kubectl, is_current

NAMESPACE = "demo"
MANIFESTS = Path(__file__).parent / "manifests"
VERSIONS = ("1", "2", "3", "4")
MANAGED_BY = "app.kubernetes.io/managed-by"
OURS = "rampway-demo"
SYSTEM = "rampway-system"
PUBLIC_PROMETHEUS = "prom/prometheus:v3.5.0"
"""For a cluster of the user's own; the local one has an image. PROMETHEUS_IMAGE names another."""

KUSTOMIZATION = Template("""\
# Written by the demo: the operator with a Prometheus, this build's images, and short intervals.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
${RESOURCES}
images:
${IMAGES}
patches:
  - patch: |-
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: rampway-operator, namespace: rampway-system}
      spec:
        template:
          spec:
            containers:
              - name: operator
                env:
                  - {name: RAMPWAY_MODEL_SERVER_IMAGE, value: "${MODEL_SERVER_IMAGE}"}
                  - {name: RAMPWAY_LOOK_INTERVAL_S, value: "1"}
                  - {name: RAMPWAY_CHECKPOINT_INTERVAL_S, value: "2"}
${HOOKS}
""")
HOOKS = Template("""\
                  - {name: RAMPWAY_HOOK_URLS, value: "${URLS}"}""")


def begin_cleaning(kube: Kubectl) -> None:
    """Start to delete what an earlier demo left, but never a namespace that is not the demo's."""
    found = kube("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "json")
    if not found:
        return
    labels = json.loads(found)["metadata"].get("labels", {})
    if labels.get(MANAGED_BY) != OURS:
        raise DemoError(
            f"the cluster has a namespace {NAMESPACE} that the demo did not make (no label "
            f"{MANAGED_BY}={OURS}); delete it yourself if it may go, or use another cluster"
        )
    kube("delete", "namespace", NAMESPACE, "--wait=false")


def finish_cleaning(kube: Kubectl) -> None:
    """Wait until the namespace of an earlier demo is gone."""
    kube("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=180s")


def stamps_names(kube: Kubectl) -> bool:
    """Whether this API server can put down who changed a model: Kubernetes from 1.36 on."""
    served = json.loads(kube("get", "--raw", "/apis/admissionregistration.k8s.io/v1"))
    return any(one["name"] == "mutatingadmissionpolicies" for one in served["resources"])


def install_operator(
    kube: Kubectl, images: Mapping[str, str], hook_urls: str = "", *, stamps: bool = False
) -> None:
    """Install CRDs, operator and Prometheus; hooks may call what `hook_urls` allows.

    With `stamps` the API server puts down who changed a model, too.
    """
    folder = WORK / "install"
    folder.mkdir(parents=True, exist_ok=True)
    text = kustomization(images, folder, hook_urls, stamps=stamps)
    (folder / "kustomization.yaml").write_text(text)
    shown(kube, "apply", "-k", "crds/")
    crds = [f"crd/{kind}.rampway.dev" for kind in ("modeldeployments", "modelrollouts")]
    kube("wait", "--for=condition=Established", "--timeout=60s", *crds)
    shown(kube, "apply", "-k", str(folder.relative_to(ROOT)))


def await_operator(kube: Kubectl) -> None:
    """Wait until operator and Prometheus are ready; on failure tell what their pods say."""
    for name in ("prometheus", "rampway-operator"):
        try:
            kube(
                "rollout", "status", f"deployment/{name}", "-n", "rampway-system", "--timeout=120s"
            )
        except DemoError as err:
            said = kube("describe", "pods", "-n", SYSTEM, "-l", f"app.kubernetes.io/name={name}")
            raise DemoError(f"{err}\nWhat its pods say:\n{said}") from err


def kustomization(
    images: Mapping[str, str], folder: Path, hook_urls: str = "", *, stamps: bool = False
) -> str:
    """Return the text of a kustomization that lies in `folder`."""
    parts = ["overlays/prometheus", *(["people/stamp"] if stamps else [])]
    chosen = {"rampway.local/operator": images["operator"]}
    prometheus = os.environ.get("PROMETHEUS_IMAGE", PUBLIC_PROMETHEUS if is_current() else "")
    if prometheus:
        chosen["rampway.local/prometheus"] = prometheus
    return KUSTOMIZATION.substitute(
        RESOURCES="\n".join(
            f"  - {os.path.relpath(ROOT / 'manifests' / part, folder)}" for part in parts
        ),
        IMAGES="\n".join(_renamed(name, image) for name, image in chosen.items()),
        MODEL_SERVER_IMAGE=images["model-server"],
        HOOKS=HOOKS.substitute(URLS=hook_urls) if hook_urls else "",
    )


def _renamed(name: str, image: str) -> str:
    new, _, tag = image.rpartition(":")
    return f'  - {{name: {name}, newName: "{new}", newTag: "{tag}"}}'


def make_store(kube: Kubectl, images: Mapping[str, str]) -> None:
    """Make the namespace, the Gateway and the store that serves the models' files."""
    write("gateway", GATEWAY_CLASS=os.environ.get("GATEWAY_CLASS", "eg"))
    shown(kube, "apply", "-f", "build/demo/gateway.yaml")
    for version in VERSIONS:
        file = f"build/demo/models/v{version}.skops"
        words = ("create", "configmap", f"model-v{version}", f"--from-file={file}")
        shown(kube, *words, "-n", NAMESPACE)
    write("store", MODEL_SERVER_IMAGE=images["model-server"])
    shown(kube, "apply", "-f", "build/demo/store.yaml")


def await_store(kube: Kubectl) -> None:
    """Wait until the store serves and the Gateway has an address."""
    kube("rollout", "status", "deployment/model-store", "-n", NAMESPACE, "--timeout=120s")
    kube("wait", "--for=condition=Programmed", "gateway/eg", "-n", NAMESPACE, "--timeout=120s")


def write_deployments(manifest: Mapping[str, Any]) -> None:
    """Write v1.yaml to v4.yaml: the same ModelDeployment, each with another model."""
    for version in VERSIONS:
        sha256 = manifest["models"][f"v{version}"]["sha256"]
        write("modeldeployment", f"v{version}", VERSION=version, SHA256=sha256)


def write(name: str, target: str = "", **values: str) -> None:
    """Fill in a file of demo/manifests and write it to the work folder."""
    text = Template((MANIFESTS / f"{name}.yaml").read_text()).safe_substitute(values)
    (WORK / f"{target or name}.yaml").write_text(text)


def shown(kube: Kubectl, *words: str) -> None:
    """Run kubectl and show the command, as a reader could type it."""
    print(f"  $ kubectl {shlex.join(words)}", flush=True)
    kube(*words)
