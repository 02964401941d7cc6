"""What a fitted scikit-learn model expects of each column: text or numbers, missing or not."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    TargetEncoder,
)
from sklearn.utils import Tags, get_tags

from rampway_server.chains import Branch, Picked, branches, chains, columns_of
from rampway_server.errors import StartError
from rampway_server.tensors import TEXT, TensorSpec

_IMPUTERS = "sklearn.impute"
_DATES = "column {!r} of the model is of dates, which no tensor holds; fit it on texts or numbers"


def columns(estimator: Any) -> tuple[TensorSpec, ...]:
    """Return a spec for each column, named as in the frame the model was fitted on, else numbered.

    Empty if the model does not say how many it takes.

    Raises:
        StartError: one is of dates.
    """
    named, count = columns_of(estimator)
    text: set[int] = set()
    strict: set[int] = set()
    used: set[int] = set()
    for branch in branches(estimator):
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
    for branch in branches(estimator):
        known = zip(branch.positions, _known_values(branch), strict=False)
        found |= {at for at, values in known if any(value is None for value in values)}
        if getattr(_reader(branch), "missing_values", np.nan) is None:  # an imputer's
            found |= set(branch.positions)
    return frozenset(found)


def takes_texts(estimator: Any) -> bool:
    """Return whether a row is one text, as for a vectorizer, and no row of columns."""
    return any(map(_reads_texts, chains(estimator)))


def _reads_texts(steps: Sequence[Any]) -> bool:
    tags = _tags(steps[0]) if steps else None
    return tags is not None and tags.input_tags.string and not tags.input_tags.two_d_array


def _takes_missing(steps: Sequence[Any]) -> bool:
    """Return whether missing values come through: to a step that fills them in, or to the end."""
    for step in steps:
        if isinstance(step, Picked):
            continue
        tags = _tags(step)
        # What looks at nothing lets them through: a function, or what "passthrough" became.
        if tags is None or not (tags.input_tags.allow_nan or tags.no_validation):
            return False
        if _fills_in(step):
            return True
    return True


def _tags(step: Any) -> Tags | None:
    try:
        return get_tags(step)
    except Exception:  # noqa: BLE001  # an estimator of the user's own may lack anything
        return None


def _fills_in(step: Any) -> bool:
    """Return whether nothing is missing any more behind a step."""
    if isinstance(step, OrdinalEncoder):
        return not np.isnan(step.encoded_missing_value)
    encodes = isinstance(step, OneHotEncoder | TargetEncoder)
    return encodes or type(step).__module__.startswith(_IMPUTERS)


def _reader(branch: Branch) -> Any:
    """Return the first step that keeps what it has seen of its columns, behind functions."""
    steps = (one for one in branch.steps if not isinstance(one, FunctionTransformer))
    first = next(steps, None)
    return first if columns_of(first)[1] == len(branch.positions) else None


def _known_values(branch: Branch) -> list[Any]:
    """Return for each column what an encoder knows of it, or what an imputer fills in."""
    first = _reader(branch)
    categories = getattr(first, "categories_", None)
    if isinstance(categories, list):
        return categories
    filled = getattr(first, "statistics_", None)
    return [] if filled is None else [[value] for value in filled]


def _holds_text(values: Any) -> bool:
    return any(isinstance(value, str) for value in np.asarray(values, dtype=object).ravel())
