"""Pickles by consent, and ONNX."""

import builtins
import io
import json
import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import OneHotEncoder
from unit.server.asgi import call
from unit.server.conftest import made

from rampway_server import loading
from rampway_server.app import App
from rampway_server.automation import Dial
from rampway_server.batching import Batcher
from rampway_server.errors import StartError
from rampway_server.metrics import Metrics
from rampway_server.model import Model
from rampway_server.repository import Repository

X = np.arange(12.0, dtype=np.float32).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])
CLASSIFIER = LogisticRegression().fit(X, Y)
ONNX: bytes = to_onnx(CLASSIFIER, X[:1], options={"zipmap": False}).SerializeToString()


def dumped(compress: Any) -> bytes:
    """Return the classifier as joblib writes it."""
    buffer = io.BytesIO()
    joblib.dump(CLASSIFIER, buffer, compress=compress)
    return buffer.getvalue()


PICKLED = [pickle.dumps(CLASSIFIER), dumped(0), dumped("zlib"), dumped("gzip"), dumped("bz2")]
PICKLED += [dumped("xz")]


@pytest.mark.parametrize("data", PICKLED)
def test_pickles_are_loaded_by_consent_alone(data: bytes) -> None:
    """Plain or as joblib compresses them: refused by default, with what to do instead."""
    with pytest.raises(StartError, match=r"write it with skops\.io\.dump, or consent with"):
        loading.load(data, "", [])
    model, _ = loading.load(data, "", [], allow_pickle=True)
    assert model.platform == "sklearn_pickle"
    assert model.predict([X], model.offers[:1])[0].tolist() == CLASSIFIER.predict(X).tolist()


class Bomb:
    """A pickle that leaves a mark when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_a_bomb_does_not_go_off_without_consent(tmp_path: Path) -> None:
    """Looking at a pickle runs nothing of it."""
    mark = tmp_path / "mark"
    with pytest.raises(StartError, match="looks like a pickle"):
        loading.load(pickle.dumps(Bomb(mark)), "", [])
    assert not mark.exists()


def test_a_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file of many zeros is refused by what it says it holds, before memory is taken."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(2000))
    monkeypatch.setattr(loading, "_MOST_BYTES", 1999)
    with pytest.raises(StartError, match="has 2000 unpacked; at most 1999 are accepted"):
        loading.load(buffer.getvalue(), "", [])


class Quitter:
    """A pickle that ends the process that loads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.exit, (0,)


@pytest.mark.parametrize(
    "data", [b"\x80\x05junk", pickle.dumps([1]), b"\x08junk", pickle.dumps(Quitter())]
)
def test_broken_files_are_told(data: bytes) -> None:
    """In one sentence, whatever the library raised."""
    with pytest.raises(StartError, match=r"cannot be loaded|has no predict method"):
        loading.load(data, "", [], allow_pickle=True)


def test_another_version_of_scikit_learn_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is served; the warning says which versions they are."""
    with monkeypatch.context() as patched:
        patched.setattr("sklearn.base.__version__", "1.2.3")
        data = skops.io.dumps(LogisticRegression().fit(X, Y))
    (warning,) = loading.load(data, "", [])[1]
    assert "LogisticRegression from version 1.2.3 when using version" in warning


def served(model: Model) -> App:
    """Return an application with a model."""
    metrics = Metrics()
    repository = Repository(metrics, Dial(""))
    repository.expect("m", "1")
    repository.load("m", "1", model)
    return made(repository, metrics, Batcher(1, 8))


def test_onnx_declares_its_tensors() -> None:
    """Names, datatypes and shapes are the file's."""
    model, _ = loading.load(ONNX, "ab", [])
    assert [(s.name, s.datatype, s.shape) for s in model.takes] == [("X", "FP32", (-1, 2))]
    found = [(s.name, s.datatype, s.shape) for s in model.offers]
    assert found == [("label", "INT64", (-1,)), ("probabilities", "FP32", (-1, 2))]
    assert (model.platform, model.batches, model.warm_up()) == ("onnxruntime_onnx", True, None)


async def test_onnx_predicts_what_the_estimator_does() -> None:
    """Labels and probabilities, from JSON."""
    app = served(loading.load(ONNX, "", [])[0])
    tensor = {"name": "X", "datatype": "FP32", "shape": [6, 2], "data": X.tolist()}
    outputs = [{"name": "label"}, {"name": "probabilities"}]
    document = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    labels, chances = (await call(app, "/v2/models/m/infer", document)).document["outputs"]
    assert labels["data"] == CLASSIFIER.predict(X).tolist()
    assert chances["data"] == pytest.approx(CLASSIFIER.predict_proba(X).ravel(), abs=1e-5)
    assert chances["datatype"] == "FP32"


async def test_onnx_takes_text() -> None:
    """A string tensor, as skl2onnx makes it of an encoder."""
    words = np.array([["a"], ["b"], ["a"]], dtype=object)
    encoder = OneHotEncoder(sparse_output=False).fit(words)
    data = to_onnx(encoder, words[:1].astype(str)).SerializeToString()
    app = served(loading.load(data, "", [])[0])
    (spec,) = (await call(app, "/v2/models/m")).document["inputs"]
    assert spec["datatype"] == "BYTES"
    tensor = {**spec, "shape": [2, 1], "data": ["b", "a"]}
    reply = await call(app, "/v2/models/m/infer", json.dumps({"inputs": [tensor]}).encode())
    assert reply.document["outputs"][0]["data"] == [0.0, 1.0, 1.0, 0.0]


def test_onnx_with_a_fixed_number_of_rows_is_not_batched() -> None:
    """Requests are then predicted one by one."""
    from skl2onnx.common.data_types import FloatTensorType

    types = [("X", FloatTensorType([1, 2]))]
    regressor = to_onnx(LinearRegression().fit(X, Y), initial_types=types)
    assert not loading.load(regressor.SerializeToString(), "", [])[0].batches


def test_onnx_reports_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its runtime would tell its makers of its use; it is told not to, unless somebody set it."""
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    loading.load(ONNX, "", [])
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_onnx_without_its_runtime_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slim image has none."""
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(StartError, match="use the image model-server-full"):
        loading.load(ONNX, "", [])
