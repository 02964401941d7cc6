"""Installs the Debian packages that are missing, without starting one of their services."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.localcluster.commands import caller_environment, find, output_of, run, succeeds
from tools.localcluster.errors import StepError

CLUSTER_PACKAGES = (
    "ca-certificates",
    "containerd",
    "conntrack",
    "containernetworking-plugins",
    "iproute2",
    "iptables",
    "kmod",
    "mmdebstrap",
    "openssl",
    "runc",
    "util-linux",
)
BASE_PACKAGES = ("mmdebstrap",)
IMAGE_PACKAGES = ("buildah",)
# Services that these packages would start at the next boot.
SERVICES = ("containerd.service",)
POLICY = Path("/usr/sbin/policy-rc.d")
NO_SERVICE_STARTS = (
    "#!/bin/sh\n# written by rampway's localcluster while it installs packages\nexit 101\n"
)
ADVICE = (
    "run `apt-get update` by hand and see that Debian's packages can be reached; "
    "behind a proxy set http_proxy and https_proxy, then try again"
)
_LOCK = threading.Lock()


def missing(packages: tuple[str, ...]) -> list[str]:
    """Return those of ``packages`` that are not installed, in their order."""
    return [package for package in packages if not _installed(package)]


def install(packages: tuple[str, ...], log: Path) -> None:
    """Install what is missing; services stay stopped and are not enabled for the next boot."""
    with _LOCK:
        wanted = missing(packages)
        if not wanted:
            return
        _require_apt(wanted)
        env = caller_environment(DEBIAN_FRONTEND="noninteractive")
        own_services = [unit for unit in SERVICES if not _unit_exists(unit)]
        with _services_kept_down():
            run(["apt-get", "update"], log=log, advice=ADVICE, env=env)
            apt = ["apt-get", "install", "-y", "--no-install-recommends", "--no-upgrade"]
            run([*apt, *wanted], log=log, advice=ADVICE, env=env)
        _keep_from_boot(own_services)


def _installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    return succeeds(query) and output_of(query) == "installed"


def _require_apt(wanted: list[str]) -> None:
    names = " ".join(wanted)
    if find("apt-get") is None:
        raise StepError(
            f"these Debian packages are missing and there is no apt-get: {names}",
            "use a Debian 12 machine, or CLUSTER=current with a cluster of your own",
        )
    if os.geteuid() != 0:
        raise StepError(
            f"these Debian packages are missing and only root can install them: {names}",
            f"run as root, or install them yourself: apt-get install {names}",
        )


@contextmanager
def _services_kept_down() -> Iterator[None]:
    """Forbid service starts through Debian's own switch, and put the old one back."""
    before = POLICY.read_bytes() if POLICY.exists() else None
    POLICY.write_text(NO_SERVICE_STARTS)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None or before == NO_SERVICE_STARTS.encode():
            POLICY.unlink(missing_ok=True)
        else:
            POLICY.write_bytes(before)


def _unit_exists(unit: str) -> bool:
    return (Path("/lib/systemd/system") / unit).exists()


def _keep_from_boot(units: list[str]) -> None:
    """Disable the units that our own installation brought; someone else's stay as they are."""
    if find("systemctl") is None:
        return
    for unit in units:
        if _unit_exists(unit):
            succeeds(["systemctl", "disable", unit])
