"""Keeps each version of the ModelRollouts, as the API server tells of them one by one.

Whoever looks once a second may miss the version with which a step ended; a watch misses none.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.cluster import DemoError, Kubectl
from demo.install import NAMESPACE

LAGS_S = 10.0
POLL_S = 0.1

Rollout = Mapping[str, Any]
"""A ModelRollout as kubectl prints it."""


class Record:
    """The versions so far."""

    def __init__(self, watcher: "subprocess.Popen[bytes]", out: Path) -> None:
        self._watcher = watcher
        self._out = out

    def whole(self) -> list[Rollout]:
        """Return all versions, oldest first, once the end of each rollout is among them.

        Raises:
            DemoError: it does not come, or the watch has ended.
        """
        deadline_s = time.monotonic() + LAGS_S
        while True:
            if self._watcher.poll() is not None:
                code = self._watcher.returncode
                raise DemoError(
                    f"the watch of the ModelRollouts ended with exit code {code}; see {self._out}"
                )
            found = versions(self._out.read_text())
            if all_ended(found):
                return found
            if time.monotonic() > deadline_s:
                raise DemoError(
                    f"the watch of the ModelRollouts told of no end within {LAGS_S:.0f} s; "
                    f"see {self._out}"
                )
            time.sleep(POLL_S)


@contextmanager
def recording(kube: Kubectl, out: Path) -> Iterator[Record]:
    """Write each version of the ModelRollouts to a file for as long as the block runs."""
    words = ["kubectl", "get", "modelrollouts", "-n", NAMESPACE, "--watch", "-o", "json"]
    with out.open("wb") as file:
        watcher = subprocess.Popen(words, env=kube.env, stdout=file)
    try:
        yield Record(watcher, out)
    finally:
        watcher.terminate()
        watcher.wait()


def versions(printed: str) -> list[Rollout]:
    """Return the objects that `kubectl get --watch -o json` has printed whole."""
    found: list[Rollout] = []
    decoder, at = json.JSONDecoder(), 0
    while start := printed.find("{", at) + 1:
        try:
            one, at = decoder.raw_decode(printed, start - 1)
        except ValueError:  # the last one is still being written
            break
        found.append(one)
    return found


def all_ended(found: Sequence[Rollout]) -> bool:
    """Whether there are rollouts, and the newest version of each tells that it has ended."""
    newest = {one["metadata"]["name"]: one.get("status") or {} for one in found}
    return bool(newest) and all(status.get("endedAt") for status in newest.values())
