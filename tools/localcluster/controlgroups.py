"""The control group below which the kubelet puts all pods; version 1 and version 2."""

from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "cpuset", "memory", "pids", "hugetlb", "io")


SHARES, WEIGHT = "8192", "800"
"""Eight times an ordinary process's part, in the words of version 1 and 2.

All pods together would else weigh as much as one process of the host, a compiler for instance.
"""


def create(name: str) -> None:
    """Make the group in every hierarchy, with the controllers that the kubelet asks for."""
    for hierarchy in _hierarchies():
        with suppress(FileExistsError):
            (hierarchy / name).mkdir()
    if _is_version_2():
        _enable_controllers(ROOT)
        _enable_controllers(ROOT / name)
    for hierarchy in _hierarchies():
        for file, value in (("cpu.shares", SHARES), ("cpu.weight", WEIGHT)):
            if (hierarchy / name / file).exists():
                (hierarchy / name / file).write_text(value)


def remove(name: str) -> list[Path]:
    """Remove the group and all below it; return what still has processes in it."""
    left = []
    for hierarchy in _hierarchies():
        top = hierarchy / name
        if not top.is_dir():
            continue
        folders = sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True)
        for folder in [*folders, top]:
            with suppress(OSError):
                folder.rmdir()
        if top.is_dir():
            left.append(top)
    return left


def _is_version_2() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    if _is_version_2():
        return [ROOT]
    found = {path.resolve() for path in ROOT.iterdir() if (path / "cgroup.procs").exists()}
    return sorted(found)


def _enable_controllers(group: Path) -> None:
    offered = (group / "cgroup.controllers").read_text().split()
    for controller in NEEDED:
        if controller in offered:
            with suppress(OSError):
                (group / "cgroup.subtree_control").write_text(f"+{controller}")
