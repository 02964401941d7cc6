"""The cluster as the demo sees it: kubectl, and the commands of tools.localcluster."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "demo"
LOCAL = ("python3", "-m", "tools.localcluster")


class DemoError(RuntimeError):
    """The demo cannot go on; the message says what was seen and what to do next."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl against the demo's cluster; `env` is the environment that finds it."""

    env: Mapping[str, str]

    def __call__(self, *words: str, given: str = "") -> str:
        """Run it with `given` as its input and return what it printed.

        Raises:
            DemoError: it failed; the message holds its own words.
        """
        return output(["kubectl", *words], self.env, given)

    def json(self, *words: str) -> Any:
        """Return what `kubectl … -o json` printed."""
        return json.loads(self(*words, "-o", "json"))


def output(words: Sequence[str], env: Mapping[str, str], given: str = "") -> str:
    """Run a program in the checkout and return what it printed."""
    try:
        done = subprocess.run(
            words, env=env, cwd=ROOT, input=given, capture_output=True, text=True, check=False
        )
    except OSError as err:
        raise DemoError(f"cannot run {words[0]}: {err}; run `make cluster-up` first") from err
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise DemoError(f"`{shlex.join(words)}` failed with {done.returncode}: {said}")
    return done.stdout


def is_current() -> bool:
    """Whether the user named a cluster of their own, by CLUSTER=current."""
    return os.environ.get("CLUSTER") == "current"


def environment() -> dict[str, str]:
    """Return the environment that finds kubectl, its plugin `kubectl rampway` and the cluster."""
    env = dict(os.environ)
    env |= exports(output([*LOCAL, "env"], env))
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    return env


def exports(shell: str) -> dict[str, str]:
    """Return the variables that shell lines such as `export A=1; export B='2 3'` set."""
    words = [word.removesuffix(";") for word in shlex.split(shell)]
    return dict(word.split("=", 1) for word in words if "=" in word)


def images(env: Mapping[str, str]) -> dict[str, str]:
    """Build and load the project's images where they changed; return their names by target."""
    found = image_names(output([*LOCAL, "images"], env))
    missing = {"operator", "model-server"} - found.keys()
    if missing:
        raise DemoError(f"no image {', '.join(sorted(missing))}; run `make images` and see why")
    return found


def image_names(printed: str) -> dict[str, str]:
    """Return the names by target from lines such as `operator: rampway.local/operator:1, 9 MB`."""
    found = re.findall(r"^(operator|model-server): ([^\s,]+)", printed, flags=re.MULTILINE)
    return dict(found)
