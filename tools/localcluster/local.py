"""The verbs for the cluster of our own."""

import json
import os
import platform
import time
from datetime import UTC, datetime

from tools.localcluster import catalog, cluster, kubectl, namespace, processes, teardown, versions
from tools.localcluster.commands import become
from tools.localcluster.errors import StepError
from tools.localcluster.kubectl import Kubectl
from tools.localcluster.locking import locked
from tools.localcluster.paths import Layout
from tools.localcluster.progress import clock_text

NOT_WELL = 3


def up(layout: Layout) -> int:
    """Bring the cluster up, or say in seconds that it is up and well."""
    _require_machine()
    with locked(layout):
        built = catalog.catalog(layout)
        reason = cluster.problem(layout, built)
        if reason is None:
            print("The cluster is up and well.")
        else:
            begun_s = time.monotonic()
            print(f"The cluster is not up: {reason}.")
            catalog.build_all(built)
            cluster.bring_up(layout, built)
            print(f"The cluster is up, after {clock_text(time.monotonic() - begun_s)} min.")
        link_kubectl(layout)
        _say_how_to_use(layout)
    return 0


def down(layout: Layout) -> int:
    """Stop the cluster; the cache of built parts stays."""
    if os.geteuid() != 0:
        raise StepError("`down` was called without root's rights", "run it as root")
    with locked(layout):
        if teardown.down(layout):
            print("The cluster is down; nothing of it is left.")
        else:
            print("There is no cluster.")
        print(f"The cache of built parts stays: {layout.cache}")
    return 0


def status(layout: Layout) -> int:
    """Say what runs, since when, and where the kubeconfig is; exit 3 when it is not well."""
    built = catalog.catalog(layout)
    reason = cluster.problem(layout, built)
    known = cluster.facts(layout)
    print(f"cluster:     {'up and well' if reason is None else f'not well: {reason}'}")
    if known is not None:
        started = datetime.fromtimestamp(known.started_at, tz=UTC)
        print(f"since:       {started:%Y-%m-%d %H:%M:%S} UTC")
        print(f"kubernetes:  v{versions.KUBERNETES}")
        print(f"kubeconfig:  {layout.kubeconfig}")
        print(f"API server:  https://127.0.0.1:{known.port} (on the host and in the namespace)")
        print(f"namespace:   {layout.identity}")
    print(f"logs:        {layout.logs}")
    for name, process in processes.recorded(layout.records).items():
        age = clock_text(process.uptime_s()) if process.alive() else "not running"
        print(f"  {name:24} {process.pid:>8}  {age:>12}")
    _print_images(layout)
    return 0 if reason is None else NOT_WELL


def enter(layout: Layout, command: list[str]) -> int:
    """Run a command where pods' and Services' addresses can be reached; does not return."""
    if not namespace.exists(layout.identity):
        raise StepError("the cluster's network namespace is not there", "run `up` first")
    words = command or [os.environ.get("SHELL", "/bin/sh")]
    inside = namespace.inside(layout.identity)
    proxy = no_proxy()
    env = {**os.environ, "KUBECONFIG": str(layout.kubeconfig)}
    # A proxy cannot be reached from in there, and nothing in there needs one.
    env = {name: value for name, value in env.items() if not name.lower().endswith("_proxy")}
    settings = {**env, "NO_PROXY": proxy, "no_proxy": proxy}
    return become(inside[0], [*inside, *words], settings)


def client(layout: Layout) -> Kubectl:
    """Return the cluster's kubectl; refuse with advice when there is no cluster."""
    built = catalog.catalog(layout)
    if not layout.kubeconfig.exists():
        raise StepError(f"there is no {layout.kubeconfig}", "run `up` first")
    return kubectl.for_local(built.folder("kubernetes"), layout.kubeconfig)


def link_kubectl(layout: Layout) -> None:
    """Put ``kubectl`` into the folder that ``env`` names, when it is built."""
    target = catalog.catalog(layout).folder("kubernetes") / "kubectl"
    link = layout.bin / "kubectl"
    layout.bin.mkdir(parents=True, exist_ok=True)
    if target.exists() and (not link.is_symlink() or link.readlink() != target):
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def no_proxy() -> str:
    """Return NO_PROXY with the loopback added: the API server is there, behind no proxy."""
    given = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    wanted = [*filter(None, given.split(",")), "127.0.0.1", "localhost"]
    return ",".join(dict.fromkeys(wanted))


def _require_machine() -> None:
    if os.geteuid() != 0:
        raise StepError(
            "a cluster of our own needs root (network namespaces, containerd, kubelet)",
            "run as root, or use a cluster you have: CLUSTER=current",
        )
    if platform.machine() != "x86_64":
        raise StepError(
            f"this machine is {platform.machine()}; only x86_64 has been built and tried",
            "use a cluster you have: CLUSTER=current",
        )


def _say_how_to_use(layout: Layout) -> None:
    print(f"  kubeconfig: {layout.kubeconfig}")
    print(f"  kubectl:    {layout.bin / 'kubectl'}")
    print('  for a shell: eval "$(python3 -m tools.localcluster env)"')


def _print_images(layout: Layout) -> None:
    if layout.images_json.exists():
        for name, tag in json.loads(layout.images_json.read_text()).items():
            print(f"image:       {name}: {tag}")
