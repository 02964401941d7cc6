"""The network namespace that holds the whole cluster: the host's own network stays untouched."""

from contextlib import suppress
from pathlib import Path

from tools.localcluster.commands import output_of, succeeds
from tools.localcluster.errors import StepError

NODE_IP = "10.98.0.1"
NODE_DEVICE = "node0"
SERVICE_RANGE = "10.96.0.0/16"
DNS_IP = "10.96.0.10"
POD_RANGE = "10.97.0.0/16"
NETNS_FOLDER = Path("/run/netns")
SETTINGS = ("net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1")
KERNEL_MODULES = ("overlay", "br_netfilter", "veth")


def path(name: str) -> Path:
    """Return the file that stands for a namespace."""
    return NETNS_FOLDER / name


def exists(name: str) -> bool:
    """Say whether the namespace is there: after a reboot an empty file may be left of it."""
    return path(name).exists() and succeeds(["ip", "-n", name, "link", "show", "lo"])


def inside(name: str) -> list[str]:
    """Return what goes before a command so that it runs in the namespace.

    Not ``ip netns exec``: that remounts /sys, and the kubelet then finds no control groups.
    """
    return ["nsenter", f"--net={path(name)}"]


def create(name: str) -> None:
    """Make the namespace with a node address and a way to Services; there is no way out."""
    for module in KERNEL_MODULES:
        succeeds(["modprobe", module])
    output_of(["ip", "netns", "add", name])
    on_node = ["ip", "-n", name]
    output_of([*on_node, "link", "set", "lo", "up"])
    # A pair of its own, both ends inside: some kernels have no dummy device.
    peer = ["type", "veth", "peer", "name", "node1"]
    output_of([*on_node, "link", "add", NODE_DEVICE, *peer])
    output_of([*on_node, "link", "set", "node1", "up"])
    output_of([*on_node, "link", "set", NODE_DEVICE, "up"])
    output_of([*on_node, "address", "add", f"{NODE_IP}/24", "dev", NODE_DEVICE])
    output_of([*on_node, "route", "add", SERVICE_RANGE, "dev", NODE_DEVICE])
    for setting in SETTINGS:
        key, value = setting.split("=")
        _set(name, key, value)


def delete(name: str) -> None:
    """Remove the namespace and with it every device and rule in it."""
    if path(name).exists() and not succeeds(["ip", "netns", "delete", name]):
        # After a reboot the name is a plain file without a mount behind it.
        path(name).unlink(missing_ok=True)
    if NETNS_FOLDER.is_dir() and not any(NETNS_FOLDER.iterdir()):
        # `ip netns add` mounts the folder on itself; the next one does so again.
        succeeds(["umount", str(NETNS_FOLDER)])
        with suppress(OSError):
            NETNS_FOLDER.rmdir()


def _set(name: str, key: str, value: str) -> None:
    """Set a network setting inside the namespace only."""
    file = "/proc/sys/" + key.replace(".", "/")
    write = f"echo {value} > {file}"
    if not succeeds([*inside(name), "sh", "-c", write]):
        raise StepError(
            f"cannot set {key}={value} in the network namespace {name}",
            "see that the kernel has br_netfilter (`modprobe br_netfilter`), then run `up` again",
        )
