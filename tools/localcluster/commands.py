"""Runs one program to its end, its output in a log; a failure is told in full."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from tools.localcluster.errors import StepError

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def cluster_environment() -> dict[str, str]:
    """Environment of everything inside the cluster: no proxy may stand between its parts."""
    return {"PATH": SYSTEM_PATH, "HOME": str(Path.home()), "LANG": "C.UTF-8"}


def caller_environment(**extra: str) -> dict[str, str]:
    """Environment of downloads: the caller's own, with its proxies, indexes and certificates."""
    path = os.environ.get("PATH", "")
    return {**os.environ, "PATH": f"{path}:/usr/local/go/bin:{SYSTEM_PATH}", **extra}


def run(
    command: Sequence[str | Path],
    *,
    log: Path,
    advice: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run a command with its output appended to ``log``; raise ``StepError`` unless it exits 0."""
    log.parent.mkdir(parents=True, exist_ok=True)
    shown = " ".join(str(word) for word in command)
    with log.open("a") as output:
        output.write(f"\n$ {shown}\n")
        output.flush()
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env or cluster_environment(),
                cwd=cwd,
                check=False,
            ).returncode
        except OSError as error:
            raise StepError(f"cannot start {command[0]}: {error}", advice, log) from error
    if code != 0:
        raise StepError(f"{_short(shown)} ended with exit status {code}, expected 0", advice, log)


def output_of(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """Return a short command's output, stripped; raise ``StepError`` with what it said."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=env or cluster_environment(),
            check=False,
        )
    except OSError as error:
        raise StepError(
            f"cannot start {command[0]}: {error}", "install it and try again"
        ) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        shown = _short(" ".join(str(word) for word in command))
        raise StepError(f"{shown} ended with exit status {done.returncode}: {said}", "see above")
    return done.stdout.strip()


def succeeds(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> bool:
    """Say whether a command exists and exits 0; its output is dropped."""
    try:
        output_of(command, env)
    except StepError:
        return False
    return True


def become(program: str, words: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Turn this process into another program, so that signals and exit status are its own."""
    os.execvpe(program, list(words), dict(env))  # noqa: S606 -- no shell is the point


def find(program: str) -> str | None:
    """Return a program's path, looked up as the caller would and in the system's folders."""
    return shutil.which(program, path=caller_environment()["PATH"])


def _short(text: str, length: int = 160) -> str:
    return text if len(text) <= length else text[:length] + " …"
