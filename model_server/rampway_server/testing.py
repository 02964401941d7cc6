"""The server as a library: a model served on loopback by a thread, for the tests of its clients."""

import asyncio
import hashlib
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rampway_server import door, estimators, loading
from rampway_server.app import App, Limits
from rampway_server.automation import Dial
from rampway_server.batching import Batcher
from rampway_server.control import Control
from rampway_server.errors import StartError
from rampway_server.logs import keep_short
from rampway_server.metrics import Metrics
from rampway_server.model import Model
from rampway_server.repository import Repository
from rampway_server.settings import Settings, thread_count
from rampway_server.team import Team

_LOOPBACK = "127.0.0.1"


@contextmanager
def serving(
    model: Any,
    name: str = "model",
    *,
    version: str = "1",
    trust: Sequence[str] = (),
    allow_pickle: bool = False,
) -> Iterator[str]:
    """Serve a model over HTTP while the block runs, and give the server's URL.

    Args:
        model: A fitted estimator, or the path of a model's file.
        name: The model's name in paths and metrics.
        version: The model's version.
        trust: Types beyond skops' safe ones that the file may hold.
        allow_pickle: Whether the file may be a pickle, which may run any code.

    Raises:
        StartError: the file cannot be loaded, or the estimator is not fitted or cannot predict.
    """
    loaded = _loaded(model, trust, allow_pickle=allow_pickle)
    settings, metrics = Settings(host=_LOOPBACK), Metrics()
    repository = Repository(metrics, Dial(""))
    repository.expect(name, version)
    repository.load(name, version, loaded)
    batcher = Batcher(thread_count(settings), settings.max_queue)
    app = App(repository, metrics, batcher, Limits(), Control(repository, None, Team()))
    server = door.http_server(settings, app, None)
    with socket.create_server((_LOOPBACK, 0)) as listening:  # clients wait from now on
        url = f"http://{_LOOPBACK}:{listening.getsockname()[1]}"
        thread = threading.Thread(
            target=asyncio.run, args=(server.serve([listening]),), name="serving", daemon=True
        )
        thread.start()
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join()
            batcher.close()


def _loaded(model: Any, trust: Sequence[str], *, allow_pickle: bool) -> Model:
    keep_short()
    if not isinstance(model, str | Path):
        return estimators.tried(estimators.describe(model, ""))
    try:
        data = Path(model).read_bytes()
    except OSError as error:
        raise StartError(f"cannot read model file {model}: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    return loading.load(data, digest, trust, allow_pickle=allow_pickle)[0]
