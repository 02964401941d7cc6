"""scikit-learn estimators as models: their tensors are derived from what fitting left behind."""

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_clusterer, is_outlier_detector
from sklearn.exceptions import NotFittedError

from rampway_server import quicker
from rampway_server.chains import selects_columns
from rampway_server.columns import columns, missing_as_none, takes_texts
from rampway_server.errors import StartError
from rampway_server.model import MATRIX, Model
from rampway_server.tensors import TEXT, TensorSpec

# Rows come as arrays, in the order of the names that the model was fitted with.
warnings.filterwarnings("ignore", "X does not have valid feature names")


quicker.hasten()
_UNFITTED = "the model file holds an estimator that is not fitted; fit it before it is written"


class Estimator:
    """Calls an estimator's methods, which are its outputs' names.

    Args:
        names: Columns of the frame it wants; empty: it takes an array.
        none: Positions of texts that it knows as None where they are missing, not as NaN.
    """

    def __init__(
        self, estimator: Any, names: Sequence[str], none: frozenset[int] = frozenset()
    ) -> None:
        self._estimator = estimator
        self._names = names
        self._none = none

    def run(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[TensorSpec]) -> list[Any]:
        """Return what each method answers to these rows."""
        rows = self._rows(inputs)
        return [getattr(self._estimator, spec.name)(rows) for spec in outputs]

    def _rows(self, inputs: Sequence[NDArray[Any]]) -> Any:
        whole = inputs[0]
        one = len(inputs) == 1 and not self._names
        if one and (whole.ndim == 1 or whole.dtype != object):  # a text a row, or numbers
            return whole
        columns = [
            column if at in self._none else _missing_as_nan(column)
            for at, column in enumerate(whole.T if whole.ndim > 1 else inputs)
        ]
        if not self._names:
            return np.column_stack([column.astype(object) for column in columns])
        import pandas as pd

        known = zip(self._names, columns, strict=True)
        # Of a numpy array pandas would make NaN of None.
        frame = {
            name: pd.Series(column, dtype=object) if at in self._none else column
            for at, (name, column) in enumerate(known)
        }
        return pd.DataFrame(frame, copy=False)


def _missing_as_nan(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column of texts with NaN for what is missing, as frames have it.

    pandas does so itself beside a text; a column of nothing but None it leaves, and no encoder that
    was fitted on NaN knows None: the same row would be answered by who else is in its batch.
    """
    if column.dtype != object:
        return column
    missing = np.array([value is None for value in column], dtype=bool)
    return np.where(missing, np.nan, column) if missing.any() else column


def describe(estimator: Any, sha256: str, platform: str = "sklearn_skops") -> Model:
    """Return the model with the tensors it takes and offers, derived from the fitted estimator.

    Raises:
        StartError: it cannot predict, is plainly not fitted, or needs pandas and there is none.
    """
    if not hasattr(estimator, "predict"):
        raise StartError(
            f"the model file holds a {type(estimator).__name__}, which has no predict method; "
            "expected a fitted classifier, regressor or pipeline ending in one"
        )
    try:
        known = columns(estimator)
    except AttributeError as error:  # what fitting leaves behind is not there
        raise StartError(_UNFITTED) from error
    named = hasattr(estimator, "feature_names_in_")
    texts = sum(spec.datatype == TEXT for spec in known)
    frame = [spec.name for spec in known] if named and (texts or selects_columns(estimator)) else []
    _check_pandas(frame)
    mixed = 0 < texts < len(known)
    offers = tuple(_outputs(estimator))
    return Model(
        predictor=Estimator(estimator, frame, missing_as_none(estimator)),
        platform=platform,
        sha256=sha256,
        takes=known if mixed else (_only_input(estimator, known),),
        offers=offers,
        probabilities=next((spec for spec in offers if spec.name == "predict_proba"), None),
        columns=known if named and not mixed else (),
        classes=_classes(estimator),
    )


def tried(model: Model) -> Model:
    """Return the model with `predict` as it answers a row of zeros, if it does: no attribute tells.

    Raises:
        StartError: it is not fitted.
    """
    predict, *others = model.offers
    try:
        with warnings.catch_warnings(action="ignore"):
            found = np.asarray(*model.predictor.run(model.zeros(), [predict]))
    except NotFittedError as error:
        raise StartError(_UNFITTED) from error
    except BaseException:  # noqa: BLE001  # it may rightly raise on zeros
        return model
    if found.shape[:1] != (1,):
        return model
    text = isinstance(found.ravel()[:1].tolist()[0], str) if found.size else False
    predict = replace(
        predict,
        shape=(-1, *found.shape[1:]),
        datatype=TEXT if text else predict.datatype,
    )
    return replace(model, offers=(predict, *others))


def _only_input(estimator: Any, known: Sequence[TensorSpec]) -> TensorSpec:
    if not known and takes_texts(estimator):
        return TensorSpec(MATRIX, TEXT, (-1,))
    return TensorSpec(
        MATRIX,
        TEXT if known and known[0].datatype == TEXT else "FP64",
        (-1, len(known) or -1),
        missing=any(spec.missing for spec in known),
        strict=tuple(at for at, spec in enumerate(known) if not spec.missing),
    )


def _check_pandas(frame: Sequence[str]) -> None:
    if frame and importlib.util.find_spec("pandas") is None:
        raise StartError(
            "the model takes a pandas frame (it selects columns by name), and pandas is not "
            "installed; use the image model-server-full, or install rampway[server-full]"
        )


def _classes(estimator: Any) -> tuple[Any, ...]:
    classes = getattr(estimator, "classes_", None)
    if not isinstance(classes, np.ndarray) or classes.ndim != 1:
        return ()
    return tuple(classes.tolist())


def _outputs(estimator: Any) -> list[TensorSpec]:
    classes = getattr(estimator, "classes_", None)
    # Of a classifier n_outputs_ may be its classes (MLPClassifier), never of a regressor.
    several = len(classes) if isinstance(classes, list) else 1
    targets = int(getattr(estimator, "n_outputs_", 1)) if classes is None else several
    shape = (-1,) if targets == 1 else (-1, targets)
    offers = [TensorSpec("predict", _label_datatype(estimator, classes), shape)]
    # For several targets predict_proba is a list of arrays, which is no tensor.
    if hasattr(estimator, "predict_proba") and isinstance(classes, np.ndarray):
        offers.append(TensorSpec("predict_proba", "FP64", (-1, len(classes))))
    return offers


def _label_datatype(estimator: Any, classes: Any) -> str:
    """Return INT64 for integer labels, BYTES for strings, FP64 for what a regressor answers."""
    if classes is None:
        return "INT64" if _groups(estimator) else "FP64"
    labels = np.asarray(classes[0] if isinstance(classes, list) else classes)
    return {"i": "INT64", "u": "INT64", "b": "BOOL", "f": "FP64"}.get(labels.dtype.kind, TEXT)


def _groups(estimator: Any) -> bool:
    if not hasattr(estimator, "__sklearn_tags__"):  # a class of the user's own
        return False
    return bool(is_clusterer(estimator) or is_outlier_detector(estimator))
