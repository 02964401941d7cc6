"""The repository extension over HTTP: index, load, unload."""

from collections.abc import Sequence
from typing import Any

import orjson

from rampway_server.errors import ClientFaultError, StartError
from rampway_server.folder import Folder
from rampway_server.http import Answer
from rampway_server.jsontensors import kind
from rampway_server.repository import Repository
from rampway_server.team import Team

EXTENSION = "model_repository"


class Control:
    """Answers what is asked below v2/repository.

    Args:
        folder: Where the models are; None: the server was given one model, which stays.
        team: Who else serves them.
    """

    def __init__(self, repository: Repository, folder: Folder | None, team: Team) -> None:
        self._repository = repository
        self._folder = folder
        self._team = team

    async def answer(self, method: str, parts: Sequence[str], body: bytes) -> Answer:
        """Return the answer to a request whose path is v2/repository/ and these parts.

        Raises:
            ClientFaultError: another path or method, or it cannot be done.
        """
        if method != "POST":
            raise ClientFaultError(f"{method[:20]} is not allowed here; expected POST", 405)
        match parts:
            case ("index",):
                return Answer(200, orjson.dumps(self._index(_ready(body))))
            case ("models", name, ("load" | "unload") as what):
                self._require_folder()
                await self._team.change(what, name)
            case _:
                raise ClientFaultError(
                    "no such path below v2/repository; expected index, models/NAME/load or "
                    "models/NAME/unload",
                    404,
                )
        return Answer(200, b"{}")

    def _require_folder(self) -> None:
        if self._folder is None:
            raise ClientFaultError(
                "this server was given one model, which is never unloaded; start it with a folder "
                "of models to load and unload them"
            )

    def _index(self, ready: bool) -> list[dict[str, Any]]:
        if self._folder is not None:
            try:
                return self._folder.index(ready=ready)
            except StartError as error:
                raise ClientFaultError(str(error)) from error
        return [
            {"name": name, "version": version, "state": "READY", "reason": ""}
            for name, version in sorted(self._repository.served())
        ]


def _ready(body: bytes) -> bool:
    """Return whether only models that are ready are asked for."""
    if not body.strip():
        return False
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ClientFaultError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ClientFaultError('the body is not a JSON object; expected {"ready": true}')
    ready = document.get("ready", False)
    if not isinstance(ready, bool):
        raise ClientFaultError(f'"ready" is {kind(ready)}; expected true or false')
    return ready
