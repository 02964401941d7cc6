"""Models of frames and arrays answer what scikit-learn answers, row by row and together."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline
from unit.server.asgi import call
from unit.server.conftest import MakeApp
from unit.server.pipelines import BITS, FRAME, MODELS, columns, linear, ordinal

from rampway_server.errors import StartError
from rampway_server.estimators import describe
from rampway_server.model import MATRIX, Model

INFER = "/v2/models/digits/infer"
ALONE, TOGETHER = 6, 30


def plain(values: Any) -> list[Any]:
    """Return values as JSON has them: what is missing is null."""
    listed = np.asarray(values).tolist()
    return [None if missing else one for one, missing in zip(listed, pd.isna(listed), strict=True)]


def tensors(model: Model, rows: Any) -> list[dict[str, Any]]:
    """Return rows as a client sends them: a frame by its columns, all of them, an array whole."""
    if isinstance(rows, pd.DataFrame):
        found = []
        for name in rows:
            values = plain(rows[name])
            texts = any(isinstance(value, str) for value in values)
            texts |= model.input(name).datatype == "BYTES"
            kind = "BOOL" if isinstance(values[0], bool) else "FP64"
            found.append((name, "BYTES" if texts else kind, [len(rows)], values))
    elif len(model.takes) > 1:
        found = [
            (spec.name, spec.datatype, [len(rows)], plain(rows[:, at]))
            for at, spec in enumerate(model.takes)
        ]
    else:
        values = plain(np.asarray(rows, dtype=object).ravel())
        found = [(MATRIX, "BYTES", list(np.shape(rows)), values)]
    named = ("name", "datatype", "shape", "data")
    return [dict(zip(named, one, strict=True)) for one in found]


def matrix(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame of numbers as one tensor."""
    values = plain(rows.to_numpy(dtype=float).ravel())
    return [{"name": MATRIX, "datatype": "FP64", "shape": list(rows.shape), "data": values}]


def alike(answered: dict[str, Any], expected: NDArray[Any]) -> bool:
    """Whether a tensor is what scikit-learn answers."""
    if answered["shape"] != list(expected.shape):
        return False
    if expected.dtype.kind in "OU":
        return bool(answered["data"] == expected.ravel().tolist())
    return np.allclose(answered["data"], expected.ravel(), rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
async def test_answers_are_scikit_learns(name: str, make_app: MakeApp) -> None:
    """Text, gaps and columns that it drops, by themselves and beside others."""
    estimator, rows, labels = MODELS[name]
    estimator.fit(rows, labels)
    app, _ = make_app(estimator)
    model = describe(estimator, "")
    wishes = [{"name": spec.name} for spec in model.offers]
    several = rows.iloc if hasattr(rows, "iloc") else rows
    for some in (*(several[at : at + 1] for at in range(ALONE)), several[:TOGETHER]):
        ways = [tensors(model, some)]
        numbers = all(one["datatype"] != "BYTES" for one in ways[0])
        if len(model.takes) == 1 and model.columns and numbers:
            ways.append(matrix(some))
        for inputs in ways:
            sent = json.dumps({"inputs": inputs, "outputs": wishes}).encode()
            reply = await call(app, INFER, sent)
            assert reply.status == 200, reply.error
            for one in reply.document["outputs"]:
                assert alike(one, getattr(estimator, one["name"])(some)), one["name"]


async def test_what_takes_no_missing_value_refuses_it(make_app: MakeApp) -> None:
    """Of a matrix only the columns that take none."""
    estimator, rows, labels = MODELS["some columns take missing"]
    app, _ = make_app(estimator.fit(rows, labels))
    (tensor,) = matrix(rows[:1])
    for at, status in ((0, 200), (1, 400)):
        tensor["data"] = [None if at == place else 1.0 for place in range(2)]
        reply = await call(app, INFER, json.dumps({"inputs": [tensor]}).encode())
        assert reply.status == status
    assert "nan at position 1" in reply.error
    assert "this model takes no missing values there" in reply.error


def test_dates_are_refused_where_they_are_loaded() -> None:
    """No tensor holds them."""
    frame = FRAME.assign(day=pd.Timestamp("2026-01-01") + pd.to_timedelta(FRAME["rooms"], "D"))
    estimator = make_pipeline(columns((ordinal, ["day"])), linear)
    with pytest.raises(StartError, match="column 'day' of the model is of dates"):
        describe(estimator.fit(frame, BITS), "")
