"""Tensors of the Open Inference Protocol: their datatypes, and whether what was sent fits."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rampway_server.errors import ClientFaultError

TEXT = "BYTES"
NUMPY_TYPES: dict[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    TEXT: np.object_,
}
_NUMBERS = tuple(name for name in NUMPY_TYPES if name != TEXT)
NO_MISSING = "this model takes no missing values there"
_SHOWN_CHARACTERS = 80
_BYTES_OF_A_VALUE = 4


@dataclass(frozen=True)
class TensorSpec:
    """A tensor as metadata shows it.

    Attributes:
        shape: -1 is a length that varies; the first is the rows.
        missing: Whether NaN, or null where it is text, stands for a missing value.
        strict: Columns of a matrix that take none all the same.
        unused: Whether the model does not look at it: it may be left out, or hold anything.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    missing: bool = False
    strict: tuple[int, ...] = ()
    unused: bool = False

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of its values."""
        return np.dtype(NUMPY_TYPES[self.datatype])

    @cached_property
    def width(self) -> int:
        """How many values a row has, as far as that is known."""
        return math.prod(max(1, size) for size in self.shape[1:])

    def as_json(self) -> dict[str, Any]:
        """Return the protocol's metadata of this tensor."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


def shown(value: object) -> str:
    """Return what the client sent, cut to a length that is safe to show."""
    text = repr(value[:_SHOWN_CHARACTERS]) if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def check_datatype(datatype: str, spec: TensorSpec, where: str) -> None:
    """Raise ClientFaultError if the protocol has no such datatype or the model takes another."""
    takes_text = spec.datatype == TEXT
    known = (TEXT,) if takes_text else _NUMBERS
    if datatype not in known:
        kind = "text" if takes_text else "numbers"
        raise ClientFaultError(
            f"{where} has datatype {shown(datatype)}; this model takes {kind}: " + ", ".join(known)
        )


def most_values(body_bytes: int) -> int:
    """Return how many values a tensor may have: as many as the largest body has in FP32.

    A byte of a body, or less where it is compressed, becomes a number of eight bytes here, or a row
    of answers: the bound of the body alone does not bound what a request takes.
    """
    return body_bytes // _BYTES_OF_A_VALUE


def check_shape(sizes: list[Any], spec: TensorSpec, where: str, most: int) -> tuple[int, ...]:
    """Return the shape that was sent; it may have a last 1 that the model's tensor has not.

    Args:
        sizes: What was sent.
        spec: What the model takes.
        where: What errors call the tensor.
        most: How many values it may have.

    Raises:
        ClientFaultError: it is none, too large, or not what the model takes.
    """
    if any(type(size) is not int or size < 1 for size in sizes):
        raise ClientFaultError(f"{where} has shape {shown(sizes)}; expected positive integers")
    columns = len(spec.shape) + 1 == len(sizes) and sizes[-1] == 1
    compared = sizes[:-1] if columns else sizes
    if len(compared) != len(spec.shape):
        raise ClientFaultError(
            f"{where} has shape {shown(sizes)}, {len(sizes)} dimensions; {_expected(spec)}"
        )
    if any(want not in {-1, size} for size, want in zip(compared, spec.shape, strict=True)):
        raise ClientFaultError(f"{where} has shape {shown(sizes)}; {_expected(spec)}")
    if math.prod(sizes) > most:
        raise ClientFaultError(
            f"{where} has shape {shown(sizes)}, which is {shown(math.prod(sizes))} values; "
            f"expected at most {most}, a quarter of --max-body-bytes"
        )
    return tuple(sizes)


def _expected(spec: TensorSpec) -> str:
    meant = "rows, features (one row: [1, …])" if len(spec.shape) > 1 else "rows (one row: [1])"
    return f"expected {list(spec.shape)}: {meant}"


def check_count(shape: tuple[int, ...], count: int, where: str) -> None:
    """Raise ClientFaultError unless a tensor of this shape has this many values."""
    if count != math.prod(shape):
        raise ClientFaultError(
            f"{where} has shape {shown(list(shape))}, which is {shown(math.prod(shape))} values, "
            f"but its data hold {count}"
        )


def fit(
    values: NDArray[Any], datatype: str, shape: tuple[int, ...], spec: TensorSpec, where: str
) -> NDArray[Any]:
    """Return values that were sent as `datatype` as the model takes them.

    There are as many values as the shape has, of the numpy type of `datatype` (text: str or None).

    Raises:
        ClientFaultError: some are fractions, missing or infinite where the model takes none.
    """
    wanted = spec.dtype
    values = values.reshape(shape[: len(spec.shape)])
    if values.dtype.kind == "f":
        if wanted.kind != "f":
            raise ClientFaultError(
                f"{where} has datatype {datatype}; this model takes {spec.datatype}"
            )
        _check_finite(values, datatype, spec, where)
    elif wanted.kind in "iu":
        _check_range(values, wanted, where)
    elif spec.strict and wanted.kind == "O":
        _check_present(values, spec, where)
    found: NDArray[Any] = values.astype(wanted, copy=False)
    return found


def _check_finite(values: NDArray[Any], datatype: str, spec: TensorSpec, where: str) -> None:
    good = np.isfinite(values)
    if good.all():
        return
    if spec.missing:
        good |= np.isnan(values)
        if spec.strict:
            good[:, spec.strict] &= np.isfinite(values[:, spec.strict])
        if good.all():
            return
    at = int(np.argmin(good))
    takes = "" if spec.missing and not spec.strict else f"; {NO_MISSING}"
    raise ClientFaultError(
        f'"data" of {where} has {values.reshape(-1)[at]} at position {at}, '
        f"not a finite number in datatype {datatype}{takes}"
    )


def _check_present(values: NDArray[Any], spec: TensorSpec, where: str) -> None:
    missing = values == None  # noqa: E711  # of each element
    missing[:, [at for at in range(values.shape[1]) if at not in spec.strict]] = False
    if missing.any():
        at = int(np.argmax(missing))
        raise ClientFaultError(f'"data" of {where} has null at position {at}; {NO_MISSING}')


def _check_range(values: NDArray[Any], wanted: np.dtype[Any], where: str) -> None:
    if values.dtype == wanted or values.dtype.kind == "b":
        return
    limits = np.iinfo(wanted)
    if int(values.min()) < limits.min or int(values.max()) > limits.max:
        raise ClientFaultError(f"{where} has a value outside the range of this model's {wanted}")


def conform(spec: TensorSpec, values: object, rows: int) -> NDArray[Any]:
    """Return what a model answered as an array of the spec's datatype (BYTES: of str).

    Raises:
        ValueError: it is not one answer per row.
        TypeError: it cannot be read as the datatype.
    """
    array = np.asarray(values)
    if array.shape[:1] != (rows,):
        raise ValueError(f"{spec.name} answered shape {array.shape} to {rows} rows")
    if spec.datatype == TEXT:
        return array.astype(str).astype(object)
    return np.ascontiguousarray(array, dtype=spec.dtype)
