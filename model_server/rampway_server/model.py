"""A loaded model of any kind: what it takes, what it offers, its predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rampway_server.errors import ClientFaultError, ModelError
from rampway_server.matching import Matched, match
from rampway_server.reference import Profile
from rampway_server.tensors import TEXT, TensorSpec, conform, shown

MATRIX = "input-0"


class Predictor(Protocol):
    """What computes: an estimator, or a session of another runtime."""

    def run(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[TensorSpec]) -> list[Any]:
        """Return one value per output; may raise anything."""
        ...


@dataclass(frozen=True)
class Model:
    """A loaded model with its tensors as derived from it.

    Attributes:
        platform: What the protocol's metadata calls its kind.
        sha256: Digest of the bytes it was loaded from, 64 hexadecimal digits.
        takes: Its inputs.
        columns: The names of its features, if it takes one matrix and knows them: they may be sent
            as a tensor each instead.
        batches: Whether rows of several requests may be put together.
        classes: What the first output can answer, if that is known.
        probabilities: The output that has a probability for each class, if there is one.
        profile: What its training data looked like, if the file says so.
    """

    predictor: Predictor
    platform: str
    sha256: str
    takes: tuple[TensorSpec, ...]
    offers: tuple[TensorSpec, ...]
    columns: tuple[TensorSpec, ...] = ()
    batches: bool = True
    classes: tuple[Any, ...] = ()
    probabilities: TensorSpec | None = None
    profile: Profile | None = None

    @cached_property
    def width(self) -> int:
        """How many values a row has, asked or answered: in what has the more."""
        return max(sum(spec.width for spec in self.takes), *(spec.width for spec in self.offers))

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The classes as the first output has them."""
        text = self.offers[0].datatype == TEXT
        found = [str(label) if text else label for label in self.classes]
        return np.array(found, dtype=self.offers[0].dtype)

    @cached_property
    def training(self) -> Matched:
        """The features of the profile, by the model's columns."""
        matrix = self.takes[0]
        columns = self.takes if len(self.takes) > 1 else self.columns
        if not columns and len(matrix.shape) > 1:
            numbers = range(max(0, matrix.shape[1]))
            columns = tuple(TensorSpec(f"column-{at}", matrix.datatype, (-1,)) for at in numbers)
        return match(self.profile.features if self.profile else (), columns)

    def input(self, name: str) -> TensorSpec:
        """Return the input of that name, or the matrix' column.

        Raises:
            ClientFaultError: there is none.
        """
        for spec in (*self.takes, *self.columns):
            if spec.name == name:
                return spec
        raise ClientFaultError(f"unknown input {shown(name)}; this model takes {self._taken()}")

    def arrange(self, found: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        """Return the inputs in the model's order; columns become its matrix.

        Raises:
            ClientFaultError: some are missing.
        """
        if self.columns and self.takes[0].name not in found:
            return (np.column_stack(self._complete(found, self.columns)),)
        return tuple(self._complete(found, self.takes))

    def _complete(
        self, found: Mapping[str, NDArray[Any]], wanted: Sequence[TensorSpec]
    ) -> list[NDArray[Any]]:
        """Return what was sent, with zeros for what the model does not look at."""
        used = [spec.name for spec in wanted if not spec.unused]
        self._check_complete(found, used)
        if len(used) == len(wanted):
            return [found[name] for name in used]
        nothing = np.zeros(len(found[used[0]]))
        return [found.get(spec.name, nothing) for spec in wanted]

    def _check_complete(self, found: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> None:
        missing = [name for name in wanted if name not in found]
        if missing or len(found) != len(wanted):
            without = f", without {shown(missing[0])}" if found and missing else ""
            raise ClientFaultError(
                f'"inputs" has {len(found)} tensors{without}; this model takes {self._taken()}'
            )

    def _taken(self) -> str:
        names = ", ".join(f'"{spec.name}"' for spec in self.takes[:8])
        if len(self.takes) > 8:  # noqa: PLR2004  # enough to see the pattern
            names += ", …"
        told = f"one, named {names}" if len(self.takes) == 1 else f"{len(self.takes)}: {names}"
        return told + (" (or a tensor for each of its columns)" if self.columns else "")

    def predict(
        self, inputs: Sequence[NDArray[Any]], outputs: Sequence[TensorSpec]
    ) -> list[NDArray[Any]]:
        """Return one array per output, in its datatype.

        Raises:
            ModelError: whatever the model's code raised, chained.
        """
        try:
            found = self.predictor.run(inputs, outputs)
            rows = len(inputs[0])
            return [
                conform(spec, values, rows) for spec, values in zip(outputs, found, strict=True)
            ]
        except BaseException as error:  # SystemExit too: a model may not end the server
            raise ModelError(f"{type(error).__name__}: {error}") from error

    def zeros(self) -> list[NDArray[Any]]:
        """Return inputs of one row: of zeros, or empty texts; of one column if nobody knows."""
        return [
            np.full(
                tuple(max(1, size) for size in spec.shape),
                "" if spec.datatype == TEXT else 0,
                dtype=spec.dtype,
            )
            for spec in self.takes
        ]

    def warm_up(self) -> str | None:
        """Predict one row of zeros; return None, or why that was not possible.

        A model may rightly raise on zeros, so a failure is told but does not keep it from serving.
        """
        if any(-1 in spec.shape[1:] for spec in self.takes):
            return "the model does not say how many features it takes (no n_features_in_)"
        try:
            self.predict(self.zeros(), self.offers)
        except ModelError as error:
            return str(error)
        return None
