"""What runs in the cluster from the start: DNS, the Gateway API and Envoy Gateway."""

from collections.abc import Callable
from pathlib import Path

from tools.localcluster import kubectl, namespace
from tools.localcluster.catalog import IMAGES
from tools.localcluster.certificates import NODE_NAME
from tools.localcluster.errors import StepError
from tools.localcluster.kubectl import Kubectl
from tools.localcluster.paths import HERE

MANIFESTS = HERE / "manifests"
DEPLOYMENTS = (("kube-system", "coredns"), ("envoy-gateway-system", "envoy-gateway"))
SERVICES = (("kube-system", "kube-dns", 53), ("envoy-gateway-system", "envoy-gateway", 18000))
READY_WITHIN_S = 120.0


def apply_crds(client: Kubectl, crds: Path) -> None:
    """Apply the CRDs of the Gateway API and of Envoy Gateway, and wait until they are served."""
    files = sorted(crds.rglob("*.yaml"))
    client.apply("\n---\n".join(path.read_text() for path in files))
    client.output("wait", "crd", "--all", "--for=condition=Established", "--timeout=60s")


def apply_programs(client: Kubectl) -> None:
    """Apply DNS, Envoy Gateway and the GatewayClass ``eg``, with the local images' names."""
    values = {
        f"{name.upper().replace('-', '_')}_IMAGE": image.tag for name, image in IMAGES.items()
    }
    values["DNS_IP"] = namespace.DNS_IP
    for name in ("coredns", "envoy-gateway", "gatewayclass"):
        client.apply(kubectl.filled(MANIFESTS / f"{name}.yaml", values))


def wait_ready(client: Kubectl, log: Path, patience_s: float = READY_WITHIN_S) -> None:
    """Wait for the node, the programs and the GatewayClass; say which one is not ready."""
    for question in _questions(f"{patience_s:.0f}s"):
        client.wait(question, patience_s, log)


def problem(client: Kubectl) -> str | None:
    """Return what is not as it should be, or None: the health check of a running cluster."""
    checks: list[tuple[str, Callable[[], bool]]] = [
        ("the API server is not ready", lambda: client.works("get", "--raw", "/readyz")),
        ("the node is not ready", lambda: client.works(*_questions("0s")[0])),
        ("DNS, Envoy Gateway or its class is not ready", lambda: _all_work(client)),
    ]
    return next((text for text, works in checks if not works()), None)


def _all_work(client: Kubectl) -> bool:
    return all(client.works(*question) for question in _questions("0s")[1:])


def _questions(timeout: str) -> list[list[str]]:
    wait = ["wait", f"--timeout={timeout}"]
    node = [*wait, f"node/{NODE_NAME}", "--for=condition=Ready"]
    available = [
        [*wait, "-n", where, f"deployment/{name}", "--for=condition=Available"]
        for where, name in DEPLOYMENTS
    ]
    return [node, *available, [*wait, "gatewayclass/eg", "--for=condition=Accepted"]]


def require_in(client: Kubectl) -> list[str]:
    """Check what a cluster that is not ours must have; return the names of its GatewayClasses."""
    for crd in ("gateways", "httproutes", "gatewayclasses"):
        if not client.works("get", "crd", f"{crd}.gateway.networking.k8s.io"):
            raise StepError(
                f"the cluster has no CRD {crd}.gateway.networking.k8s.io",
                "install the Gateway API's standard CRDs and an implementation of it "
                "(Envoy Gateway, Istio, Cilium, …), then run `up` again",
            )
    classes = client.json("get", "gatewayclasses")["items"]
    accepted = [item["metadata"]["name"] for item in classes if _accepted(item)]
    if not accepted:
        seen = ", ".join(item["metadata"]["name"] for item in classes) or "none at all"
        raise StepError(
            f"no GatewayClass is Accepted (seen: {seen})",
            "install an implementation of the Gateway API and make a GatewayClass for it",
        )
    return accepted


def _accepted(item: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    conditions = item.get("status", {}).get("conditions", [])
    return any(one["type"] == "Accepted" and one["status"] == "True" for one in conditions)
