"""The ways of rows through a fitted scikit-learn model: which columns go through which steps."""

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
from sklearn.preprocessing import FunctionTransformer

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
class Picked:
    """A step that picks columns by their positions, as bagging does before each of its models."""

    positions: Sequence[int]


@dataclass(frozen=True)
class Branch:
    """The steps that some columns go through, from the first to the last of the model.

    Attributes:
        positions: Of the columns, in the order that the steps have them.
    """

    positions: list[int]
    steps: list[Any]


def columns_of(estimator: Any) -> tuple[list[str], int]:
    """Return the names of the columns, if there are any, and how many columns there are."""
    named = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    return named, int(getattr(estimator, "n_features_in_", len(named)))


def branches(estimator: Any) -> Iterator[Branch]:
    """Yield all branches of a fitted model, each with the positions of the columns it was given."""
    named, count = columns_of(estimator)
    return _branches(chains(estimator), list(range(count)), named)


def selects_columns(estimator: Any) -> bool:
    """Return whether the model begins with a ColumnTransformer, which tells columns by name.

    Or with a function of somebody's own before one, which was given a frame as well.
    """
    return any(
        isinstance(first, ColumnTransformer)
        and not all(_is_mask(chosen) for _, _, chosen in first.transformers_)
        for chain in chains(estimator)
        for first in _after_functions(chain)[:1]
    )


def chains(estimator: Any) -> list[list[Any]]:
    """Return each way of the rows through a fitted model: its steps, from the first to the last."""
    if isinstance(estimator, str) or estimator is None:  # "passthrough"
        return [[]]
    if isinstance(estimator, Pipeline):
        found: list[list[Any]] = [[]]
        for _, step in estimator.steps:
            found = [[*before, *after] for before in found for after in chains(step)]
        return found
    # Of gradient boosting: it encodes columns of categories itself.
    own = getattr(estimator, "_preprocessor", None)
    if isinstance(own, ColumnTransformer):
        return [[own, estimator]]
    if isinstance(estimator, BaggingClassifier | BaggingRegressor):
        picks = zip(estimator.estimators_, estimator.estimators_features_, strict=True)
        return [[Picked(own), *chain] for one, own in picks for chain in chains(one)]
    members = _members(estimator)
    return [chain for one in members for chain in chains(one)] if members else [[estimator]]


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
    ways: Sequence[list[Any]], within: Sequence[int], named: Sequence[str]
) -> Iterator[Branch]:
    """Yield what the columns at these positions, of these names if they have any, go through."""
    for chain in map(_after_functions, ways):
        first, rest = next(iter(chain), None), chain[1:]
        if isinstance(first, ColumnTransformer):
            parts = [
                (chains(one), chosen) for _, one, chosen in first.transformers_ if one != "drop"
            ]
            behind = rest
        elif isinstance(first, Picked):
            parts, behind = [([rest], first.positions)], []
        else:
            yield Branch(list(within), chain)
            continue
        for inner, chosen in parts:
            own = list(_positions(chosen, named, len(within)))
            names = [named[at] for at in own] if named else []
            for branch in _branches(inner, [within[at] for at in own], names):
                yield Branch(branch.positions, [*branch.steps, *behind])


def _after_functions(chain: list[Any]) -> list[Any]:
    """Return a chain without functions that come before a ColumnTransformer of the same columns."""
    at = next((at for at, one in enumerate(chain) if not isinstance(one, FunctionTransformer)), 0)
    if not at or not isinstance(chain[at], ColumnTransformer):
        return chain
    return chain[at:] if columns_of(chain[0]) == columns_of(chain[at]) else chain


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
