"""Downloads kept on disk under their digest; the pods of a node may share the folder."""

import asyncio
import fcntl
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rampway_server.errors import StartError

_LOOK_S = 0.1


@dataclass(frozen=True)
class Cache:
    """A folder of models.

    Args:
        max_bytes: What is kept at most; beyond, those go first that were used longest ago.
    """

    folder: Path
    max_bytes: int

    def prepare(self) -> None:
        """Make the folder, and remove what downloads that were killed have left.

        Raises:
            StartError: the folder cannot be written to.
        """
        with self._told():
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in self.folder.glob("*.partial"):
                held = _hold(path)
                if held is not None:
                    path.unlink(missing_ok=True)
                    os.close(held)

    async def find(self, digest: str) -> Path | None:
        """Return the model of a digest, if it is there and undamaged."""
        path = self._path(digest)
        found = await asyncio.to_thread(_digest, path)
        if found != digest:
            return None
        with suppress(OSError):  # another user's file: then its age is what it is
            os.utime(path)
        return path

    @asynccontextmanager
    async def partial(self, digest: str, wait_s: float) -> AsyncIterator[Path]:
        """Give a file to download into; removed afterwards, unless it was kept.

        Whoever wants the same digest waits for who came first, at most `wait_s`.
        """
        path = self.folder / f"{digest or secrets.token_hex(8)}.partial"
        with self._told():
            held = await _hold_soon(path, wait_s)
            if held is None:
                path = self.folder / f"{secrets.token_hex(8)}.partial"
                held = _hold(path)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
            if held is not None:
                os.close(held)

    def keep(self, partial: Path, digest: str) -> Path:
        """Give a complete download its name, and make room for it."""
        path = partial.replace(self._path(digest))
        kept = sorted(self.folder.glob("*.model"), key=_last_used, reverse=True)
        total = 0
        for other in kept:
            total += _size(other)
            if total > self.max_bytes and other != path:
                other.unlink(missing_ok=True)
        return path

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StartError(f"cannot write to cache {self.folder}: {error.strerror}") from error

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.model"


async def _hold_soon(path: Path, wait_s: float) -> int | None:
    for _ in range(max(1, round(wait_s / _LOOK_S))):
        held = _hold(path)
        if held is not None:
            return held
        await asyncio.sleep(_LOOK_S)
    return None


def _hold(path: Path) -> int | None:
    """Return a descriptor that locks the file until it is closed, None if another has it.

    The kernel lets go of it when a process is killed, so no lock outlives its owner.
    """
    held = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    with suppress(OSError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Else whoever had it has removed it meanwhile, and this is nobody's name any more.
        if path.exists() and os.fstat(held).st_ino == path.stat().st_ino:
            return held
    os.close(held)
    return None


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _last_used(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
