"""A folder of models: NAME.ext, NAME/model.ext, or NAME/VERSION/model.ext; loaded and unloaded."""

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rampway_server import loading
from rampway_server.errors import ClientFaultError, StartError
from rampway_server.logs import logger
from rampway_server.model import Model
from rampway_server.repository import Repository

ENDINGS = (".skops", ".onnx", ".joblib", ".pkl", ".pickle")
_FIRST = "1"


@dataclass(frozen=True)
class Found:
    """A model's file in the folder."""

    name: str
    version: str
    path: Path


def scan(root: Path) -> Iterator[Found]:
    """Return the model files of a folder, or the one file that the path is.

    Raises:
        StartError: there is none, or a model has two files.
    """
    if root.is_file():
        yield Found(root.stem, _FIRST, root)
        return
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if path.suffix in ENDINGS and path.is_file():
            yield Found(path.stem, _FIRST, path)
        elif path.is_dir() and not path.name.startswith("."):
            yield from _inside(path)


def _inside(folder: Path) -> Iterator[Found]:
    own = _only_file(folder)
    if own is not None:
        yield Found(folder.name, _FIRST, own)
    for version in sorted(folder.iterdir()):
        path = _only_file(version) if version.is_dir() else None
        if path is not None:
            yield Found(folder.name, version.name, path)


def _only_file(folder: Path) -> Path | None:
    files = [path for path in sorted(folder.iterdir()) if path.suffix in ENDINGS]
    if len(files) > 1:
        raise StartError(f"{folder} has {len(files)} model files; expected one: {files[0].name} …")
    return files[0] if files else None


class Folder:
    """The models of a folder, as the protocol's repository extension sees them.

    Args:
        root: The folder, or a single model file.
        repository: Where they are served.
        trust: Types beyond skops' safe ones.
        allow_pickle: Whether pickles are loaded.
    """

    def __init__(
        self, root: Path, repository: Repository, trust: tuple[str, ...], *, allow_pickle: bool
    ) -> None:
        self._root = root
        self._repository = repository
        self._trust = trust
        self._allow_pickle = allow_pickle
        self._one_at_a_time = asyncio.Lock()
        self._refused: dict[str, str] = {}

    def _scan(self) -> list[Found]:
        try:
            return list(scan(self._root))
        except OSError as error:
            raise StartError(f"cannot read {self._root}: {error.strerror}") from error

    async def load_all(self) -> None:
        """Load every model.

        Raises:
            StartError: there is none, or one cannot be loaded.
        """
        listed = self._scan()
        if not listed:
            seen = "no model in" if self._root.exists() else "there is no file or folder"
            raise StartError(
                f"{seen} {self._root}; expected NAME.skops, NAME/model.skops or "
                f"NAME/VERSION/model.skops, or another of {', '.join(ENDINGS)}"
            )
        for found in listed:
            self._repository.expect(found.name, found.version)
        for name in sorted({found.name for found in listed}):
            await self._load(name)

    async def change(self, what: str, name: str) -> None:
        """Load or unload a model, as `what` says; raises as these do."""
        await (self.load(name) if what == "load" else self.unload(name))

    async def load(self, name: str) -> None:
        """Load all versions of a model as the folder has them now.

        What is served is served on until the new is ready, and stays if something goes wrong.

        Raises:
            ClientFaultError: there is no such model, or it cannot be loaded.
        """
        try:
            await self._load(name)
        except StartError as error:
            self._refused[name] = " ".join(str(error).split())
            raise ClientFaultError(str(error)) from error

    async def unload(self, name: str) -> None:
        """Serve a model no longer; requests under way are answered.

        Raises:
            ClientFaultError: 404, it is not served.
        """
        async with self._one_at_a_time:
            self._repository.keep(name, set())
            self._refused.pop(name, None)
            logger().info("unloaded", model=name)

    async def _load(self, name: str) -> None:
        async with self._one_at_a_time:
            found = [one for one in await asyncio.to_thread(self._scan) if one.name == name]
            if not found:
                raise ClientFaultError(f"no model {name[:100]!r} in this server's folder", 404)
            models = [(one, await asyncio.to_thread(self._read, one)) for one in found]
            for one, model in models:
                self._repository.expect(name, one.version)
                self._repository.load(name, one.version, model)
                logger().info("serving", model=name, version=one.version, sha256=model.sha256)
            self._repository.keep(name, {one.version for one in found})
            self._refused.pop(name, None)

    def _read(self, found: Found) -> Model:
        try:
            data = found.path.read_bytes()
        except OSError as error:
            raise StartError(f"cannot read model file {found.path}: {error.strerror}") from error
        digest = hashlib.sha256(data).hexdigest()
        try:
            model, told = loading.load(data, digest, self._trust, allow_pickle=self._allow_pickle)
        except StartError as error:
            raise StartError(
                f"model {found.name!r}, version {found.version!r}, cannot be loaded: {error}"
            ) from error
        for warning in told:
            logger().warning("loading the model gave a warning", model=found.name, warning=warning)
        reason = model.warm_up()
        if reason is not None:
            logger().warning("no warm-up prediction", model=found.name, reason=reason)
        return model

    def index(self, *, ready: bool) -> list[dict[str, Any]]:
        """Return the repository extension's index: what there is, what is served, and why not."""
        served = self._repository.served()
        listed = {(found.name, found.version) for found in self._scan()} | served
        return [
            {"name": one[0], "version": one[1], "state": "READY", "reason": ""}
            if one in served
            else {
                "name": one[0],
                "version": one[1],
                "state": "UNAVAILABLE",
                "reason": self._refused.get(one[0], "not loaded"),
            }
            for one in sorted(listed)
            if not ready or one in served
        ]
