"""Which of a model's columns each feature of its profile is.

A profile may be made of a frame whose columns stand in another order than the model's, or of other
data altogether: counted by position alone, that would be drift where there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rampway_server.labels import distinct
from rampway_server.reference import MOST_FEATURES, Column
from rampway_server.tensors import TEXT, TensorSpec


@dataclass(frozen=True)
class Matched:
    """Features by the model's columns.

    Attributes:
        features: The position of a column, and the feature that it is, named as its label; none
            that the model does not look at.
        left_out: A sentence for each feature that is not counted, or one for all.
    """

    features: tuple[tuple[int, Column], ...] = ()
    left_out: tuple[str, ...] = ()


def match(features: Sequence[Column], columns: Sequence[TensorSpec]) -> Matched:
    """Return features by name; by position where the model or the profile has no names.

    Args:
        features: As the profile has them.
        columns: What the model takes; empty if it does not say: it is then believed to be these.
    """
    by_position = not columns or _numbered([one.name for one in columns])
    by_position = by_position or _numbered([one.name for one in features])
    most = min(len(columns), MOST_FEATURES)
    if by_position and columns and features and len(features) != most:
        told = f"it has {len(features)}, and the model's {len(columns)} columns need {most}"
        return Matched(left_out=(f"the profile's features are left out: {told}",))
    known = {spec.name: at for at, spec in enumerate(columns)}
    found: list[tuple[int, Column]] = []
    left_out: list[str] = []
    for at, feature in enumerate(features):
        place = at if by_position else known.get(feature.name)
        if place is not None and columns and columns[place].unused:
            continue
        reason = _against(feature, columns, place)
        if reason or place is None:
            left_out.append(f"the profile's feature {feature.name!r} is left out: {reason}")
        else:
            found.append((place, feature))
    labels = distinct(feature.name for _, feature in found)
    return Matched(
        tuple((at, replace(one, name=name)) for (at, one), name in zip(found, labels, strict=True)),
        tuple(left_out),
    )


def _numbered(names: Sequence[str]) -> bool:
    return list(names) == [f"column-{at}" for at in range(len(names))]


def _against(feature: Column, columns: Sequence[TensorSpec], place: int | None) -> str:
    """Return why a feature is not the model's column at this place; empty: it is."""
    if place is None:
        names = ", ".join(repr(one.name) for one in columns[:8])
        return f"the model takes {names}" + (", …" if len(columns) > 8 else "")  # noqa: PLR2004
    if columns and feature.text != (columns[place].datatype == TEXT):
        kinds = ("text", "numbers") if feature.text else ("no texts", "text")
        return f"it counts {kinds[0]}, and the model takes {kinds[1]} there"
    return ""
