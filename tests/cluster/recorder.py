"""Writes down every change of a test's objects, in the order in which they happened."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.bench import Kube, Obj

KINDS = ("httproutes", "modelrollouts", "modeldeployments", "pods")
STARTS_S = 0.5


@dataclass(frozen=True, slots=True)
class Change:
    """One version of an object.

    Attributes:
        revision: The store's revision; one count for all objects, so that it orders them all.
    """

    revision: int
    gone: bool
    object: Obj

    @property
    def kind(self) -> str:
        """Kind of the object."""
        return str(self.object["kind"])

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.object["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Recorder:
    """Watches of a namespace, each writing to a file."""

    files: tuple[Path, ...]

    def changes(self, kind: str = "", name: str = "") -> list[Change]:
        """Return all changes so far, oldest first, of one kind and name if they are given."""
        found = [change for file in self.files for change in _read(file)]
        found = [c for c in found if kind in {"", c.kind} and name in {"", c.name}]
        return sorted(found, key=lambda change: change.revision)


@contextmanager
def recording(kube: Kube, namespace: str, folder: Path) -> Iterator[Recorder]:
    """Record while the block runs."""
    files, watches = [], []
    for kind in KINDS:
        file = folder / f"{kind}.json"
        files.append(file)
        with file.open("w") as out:
            words = ["kubectl", "get", kind, "-n", namespace, "--watch"]
            words += ["--output-watch-events", "-o", "json"]
            watches.append(subprocess.Popen(words, env=kube.env, stdout=out))
    try:
        time.sleep(STARTS_S)
        yield Recorder(tuple(files))
    finally:
        for watch in watches:
            watch.terminate()
        for watch in watches:
            watch.wait(10)


def _read(file: Path) -> Iterator[Change]:
    """Read the watch events of a file; one that is still being written is left out."""
    text, at = file.read_text(), 0
    decoder = json.JSONDecoder()
    while True:
        at = _next(text, at)
        if at >= len(text):
            return
        try:
            event, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            return
        yield _change(event)


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _change(event: dict[str, Any]) -> Change:
    found = event["object"]
    revision = int(found["metadata"]["resourceVersion"])
    return Change(revision, event["type"] == "DELETED", found)
