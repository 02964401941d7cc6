"""Tensors as JSON lists: values to numpy arrays, with a sentence for each thing amiss."""

import math
import struct
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rampway_server.errors import ClientFaultError
from rampway_server.tensors import NO_MISSING, NUMPY_TYPES, TensorSpec, check_count, shown

_JSON_NAMES = {str: "a string", bool: "true or false", type(None): "null", dict: "an object"}
_JSON_NAMES |= {list: "a list", int: "an integer", float: "a number with a point"}
_NONE: set[type] = {type(None)}
_KINDS_BY_CODE: dict[str, set[type]] = {
    "b": {bool},
    "i": {int},
    "u": {int},
    "f": {int, float},
    "O": {str},
}
_TAKES_BY_CODE = {
    "b": "true and false",
    "i": "integers",
    "u": "integers",
    "f": "numbers",
    "O": "strings",
}


def kind(value: object) -> str:
    """Return what JSON calls such a value."""
    return _JSON_NAMES.get(type(value), "something else")


def field(holder: dict[str, Any], key: str, wanted: type, where: str) -> Any:
    """Return `holder[key]`; a client fault names the field, its place and what was seen."""
    if key not in holder:
        raise ClientFaultError(f'{where} has no "{key}"; expected {_JSON_NAMES[wanted]} there')
    value = holder[key]
    if type(value) is not wanted:
        raise ClientFaultError(
            f'"{key}" of {where} is {kind(value)}; expected {_JSON_NAMES[wanted]}'
        )
    return value


def read(
    data: list[Any],
    datatype: str,
    shape: tuple[int, ...],
    spec: TensorSpec,
    where: str,
    *,
    truths: bool,
) -> NDArray[Any]:
    """Return the values of a JSON list, flat or nested, as an array of the datatype.

    `truths` says whether true or false may be among them: numpy would take them for 1 and 0.

    Raises:
        ClientFaultError: they are ragged, too many or too few, or not of the datatype.
    """
    found = None if truths else _at_once(data, np.dtype(NUMPY_TYPES[datatype]), shape)
    if found is not None:
        return found
    nested, values = _flatten(data, where)
    check_count(shape, len(values), where)
    if len(nested) > 1 and nested != shape:
        raise ClientFaultError(
            f"{where} has shape {shown(list(shape))}, but its data are nested as "
            f"{shown(list(nested))}; nest them alike or send them flat"
        )
    return _one_by_one(values, datatype, spec, where)


def _at_once(data: list[Any], dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return plain good numbers, which is nearly always; None: look closer."""
    if dtype.kind not in "iuf":
        return None
    try:
        found = _numbers(data) if dtype.kind == "f" else np.array(data)
    except ValueError:
        return None
    if found.dtype.kind not in "iuf" or (found.shape != shape and found.ndim != 1):
        return None
    if found.size != math.prod(shape):
        return None
    if found.dtype == dtype:
        return found
    if dtype.kind != "f":
        if found.dtype.kind == "f":
            return None
        limits = np.iinfo(dtype)
        if int(found.min()) < limits.min or int(found.max()) > limits.max:
            return None
    with np.errstate(over="ignore"):
        return found.astype(dtype, copy=False)


def _numbers(data: list[Any]) -> NDArray[Any]:
    """Return a list of numbers, or of lists of numbers, as an array; raises ValueError."""
    try:
        # A fourth of what numpy takes for it, and it takes nothing but numbers.
        return np.frombuffer(struct.pack(f"{len(data)}d", *data))
    except (struct.error, OverflowError):
        return np.array(data)


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


def _one_by_one(values: list[Any], datatype: str, spec: TensorSpec, where: str) -> NDArray[Any]:
    dtype = np.dtype(NUMPY_TYPES[datatype])
    # The kinds are looked at before numpy is: it would read "1" as 1 and null as NaN.
    good = _KINDS_BY_CODE[dtype.kind]
    if spec.missing and dtype.kind in "fO":
        good = good | _NONE
    wrong = set(map(type, values)) - good
    if wrong:
        at = next(i for i, value in enumerate(values) if type(value) in wrong)
        takes = f"datatype {datatype} takes {_TAKES_BY_CODE[dtype.kind]}"
        if values[at] is None and dtype.kind in "fO":
            takes = NO_MISSING
        raise ClientFaultError(
            f'"data" of {where} has {kind(values[at])} ({shown(values[at])}) at position {at}; '
            f"{takes}"
        )
    try:
        with np.errstate(over="ignore"):
            return np.array(values, dtype=dtype)
    except OverflowError:
        raise ClientFaultError(
            f'"data" of {where} has a value outside the range of datatype {datatype}'
        ) from None


def writable(array: NDArray[Any]) -> Any:
    """Return an array's values, flat and row-major, as orjson writes them."""
    flat = array.reshape(-1)
    return flat.tolist() if flat.dtype.kind == "O" else flat
