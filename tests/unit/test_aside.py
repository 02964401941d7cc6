"""What runs aside has the lowest claim, and is no orphan."""

import signal
import subprocess
import sys
import time
from pathlib import Path

ASIDE = [sys.executable, "-m", "tools.aside"]
TELL = """
import os, pathlib
group = pathlib.Path("/proc/self/autogroup")
print(os.getpriority(os.PRIO_PROCESS, 0), os.getsid(0) == os.getsid(os.getppid()))
print(group.read_text().split()[-1] if group.exists() else 19)
"""
WAIT = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"


def test_it_claims_the_least(tmp_path: Path) -> None:
    """Both counts: that within its session, and that of its session among others."""
    told = tmp_path / "told"
    # by a shell that waits a moment: the claim is lowered right after the start
    script = f'sleep 1; exec {sys.executable} -c "$0" > {told}'
    subprocess.run([*ASIDE, "sh", "-c", script, TELL], check=True, timeout=60)
    assert told.read_text().split() == ["19", "False", "19"]


def test_its_exit_code_is_the_commands() -> None:
    """A target of make fails where what it ran failed."""
    assert subprocess.run([*ASIDE, "sh", "-c", "exit 7"], check=False, timeout=60).returncode == 7
    none = subprocess.run(ASIDE, check=False, timeout=60, capture_output=True, text=True)
    assert (none.returncode, "expected `python -m" in none.stderr) == (2, True)


def test_its_end_is_the_commands_end(tmp_path: Path) -> None:
    """Ctrl-C and a stop reach a command that has a session of its own."""
    begun = tmp_path / "begun"
    aside = subprocess.Popen([*ASIDE, sys.executable, "-c", WAIT, str(begun)])
    while not begun.exists():
        time.sleep(0.05)
    children = Path(f"/proc/{aside.pid}/task/{aside.pid}/children").read_text().split()
    aside.send_signal(signal.SIGTERM)
    assert aside.wait(timeout=60) == 128 + signal.SIGTERM
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert len(children) == 1
