"""What scikit-learn computes, without what surrounds it: the same answers to the last bit.

Of a forest's prediction of one row nine tenths go into handing its trees to joblib one by one, of a
linear model's into looking for kinds of arrays that do not come here. What is asked with an array
of finite floats of the right shape is computed at once from what fitting left behind; all else is
left to scikit-learn, its messages included. Whatever holds such a model (a pipeline, a search, a
calibration, a vote) is quicker with it.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.ensemble._forest import ForestClassifier, ForestRegressor
from sklearn.linear_model._base import LinearClassifierMixin, LinearModel
from sklearn.preprocessing import StandardScaler
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

Rows = NDArray[Any]
Quick = Callable[[Any, Rows], Any]
"""Answers for a model and finite rows as it was fitted with, or leaves it to scikit-learn: None."""
FEW_ROWS = 1000
"""So many are not worth the threads that a forest may ask for (`n_jobs`)."""
_TREES = {DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor}


def hasten() -> None:
    """Put the quick ways before those of scikit-learn, in this process."""
    _know_arrays()
    _before(ForestClassifier, "predict_proba", _shares)
    _before(ForestRegressor, "predict", _mean)
    _before(LinearClassifierMixin, "decision_function", _scores)
    _before(LinearClassifierMixin, "predict", _class)
    _before(LinearModel, "_decision_function", _line)
    _before(StandardScaler, "transform", _scaled)


def _before(owner: type, name: str, quick: Quick) -> None:
    slow = getattr(owner, name)

    @functools.wraps(slow)
    def chosen(self: Any, X: Any, *args: Any, **named: Any) -> Any:  # noqa: N803 - as they call it
        found = None if args or named or not _plain(self, X) else quick(self, X)
        return slow(self, X, *args, **named) if found is None else found

    setattr(owner, name, chosen)


def _plain(model: Any, rows: Any) -> bool:
    """Return whether these are finite floats of the shape that the model was fitted with.

    A sum of finite numbers may be infinite: then it is not known, and scikit-learn looks closer.
    """
    if type(rows) is not np.ndarray or rows.dtype != np.float64 or rows.ndim != 2:  # noqa: PLR2004
        return False
    if not len(rows) or rows.shape[1] != getattr(model, "n_features_in_", -1):
        return False
    with np.errstate(all="ignore"):
        return math.isfinite(rows.sum())


def _shares(forest: Any, rows: Rows) -> Rows | None:
    """Return each class's mean share in the leaves of all trees."""
    single = _single(forest, rows)
    if single is None:
        return None
    classes = forest.n_classes_
    total = np.zeros((len(rows), classes))
    for tree in forest.estimators_:
        total += tree.tree_.predict(single)[:, :classes]
    total /= len(forest.estimators_)
    return total


def _mean(forest: Any, rows: Rows) -> Rows | None:
    """Return the mean of the leaves' values of all trees."""
    single = _single(forest, rows)
    if single is None:
        return None
    total = np.zeros(len(rows))
    for tree in forest.estimators_:
        total += tree.tree_.predict(single)[:, 0]
    total /= len(forest.estimators_)
    return total


def _single(forest: Any, rows: Rows) -> NDArray[np.float32] | None:
    """Return rows as trees take them; None where threads help, or trees are of other kinds."""
    many = len(rows) > FEW_ROWS and forest.n_jobs not in {None, 1}
    if many or forest.n_outputs_ != 1 or not {type(one) for one in forest.estimators_} <= _TREES:
        return None
    with np.errstate(all="ignore"):
        single = rows.astype(np.float32)
        return single if math.isfinite(single.sum()) else None


def _scores(model: Any, rows: Rows) -> Rows | None:
    """Return the signed distances from the planes between classes."""
    weights = model.coef_
    if type(weights) is not np.ndarray or weights.ndim != 2:  # noqa: PLR2004
        return None
    scores: Rows = rows @ weights.T + model.intercept_
    return scores.reshape(-1) if scores.shape[1] == 1 else scores


def _class(model: Any, rows: Rows) -> Rows | None:
    """Return the class on whose side of the planes each row lies."""
    classes = model.classes_
    if type(classes) is not np.ndarray:
        return None
    scores = model.decision_function(rows)
    found = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
    chosen: Rows = classes.take(found, axis=0)
    return chosen


def _line(model: Any, rows: Rows) -> Rows | None:
    """Return the weighted sums."""
    weights = model.coef_
    if type(weights) is not np.ndarray:
        return None
    sums: Rows = rows @ (weights if weights.ndim == 1 else weights.T) + model.intercept_
    return sums


def _scaled(scaler: Any, rows: Rows) -> Rows | None:
    """Return rows shifted and stretched; None where that is done in place, or makes a frame."""
    framed = get_config()["transform_output"] != "default"
    if framed or hasattr(scaler, "_sklearn_output_config") or not scaler.copy:
        return None
    found = np.array(rows)
    if scaler.with_mean:
        found -= scaler.mean_
    if scaler.with_std:
        found /= scaler.scale_
    return found


def _know_arrays() -> None:
    """Have a numpy array known at once for no frame.

    scikit-learn asks narwhals so several times a prediction, and each time every library of frames
    is thought of, which is a third of what a small prediction takes.
    """
    try:
        from narwhals.stable.v2 import dependencies
    except ImportError:  # scikit-learn before 1.9 asks otherwise
        return
    for name in ("is_into_dataframe", "is_into_series"):
        setattr(dependencies, name, functools.partial(_asked, getattr(dependencies, name)))


def _asked(ask: Callable[[Any], bool], value: Any) -> bool:
    return type(value) is not np.ndarray and ask(value)
