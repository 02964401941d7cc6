"""Tensors of the Open Inference Protocol: JSON to numpy and back."""

import math
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rampway_server.errors import ClientFaultError

_NUMPY_TYPES = {
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
}
_JSON_NAMES = {str: "a string", bool: "true or false", type(None): "null", dict: "an object"}
_JSON_NAMES |= {list: "a list", int: "an integer", float: "a fraction"}
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class TensorSpec:
    """A tensor as metadata shows it; -1 in the shape is a length that varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the protocol's metadata of this tensor."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


def shown(value: object) -> str:
    """Return what the client sent, cut to a length that is safe to show."""
    text = repr(value[:_SHOWN_CHARACTERS]) if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def field(holder: dict[str, Any], key: str, kind: type, where: str) -> Any:
    """Return `holder[key]`; a client fault names the field, its place and what was seen."""
    if key not in holder:
        raise ClientFaultError(f'{where} has no "{key}"; expected {_JSON_NAMES[kind]} there')
    value = holder[key]
    if type(value) is not kind:
        raise ClientFaultError(
            f'"{key}" of {where} is {_kind(value)}; expected {_JSON_NAMES[kind]}'
        )
    return value


def read_rows(tensor: dict[str, Any], spec: TensorSpec) -> NDArray[np.float64]:
    """Return a JSON input tensor as rows of float64, shape [rows, features], all finite.

    The values pass through the tensor's declared datatype, so that FP32 data are what FP32 holds.

    Raises:
        ClientFaultError: datatype, shape and data do not agree with each other or with the spec.
    """
    where = f'input "{spec.name}"'
    datatype = field(tensor, "datatype", str, where)
    if datatype not in _NUMPY_TYPES:
        raise ClientFaultError(
            f"{where} has datatype {shown(datatype)}; this model takes numbers: "
            + ", ".join(_NUMPY_TYPES)
        )
    shape = _shape(field(tensor, "shape", list, where), spec, where)
    nested, values = _flatten(field(tensor, "data", list, where), where)
    _check_sizes(shape, nested, len(values), where)
    rows: NDArray[np.float64] = _numbers(values, datatype, where).reshape(shape)
    return rows


def _shape(sizes: list[Any], spec: TensorSpec, where: str) -> tuple[int, ...]:
    if any(type(size) is not int or size < 1 for size in sizes):
        raise ClientFaultError(f"{where} has shape {shown(sizes)}; expected positive integers")
    expected = f"expected {list(spec.shape)}: rows, features (one row: [1, …])"
    if len(sizes) != len(spec.shape):
        raise ClientFaultError(
            f"{where} has shape {shown(sizes)}, {len(sizes)} dimensions; {expected}"
        )
    if any(want not in {-1, size} for size, want in zip(sizes, spec.shape, strict=True)):
        raise ClientFaultError(f"{where} has shape {shown(sizes)}; {expected}")
    return tuple(sizes)


def _flatten(data: list[Any], where: str) -> tuple[tuple[int, ...], list[Any]]:
    """Return the shape of nested lists and their values in row-major order."""
    sizes = [len(data)]
    while data and isinstance(data[0], list):
        if set(map(type, data)) != {list} or len(set(map(len, data))) != 1:
            raise ClientFaultError(
                f'"data" of {where} is ragged: lists {len(sizes)} levels down differ in length'
            )
        sizes.append(len(data[0]))
        data = list(chain.from_iterable(data))
    return tuple(sizes), data


def _check_sizes(shape: tuple[int, ...], nested: tuple[int, ...], count: int, where: str) -> None:
    if count != math.prod(shape):
        raise ClientFaultError(
            f"{where} has shape {shown(list(shape))}, which is {shown(math.prod(shape))} values, "
            f"but its data hold {count}"
        )
    if len(nested) > 1 and nested != shape:
        raise ClientFaultError(
            f"{where} has shape {shown(list(shape))}, but its data are nested as "
            f"{shown(list(nested))}; nest them alike or send them flat"
        )


def _numbers(values: list[Any], datatype: str, where: str) -> NDArray[np.float64]:
    """Return the values as float64, after a pass through their declared datatype."""
    dtype = np.dtype(_NUMPY_TYPES[datatype])
    # The kinds are looked at before numpy is: it would read "1" as 1 and null as NaN.
    wrong = set(map(type, values)) - _KINDS_BY_CODE[dtype.kind]
    if wrong:
        at = next(i for i, value in enumerate(values) if type(value) in wrong)
        raise ClientFaultError(
            f'"data" of {where} has {_kind(values[at])} ({shown(values[at])}) at position {at}; '
            f"datatype {datatype} takes {_TAKES_BY_CODE[dtype.kind]}"
        )
    try:
        with np.errstate(over="ignore"):
            numbers = np.array(values, dtype=dtype).astype(np.float64)
    except OverflowError:
        raise ClientFaultError(
            f'"data" of {where} has a value outside the range of datatype {datatype}'
        ) from None
    if not np.isfinite(numbers).all():
        at = int(np.argmin(np.isfinite(numbers)))
        raise ClientFaultError(
            f'"data" of {where} has {shown(values[at])} at position {at}, '
            f"not a finite number in datatype {datatype}"
        )
    return numbers


_INTEGERS: set[type] = {int}
_KINDS_BY_CODE: dict[str, set[type]] = {
    "b": {bool},
    "i": _INTEGERS,
    "u": _INTEGERS,
    "f": {int, float},
}
_TAKES_BY_CODE = {"b": "true and false", "i": "integers", "u": "integers", "f": "numbers"}


def _kind(value: object) -> str:
    return _JSON_NAMES.get(type(value), "something else")


def conform(spec: TensorSpec, values: object, rows: int) -> NDArray[Any]:
    """Return what an estimator answered as an array of the spec's datatype (BYTES: of objects).

    Raises:
        ValueError: it is not one answer per row.
        TypeError: it cannot be read as the datatype.
    """
    array = np.asarray(values)
    if array.shape[:1] != (rows,):
        raise ValueError(f"{spec.name} answered shape {array.shape} to {rows} rows")
    if spec.datatype == "BYTES":
        return array.astype(str).astype(object)
    return np.ascontiguousarray(array, dtype=_NUMPY_TYPES[spec.datatype])


def write_tensor(spec: TensorSpec, array: NDArray[Any]) -> dict[str, Any]:
    """Return an output tensor, conformed to its spec, as JSON-ready values: flat, row-major."""
    flat = array.reshape(-1)
    return {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": list(array.shape),
        "data": flat.tolist() if spec.datatype == "BYTES" else flat,
    }
