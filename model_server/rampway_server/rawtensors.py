"""Tensors as bytes: the binary tensor extension's layout, which gRPC's raw contents share.

Little-endian and row-major. BOOL is a byte each; BYTES is for each value its length in four bytes,
then its bytes.
"""

import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rampway_server.errors import ClientFaultError
from rampway_server.tensors import NUMPY_TYPES, TEXT, check_count, shown

_LENGTH = struct.Struct("<I")


def read(raw: memoryview, datatype: str, shape: tuple[int, ...], where: str) -> NDArray[Any]:
    """Return the values as a flat array of the datatype's numpy type (BYTES: of str).

    Raises:
        ClientFaultError: too many or too few bytes for the shape, or text that is not UTF-8.
    """
    if datatype == TEXT:
        found = [decode(value, where) for value in _split(raw, where)]
        check_count(shape, len(found), where)
        return np.array(found, dtype=object)
    dtype = np.dtype(NUMPY_TYPES[datatype]).newbyteorder("<")
    expected = math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        raise ClientFaultError(
            f"{where} has {len(raw)} bytes of data; shape {shown(list(shape))} in {datatype} "
            f"has {shown(expected)}"
        )
    if datatype == "BOOL":  # any byte but 0 is true
        return np.frombuffer(raw, dtype=np.uint8).astype(np.bool_)
    return np.frombuffer(raw, dtype=dtype)


def decode(value: bytes | memoryview, where: str) -> str:
    """Return text of a BYTES tensor.

    Raises:
        ClientFaultError: it is not UTF-8.
    """
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError as error:
        raise ClientFaultError(f"{where} has text that is not UTF-8: {error.reason}") from None


def _split(raw: memoryview, where: str) -> list[memoryview]:
    found, at, end = [], 0, len(raw)
    while at < end:
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(raw, at)[0] if start <= end else end + 1
        if at > end:
            raise ClientFaultError(
                f"{where} ends within a value; expected for each its length in 4 bytes, "
                "little-endian, and its bytes"
            )
        found.append(raw[start:at])
    return found


def write(array: NDArray[Any]) -> bytes:
    """Return an answer's values as bytes."""
    if array.dtype.kind != "O":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = [str(value).encode() for value in array.reshape(-1)]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
