"""Programs are stopped by process id, and only while the id is really theirs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tools.localcluster import processes
from tools.localcluster.processes import Process

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start a recorded program that sleeps; end it after the test."""
    child = processes.start("sleeper", SLEEP, tmp_path / "records", tmp_path / "log", os.environ)
    yield child, tmp_path / "records"
    child.kill()
    child.wait()


def test_a_started_program_is_recorded_and_stopped(
    started: tuple[subprocess.Popen[bytes], Path],
) -> None:
    """The record finds the very process again, and stopping ends it."""
    child, records = started
    record = processes.recorded(records)["sleeper"]
    assert (record.pid, record.alive()) == (child.pid, True)
    assert 0 <= record.uptime_s() < 60
    processes.stop(record, patience_s=10)
    assert child.wait(timeout=10) == -signal.SIGTERM
    assert not record.alive()


def test_a_program_that_ignores_the_request_is_ended(tmp_path: Path) -> None:
    """A program that does not heed SIGTERM is killed after the patience is over."""
    code = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True);"
        "time.sleep(600)"
    )
    command = [sys.executable, "-c", code]
    child = processes.start("deaf", command, tmp_path, tmp_path / "log", os.environ)
    while not (tmp_path / "log").read_text():
        assert child.poll() is None
    processes.stop(processes.recorded(tmp_path)["deaf"], patience_s=0.2)
    assert child.wait(timeout=10) == -signal.SIGKILL


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "another boot"}])
def test_a_reused_id_is_left_alone(
    started: tuple[subprocess.Popen[bytes], Path], change: dict[str, object]
) -> None:
    """A record whose start time or boot is not the process's is not signalled."""
    child, records = started
    foreign = replace(processes.recorded(records)["sleeper"], **change)  # type: ignore[arg-type]
    assert not foreign.alive()
    foreign.signal(signal.SIGKILL)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(timeout=0.3)


def test_a_dead_process_that_nobody_waited_for_counts_as_gone(tmp_path: Path) -> None:
    """A zombie still has an id, but it is not running."""
    child = processes.start("short", [sys.executable, "-c", ""], tmp_path, tmp_path / "l", {})
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{child.pid}").exists()
    assert processes.start_ticks(child.pid) is None
    child.wait()


def test_unreadable_records_are_skipped(tmp_path: Path) -> None:
    """A record that a crash left half-written does not stop the teardown."""
    (tmp_path / "half.json").write_text('{"name": "half", "pi')
    whole = Process("whole", 1, 2, "boot")
    (tmp_path / "whole.json").write_text(json.dumps(asdict(whole)))
    assert processes.recorded(tmp_path) == {"whole": whole}


def test_the_sweep_finds_a_namespaces_processes_but_spares_its_callers(
    started: tuple[subprocess.Popen[bytes], Path],
) -> None:
    """Everything in the namespace is found, except this process and those that called it."""
    child, _ = started
    found = {process.pid for process in processes.ours(Path("/proc/self/ns/net"), "no-such-group")}
    assert child.pid in found
    assert found.isdisjoint({os.getpid(), os.getppid()})


def test_the_sweep_finds_nothing_without_a_namespace() -> None:
    """A namespace that is gone has no processes; it is not taken for the host's own."""
    assert processes.ours(Path("/nonexistent"), "no-such-group") == []
