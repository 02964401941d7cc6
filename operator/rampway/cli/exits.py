"""Exit codes: what a script may rely on."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `kubectl rampway`; docs/reference/cli.md says the same in words."""

    OK = 0
    FAILED = 1  # the release was rolled back, aborted or superseded, or cannot go on by itself
    USAGE = 2  # as click has it
    TIMEOUT = 3
    UNREADABLE = 4  # no such ModelDeployment, no right to read it, or no cluster
    INTERRUPTED = 130  # Ctrl-C, as shells have it
