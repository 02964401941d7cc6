"""Payloads as Parquet: a row for each row, with the same fields as the lines of JSON have."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rampway_server.payload import Form, Payload
from rampway_server.tensors import TEXT, TensorSpec

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError:  # the image model-server
    pa = None

_PIECE_PAYLOADS = 256  # turned into columns at once
_PIECE_BYTES = 1 << 20  # or so much of them
_GROUP_BYTES = 4 << 20  # compressed at once, as a row group of the file


def available() -> bool:
    """Whether Parquet can be written here."""
    return pa is not None


class Columns:
    """A file of one model's payloads: its tensors are the file's schema.

    Args:
        payload: One of those to come.
    """

    form: ClassVar[Form]

    def __init__(self, payload: Payload) -> None:
        self._model = payload.model  # held as long as the file is open: `kin` goes by its identity
        self._about = payload.about
        self._schema = _schema(payload)
        self._sink = pa.BufferOutputStream()
        self._writer = parquet.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._waiting: dict[Hashable, list[Payload]] = {}
        self._waiting_bytes = 0
        self._batches: list[Any] = []

    @property
    def size(self) -> int:
        """How many bytes of memory it holds."""
        told: int = self._sink.tell() + self._waiting_bytes + _nbytes(self._batches)
        return told

    def add(self, payload: Payload) -> Iterator[None]:
        """Take a payload; now and then some become columns, and now and then those are written."""
        alike = self._waiting.setdefault(_likeness(payload), [])
        alike.append(payload)
        self._waiting_bytes += payload.size
        if len(alike) == _PIECE_PAYLOADS or self._waiting_bytes >= _PIECE_BYTES:
            self._turn()
            yield
        if _nbytes(self._batches) >= _GROUP_BYTES:
            self._write()
            yield

    def content(self) -> bytes:
        """Return the finished file."""
        self._turn()
        self._write()
        self._writer.close()
        content: bytes = self._sink.getvalue().to_pybytes()
        return content

    def _turn(self) -> None:
        """Turn all that waits into columns."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        self._batches += [self._batch(payloads) for payloads in waiting.values()]

    def _write(self) -> None:
        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches, self._schema))
            self._batches = []

    def _batch(self, payloads: Sequence[Payload]) -> Any:
        """Return payloads that are alike as columns."""
        rows = [payload.asked.rows for payload in payloads]
        at_us = np.repeat([int(payload.at_s * 1e6) for payload in payloads], rows)
        ids = np.array([payload.asked.request_id or "" for payload in payloads], dtype=object)
        return pa.RecordBatch.from_arrays(
            [
                pa.array(at_us).cast(self._schema.field("time").type),
                *(pa.repeat(text, sum(rows)) for text in self._about.values()),
                pa.array(np.repeat(ids, rows), pa.string()),
                pa.array(np.concatenate([np.arange(count, dtype=np.int32) for count in rows])),
                self._struct("inputs", self._model.takes, [p.asked.inputs for p in payloads]),
                self._struct("outputs", payloads[0].asked.specs, [p.arrays for p in payloads]),
            ],
            schema=self._schema,
        )

    def _struct(
        self, name: str, specs: Sequence[TensorSpec], arrays: Sequence[Sequence[NDArray[Any]]]
    ) -> Any:
        """Return tensors of several payloads as one column; null where the schema has more."""
        joined = map(np.concatenate, zip(*arrays, strict=True))
        found = {
            spec.name: _column(spec, values) for spec, values in zip(specs, joined, strict=True)
        }
        fields = list(self._schema.field(name).type)
        rows = len(next(iter(found.values())))
        columns = [
            found[field.name] if field.name in found else pa.nulls(rows, field.type)
            for field in fields
        ]
        return pa.StructArray.from_arrays(columns, fields=fields)


Columns.form = Form("parquet", Columns, lambda payload: id(payload.model))


def _likeness(payload: Payload) -> Hashable:
    """Return what payloads have in common whose arrays can be put together."""
    asked = payload.asked
    shapes = tuple(values.shape[1:] for values in (*asked.inputs, *payload.arrays))
    return tuple(spec.name for spec in asked.specs), shapes


def _schema(payload: Payload) -> Any:
    # Some regressors do not tell of several targets before they answer.
    answered = zip(payload.asked.specs, payload.arrays, strict=True)
    seen = {spec.name: array.ndim for spec, array in answered}
    offers = [
        (spec.name, _type(spec, seen.get(spec.name, len(spec.shape))))
        for spec in payload.model.offers
    ]
    takes = [(spec.name, _type(spec, len(spec.shape))) for spec in payload.model.takes]
    return pa.schema(
        [
            ("time", pa.timestamp("us", tz="UTC")),
            *((name, pa.string()) for name in payload.about),
            ("id", pa.string()),
            ("row", pa.int32()),
            ("inputs", pa.struct(takes)),
            ("outputs", pa.struct(offers)),
        ]
    )


def _type(spec: TensorSpec, dimensions: int) -> Any:
    """Return the type of one row's value: lists in lists where the tensor has more dimensions."""
    found = _plain(spec)
    for _ in range(dimensions - 1):
        found = pa.list_(found)
    return found


def _plain(spec: TensorSpec) -> Any:
    return pa.string() if spec.datatype == TEXT else pa.from_numpy_dtype(spec.dtype)


def _column(spec: TensorSpec, values: NDArray[Any]) -> Any:
    """Return rows as a column; null is a missing text, NaN stays what it is."""
    found = pa.array(values.reshape(-1), _plain(spec))
    for size in reversed(values.shape[1:]):
        ends = np.arange(0, len(found) + 1, size, dtype=np.int32)
        found = pa.ListArray.from_arrays(ends, found)
    return found


def _nbytes(batches: Sequence[Any]) -> int:
    return sum(batch.nbytes for batch in batches)
