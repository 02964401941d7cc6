"""Starts and stops the cluster's programs by process id, never by name.

A recorded id counts as ours only while its start time and the machine's boot are those recorded:
ids are reused.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

STOPPED_STATES = ("Z", "X")
POLL_S = 0.05


@dataclass(frozen=True)
class Process:
    """A program we started: ``start_ticks`` since boot, from field 22 of /proc/PID/stat."""

    name: str
    pid: int
    start_ticks: int
    boot_id: str

    def alive(self) -> bool:
        """Say whether this very process still runs."""
        return self.boot_id == boot_id() and start_ticks(self.pid) == self.start_ticks

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this very process; nothing happens when it is gone."""
        with suppress(OSError):
            handle = os.pidfd_open(self.pid)
            try:
                # The id is held by the handle now, so the check cannot be overtaken by a reuse.
                if self.alive():
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)

    def uptime_s(self) -> float:
        """Return for how many seconds it has run."""
        since_boot_s = float(Path("/proc/uptime").read_text().split()[0])
        return since_boot_s - self.start_ticks / os.sysconf("SC_CLK_TCK")


def boot_id() -> str:
    """Return the id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it is gone or dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold blanks: count the fields behind it.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in STOPPED_STATES else int(fields[19])


def start(
    name: str, command: Sequence[str], records: Path, log: Path, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a program that outlives us, and record it; its output is appended to ``log``."""
    records.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd="/",
            start_new_session=True,
        )
    ticks = start_ticks(child.pid)
    record = Process(name, child.pid, -1 if ticks is None else ticks, boot_id())
    (records / f"{name}.json").write_text(json.dumps(asdict(record)) + "\n")
    return child


def recorded(records: Path) -> dict[str, Process]:
    """Return all recorded processes by name, dead ones included; unreadable records are skipped."""
    found = {}
    for path in sorted(records.glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            found[path.stem] = Process(**json.loads(path.read_text()))
    return found


def stop(process: Process, patience_s: float) -> None:
    """Ask a process to end, and end it after ``patience_s`` seconds."""
    process.signal(signal.SIGTERM)
    if not _gone(process, patience_s):
        process.signal(signal.SIGKILL)
        _gone(process, patience_s)


def _gone(process: Process, patience_s: float) -> bool:
    deadline_s = time.monotonic() + patience_s
    while process.alive():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def ours(namespace: Path, control_group: str) -> list[Process]:
    """Return every process in the cluster's network namespace or its control group.

    We and the processes that called us are left out: ``enter`` may have started this command.
    """
    inode = _inode(namespace)
    spared = _ancestors(os.getpid())
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in spared:
            continue
        ticks = start_ticks(int(entry.name))
        if ticks is None:
            continue
        inside = inode is not None and _inode(entry / "ns/net") == inode
        if inside or f"/{control_group}/" in _text(entry / "cgroup"):
            found.append(Process("", int(entry.name), ticks, boot_id()))
    return found


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _ancestors(pid: int) -> set[int]:
    found = set()
    while pid > 0 and pid not in found:
        found.add(pid)
        parent = [
            line for line in _text(Path(f"/proc/{pid}/status")).splitlines() if "PPid" in line
        ]
        pid = int(parent[0].split()[1]) if parent else 0
    return found
