"""Counts of a model's inputs in the bins of its training data."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rampway_server.reference import Column
from rampway_server.sheet import Page

VIOLATIONS = ("empty_string", "fraction_for_integer", "missing_not_in_training", "unknown_category")
MOST_ROWS = 512
"""Of one prediction so many rows are counted at most, evenly spread."""


class Inputs:
    """Counts of all features.

    Args:
        features: Each with the position of its column in the model.
        page: Where this worker counts.
        name: What tells these features from others.
    """

    def __init__(
        self, features: Sequence[tuple[int, Column]], page: Page, name: Sequence[str]
    ) -> None:
        self._numbers_at = [at for at, one in features if not one.text]
        self._numbers = Numbers([one for _, one in features if not one.text], page, name)
        self._texts = {at: Text(one, page, [*name, str(at)]) for at, one in features if one.text}
        self._any = bool(features)

    def count(self, inputs: Sequence[NDArray[Any]]) -> None:
        """Count some rows of a prediction's inputs: a matrix, or a tensor for each feature."""
        if not self._any:
            return
        step = -(-len(inputs[0]) // MOST_ROWS)
        rows = [values[::step] for values in inputs]
        matrix = len(rows) == 1 and rows[0].ndim > 1
        if self._numbers_at:
            numbers = rows[0][:, self._numbers_at] if matrix else self._stacked(rows)
            self._numbers.count(numbers)
        for at, text in self._texts.items():
            text.count((rows[0][:, at] if matrix else rows[at]).tolist())

    def _stacked(self, rows: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        return np.column_stack([rows[at].astype(np.float64) for at in self._numbers_at])

    def bins(self) -> Iterator[tuple[Column, NDArray[np.float64]]]:
        """Return each feature with its counts by bin."""
        yield from self._numbers.bins()
        yield from ((text.column, text.counts.total()) for text in self._texts.values())

    def outside(self) -> Iterator[tuple[str, int]]:
        """Return each number's name, with how many were out of its range in training."""
        return self._numbers.outside()

    def violations(self) -> dict[str, int]:
        """Return how many values were unlike any in training, by kind."""
        parts = [self._numbers.violations(), *(text.violations() for text in self._texts.values())]
        return {kind: sum(part.get(kind, 0) for part in parts) for kind in VIOLATIONS}


class Numbers:
    """Counts of all features that are numbers, at once: shape [features, bins].

    All is held by feature, so that numpy goes along the rows, which are many: a third of the time.
    """

    def __init__(self, columns: Sequence[Column], page: Page, name: Sequence[str]) -> None:
        self._columns = columns
        most = max((len(column.edges) for column in columns), default=0)
        self._edges = np.full((most, len(columns), 1), np.inf)
        for at, column in enumerate(columns):
            self._edges[: len(column.edges), at, 0] = column.edges
        self._bins = most + 2  # one above the last edge, one for what is missing
        self._small = np.min_scalar_type(self._bins)
        self._first = (np.arange(len(columns)) * self._bins)[:, None]
        self._counts = page.cells("numbers", *name, size=len(columns) * self._bins)
        # Of a column without a number in training nothing can be unlike it.
        seen = np.array([any(column.counts) for column in columns], dtype=np.bool_)
        low, high = ([getattr(one, name) for one in columns] for name in ("low", "high"))
        self._low = np.where(seen, low, -np.inf)[:, None]
        self._high = np.where(seen, high, np.inf)[:, None]
        self._whole = seen & np.array([column.whole for column in columns], dtype=np.bool_)
        self._outside = page.cells("outside", *name, size=len(columns))
        self._fractions = page.cells("fractions", *name, size=1)

    def count(self, rows: NDArray[Any]) -> None:
        """Count rows of shape [rows, features]."""
        values = np.ascontiguousarray(rows.T)
        there = np.isfinite(values)
        at = np.add.reduce(values > self._edges, axis=0, dtype=self._small)
        at[~there] = self._bins - 1
        counts, outside = self._counts.own, self._outside.own
        counts += np.bincount((at + self._first).ravel(), minlength=len(counts))
        outside += (there & ((values < self._low) | (values > self._high))).sum(axis=1)
        if self._whole.any():
            fractions = there & (values != np.floor(values))
            self._fractions.own[0] += fractions[self._whole].sum()

    def _by_feature(self) -> NDArray[np.float64]:
        return self._counts.total().reshape(len(self._columns), self._bins)

    def bins(self) -> Iterator[tuple[Column, NDArray[np.float64]]]:
        """Return each feature with its counts by bin."""
        for column, counts in zip(self._columns, self._by_feature(), strict=True):
            own = len(column.edges) + 1
            yield column, np.array([*counts[:own], counts[-1]])

    def outside(self) -> Iterator[tuple[str, int]]:
        """Return each feature's name, with how many values were out of range."""
        for column, count in zip(self._columns, self._outside.total().tolist(), strict=True):
            yield column.name, count

    def violations(self) -> dict[str, int]:
        """Return how many values were unlike any in training, by kind."""
        missing = sum(
            int(counts[-1])
            for column, counts in zip(self._columns, self._by_feature(), strict=True)
            if not column.missing
        )
        fractions = int(self._fractions.total()[0])
        return {"fraction_for_integer": fractions, "missing_not_in_training": missing}


class Text:
    """Counts of a feature that is text."""

    def __init__(self, column: Column, page: Page, name: Sequence[str]) -> None:
        self.column = column
        self.counts = page.cells("text", *name, size=len(column.bins))
        self._violations = page.cells("violations", *name, size=len(VIOLATIONS))
        self._at = {text: at for at, text in enumerate(column.values)}

    def count(self, values: list[Any]) -> None:
        """Count values; what is no text is missing."""
        texts = [value for value in values if isinstance(value, str)]
        counts = self.counts.own
        for text in texts:
            counts[self._at.get(text, -2)] += 1
        missing = len(values) - len(texts)
        counts[-1] += missing
        if "" not in self._at:
            self._violated("empty_string", texts.count(""))
        if not self.column.counts[-1]:  # in training each value had a bin of its own
            self._violated("unknown_category", sum(text not in self._at for text in texts))
        if not self.column.missing:
            self._violated("missing_not_in_training", missing)

    def _violated(self, kind: str, count: int) -> None:
        self._violations.own[VIOLATIONS.index(kind)] += count

    def violations(self) -> dict[str, int]:
        """Return how many values were unlike any in training, by kind."""
        return dict(zip(VIOLATIONS, map(int, self._violations.total()), strict=True))
