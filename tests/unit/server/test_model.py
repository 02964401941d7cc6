"""Skops files: what is trusted, what is refused and how, what is derived."""

import io
import pickle
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from rampway_server import loading
from rampway_server.errors import StartError
from rampway_server.estimators import describe

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])
TREE = "sklearn.tree._tree.Tree"


def test_model_is_loaded_with_its_tensors(model_bytes: bytes) -> None:
    """A trusted file loads, and says what it takes and offers."""
    model, warnings = loading.load(model_bytes, "ab" * 32, [])
    assert warnings == []
    assert (model.sha256, model.takes[0].shape) == ("ab" * 32, (-1, 64))
    assert [spec.name for spec in model.offers] == ["predict", "predict_proba"]


def test_untrusted_types_are_refused_by_name_and_allowed_by_name() -> None:
    """A type beyond skops' safe ones is named in the error, and accepted when named in the list."""
    data = skops.io.dumps(RandomForestClassifier(2, random_state=0).fit(X, Y))
    with pytest.raises(StartError, match=rf"not trusted: {TREE}; name those you trust"):
        loading.load(data, "", [])
    model, _ = loading.load(data, "", [TREE])
    assert model.takes[0].shape == (-1, 2)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize("data", [b"", b"no zip", pickle.dumps(_Bomb())])
def test_other_files_are_refused(data: bytes) -> None:
    """Anything but a model file is refused in one sentence, and so are pickles by default."""
    with pytest.raises(StartError, match="is not a skops file"):
        loading.load(data, "", [])


def test_broken_archive_is_refused(model_bytes: bytes) -> None:
    """A damaged skops file is refused with the library's words."""
    at = model_bytes.index(b"schema.json") + 200
    broken = model_bytes[:at] + b"\0" * 400 + model_bytes[at + 400 :]
    with pytest.raises(StartError, match="the model file cannot be loaded: "):
        loading.load(broken, "", [])


def test_half_an_archive_is_told_as_such(model_bytes: bytes) -> None:
    """A download that broke off is no file of another kind."""
    with pytest.raises(StartError, match=r"begins as a skops file does .* cut off or damaged"):
        loading.load(model_bytes[: len(model_bytes) // 2], "", [])


def test_zip_without_model_is_refused() -> None:
    """A zip archive that skops did not write is refused."""
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(StartError, match="cannot be loaded: "):
        loading.load(buffer.getvalue(), "", [])


def test_estimator_without_predict_is_refused() -> None:
    """A transformer is no model to serve."""
    data = skops.io.dumps(StandardScaler().fit(X))
    with pytest.raises(StartError, match="StandardScaler, which has no predict method"):
        loading.load(data, "", [])


TWO_TARGETS = DecisionTreeClassifier(random_state=0).fit(X, np.stack([Y, Y], axis=1))


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (
            LogisticRegression().fit(X, Y),
            [("predict", "INT64", (-1,)), ("predict_proba", "FP64", (-1, 2))],
        ),
        (
            make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y.astype(np.uint8)),
            [("predict", "INT64", (-1,)), ("predict_proba", "FP64", (-1, 2))],
        ),
        (RidgeClassifier().fit(X, np.where(Y, "a", "b")), [("predict", "BYTES", (-1,))]),
        (LinearRegression().fit(X, Y), [("predict", "FP64", (-1,))]),
        (KMeans(2, n_init=1, random_state=0).fit(X), [("predict", "INT64", (-1,))]),
        (TWO_TARGETS, [("predict", "INT64", (-1, 2))]),
    ],
)
def test_outputs_are_derived_and_kept(estimator: Any, expected: list[Any]) -> None:
    """Names, datatypes and shapes come from the estimator, and its answers agree with them."""
    model = describe(estimator, "")
    assert [(spec.name, spec.datatype, spec.shape) for spec in model.offers] == expected
    for spec, array in zip(model.offers, model.predict([X], model.offers), strict=True):
        assert array.ndim == len(spec.shape)
        assert all(w in {-1, s} for w, s in zip(spec.shape, array.shape, strict=True))


def test_warm_up_predicts(classifier: LogisticRegression) -> None:
    """A model that takes zeros is warm after one prediction."""
    assert describe(classifier, "").warm_up() is None


def test_warm_up_that_raises_tells_why_and_blocks_nothing() -> None:
    """A model may rightly raise on zeros: the reason is told, no exception comes out."""
    encoder = ColumnTransformer([("c", OrdinalEncoder(), [0])])
    picky = make_pipeline(encoder, LogisticRegression()).fit(X + 1, Y)
    reason = describe(picky, "").warm_up()
    assert reason is not None
    assert "unknown categories" in reason


def test_warm_up_without_known_features_says_so() -> None:
    """A model that does not say what it takes cannot be warmed up with made-up rows."""

    class Vague(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
        def predict(self, rows: Any) -> Any:
            return rows

    reason = describe(Vague(), "").warm_up()
    assert reason is not None
    assert "n_features_in_" in reason
