"""Takes everything down and leaves nothing behind, whatever state it finds.

Nothing here relies on a clean stop: what is still there is found in the kernel itself, by network
namespace, control group and mount point.
"""

import shutil
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tools.localcluster import controlgroups, hostsettings, namespace, processes
from tools.localcluster.commands import succeeds
from tools.localcluster.errors import StepError
from tools.localcluster.paths import Layout
from tools.localcluster.processes import Process

# The kubelet first, so that it restarts nothing; containers before containerd.
BEFORE_CONTAINERS = ("kubelet",)
AFTER_CONTAINERS = (
    "kube-proxy",
    "kube-scheduler",
    "kube-controller-manager",
    "relay",
    "kube-apiserver",
    "etcd",
    "containerd",
)
PATIENCE_S = 10.0
SWEEP_S = 10.0
CNI_RESULTS = Path("/var/lib/cni/results")
CONTAINER_LOGS = Path("/var/log/containers")
SHIM_SOCKETS = Path("/run/containerd/s")
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
PROCESSES = Path("/proc")


def down(layout: Layout) -> bool:
    """Stop all of it and remove the state folder; say whether there was anything."""
    existed = layout.state.exists() or namespace.path(layout.identity).exists()
    recorded = processes.recorded(layout.records)
    same_boot = any(process.boot_id == processes.boot_id() for process in recorded.values())
    _stop(recorded, BEFORE_CONTAINERS)
    _end(_in_control_group(layout))
    _stop(recorded, AFTER_CONTAINERS)
    _end_all(layout)
    _unmount(layout.state)
    namespace.delete(layout.identity)
    stuck = controlgroups.remove(layout.identity)
    if stuck:
        raise StepError(
            f"processes are left in {stuck[0]}", f"look at {stuck[0]}/cgroup.procs, then `down`"
        )
    _remove_traces(layout)
    hostsettings.restore(layout, same_boot=same_boot)
    _remove_state(layout)
    return existed


def _stop(recorded: dict[str, Process], names: Iterable[str]) -> None:
    for name in names:
        if name in recorded:
            processes.stop(recorded[name], PATIENCE_S)


def _in_control_group(layout: Layout) -> list[Process]:
    return processes.ours(Path("/nonexistent"), layout.identity)


def _end(found: Iterable[Process]) -> None:
    for process in found:
        process.signal(signal.SIGKILL)


def _end_all(layout: Layout) -> None:
    """End all that is left in the namespace or control group: shims, pods, forgotten clients."""
    deadline_s = time.monotonic() + SWEEP_S
    while found := processes.ours(namespace.path(layout.identity), layout.identity):
        if time.monotonic() > deadline_s:
            left = ", ".join(str(process.pid) for process in found)
            raise StepError(
                f"these processes do not end: {left}",
                "they hang in the kernel (state D in `ps`); try `down` again, or reboot",
            )
        _end(found)
        time.sleep(0.1)


def mounts_below(folder: Path, table: str) -> list[str]:
    """Return the mount points at or below a folder, innermost first.

    ``table`` is the text of /proc/self/mountinfo, which writes a blank as an octal escape.
    """
    points = [line.split(" ")[4] for line in table.splitlines() if line]
    plain = [point.encode().decode("unicode_escape") for point in points]
    inside = [point for point in plain if Path(point).is_relative_to(folder)]
    return sorted(inside, key=len, reverse=True)


def _unmount(folder: Path) -> None:
    table = Path("/proc/self/mountinfo").read_text()
    for point in mounts_below(folder.resolve(), table):
        succeeds(["umount", "--lazy", point])


def _remove_traces(layout: Layout) -> None:
    """Remove what the programs write at fixed places outside the state folder."""
    for path in CNI_RESULTS.glob(f"{layout.identity}-*"):
        # The name is NETWORK-POD-DEVICE; the loopback's file carries the same pod's id.
        pod = path.name.removeprefix(f"{layout.identity}-").partition("-")[0]
        for result in CNI_RESULTS.glob(f"*-{pod}-*"):
            result.unlink(missing_ok=True)
    if CONTAINER_LOGS.is_dir():
        for link in CONTAINER_LOGS.iterdir():
            if link.is_symlink() and Path(link.readlink()).is_relative_to(layout.state):
                link.unlink()
    _remove_dead_sockets()


def _remove_dead_sockets() -> None:
    """Remove sockets that nobody holds; those of another containerd or kubelet are held."""
    folders = [folder for folder in (SHIM_SOCKETS, DEVICE_PLUGINS) if folder.is_dir()]
    found = [path for folder in folders for path in folder.iterdir() if path.is_socket()]
    held = _held_sockets()
    for path in found:
        if str(path) not in held:
            path.unlink(missing_ok=True)


def _held_sockets() -> set[str]:
    """Return the paths of all open unix sockets, of every network namespace.

    One namespace's table does not list another's sockets, although they share the file system:
    the shims of a second cluster would look dead.
    """
    held: set[str] = set()
    seen = set()
    for entry in PROCESSES.iterdir():
        with suppress(OSError):
            namespace_id = (entry / "ns/net").stat().st_ino if entry.name.isdigit() else None
            if namespace_id is not None and namespace_id not in seen:
                lines = (entry / "net/unix").read_text().splitlines()
                held.update(line.rpartition(" ")[2] for line in lines)
                seen.add(namespace_id)
    return held


def _remove_state(layout: Layout) -> None:
    """Remove the state folder, unless something is still mounted below it."""
    left = mounts_below(layout.state.resolve(), Path("/proc/self/mountinfo").read_text())
    if left:
        raise StepError(f"still mounted: {left[0]}", f"umount {left[0]}, then `down` again")
    if layout.state.exists():
        shutil.rmtree(layout.state)
    with suppress(OSError):
        layout.state.parent.rmdir()
