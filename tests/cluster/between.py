"""Puts an interposer between the operator and the API server or Prometheus."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster.bench import OPERATOR, SYSTEM, Bench, Obj, until

from demo.cluster import LOCAL, ROOT

SCRIPT = Path(__file__).parent / "interposer.py"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
API_NAME = "kubernetes.default.svc"
PROMETHEUS_PORT = 9190
ROLLED_S = 120.0


@dataclass(frozen=True, slots=True)
class Between:
    """What the interposer does and has seen."""

    folder: Path

    def plan(self, **plan: Any) -> None:
        """Change what it does with requests from now on; nothing given: pass all."""
        file = self.folder / "plan.new"
        file.write_text(json.dumps(plan))
        file.replace(self.folder / "plan.json")

    def seen(self, since_s: float = 0.0) -> list[Obj]:
        """Return what came and went from an instant on (seconds since 1970)."""
        lines = (self.folder / "log.jsonl").read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [one for one in found if one["at_s"] >= since_s]

    def met(self, fault: str, since_s: float = 0.0) -> list[Obj]:
        """Return the requests that met a fault and were answered, or never will be."""
        return [one for one in self.seen(since_s) if one.get("fault") == fault]


@contextmanager
def before_api(bench: Bench, folder: Path) -> Iterator[Between]:
    """Let the operator reach the API server only through an interposer, by the server's name."""
    pki = Path(bench.kube.env["KUBECONFIG"]).parent / "pki"
    node = node_address(bench)
    (context,) = bench.kube.json("config", "view", "--minify")["clusters"]
    port = urlsplit(context["cluster"]["server"]).port
    options = ["--to", f"https://{node}:{port}", "--port", "443"]
    files = {"ca": "ca.crt", "certificate": "apiserver.crt", "key": "apiserver.key"}
    for name, file in files.items():
        options += [f"--{name}", str(pki / file)]
    env = {"KUBERNETES_SERVICE_HOST": API_NAME, "KUBERNETES_SERVICE_PORT": "443"}
    aliases = [{"ip": node, "hostnames": [API_NAME]}]
    with _started(bench, folder, node, options) as between, \
            pointed(bench, env, {"hostAliases": aliases}):  # fmt: skip
        yield between


@contextmanager
def before_prometheus(bench: Bench, folder: Path) -> Iterator[Between]:
    """Let the operator reach Prometheus only through an interposer."""
    with beside_prometheus(bench, folder) as (between, address), \
            pointed(bench, {"RAMPWAY_PROMETHEUS_URL": address}, {}):  # fmt: skip
        yield between


@contextmanager
def beside_prometheus(bench: Bench, folder: Path) -> Iterator[tuple[Between, str]]:
    """Give an interposer before Prometheus, and its address, which nobody asks by itself."""
    node = node_address(bench)
    service = bench.kube.json("get", "service", "prometheus", "-n", SYSTEM)["spec"]["clusterIP"]
    options = ["--to", f"http://{service}:9090", "--port", str(PROMETHEUS_PORT)]
    with _started(bench, folder, node, options) as between:
        yield between, f"http://{node}:{PROMETHEUS_PORT}"


def node_address(bench: Bench) -> str:
    """Return the address of the cluster's one node, where pods can reach programs of ours."""
    (node,) = bench.kube.json("get", "nodes")["items"]
    addresses = node["status"]["addresses"]
    return str(next(a["address"] for a in addresses if a["type"] == "InternalIP"))


def fingerprint(token: str) -> str:
    """Return what a plan calls a token."""
    return hashlib.sha256(token.strip().encode()).hexdigest()


@contextmanager
def _started(bench: Bench, folder: Path, address: str, options: list[str]) -> Iterator[Between]:
    between = Between(folder)
    between.plan()
    words = [*LOCAL, "enter", sys.executable, str(SCRIPT), "--address", address, *options]
    words += ["--plan", str(folder / "plan.json"), "--log", str(folder / "log.jsonl")]
    with subprocess.Popen(
        words, env=bench.kube.env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        try:
            said = process.stdout.readline() if process.stdout else ""
            assert said.strip() == "ready", f"the interposer said {said!r}, expected 'ready'"
            yield between
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(20)


@contextmanager
def pointed(bench: Bench, env: Mapping[str, str], pod: Mapping[str, Any]) -> Iterator[None]:
    """Give the operator's pods other variables and more while the block runs."""
    variables = [{"name": name, "value": value} for name, value in env.items()]
    container = {"name": "operator", "env": variables}
    patch = {"spec": {"template": {"spec": {**pod, "containers": [container]}}}}
    with patched(bench, "strategic", patch):
        yield


@contextmanager
def patched(bench: Bench, kind: str, patch: object) -> Iterator[None]:
    """Change the operator's Deployment while the block runs, by a kind of patch.

    Changed by `kubectl apply`, so that whoever installs next takes the change back, even if this
    run is killed before it does so itself.
    """
    before = bench.kube.json("get", *OPERATOR)["metadata"]["annotations"][APPLIED]
    words = ("patch", "--local", "-f", "-", f"--type={kind}", "-p", json.dumps(patch), "-o", "json")
    bench.kube("apply", "-f", "-", given=bench.kube(*words, given=before))
    try:
        await_rolled(bench)
        yield
    finally:
        bench.kube("apply", "-f", "-", given=before)
        await_rolled(bench)


def await_rolled(bench: Bench) -> None:
    """Wait until all the operator's pods are of the present template, and one of them leads."""
    bench.kube("rollout", "status", *OPERATOR, "--timeout=240s")
    until(
        lambda: bench.leader() is not None and len(bench.operator_pods()) == bench.replicas,
        "a leader among the new pods", bench.operator_log, ROLLED_S,
    )  # fmt: skip
