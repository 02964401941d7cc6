"""The cluster's own certificates and kubeconfigs, made anew at every fresh start."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from tools.localcluster import namespace
from tools.localcluster.commands import output_of
from tools.localcluster.paths import Layout

NODE_NAME = "rampway"
DAYS = "365"
SERVER_NAMES = (
    "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
    f"DNS:kubernetes.default.svc.cluster.local,DNS:{NODE_NAME},"
    f"IP:127.0.0.1,IP:10.96.0.1,IP:{namespace.NODE_IP}"
)


@dataclass(frozen=True)
class Identity:
    """Who a certificate speaks for; ``kubeconfig`` says whether one is written for it."""

    file: str
    subject: str
    kubeconfig: bool = True
    names: str = ""


IDENTITIES = (
    Identity("apiserver", "/CN=kube-apiserver", kubeconfig=False, names=SERVER_NAMES),
    Identity("apiserver-kubelet", "/O=system:masters/CN=kube-apiserver-kubelet", kubeconfig=False),
    Identity("kubelet-server", f"/CN={NODE_NAME}", kubeconfig=False, names=SERVER_NAMES),
    Identity("admin", "/O=system:masters/CN=rampway-admin"),
    Identity("kubelet", f"/O=system:nodes/CN=system:node:{NODE_NAME}"),
    Identity("kube-controller-manager", "/CN=system:kube-controller-manager"),
    Identity("kube-scheduler", "/CN=system:kube-scheduler"),
    Identity("kube-proxy", "/CN=system:kube-proxy"),
)


def create(layout: Layout, port: int) -> None:
    """Make the authority, all identities, the key of service accounts, and the kubeconfigs."""
    pki = layout.pki
    pki.mkdir(parents=True, exist_ok=True)
    pki.chmod(0o700)
    _openssl_key(pki / "ca.key")
    make_authority = ["-new", "-key", str(pki / "ca.key"), "-out", str(pki / "ca.crt")]
    _request([*make_authority, "-subj", "/CN=rampway-local-cluster"])
    accounts = pki / "service-accounts.key"
    _openssl_key(accounts)
    public = ["-in", str(accounts), "-pubout", "-out", str(pki / "service-accounts.pub")]
    output_of(["openssl", "pkey", *public])
    for identity in IDENTITIES:
        _sign(pki, identity)
        if identity.kubeconfig:
            write_kubeconfig(pki, identity.file, port, pki / f"{identity.file}.kubeconfig")
    write_kubeconfig(pki, "admin", port, layout.kubeconfig)


def write_kubeconfig(pki: Path, user: str, port: int, target: Path) -> None:
    """Write a kubeconfig that holds its keys itself; JSON is valid YAML.

    Its loopback address works on the host, through the relay, and inside the namespace alike.
    """
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority-data": _encoded(pki / "ca.crt"),
    }
    identity = {
        "client-certificate-data": _encoded(pki / f"{user}.crt"),
        "client-key-data": _encoded(pki / f"{user}.key"),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "rampway-local",
        "clusters": [{"name": "rampway-local", "cluster": cluster}],
        "users": [{"name": user, "user": identity}],
        "contexts": [
            {"name": "rampway-local", "context": {"cluster": "rampway-local", "user": user}}
        ],
    }
    target.touch(mode=0o600)
    target.write_text(json.dumps(content, indent=2) + "\n")


def _sign(pki: Path, identity: Identity) -> None:
    key, certificate = pki / f"{identity.file}.key", pki / f"{identity.file}.crt"
    _openssl_key(key)
    command = ["-new", "-key", str(key), "-out", str(certificate), "-subj", identity.subject]
    command += ["-CA", str(pki / "ca.crt"), "-CAkey", str(pki / "ca.key")]
    command += ["-addext", "basicConstraints=critical,CA:false"]
    command += ["-addext", "keyUsage=critical,digitalSignature"]
    command += ["-addext", "extendedKeyUsage=serverAuth,clientAuth"]
    if identity.names:
        command += ["-addext", f"subjectAltName={identity.names}"]
    _request(command)


def _request(arguments: list[str]) -> None:
    output_of(["openssl", "req", "-x509", "-days", DAYS, *arguments])


def _openssl_key(target: Path) -> None:
    target.touch(mode=0o600)
    command = ["openssl", "genpkey", "-quiet", "-algorithm", "EC", "-out", str(target)]
    output_of([*command, "-pkeyopt", "ec_paramgen_curve:P-256"])


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
