"""Exit codes: what a script may rely on; light."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `kubectl rampway`."""

    OK = 0
    FAILED = 1
    USAGE = 2  # as click has it
    TIMEOUT = 3
    UNREADABLE = 4
    WAITS = 5
    INTERRUPTED = 130  # Ctrl-C, as shells have it


_LOOK = ("list", "history", "explain")
_ACT = ("approve", "promote", "abort", "retry", "pause", "resume", "undo")
ALL: tuple[str, ...] = ()
_UNREAD = (
    "no such ModelDeployment, no right to read it, no cluster, or an API newer than this program"
)

MEANINGS: tuple[tuple[ExitCode, tuple[str, ...], str], ...] = (
    (ExitCode.OK, ("status",), "shown; with --wait: promoted; with --watch: ended by Ctrl-C"),
    (ExitCode.OK, (*_LOOK, "simulate", "replay", "completion", "version"), "shown"),
    (ExitCode.OK, _ACT, "done, or it was so already"),
    (ExitCode.OK, ("lint",), "no mistake"),
    (ExitCode.OK, ("plan",), "there are such steps"),
    (ExitCode.FAILED, ("status",), "with --wait: rolled back, aborted, superseded or stalled"),
    (ExitCode.FAILED, _ACT, "refused: it makes no sense now; the message says why"),
    (ExitCode.FAILED, ("history",), "no such attempt is kept"),
    (ExitCode.FAILED, ("lint",), "a mistake; with --strict a warning, too"),
    (ExitCode.FAILED, ("plan",), "there are no such steps; the message says why"),
    (ExitCode.FAILED, ("replay",), "nothing to judge: no such attempt, or no history of it"),
    (ExitCode.USAGE, ALL, "wrong usage"),
    (ExitCode.TIMEOUT, ("status",), "with --wait: --timeout is over"),
    (ExitCode.UNREADABLE, ("status",), f"{_UNREAD}; with --wait: deleted meanwhile"),
    (ExitCode.UNREADABLE, _LOOK, _UNREAD),
    (
        ExitCode.UNREADABLE,
        ("replay",),
        f"{_UNREAD}; a file cannot be read; the one of --under has mistakes, or no such policy",
    ),
    (ExitCode.UNREADABLE, _ACT, f"{_UNREAD}; or no right to write it"),
    (ExitCode.UNREADABLE, ("lint",), "a file cannot be read; with --cluster: no API server"),
    (
        ExitCode.UNREADABLE,
        ("simulate", "plan"),
        "a file cannot be read or written, or has mistakes; with --of: no cluster, or no metrics",
    ),
    (
        ExitCode.WAITS,
        ("status",),
        "with --wait: a person has to say something; the message says what",
    ),
    (ExitCode.INTERRUPTED, ALL, "ended by Ctrl-C"),
)
"""What each code means, and of which verbs; docs/reference/cli.md has the same table."""


def told(verb: str) -> str:
    """Return the end of a verb's help: a line for each of its exit codes."""
    lines = [f"{code:>5}  {text}" for code, verbs, text in MEANINGS if not verbs or verb in verbs]
    return "\n\n".join(["Exit codes:", *lines])
