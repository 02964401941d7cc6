"""A request with its answer, as it is logged, and the files that such are written into."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

import orjson
from numpy.typing import NDArray

from rampway_server.errors import StartError
from rampway_server.model import Model
from rampway_server.request import InferRequest

_ROWS = 64  # turned into text at once
_BYTES = 512  # of memory, beside its arrays


@dataclass(frozen=True)
class Payload:
    """One request, and what was answered.

    Attributes:
        about: Names of the model, its version and its revision.
        arrays: A value for each of the request's outputs.
        at_s: When it was answered, in seconds since 1970.
    """

    about: Mapping[str, str]
    model: Model
    asked: InferRequest
    arrays: Sequence[NDArray[Any]]
    at_s: float

    @property
    def size(self) -> int:
        """About how many bytes of memory it holds."""
        arrays = (*self.asked.inputs, *self.arrays)
        return sum(values.nbytes for values in arrays) + _BYTES


class File(Protocol):
    """A file in the making."""

    @property
    def size(self) -> int:
        """How many bytes of memory it holds."""
        ...

    def add(self, payload: Payload) -> Iterator[None]:
        """Take a payload, one small piece of work at a time."""
        ...

    def content(self) -> bytes:
        """Return the finished file."""
        ...


@dataclass(frozen=True)
class Form:
    """A kind of files.

    Attributes:
        suffix: What their names end with.
        begin: Begins a file for a payload and those that may share a file with it.
        kin: What payloads have in common that may share a file.
    """

    suffix: str
    begin: Callable[[Payload], File]
    kin: Callable[[Payload], Hashable]


class Lines:
    """JSON, a line for each row; all models share a file."""

    form: ClassVar[Form]

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, payload: Payload) -> Iterator[None]:
        """Take a payload, some rows at a time."""
        for lines in _lines(payload):
            self._parts.append(lines)
            self.size += len(lines)
            yield

    def content(self) -> bytes:
        """Return all lines."""
        return b"".join(self._parts)


Lines.form = Form("jsonl", lambda _: Lines(), lambda _: None)


def _lines(payload: Payload) -> Iterator[bytes]:
    asked = payload.asked
    told = {"time": datetime.fromtimestamp(payload.at_s, UTC).isoformat(), **payload.about}
    told["id"] = asked.request_id or ""
    takes = [spec.name for spec in payload.model.takes]
    offers = [spec.name for spec in asked.specs]
    for start in range(0, asked.rows, _ROWS):
        rows = slice(start, start + _ROWS)
        given = zip(*(values[rows].tolist() for values in asked.inputs), strict=True)
        found = zip(*(values[rows].tolist() for values in payload.arrays), strict=True)
        yield b"".join(
            orjson.dumps(
                {
                    **told,
                    "row": row,
                    "inputs": dict(zip(takes, sent, strict=True)),
                    "outputs": dict(zip(offers, answered, strict=True)),
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for row, (sent, answered) in enumerate(zip(given, found, strict=True), start)
        )


def form(name: str) -> Form:
    """Return the kind of files that --payload-format names.

    Raises:
        StartError: it cannot be written here.
    """
    if name == "jsonl":
        return Lines.form
    from rampway_server import parquet  # 100 MB of memory that few need

    if not parquet.available():
        raise StartError(
            "payloads as Parquet need pyarrow, which is not installed; use the image "
            "model-server-full, install rampway[server-full], or log as jsonl (--payload-format)"
        )
    return parquet.Columns.form
