"""Every answer over HTTP is as the protocol's published description has it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skops.io
from jsonschema import ValidationError
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from unit.server import described
from unit.server.asgi import Reply, call, infer_body
from unit.server.conftest import LIMITS, MakeApp

from rampway_server.app import App
from rampway_server.automation import Dial
from rampway_server.batching import Batcher
from rampway_server.control import Control
from rampway_server.folder import Folder
from rampway_server.metrics import Metrics
from rampway_server.repository import Repository
from rampway_server.team import Team

ROW = np.arange(64.0).tolist()
NAMES = {"{model_name}": "digits", "{model_version}": "1"}


@pytest.fixture
def folder_app(model_bytes: bytes, tmp_path: Path) -> Iterator[tuple[App, Folder]]:
    """An application that serves a folder with one model, loaded."""
    (tmp_path / "digits.skops").write_bytes(model_bytes)
    metrics = Metrics()
    batcher = Batcher(1, 8)
    repository = Repository(metrics, Dial(""))
    folder, team = Folder(tmp_path, repository, (), allow_pickle=False), Team()
    team.follow(folder.change)
    yield App(repository, metrics, batcher, LIMITS, Control(repository, folder, team)), folder
    batcher.close()


async def _ask(app: App, method: str, path: str, body: object = None) -> Reply:
    data = None if method == "GET" else json.dumps(body if body is not None else {}).encode()
    reply = await call(app, path, data, method=method)
    described.check(method, path, reply)
    return reply


@pytest.mark.parametrize(("method", "template"), described.operations())
async def test_every_operation_is_offered(
    method: str, template: str, folder_app: tuple[App, Folder]
) -> None:
    """Each path of the description is answered with 200, in the form that it has there."""
    app, folder = folder_app
    await folder.load_all()
    path = template
    for name, value in NAMES.items():
        path = path.replace(name, value)
    body = infer_body([ROW]) if path.endswith("/infer") else None
    reply = await _ask(app, method, path, body)
    assert reply.status == 200, reply.body


@pytest.mark.parametrize("outputs", [["predict"], ["predict_proba"], ["predict_proba", "predict"]])
async def test_answers_are_described(
    outputs: list[str], make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """With an id, with several rows and outputs."""
    app, _ = make_app(classifier)
    body = infer_body([ROW, ROW], id="a-1", outputs=[{"name": name} for name in outputs])
    reply = await _ask(app, "POST", "/v2/models/digits/infer", body)
    assert [one["name"] for one in reply.document["outputs"]] == outputs


class Broken(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Raises whenever it is asked."""

    n_features_in_ = 64

    def predict(self, _rows: object) -> object:
        """Raise."""
        raise RuntimeError("the model's own secret")


async def test_errors_are_described(make_app: MakeApp, classifier: LogisticRegression) -> None:
    """Client's faults, the model's, what is not loaded, what is not there: one form for all."""
    app, _ = make_app(classifier)
    infer = "/v2/models/digits/infer"
    statuses = [
        (await _ask(app, "POST", infer, {})).status,
        (await _ask(app, "POST", "/v2/models/other/infer", infer_body([ROW]))).status,
        (await _ask(app, "GET", "/v2/models/digits/versions/9")).status,
        (await _ask(app, "GET", "/v2/models/other")).status,
        (await _ask(app, "POST", "/v2/repository/models/digits/load")).status,
        (await _ask(app, "POST", "/v2/models/digits/generate", infer_body([ROW]))).status,
    ]
    assert statuses == [400, 404, 404, 404, 400, 405]
    app, _ = make_app(Broken())
    assert (await _ask(app, "POST", infer, infer_body([ROW]))).status == 500
    app, _ = make_app(None)
    assert (await _ask(app, "POST", infer, infer_body([ROW]))).status == 503
    not_ready = await call(app, "/v2/health/ready")  # the description knows no such answer
    assert (not_ready.status, not_ready.document) == (503, {"ready": False})


async def test_folders_tell_models_that_cannot_be_loaded(
    folder_app: tuple[App, Folder], tmp_path: Path
) -> None:
    """Index, load and unload, of a model whose file is none, too."""
    app, folder = folder_app
    await folder.load_all()
    (tmp_path / "broken.skops").write_bytes(b"none")
    index = await _ask(app, "POST", "/v2/repository/index")
    assert {one["state"] for one in index.document} == {"READY", "UNAVAILABLE"}  # type: ignore[index]
    assert (await _ask(app, "POST", "/v2/repository/models/broken/load")).status == 400
    skops.io.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), tmp_path / "broken.skops")
    assert (await _ask(app, "POST", "/v2/repository/models/broken/load")).status == 200
    assert (await _ask(app, "POST", "/v2/repository/models/broken/unload")).status == 200


def test_what_is_not_described_is_noticed() -> None:
    """The check itself fails on another form: a missing field, a wrong type, a second field."""
    metadata = Reply(200, {"content-type": "application/json"}, b'{"name": "digits"}')
    with pytest.raises(ValidationError, match="platform"):
        described.check("GET", "/v2/models/digits", metadata)
    typed = Reply(200, {"content-type": "application/json"}, b'{"model_name": 1, "outputs": []}')
    with pytest.raises(ValidationError, match="not of type 'string'"):
        described.check("POST", "/v2/models/digits/infer", typed)
    more = Reply(422, {"content-type": "application/json"}, b'{"error": "a", "detail": "b"}')
    with pytest.raises(ValidationError, match="detail"):
        described.check("POST", "/v2/models/digits/infer", more)
