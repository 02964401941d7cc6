"""Payloads as Parquet: the same rows as the lines of JSON, in columns of the model's own types."""

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from unit.server.test_estimators import FRAME, LABELS, mixed

from rampway_server import parquet
from rampway_server.estimators import describe
from rampway_server.model import Model
from rampway_server.parquet import Columns
from rampway_server.payload import File, Lines, Payload
from rampway_server.request import InferRequest, Output

ABOUT = {"model": "m", "version": "2", "revision": "m-abc"}
ROWS = np.arange(12.0).reshape(6, 2)


def payload(model: Model, *inputs: Any, name: str | None = None, outputs: int = 1) -> Payload:
    """Return a request that the model has answered."""
    given = tuple(np.asarray(values) for values in inputs)
    specs = model.offers[:outputs]
    arrays = model.predict(given, specs)
    asked = InferRequest(name, given, tuple(Output(spec, binary=False) for spec in specs))
    return Payload(ABOUT, model, asked, arrays, 1_760_000_000.25)


def filled(file: File, *payloads: Payload) -> bytes:
    """Return a finished file."""
    for one in payloads:
        for _ in file.add(one):
            pass
    return file.content()


def read(content: bytes) -> Any:
    """Return a Parquet file as a table."""
    return pyarrow.parquet.read_table(pa.BufferReader(content))


def as_lines(*payloads: Payload) -> list[dict[str, Any]]:
    """Return the same payloads as the log has them in JSON."""
    return [orjson.loads(line) for line in filled(Lines(), *payloads).splitlines()]


def full(row: dict[str, Any], model: Model) -> dict[str, Any]:
    """Return a row of JSON with null for each output that was not asked for."""
    return row | {"outputs": {spec.name: row["outputs"].get(spec.name) for spec in model.offers}}


def text(words: list[str | None]) -> NDArray[Any]:
    """Return texts as the model takes them."""
    return np.array(words, dtype=object)


def classifier() -> tuple[Model, list[Payload]]:
    """Return a model with two outputs, asked for one or both."""
    model = describe(LogisticRegression().fit(ROWS, [0, 1, 2, 0, 1, 2]), "")
    return model, [
        payload(model, ROWS[:3], name="x1"),
        payload(model, ROWS[:1], outputs=2),
        payload(model, ROWS[3:5]),
    ]


def mixed_columns() -> tuple[Model, list[Payload]]:
    """Return a model of text and numbers, some of them missing."""
    model = describe(mixed(handle_unknown="ignore").fit(FRAME, LABELS), "")
    sent = [20.0, 30.0], text(["Ulm", None]), [1.0, 2.0]
    return model, [payload(model, *sent, outputs=2)]


def labels_of_text() -> tuple[Model, list[Payload]]:
    """Return a model that answers words."""
    model = describe(DecisionTreeClassifier(random_state=0).fit(ROWS[:2], ["ja", "nein"]), "")
    return model, [payload(model, ROWS[:2])]


def two_targets() -> tuple[Model, list[Payload]]:
    """Return a regressor that answers two numbers for each row."""
    model = describe(LinearRegression().fit(ROWS, ROWS), "")
    return model, [payload(model, ROWS)]


@pytest.mark.parametrize("made", [classifier, mixed_columns, labels_of_text, two_targets])
def test_rows_are_those_of_the_lines(made: Callable[[], tuple[Model, list[Payload]]]) -> None:
    """Same fields, same values, in whatever order requests that ask for other outputs come."""
    model, payloads = made()
    table = read(filled(Columns(payloads[0]), *payloads)).to_pylist()
    found = [row | {"time": row["time"].isoformat()} for row in table]
    expected = [full(row, model) for row in as_lines(*payloads)]

    def order(row: dict[str, Any]) -> str:
        return str([row["id"], row["row"], row["inputs"]])

    assert sorted(found, key=order) == sorted(expected, key=order)


def test_columns_have_the_models_types() -> None:
    """Not what some values look like: also where a file has nothing of an output."""
    model, payloads = mixed_columns()
    only_labels = payload(model, [20.0], text(["Ulm"]), [1.0])
    for one in (payloads[0], only_labels):
        schema = read(filled(Columns(one), one)).schema
        assert [str(field.type) for field in schema] == [
            "timestamp[us, tz=UTC]",
            "string",
            "string",
            "string",
            "string",
            "int32",
            "struct<age: double, town: string, sum: double>",
            "struct<predict: int64, predict_proba: list<element: double>>",
        ]


def test_small_pieces_make_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payloads become columns some at a time, and row groups as these grow; none is lost."""
    monkeypatch.setattr(parquet, "_PIECE_PAYLOADS", 7)
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 4000)
    model, _ = classifier()
    payloads = [payload(model, ROWS[:2] + number) for number in range(200)]
    file = Columns(payloads[0])
    pieces = sum(1 for one in payloads for _ in file.add(one))
    assert pieces > 200 // 7
    content = file.content()
    assert pyarrow.parquet.ParquetFile(pa.BufferReader(content)).num_row_groups > 2
    found = read(content)["inputs"].to_pylist()
    assert sorted(one["input-0"][0] for one in found) == sorted(
        float(number + row) for number in range(200) for row in (0, 2)
    )


def test_missing_numbers_stay_what_they_are() -> None:
    """NaN is a value of a tensor, no null."""
    model, _ = classifier()
    asked = InferRequest(None, (ROWS[:1],), (Output(model.offers[1], binary=False),))
    odd = Payload(ABOUT, model, asked, [np.array([[np.nan, 0.5, 0.5]])], 0.0)
    (row,) = read(filled(Columns(odd), odd))["outputs"].to_pylist()
    assert row["predict"] is None
    assert np.isnan(row["predict_proba"][0])
