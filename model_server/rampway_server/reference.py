"""The reference profile: what the training data looked like, made once and shipped in the model.

    import rampway_server
    rampway_server.profile(X_train, model.predict(X_train)).add_to("model.skops")

It holds counts, never rows: per feature ten bins of about equal size (text: its commonest values),
missing values, the range, and whether all were whole numbers; and the same of the predictions.
"""

import itertools
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rampway_server.labels import LONGEST, bounds, distinct

MEMBER = "rampway-profile.json"
BINS = 10
MOST_VALUES = 20
MOST_FEATURES = 64
OTHER, MISSING = "other", "missing"


@dataclass(frozen=True)
class Column:
    """One feature, or the predictions.

    Attributes:
        edges: Of numbers: the bins' upper bounds but the last, rising; empty for text.
        values: Of text: the values that have a bin of their own; empty for numbers.
        counts: Rows by bin: of `edges`, one more; of `values`, one more for all others.
        missing: Rows without a value.
        low: The least number.
        high: The greatest number.
        whole: Whether all numbers were whole.
    """

    name: str
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    missing: int = 0
    low: float = 0.0
    high: float = 0.0
    whole: bool = False

    @property
    def text(self) -> bool:
        """Whether it is text."""
        return bool(self.values)

    @property
    def bins(self) -> list[str]:
        """The bins' names as labels: upper bounds or values, then what is missing."""
        if self.text:
            return [*distinct(self.values, (OTHER, MISSING)), OTHER, MISSING]
        return [*bounds(self.edges), "+Inf", MISSING]


@dataclass(frozen=True)
class Profile:
    """What the training data looked like; at most `MOST_FEATURES` features are kept."""

    rows: int
    features: tuple[Column, ...]
    prediction: Column | None = None

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps({"format": 1, **asdict(self)})

    def add_to(self, path: str | Path) -> None:
        """Put it into a skops file, whose digest changes by that; an old one is replaced.

        Raises:
            ValueError: it is no skops file.
        """
        path = Path(path)
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path} is no skops file; write it with skops.io.dump first")
        temporary = path.with_name(path.name + ".partial")
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(temporary, "w") as new:
            for member in old.infolist():
                if member.filename != MEMBER:
                    new.writestr(member, old.read(member))
            new.writestr(MEMBER, self.to_json())
        temporary.replace(path)


def from_json(text: str | bytes) -> Profile:
    """Return the profile in a text.

    Raises:
        ValueError, TypeError, LookupError: it is none.
    """
    found = json.loads(text)
    if found["format"] != 1:
        raise ValueError(f"profile of format {found['format']!r}; expected 1")
    prediction = found["prediction"]
    return Profile(
        int(found["rows"]),
        tuple(_column(one) for one in found["features"][:MOST_FEATURES]),
        _column(prediction) if prediction else None,
    )


def _column(found: dict[str, Any]) -> Column:
    lists = {key: tuple(found[key]) for key in ("edges", "values", "counts")}
    column = Column(**{**found, **lists})
    if len(column.counts) != len(column.edges or column.values) + 1:
        raise ValueError(f"profile of {column.name!r} has {len(column.counts)} counts")
    if any(low >= high for low, high in itertools.pairwise(column.edges)):
        raise ValueError(f"profile of {column.name!r} has edges that do not rise")
    return column


def profile(
    X: Any,  # noqa: N803  # scikit-learn's name
    y: Any = None,
    *,
    names: Sequence[str] = (),
    like: Profile | None = None,
) -> Profile:
    """Return the profile of training data.

    Args:
        X: A frame or an array of shape [rows, features]; or texts of shape [rows], of which
            nothing is kept.
        y: What the model predicts for them, shape [rows]; best not the labels.
        names: The features' names, where X is no frame.
        like: An earlier revision's profile: its bins are used, so that both can be compared.

    Raises:
        ValueError: X or y has another shape, or names are missing or there twice.
    """
    columns = list(_columns(X, names))[:MOST_FEATURES]
    known = {column.name: column for column in like.features} if like else {}
    features = tuple(_describe(name, values, known.get(name)) for name, values in columns)
    predicted = None
    if y is not None:
        predicted = _describe("prediction", _one_each(y, len(X)), like.prediction if like else None)
    return Profile(len(X), features, predicted)


def _one_each(y: Any, rows: int) -> NDArray[Any]:
    found = np.asarray(y)
    if found.shape not in {(rows,), (rows, 1)}:
        raise ValueError(
            f"y has shape {found.shape}; expected one prediction for each of {rows} rows (leave y "
            "out where a model answers several)"
        )
    return found.reshape(rows)


def _columns(data: Any, names: Sequence[str]) -> Iterable[tuple[str, NDArray[Any]]]:
    if hasattr(data, "columns"):
        twice = [name for name, count in Counter(map(str, data.columns)).items() if count > 1]
        if twice:
            raise ValueError(f"several columns of X are called {twice[0]!r}")
        return [(str(name), np.asarray(data[name])) for name in data.columns]
    rows = np.asarray(data)
    if rows.ndim == 1 and numbers(rows) is None:
        return []
    if rows.ndim != 2:  # noqa: PLR2004  # rows and features
        raise ValueError(f"X has shape {rows.shape}; expected rows and features")
    named = names or [f"column-{at}" for at in range(rows.shape[1])]
    if len(named) != rows.shape[1]:
        raise ValueError(f"{len(named)} names for {rows.shape[1]} columns of X")
    return [(name, rows[:, at]) for at, name in enumerate(named)]


def numbers(values: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return values as numbers, missing ones as NaN; None: they are text."""
    if values.dtype.kind in "mM":  # times: NaT is a number to numpy
        return np.where(np.isnat(values), np.nan, values.astype(np.float64))
    if any(isinstance(value, str) for value in values[:1000].tolist()):
        return None
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        return None


def _describe(name: str, values: NDArray[Any], like: Column | None) -> Column:
    found = numbers(values)
    if found is None:
        return _describe_text(name, values.tolist(), like)
    good = found[np.isfinite(found)]
    shares = np.arange(1, BINS) / BINS
    quantiles = np.quantile(good, shares, method="inverted_cdf") if good.size else np.empty(0)
    edges = like.edges if like and not like.text else tuple(np.unique(quantiles).tolist())
    counts = np.bincount(np.searchsorted(edges, good), minlength=len(edges) + 1)
    return Column(
        name,
        edges=edges,
        counts=tuple(counts.tolist()),
        missing=len(found) - len(good),
        low=float(good.min(initial=np.inf)) if good.size else 0.0,
        high=float(good.max(initial=-np.inf)) if good.size else 0.0,
        whole=bool(good.size) and bool((good == np.floor(good)).all()),
    )


def _describe_text(name: str, values: list[Any], like: Column | None) -> Column:
    counts = Counter(value for value in values if isinstance(value, str))
    common = [text for text, _ in counts.most_common(MOST_VALUES) if len(text) <= LONGEST]
    known = like.values if like and like.text else tuple(sorted(common))
    own = [counts[text] for text in known]
    others = counts.total() - sum(own)
    missing = len(values) - counts.total()
    return Column(name, values=known, counts=(*own, others), missing=missing)
