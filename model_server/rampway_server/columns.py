"""What a fitted scikit-learn model expects of each column: text or numbers, missing or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    TargetEncoder,
)
from sklearn.utils import get_tags

from rampway_server.errors import StartError
from rampway_server.tensors import TEXT, TensorSpec

_IMPUTERS = "sklearn.impute"
_DATES = "column {!r} of the model is of dates, which no tensor holds; fit it on texts or numbers"
_SHARING = (
    MultiOutputClassifier,
    MultiOutputRegressor,
    OneVsRestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
"""What passes its rows, as they are, on to each of its `estimators_`."""


@dataclass(frozen=True)
class _Picked:
    """A step that picks columns by their positions, as bagging does before each of its models."""

    positions: Sequence[int]


@dataclass(frozen=True)
class _Branch:
    """The steps that some columns go through, from the first to the last of the model.

    Attributes:
        positions: Of the columns, in the order that the steps have them.
    """

    positions: list[int]
    steps: list[Any]


def columns(estimator: Any) -> tuple[TensorSpec, ...]:
    """Return a spec for each column, named as in the frame the model was fitted on, else numbered.

    Empty if the model does not say how many it takes.

    Raises:
        StartError: one is of dates.
    """
    named, count = _named(estimator)
    text: set[int] = set()
    strict: set[int] = set()
    used: set[int] = set()
    for branch in _all_branches(estimator):
        positions = branch.positions
        used |= set(positions)
        for at, values in zip(positions, _known_values(branch), strict=False):
            if _holds_text(values):
                text.add(at)
            elif np.asarray(values).dtype.kind == "M":
                raise StartError(_DATES.format(named[at] if named else at))
        text |= set(positions if _reads_texts(branch.steps) else ())
        if not _takes_missing(branch.steps):
            strict |= set(positions)
    return tuple(
        TensorSpec(
            name,
            TEXT if at in text else "FP64",
            (-1,),
            missing=at not in strict,
            unused=bool(used) and at not in used,
        )
        for at, name in enumerate(named or [f"column-{at}" for at in range(count)])
    )


def missing_as_none(estimator: Any) -> frozenset[int]:
    """Return the positions of texts whose encoders know a missing one as None, not as NaN."""
    found: set[int] = set()
    for branch in _all_branches(estimator):
        known = zip(branch.positions, _known_values(branch), strict=False)
        found |= {at for at, values in known if any(value is None for value in values)}
        if getattr(_reader(branch), "missing_values", np.nan) is None:  # an imputer's
            found |= set(branch.positions)
    return frozenset(found)


def selects_columns(estimator: Any) -> bool:
    """Return whether the model begins with a ColumnTransformer, which tells columns by name.

    Or with a function of somebody's own before one, which was given a frame as well.
    """
    return any(
        isinstance(first, ColumnTransformer)
        and not all(_is_mask(chosen) for _, _, chosen in first.transformers_)
        for chain in _chains(estimator)
        for first in _after_functions(chain)[:1]
    )


def _named(estimator: Any) -> tuple[list[str], int]:
    """Return the names of the columns, if there are any, and how many columns there are."""
    named = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    return named, int(getattr(estimator, "n_features_in_", len(named)))


def _all_branches(estimator: Any) -> Iterator[_Branch]:
    named, count = _named(estimator)
    return _branches(_chains(estimator), list(range(count)), named)


def _after_functions(chain: list[Any]) -> list[Any]:
    """Return a chain without functions that come before a ColumnTransformer of the same columns."""
    at = next((at for at, one in enumerate(chain) if not isinstance(one, FunctionTransformer)), 0)
    if not at or not isinstance(chain[at], ColumnTransformer):
        return chain
    return chain[at:] if _named(chain[0]) == _named(chain[at]) else chain


def takes_texts(estimator: Any) -> bool:
    """Return whether a row is one text, as for a vectorizer, and no row of columns."""
    return any(map(_reads_texts, _chains(estimator)))


def _reads_texts(steps: Sequence[Any]) -> bool:
    if not steps:
        return False
    try:
        tags = get_tags(steps[0]).input_tags
    except Exception:  # noqa: BLE001  # an estimator of the user's own may lack anything
        return False
    return bool(tags.string and not tags.two_d_array)


def _chains(estimator: Any) -> list[list[Any]]:
    """Return each way of the rows through a fitted model: its steps, from the first to the last."""
    if isinstance(estimator, str) or estimator is None:  # "passthrough"
        return [[]]
    if isinstance(estimator, Pipeline):
        found: list[list[Any]] = [[]]
        for _, step in estimator.steps:
            found = [[*before, *after] for before in found for after in _chains(step)]
        return found
    # Of gradient boosting: it encodes columns of categories itself.
    own = getattr(estimator, "_preprocessor", None)
    if isinstance(own, ColumnTransformer):
        return [[own, estimator]]
    if isinstance(estimator, BaggingClassifier | BaggingRegressor):
        picks = zip(estimator.estimators_, estimator.estimators_features_, strict=True)
        return [[_Picked(own), *chain] for one, own in picks for chain in _chains(one)]
    members = _members(estimator)
    return [chain for one in members for chain in _chains(one)] if members else [[estimator]]


def _members(estimator: Any) -> list[Any]:
    """Return the fitted models that this one passes its rows on to, as they are; empty: none."""
    if isinstance(estimator, FeatureUnion):
        return [one for _, one in estimator.transformer_list if one != "drop"]
    if isinstance(estimator, _SHARING):
        return list(estimator.estimators_)
    if isinstance(estimator, FixedThresholdClassifier | TunedThresholdClassifierCV):
        return [getattr(estimator, "estimator_", estimator.estimator)]  # a fixed one needs no fit
    if isinstance(estimator, TransformedTargetRegressor):
        return [estimator.regressor_]
    if isinstance(estimator, CalibratedClassifierCV):
        return [estimator.calibrated_classifiers_[0].estimator]  # all take the same
    if isinstance(estimator, FrozenEstimator):
        return [estimator.estimator]
    best = getattr(estimator, "best_estimator_", None)  # of a search
    return [] if best is None else [best]


def _branches(
    chains: Sequence[list[Any]], within: Sequence[int], named: Sequence[str]
) -> Iterator[_Branch]:
    """Yield what the columns at these positions, of these names if they have any, go through."""
    for chain in map(_after_functions, chains):
        first, rest = next(iter(chain), None), chain[1:]
        if isinstance(first, ColumnTransformer):
            parts = [
                (_chains(one), chosen) for _, one, chosen in first.transformers_ if one != "drop"
            ]
            behind = rest
        elif isinstance(first, _Picked):
            parts, behind = [([rest], first.positions)], []
        else:
            yield _Branch(list(within), chain)
            continue
        for inner, chosen in parts:
            own = list(_positions(chosen, named, len(within)))
            names = [named[at] for at in own] if named else []
            for branch in _branches(inner, [within[at] for at in own], names):
                yield _Branch(branch.positions, [*branch.steps, *behind])


def _takes_missing(steps: Sequence[Any]) -> bool:
    """Return whether missing values come through: to a step that fills them in, or to the end."""
    for step in steps:
        try:
            tags = get_tags(step)
        except Exception:  # noqa: BLE001  # an estimator of the user's own may lack anything
            return False
        # What looks at nothing lets them through: a function, or what "passthrough" became.
        if not (tags.input_tags.allow_nan or tags.no_validation):
            return False
        if _fills_in(step):
            return True
    return True


def _fills_in(step: Any) -> bool:
    """Return whether nothing is missing any more behind a step."""
    if isinstance(step, OrdinalEncoder):
        return not np.isnan(step.encoded_missing_value)
    encodes = isinstance(step, OneHotEncoder | TargetEncoder)
    return encodes or type(step).__module__.startswith(_IMPUTERS)


def _reader(branch: _Branch) -> Any:
    """Return the first step that keeps what it has seen of its columns, behind functions."""
    steps = (one for one in branch.steps if not isinstance(one, FunctionTransformer))
    first = next(steps, None)
    return first if _named(first)[1] == len(branch.positions) else None


def _known_values(branch: _Branch) -> list[Any]:
    """Return for each column what an encoder knows of it, or what an imputer fills in."""
    first = _reader(branch)
    categories = getattr(first, "categories_", None)
    if isinstance(categories, list):
        return categories
    filled = getattr(first, "statistics_", None)
    return [] if filled is None else [[value] for value in filled]


def _holds_text(values: Any) -> bool:
    return any(isinstance(value, str) for value in np.asarray(values, dtype=object).ravel())


def _positions(chosen: Any, named: Sequence[str], count: int) -> Iterator[int]:
    """Return the positions of columns that a transformer names, numbers, slices or masks."""
    if isinstance(chosen, slice):
        return iter(range(count)[_by_position(chosen, named)])
    listed: list[Any] = [chosen] if isinstance(chosen, str | int) else list(chosen)
    if _is_mask(chosen):
        listed = np.flatnonzero(listed).tolist()
    return iter(named.index(one) if isinstance(one, str) else int(one) % count for one in listed)


def _by_position(chosen: slice, named: Sequence[str]) -> slice:
    """Return a slice by names, which takes in its last as pandas does, as one by positions."""
    start, stop = chosen.start, chosen.stop
    start = named.index(start) if isinstance(start, str) else start
    stop = named.index(stop) + 1 if isinstance(stop, str) else stop
    return slice(start, stop, chosen.step)


def _is_mask(chosen: Any) -> bool:
    return not isinstance(chosen, slice) and np.asarray(chosen).dtype.kind == "b"
