"""The programs of the control plane and the node: their command lines and settings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.localcluster import namespace
from tools.localcluster.certificates import NODE_NAME
from tools.localcluster.paths import Layout

CNI_PROGRAMS = "/usr/lib/cni"
CLIENT_RATE = {"kube-api-qps": "200", "kube-api-burst": "400"}
"""Calls a second: with the usual 20 and 50 a thousand rollouts take half an hour to be made."""


@dataclass(frozen=True)
class Component:
    """A program that runs in the cluster's namespace, restarted on its own when it died."""

    name: str
    command: tuple[str, ...]


def control_plane(layout: Layout, etcd: Path, programs: Path, port: int) -> list[Component]:
    """Return the API server's store, the API server and its clients, in starting order."""
    return [
        _etcd(layout, etcd),
        _apiserver(layout, programs, port),
        _controller_manager(layout, programs),
        _scheduler(layout, programs),
    ]


def node(layout: Layout, programs: Path) -> list[Component]:
    """Return what makes the machine a node, in starting order."""
    kubelet = _flags(
        str(programs / "kubelet"),
        {
            "config": layout.state / "kubelet.json",
            "kubeconfig": layout.pki / "kubelet.kubeconfig",
            "hostname-override": NODE_NAME,
            "node-ip": namespace.NODE_IP,
            "root-dir": layout.state / "kubelet",
            "cert-dir": layout.state / "kubelet/pki",
        },
    )
    proxy = _flags(str(programs / "kube-proxy"), {"config": layout.state / "kube-proxy.json"})
    containerd = ("containerd", "--config", str(layout.state / "containerd.toml"))
    return [
        Component("containerd", containerd),
        Component("kubelet", kubelet),
        Component("kube-proxy", proxy),
    ]


def write_settings(layout: Layout, pause_image: str) -> None:
    """Write the settings files of containerd, CNI, kubelet and kube-proxy."""
    layout.state.mkdir(parents=True, exist_ok=True)
    (layout.state / "containerd.toml").write_text(_containerd(layout, pause_image))
    cni = layout.state / "cni"
    cni.mkdir(exist_ok=True)
    _write_json(cni / "10-rampway.conflist", _cni(layout))
    _write_json(layout.state / "kubelet.json", _kubelet(layout))
    _write_json(layout.state / "kube-proxy.json", _kube_proxy(layout))


def _etcd(layout: Layout, program: Path) -> Component:
    flags = {
        "name": NODE_NAME,
        "data-dir": layout.state / "etcd",
        "listen-client-urls": "http://127.0.0.1:2379",
        "advertise-client-urls": "http://127.0.0.1:2379",
        "listen-peer-urls": "http://127.0.0.1:2380",
        "initial-advertise-peer-urls": "http://127.0.0.1:2380",
        "initial-cluster": f"{NODE_NAME}=http://127.0.0.1:2380",
        # A throwaway cluster: after a power cut it starts anew anyway.
        "unsafe-no-fsync": "true",
    }
    return Component("etcd", _flags(str(program), flags))


def _apiserver(layout: Layout, programs: Path, port: int) -> Component:
    pki = layout.pki
    flags = {
        "advertise-address": namespace.NODE_IP,
        "secure-port": port,
        "etcd-servers": "http://127.0.0.1:2379",
        "service-cluster-ip-range": namespace.SERVICE_RANGE,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "client-ca-file": pki / "ca.crt",
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-client-certificate": pki / "apiserver-kubelet.crt",
        "kubelet-client-key": pki / "apiserver-kubelet.key",
        # Else `logs` and `exec` look the node's name up in DNS.
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "service-accounts.pub",
        "service-account-signing-key-file": pki / "service-accounts.key",
    }
    return Component("kube-apiserver", _flags(str(programs / "kube-apiserver"), flags))


def _controller_manager(layout: Layout, programs: Path) -> Component:
    pki = layout.pki
    kubeconfig = pki / "kube-controller-manager.kubeconfig"
    flags = {
        **_kubeconfigs(kubeconfig),
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": pki / "service-accounts.key",
        "root-ca-file": pki / "ca.crt",
        "cluster-signing-cert-file": pki / "ca.crt",
        "cluster-signing-key-file": pki / "ca.key",
        "bind-address": "127.0.0.1",
        "cert-dir": layout.state / "certs-controller-manager",
        "flex-volume-plugin-dir": layout.state / "volume-plugins",
        # A third of what it is elsewhere: tests of autoscaling wait for several of its looks.
        "horizontal-pod-autoscaler-sync-period": "5s",
        **CLIENT_RATE,
    }
    program = programs / "kube-controller-manager"
    return Component("kube-controller-manager", _flags(str(program), flags))


def _scheduler(layout: Layout, programs: Path) -> Component:
    flags = {
        **_kubeconfigs(layout.pki / "kube-scheduler.kubeconfig"),
        "leader-elect": "false",
        "bind-address": "127.0.0.1",
        "cert-dir": layout.state / "certs-scheduler",
        **CLIENT_RATE,
    }
    return Component("kube-scheduler", _flags(str(programs / "kube-scheduler"), flags))


def _kubeconfigs(path: Path) -> dict[str, Path]:
    names = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return dict.fromkeys(names, path)


def _flags(program: str, flags: Mapping[str, object]) -> tuple[str, ...]:
    return (program, *(f"--{name}={value}" for name, value in flags.items()))


def _containerd(layout: Layout, pause_image: str) -> str:
    """Return containerd's settings; JSON's strings are TOML's basic strings."""
    state = layout.state
    cri = '[plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = {json.dumps(str(state / "containerd/root"))}
state = {json.dumps(str(state / "containerd/state"))}
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing"]
[grpc]
address = {json.dumps(str(layout.containerd_socket))}
{cri}]
sandbox_image = {json.dumps(pause_image)}
# Where oom_score_adj may not be lowered, every sandbox would die without this.
restrict_oom_score_adj = true
# Pods' namespaces below the state folder, where teardown finds them.
netns_mounts_under_state_dir = true
{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
Root = {json.dumps(str(state / "runc"))}
{cri}.cni]
bin_dir = {json.dumps(CNI_PROGRAMS)}
conf_dir = {json.dumps(str(state / "cni"))}
"""


def _cni(layout: Layout) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": namespace.POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(layout.state / "addresses"),
    }
    bridge = {
        "type": "bridge",
        "bridge": "pods0",
        "isGateway": True,
        # A pod that reaches itself through its own Service comes back by the port it left.
        "hairpinMode": True,
        "ipam": addresses,
    }
    return {"cniVersion": "0.4.0", "name": layout.identity, "plugins": [bridge]}


def _kubelet(layout: Layout) -> dict[str, Any]:
    pki = layout.pki
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.identity}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "evictionHard": {},
        # An image that the kubelet clears away cannot be pulled again: there is no registry.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "clusterDNS": [namespace.DNS_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": "/dev/null",
        "podLogsDir": str(layout.state / "pod-logs"),
        "volumePluginDir": str(layout.state / "volume-plugins"),
        "maxPods": 250,
        "oomScoreAdj": 0,
        "healthzBindAddress": "127.0.0.1",
    }


def _kube_proxy(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(layout.pki / "kube-proxy.kubeconfig")},
        "mode": "iptables",
        "clusterCIDR": namespace.POD_RANGE,
        "hostnameOverride": NODE_NAME,
        # These settings belong to the whole machine, not to the namespace.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "oomScoreAdj": 0,
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
