"""Give the cluster an API of custom metrics while a test needs one (meter_server.py)."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import meter_server
from cluster.bench import Bench, program, until

NAME = "meter"
SERVICE = f"v1beta2.{meter_server.VERSION.partition('/')[0]}"


@contextmanager
def metered(bench: Bench, folder: Path) -> Iterator[None]:
    """Serve requests per second of pods as a custom metric while the block runs."""
    files = _files(bench, folder)
    meta = {"name": NAME, "namespace": bench.home}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": files}
    workload, service = program(
        bench.home, NAME, bench.images["model-server"], ["python3", "/meter/server.py", "/meter"]
    )
    pod = workload["spec"]["template"]["spec"]
    pod["containers"][0]["volumeMounts"] = [{"name": NAME, "mountPath": f"/{NAME}"}]
    pod["volumes"] = [{"name": NAME, "secret": {"secretName": NAME}}]
    group, _, version = meter_server.VERSION.partition("/")
    spec = {
        "group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
        "insecureSkipTLSVerify": True, "service": meta | {"port": 80},
    }  # fmt: skip
    api = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
           "metadata": {"name": SERVICE}, "spec": spec}  # fmt: skip
    try:
        bench.kube.apply(secret, workload, service, api)
        until(lambda: _available(bench), "an API of custom metrics", lambda: _state(bench))
        yield
    finally:
        bench.kube("delete", "apiservice", SERVICE, "--ignore-not-found")
        for kind in ("deployment", "service", "secret"):
            bench.kube("delete", kind, NAME, "-n", bench.home, "--ignore-not-found", "--wait=false")


def _files(bench: Bench, folder: Path) -> dict[str, str]:
    """Return the server and its own certificate, as a Secret holds them."""
    key, certificate = folder / "tls.key", folder / "tls.crt"
    done = bench.kube.run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
        "-subj", f"/CN={NAME}", "-keyout", str(key), "-out", str(certificate),
    )  # fmt: skip
    assert not done.returncode, done.stderr
    server = Path(meter_server.__file__)
    files = {"tls.key": key, "tls.crt": certificate, "server.py": server}
    return {name: base64.b64encode(path.read_bytes()).decode() for name, path in files.items()}


def _available(bench: Bench) -> bool:
    found = bench.kube.json("get", "apiservice", SERVICE)
    conditions = {c["type"]: c["status"] for c in (found.get("status") or {}).get("conditions", [])}
    return conditions.get("Available") == "True"


def _state(bench: Bench) -> str:
    return "\n".join(
        bench.kube(*words)
        for words in (
            ("get", "apiservice", SERVICE, "-o", "yaml"),
            ("get", "pods", "-n", bench.home, "-o", "wide"),
        )
    )
