"""A scikit-learn model from a skops file: what it takes, what it offers, its predictions."""

import io
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import skops.io
from numpy.typing import NDArray
from sklearn.base import is_clusterer, is_outlier_detector

from rampway_server.errors import ModelError, StartError
from rampway_server.tensors import TensorSpec, conform

PLATFORM = "sklearn_skops"
INPUT_NAME = "input-0"


@dataclass(frozen=True)
class Model:
    """A loaded estimator with its tensors as derived from it.

    Attributes:
        sha256: digest of the bytes it was loaded from, 64 hexadecimal digits.
    """

    estimator: Any
    sha256: str
    takes: TensorSpec
    offers: tuple[TensorSpec, ...]

    def predict(
        self, rows: NDArray[np.float64], outputs: Sequence[TensorSpec]
    ) -> list[NDArray[Any]]:
        """Return one array per output, in its datatype, for rows of shape [rows, features].

        Raises:
            ModelError: whatever the model's code raised, chained.
        """
        try:
            return [
                conform(spec, getattr(self.estimator, spec.name)(rows), len(rows))
                for spec in outputs
            ]
        except BaseException as error:  # SystemExit too: a model may not end the server
            raise ModelError(f"{type(error).__name__}: {error}") from error


def load(data: bytes, sha256: str, trusted: Sequence[str]) -> tuple[Model, list[str]]:
    """Return the model in a skops file's bytes, and the warnings that loading it gave.

    Raises:
        StartError: not a skops file, types not trusted, or no model that predicts.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator = _estimator(data, trusted)
    if not hasattr(estimator, "predict"):
        raise StartError(
            f"the model file holds a {type(estimator).__name__}, which has no predict method; "
            "expected a fitted classifier, regressor or pipeline ending in one"
        )
    return describe(estimator, sha256), sorted({str(warning.message) for warning in caught})


def describe(estimator: Any, sha256: str) -> Model:
    """Return the model with the tensors it takes and offers, derived from the fitted estimator."""
    return Model(estimator, sha256, _input(estimator), tuple(_outputs(estimator)))


def _estimator(data: bytes, trusted: Sequence[str]) -> Any:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise StartError(
            f"the model file of {len(data)} bytes is not a skops file (nor any zip archive); "
            "write it with skops.io.dump"
        )
    try:
        untrusted = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted))
        estimator = None if untrusted else skops.io.loads(data, trusted=list(trusted))
    except Exception as error:
        raise StartError(
            f"the model file cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if untrusted:
        raise StartError(
            f"the model file holds types that are not trusted: {', '.join(untrusted)}; "
            "name those you trust with --trust or RAMPWAY_TRUST"
        )
    return estimator


def _input(estimator: Any) -> TensorSpec:
    features = getattr(estimator, "n_features_in_", -1)
    return TensorSpec(INPUT_NAME, "FP64", (-1, int(features)))


def _outputs(estimator: Any) -> list[TensorSpec]:
    classes = getattr(estimator, "classes_", None)
    targets = int(getattr(estimator, "n_outputs_", 1))
    shape = (-1,) if targets == 1 else (-1, targets)
    offers = [TensorSpec("predict", _label_datatype(estimator, classes), shape)]
    # For several targets predict_proba is a list of arrays, which is no tensor.
    if hasattr(estimator, "predict_proba") and isinstance(classes, np.ndarray):
        offers.append(TensorSpec("predict_proba", "FP64", (-1, len(classes))))
    return offers


def _label_datatype(estimator: Any, classes: Any) -> str:
    """Return INT64 for integer labels, BYTES for strings, FP64 for what a regressor answers."""
    if classes is None:
        return "INT64" if is_clusterer(estimator) or is_outlier_detector(estimator) else "FP64"
    labels = np.asarray(classes[0] if isinstance(classes, list) else classes)
    return {"i": "INT64", "u": "INT64", "b": "BOOL", "f": "FP64"}.get(labels.dtype.kind, "BYTES")


def warm_up(model: Model) -> str | None:
    """Predict one row of zeros; return None, or why that was not possible.

    A model may rightly raise on zeros, so a failure is told but does not keep it from serving.
    """
    features = model.takes.shape[1]
    if features < 1:
        return "the model does not say how many features it takes (no n_features_in_)"
    try:
        model.predict(np.zeros((1, features)), model.offers)
    except ModelError as error:
        return str(error)
    return None
