"""Run a command that yields to everything else: `python -m tools.aside COMMAND...`.

`nice` alone does not do it: where Linux groups processes by session (`sched_autogroup`), it counts
only among those of the same session, and the groups share the processors evenly.
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

LEAST = 19
"""The lowest claim there is, of a process and of a session."""


def yield_to_others(pid: int) -> None:
    """Give the session and the group that a process leads the lowest claim."""
    with contextlib.suppress(OSError):  # a kernel without groups needs only the second
        Path(f"/proc/{pid}/autogroup").write_text(str(LEAST))
    with contextlib.suppress(ProcessLookupError):  # it has ended already
        os.setpriority(os.PRIO_PGRP, pid, LEAST)


def main(argv: list[str]) -> int:
    """Run the command in a session of its own, pass signals on, and return its exit code."""
    if not argv:
        print("aside got no command, expected `python -m tools.aside COMMAND...`", file=sys.stderr)
        return 2
    child = subprocess.Popen(argv, start_new_session=True)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    yield_to_others(child.pid)
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
