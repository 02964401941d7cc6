"""The one error a person sees: what failed, where the log is, what to do next."""

from pathlib import Path

LAST_LINES = 15


class StepError(Exception):
    """A step failed: ``what`` was seen, ``advice`` says what to do next, ``log`` holds the rest."""

    def __init__(self, what: str, advice: str, log: Path | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
        self.log = log

    def report(self) -> str:
        """Text for the terminal: the failure, the log's last lines, its place, the next step."""
        lines = [f"FAILED: {self.what}"]
        if self.log is not None:
            lines += [f"  | {line}" for line in tail(self.log)]
            lines.append(f"Log: {self.log}")
        lines.append(f"Next: {self.advice}")
        return "\n".join(lines)


def tail(log: Path, count: int = LAST_LINES) -> list[str]:
    """Return the last ``count`` lines of a log; none when there is no such file."""
    try:
        return log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return []
