"""What a fitted scikit-learn model expects of each column: text or numbers, missing or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import get_tags

from rampway_server.tensors import TEXT, TensorSpec

_IMPUTERS = "sklearn.impute"


@dataclass(frozen=True)
class _Branch:
    """The steps that some columns go through, from the first to the last of the model.

    Attributes:
        columns: As a ColumnTransformer was given them; None: all.
    """

    columns: Any
    steps: tuple[Any, ...]


def columns(estimator: Any) -> tuple[TensorSpec, ...]:
    """Return a spec for each column, named as in the frame the model was fitted on, else numbered.

    Empty if the model does not say how many it takes.
    """
    named = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    count = int(getattr(estimator, "n_features_in_", len(named)))
    text: set[int] = set()
    strict: set[int] = set()
    for branch in _branches(estimator):
        positions = list(_positions(branch.columns, named, count))
        known = _known_values(branch.steps[0]) if branch.steps else []
        text |= {at for at, values in zip(positions, known, strict=False) if _holds_text(values)}
        text |= set(positions if _reads_texts(branch.steps) else ())
        if not _takes_missing(branch.steps):
            strict |= set(positions)
    return tuple(
        TensorSpec(name, TEXT if at in text else "FP64", (-1,), missing=at not in strict)
        for at, name in enumerate(named or [f"column-{at}" for at in range(count)])
    )


def selects_columns(estimator: Any) -> bool:
    """Return whether the model begins with a ColumnTransformer, which tells columns by name."""
    return isinstance(next(iter(_steps(estimator)), None), ColumnTransformer)


def takes_texts(estimator: Any) -> bool:
    """Return whether a row is one text, as for a vectorizer, and no row of columns."""
    return _reads_texts(_steps(estimator))


def _reads_texts(steps: Sequence[Any]) -> bool:
    if not steps:
        return False
    if isinstance(steps[0], FeatureUnion):
        return any(_reads_texts(_steps(one)) for _, one in steps[0].transformer_list)
    try:
        tags = get_tags(steps[0]).input_tags
    except Exception:  # noqa: BLE001  # an estimator of the user's own may lack anything
        return False
    return bool(tags.string and not tags.two_d_array)


def _steps(estimator: Any) -> list[Any]:
    if isinstance(estimator, Pipeline):
        return [one for _, step in estimator.steps for one in _steps(step)]
    if isinstance(estimator, str) or estimator is None:
        return []
    inner = _inner(estimator)
    return [estimator] if inner is None else _steps(inner)


def _inner(estimator: Any) -> Any:
    """Return the fitted model that a search, a threshold or a calibration passes its rows on to."""
    if isinstance(estimator, FixedThresholdClassifier | TunedThresholdClassifierCV):
        return estimator.estimator_
    if isinstance(estimator, TransformedTargetRegressor):
        return estimator.regressor_
    if isinstance(estimator, CalibratedClassifierCV):
        return estimator.calibrated_classifiers_[0].estimator  # all take the same
    return getattr(estimator, "best_estimator_", None)


def _branches(estimator: Any) -> list[_Branch]:
    first, *rest = _steps(estimator)
    if not isinstance(first, ColumnTransformer):
        return [_Branch(None, (first, *rest))]
    return [
        _Branch(chosen, () if step == "drop" else (*_steps(step), *rest))
        for _, step, chosen in first.transformers_
    ]


def _takes_missing(steps: Sequence[Any]) -> bool:
    """Return whether missing values come through: to a step that fills them in, or to the end."""
    for step in steps:
        try:
            if not get_tags(step).input_tags.allow_nan:
                return False
        except Exception:  # noqa: BLE001  # an estimator of the user's own may lack anything
            return False
        if type(step).__module__.startswith(_IMPUTERS) or isinstance(step, OneHotEncoder):
            return True
    return True


def _known_values(step: Any) -> list[Any]:
    """Return for each column what an encoder knows of it, or what an imputer fills in."""
    categories = getattr(step, "categories_", None)
    if isinstance(categories, list):
        return categories
    filled = getattr(step, "statistics_", None)
    return [] if filled is None else [[value] for value in filled]


def _holds_text(values: Any) -> bool:
    return any(isinstance(value, str) for value in np.asarray(values, dtype=object).ravel())


def _positions(chosen: Any, named: Sequence[str], count: int) -> Iterator[int]:
    """Return the positions of columns that a transformer names, numbers, slices or masks."""
    if chosen is None:
        return iter(range(count))
    if isinstance(chosen, slice):
        return iter(range(*chosen.indices(count)))
    listed: list[Any] = [chosen] if isinstance(chosen, str | int) else list(chosen)
    if listed and isinstance(listed[0], bool | np.bool_):
        listed = np.flatnonzero(listed).tolist()
    return iter(named.index(one) if isinstance(one, str) else int(one) for one in listed)
