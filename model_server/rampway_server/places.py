"""Where files of payloads go: a folder, an object store, or what else fsspec knows."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from rampway_server import objects
from rampway_server.errors import StartError

PUT_S = 30.0
"""How long an object store has for a file, further tries included."""
Put = Callable[[str, bytes], object]
"""Writes a file of a name, whole or not at all; raises whatever the target does."""


def place(told: str) -> Put:
    """Return what writes files to the place that --payload-log names.

    Raises:
        StartError: it is none.
    """
    scheme = urlsplit(told).scheme if "://" in told else ""
    if not scheme:
        return _folder(Path(told))
    return _bucket(told, scheme) if scheme in objects.SCHEMES else _any(told)


def _folder(folder: Path) -> Put:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"cannot make folder {folder} (--payload-log): {error.strerror}"
        ) from error
    return lambda name, content: _write_whole(folder / name, content)


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _bucket(told: str, scheme: str) -> Put:
    if not urlsplit(told).netloc:
        raise StartError(f"cannot use {told} (--payload-log): expected {scheme}://BUCKET/PREFIX")
    base = told.rstrip("/")
    return lambda name, content: objects.Object(f"{base}/{name}", PUT_S, "store").put(content)


def _any(told: str) -> Put:
    try:
        import fsspec
    except ImportError:
        raise StartError(
            f"payloads to {told} need fsspec, which is not installed; use the image "
            "model-server-full, install rampway[server-full], or log to a folder, s3, gs or az"
        ) from None
    try:
        files, root = fsspec.core.url_to_fs(told)
    except (ValueError, ImportError) as error:
        raise StartError(f"cannot use {told} (--payload-log): {error}") from error
    return lambda name, content: files.pipe_file(f"{root}/{name}", content)
