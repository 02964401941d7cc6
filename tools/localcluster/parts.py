"""The cache of built parts: each in a folder named by its version, whole or not there at all."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tools.localcluster.paths import Layout
from tools.localcluster.progress import Progress

UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Part:
    """Something built once: ``build(folder, log)`` fills an empty folder.

    ``key`` names version and recipe; ``expected_s`` is its usual duration on two cores.
    """

    name: str
    key: str
    title: str
    expected_s: float
    build: Callable[[Path, Path], None]

    def folder(self, layout: Layout) -> Path:
        """Where the finished part lies."""
        return layout.parts / f"{self.name}-{self.key}"

    def is_built(self, layout: Layout) -> bool:
        """Say whether it is there; an interrupted build never is."""
        return self.folder(layout).is_dir()


def digest(items: Iterable[Path | str]) -> str:
    """Return 12 hex digits over texts and files, and over folders' files with their names."""
    total = hashlib.sha256()
    for item in items:
        if isinstance(item, str):
            total.update(b"text\0" + item.encode() + b"\0")
            continue
        for path in sorted(_files(item)):
            name = path.relative_to(item.parent).as_posix()
            total.update(b"file\0" + name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:12]


def build(part: Part, layout: Layout, progress: Progress) -> Path:
    """Build a part unless it is there; move it into place by one rename."""
    final = part.folder(layout)
    if final.is_dir():
        return final
    log = layout.logs / f"build-{part.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    unfinished = layout.parts / f"{UNFINISHED}{part.name}-{os.getpid()}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        with progress.part(part.title, part.expected_s):
            part.build(unfinished, log)
            with suppress(OSError):  # another command was faster: its part is the same
                unfinished.rename(final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return final


def sweep(layout: Layout) -> None:
    """Remove what interrupted builds left: folders of processes that are gone."""
    for leftover in layout.parts.glob(UNFINISHED + "*"):
        if not Path("/proc", leftover.name.rpartition("-")[2]).exists():
            shutil.rmtree(leftover, ignore_errors=True)


def _files(item: Path) -> Iterable[Path]:
    if item.is_file():
        return [item]
    return (path for path in item.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
