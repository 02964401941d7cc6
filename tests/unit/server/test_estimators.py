"""What is derived from fitted estimators: columns, text, missing values."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from unit.server.asgi import call
from unit.server.conftest import MakeApp

import rampway_server
from rampway_server.errors import StartError
from rampway_server.estimators import describe, tried

INFER = "/v2/models/digits/infer"
FRAME = pd.DataFrame(
    {"age": [20.0, 40.0, 60.0, 30.0], "town": ["Ulm", "Bonn", "Ulm", "Kiel"], "sum": [1, 2, 3, 4]}
)
LABELS = [0, 1, 1, 0]


def mixed(**encoder: Any) -> Any:
    """Return a classifier on numbers and text, each column treated in its own way."""
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(**encoder))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer([("text", text, ["town"]), ("numbers", numbers, ["age", "sum"])])
    return make_pipeline(columns, LogisticRegression())


def body(**columns: Any) -> bytes:
    """Return a request with a tensor per column; its datatype is that of the first value."""
    kinds = {str: "BYTES", float: "FP64", int: "INT64", type(None): "FP64"}
    inputs = [
        {"name": name, "datatype": kinds[type(data[0])], "shape": [len(data)], "data": data}
        for name, data in columns.items()
    ]
    return json.dumps({"inputs": inputs}).encode()


def test_columns_of_text_and_numbers_are_inputs_of_their_own() -> None:
    """Each column is a tensor with the frame's name, in the frame's order."""
    model = describe(mixed().fit(FRAME, LABELS), "")
    found = [(spec.name, spec.datatype, spec.shape) for spec in model.takes]
    assert found == [("age", "FP64", (-1,)), ("town", "BYTES", (-1,)), ("sum", "FP64", (-1,))]
    assert model.warm_up() is not None, "an empty string is no known town"
    assert describe(mixed(handle_unknown="ignore").fit(FRAME, LABELS), "").warm_up() is None


async def test_columns_are_predicted_as_the_frame_is(make_app: MakeApp) -> None:
    """In any order, as [n] or [n, 1]; and the metadata says what is expected."""
    estimator = mixed().fit(FRAME, LABELS)
    app, _ = make_app(estimator)
    columns = {"sum": [1, 3], "town": ["Ulm", "Kiel"], "age": [25.0, 61.0]}
    reply = await call(app, INFER, body(**columns))
    expected = estimator.predict(pd.DataFrame(columns)[["age", "town", "sum"]]).tolist()
    assert reply.document["outputs"][0]["data"] == expected
    document = json.loads(body(**columns))
    document["inputs"][0]["shape"] = [2, 1]
    reply = await call(app, INFER, json.dumps(document).encode())
    assert reply.document["outputs"][0]["data"] == expected


async def test_missing_values_reach_a_model_that_takes_them(make_app: MakeApp) -> None:
    """Null is a missing number or text where the pipeline imputes, and 400 where it does not."""
    estimator = mixed().fit(FRAME, LABELS)
    app, _ = make_app(estimator)
    reply = await call(app, INFER, body(age=[None, 25.0], town=["Ulm", None], sum=[1, 2]))
    frame = pd.DataFrame({"age": [None, 25.0], "town": ["Ulm", None], "sum": [1.0, 2.0]})
    assert reply.document["outputs"][0]["data"] == estimator.predict(frame).tolist()
    plain, _ = make_app(LogisticRegression().fit([[0.0], [1.0]], [0, 1]))
    wrong = {"name": "input-0", "datatype": "FP64", "shape": [1, 1], "data": [None]}
    reply = await call(plain, INFER, json.dumps({"inputs": [wrong]}).encode())
    assert (reply.status, "null (None) at position 0" in reply.error) == (400, True)


async def test_a_missing_text_is_missing_whoever_is_in_the_batch(make_app: MakeApp) -> None:
    """A column of nothing but nulls is answered as the same row is beside a text."""
    frame = pd.DataFrame({"town": ["Ulm", np.nan, "Kiel", np.nan] * 5, "sum": [0.0, 1.0] * 10})
    encoded = ColumnTransformer([("t", OneHotEncoder(handle_unknown="ignore"), ["town"])])
    estimator = make_pipeline(encoded, LogisticRegression()).fit(frame, [0, 1] * 10)
    app, _ = make_app(estimator)
    wanted = {"outputs": [{"name": "predict_proba"}]}
    expected = estimator.predict_proba(frame[1:2])[0].tolist()
    assert expected[1] > 0.6
    for towns in ([None], [None, None], [None, "Ulm"]):
        document = json.loads(body(town=towns, sum=[1.0] * len(towns))) | wanted
        for tensor in document["inputs"]:
            tensor["datatype"] = "BYTES" if tensor["name"] == "town" else "FP64"
        reply = await call(app, INFER, json.dumps(document).encode())
        assert reply.document["outputs"][0]["data"][:2] == pytest.approx(expected), towns


async def test_missing_numbers_of_a_matrix(make_app: MakeApp) -> None:
    """Gradient boosting takes NaN as null; infinite it is not."""
    rows = np.array([[0.0, np.nan], [1.0, 2.0], [0.5, 1.0], [np.nan, 0.0]] * 10)
    estimator = HistGradientBoostingClassifier(max_iter=2).fit(rows, [0, 1, 1, 0] * 10)
    app, _ = make_app(estimator)
    tensor = {"name": "input-0", "datatype": "FP64", "shape": [2, 2]}
    tensor["data"] = [[None, 1.0], [2.0, None]]
    reply = await call(app, INFER, json.dumps({"inputs": [tensor]}).encode())
    expected = estimator.predict([[np.nan, 1.0], [2.0, np.nan]]).tolist()
    assert reply.document["outputs"][0]["data"] == expected
    tensor |= {"datatype": "FP16", "data": [1e6, 1, 1, 1]}
    reply = await call(app, INFER, json.dumps({"inputs": [tensor]}).encode())
    assert (reply.status, "inf at position 0" in reply.error) == (400, True)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
async def test_named_numbers_come_as_a_matrix_or_by_name(make_app: MakeApp) -> None:
    """A model fitted on a frame of numbers takes one tensor, or one for each of its columns."""
    numbers = FRAME[["age", "sum"]]
    estimator = LinearRegression().fit(numbers, [1.0, 2.0, 3.0, 4.0])
    app, _ = make_app(estimator)
    matrix = {"name": "input-0", "datatype": "FP64", "shape": [2, 2], "data": [20, 1, 40, 2]}
    whole = await call(app, INFER, json.dumps({"inputs": [matrix]}).encode())
    by_name = await call(app, INFER, body(sum=[1, 2], age=[20.0, 40.0]))
    expected = estimator.predict(numbers[:2])
    for reply in (whole, by_name):
        assert reply.document["outputs"][0]["data"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"age": [1.0], "sum": [1]}, "has 2 tensors, without 'town'; this model takes 3: \"age\""),
        ({"age": [1.0], "sum": [1], "town": ["a", "b"]}, "the inputs differ in rows: {'age': 1"),
        ({"age": [1.0], "sum": [1], "town": [2]}, "this model takes text: BYTES"),
        ({"age": ["1"], "sum": [1], "town": ["a"]}, "this model takes numbers"),
        ({"age": [1.0], "sum": [1], "town": ["Ulm"], "x": [1]}, "unknown input 'x'"),
        ({}, "has 0 tensors; this model takes 3"),
    ],
)
async def test_wrong_columns_are_client_faults(
    columns: dict[str, Any], sentence: str, make_app: MakeApp
) -> None:
    """Missing, superfluous, of the wrong kind or length: said by name."""
    app, _ = make_app(mixed().fit(FRAME, LABELS))
    reply = await call(app, INFER, body(**columns))
    assert (reply.status, sentence in reply.error) == (400, True), reply.error


def test_without_pandas_a_model_that_needs_frames_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The slim image says which one to use instead."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StartError, match="use the image model-server-full"):
        describe(mixed().fit(FRAME, LABELS), "")


@pytest.mark.parametrize("columns", [[0], 0, slice(0, 1), [True, False], np.array([0])])
def test_columns_are_found_however_they_are_chosen(columns: Any) -> None:
    """By number, slice and mask, on arrays without names."""
    rows = np.array([["a", 1.0], ["b", 2.0], ["a", 3.0]], dtype=object)
    chosen = columns if not isinstance(columns, int) else [columns]
    model = make_pipeline(
        ColumnTransformer([("text", OneHotEncoder(), chosen), ("rest", "passthrough", [1])]),
        LinearRegression(),
    ).fit(rows, [1.0, 2.0, 3.0])
    described = describe(model, "")
    found = [(spec.name, spec.datatype) for spec in described.takes]
    assert found == [("column-0", "BYTES"), ("column-1", "FP64")]
    inputs = [np.array(["a"], dtype=object), np.array([3.0])]
    assert described.predict(inputs, described.offers)[0] == pytest.approx(3.0)


def test_arrays_are_not_looked_at_for_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """No library of frames is thought of for an array; frames are still known for what they are."""
    from narwhals.stable.v2 import dependencies

    estimator = LogisticRegression().fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1])
    expected = estimator.predict([[1.0, 2.0]]).tolist()
    monkeypatch.setattr("narwhals.dependencies._is_native_dataframe", None)
    assert estimator.predict(np.array([[1.0, 2.0]])).tolist() == expected
    monkeypatch.undo()
    assert dependencies.is_into_dataframe(FRAME)
    assert dependencies.is_into_series(FRAME[FRAME.columns[0]])


class Sum:
    """A model of somebody's own, which knows nothing of scikit-learn."""

    n_features_in_ = 2

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of each row."""
        summed: NDArray[Any] = rows.sum(axis=1)
        return summed


class Large(Sum):
    """The same with names for what it takes and answers."""

    feature_names_in_ = ("here", "there")
    classes_ = np.array(["no", "yes"])

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return whether the sum is above 5."""
        return np.where(rows.sum(axis=1) > 5, "yes", "no")

    def predict_proba(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Be sure of nothing."""
        return np.full((len(rows), 2), 0.5)


@pytest.mark.parametrize(("model", "answers"), [(Sum(), [3.0, 7.0]), (Large(), ["no", "yes"])])
async def test_any_class_that_predicts_is_a_model(
    model: Sum, answers: list[Any], make_app: MakeApp
) -> None:
    """It need not be derived from scikit-learn's; what it tells of itself decides its tensors."""
    app, _ = make_app(model)
    tensor = {"name": "input-0", "datatype": "FP64", "shape": [2, 2], "data": [1, 2, 3, 4]}
    reply = await call(app, INFER, json.dumps({"inputs": [tensor]}).encode())
    kind = "BYTES" if isinstance(model, Large) else "FP64"
    expected = {"name": "predict", "datatype": kind, "shape": [2], "data": answers}
    assert reply.document["outputs"] == [expected]


async def test_any_class_names_its_columns_and_probabilities(make_app: MakeApp) -> None:
    """As a fitted estimator does."""
    app, _ = make_app(Large())
    document = json.loads(body(here=[1.0, 3.0], there=[2.0, 4.0]))
    document["outputs"] = [{"name": "predict_proba"}]
    reply = await call(app, INFER, json.dumps(document).encode())
    expected = {"name": "predict_proba", "datatype": "FP64", "shape": [2, 2], "data": [0.5] * 4}
    assert reply.document["outputs"] == [expected]


async def test_columns_that_are_not_looked_at_may_be_anything(make_app: MakeApp) -> None:
    """Left out, of another datatype, as bytes: a frame is sent as it is; and none is counted."""
    frame = FRAME.assign(customer=["a", "b", "c", "d"])
    used = ColumnTransformer([("t", OneHotEncoder(), ["town"]), ("n", StandardScaler(), ["sum"])])
    estimator = make_pipeline(used, LogisticRegression()).fit(frame, LABELS)
    app, _ = make_app(estimator)
    needed = {"town": ["Ulm", "Bonn"], "sum": [1, 4]}
    expected = estimator.predict(pd.DataFrame(needed | {"age": 0.0, "customer": ""})).tolist()
    for more in ({}, {"age": [None, 1.0]}, {"customer": ["x", "y"]}, {"age": ["?"]}):
        reply = await call(app, INFER, body(**needed, **more))
        assert reply.status == 200, (more, reply.error)
        assert reply.document["outputs"][0]["data"] == expected
    document = json.loads(body(**needed))
    told = {"name": "customer", "datatype": "BYTES", "shape": [2]}
    document["inputs"].insert(0, {**told, "parameters": {"binary_data_size": 3}})
    text = json.dumps(document).encode()
    headers = {"inference-header-content-length": str(len(text))}
    assert (await call(app, INFER, text + b"abc", headers=headers)).status == 200
    assert (await call(app, INFER, text + b"ab", headers=headers)).status == 400
    model = replace(describe(estimator, ""), profile=rampway_server.profile(frame))
    assert [column.name for _, column in model.training.features] == ["town", "sum"]
    assert model.training.left_out == ()
    reply = await call(app, INFER, body(age=[1.0, 2.0], town=["Ulm", "Ulm"]))
    assert (reply.status, "without 'sum'" in reply.error) == (400, True)


def test_columns_of_a_transformer_within_a_transformer() -> None:
    """Its positions are those of what it is given."""
    inner = ColumnTransformer([("t", OneHotEncoder(), [0])], remainder="passthrough")
    outer = ColumnTransformer([("scaled", StandardScaler(), [0]), ("inner", inner, [1, 2])])
    model = describe(make_pipeline(outer, LogisticRegression()).fit(FRAME, LABELS), "")
    assert [spec.datatype for spec in model.takes] == ["FP64", "BYTES", "FP64"]


REVIEWS = ["good and nice", "bad and ugly", "nice", "ugly"]
VECTORIZERS = [
    TfidfVectorizer(),
    make_union(TfidfVectorizer(), make_pipeline(CountVectorizer(analyzer="char"))),
]


@pytest.mark.parametrize("vectorizer", VECTORIZERS)
async def test_texts_are_rows_of_models_that_read_them(vectorizer: Any, make_app: MakeApp) -> None:
    """A vectorizer is given a text for each row; numbers, or nothing, are the client's fault."""
    estimator = make_pipeline(vectorizer, LogisticRegression()).fit(REVIEWS, LABELS)
    model = describe(estimator, "")
    assert [(spec.datatype, spec.shape) for spec in model.takes] == [("BYTES", (-1,))]
    assert model.warm_up() is None
    app, _ = make_app(estimator)
    for shape in ([2], [2, 1]):
        tensor = {"name": "input-0", "datatype": "BYTES", "shape": shape, "data": REVIEWS[1:3]}
        reply = await call(app, INFER, json.dumps({"inputs": [tensor]}).encode())
        assert reply.document["outputs"][0]["data"] == estimator.predict(REVIEWS[1:3]).tolist()
    for wrong in ({"datatype": "FP64", "data": [1, 2]}, {"data": ["a", None]}, {"shape": [1, 2]}):
        reply = await call(app, INFER, json.dumps({"inputs": [tensor | wrong]}).encode())
        assert (reply.status, "input-0" in reply.error) == (400, True)


async def test_a_column_of_texts_may_be_among_others(make_app: MakeApp) -> None:
    """Read by a vectorizer of its own."""
    transformer = ColumnTransformer(
        [("review", TfidfVectorizer(), "review"), ("age", StandardScaler(), ["age"])]
    )
    estimator = make_pipeline(transformer, LogisticRegression())
    estimator.fit(FRAME.assign(review=REVIEWS), LABELS)
    app, _ = make_app(estimator)
    columns = {"review": ["nice", "ugly"], "age": [20.0, 50.0], "town": [1.0, 1.0], "sum": [1, 1]}
    reply = await call(app, INFER, body(**columns))
    assert reply.document["outputs"][0]["data"] == estimator.predict(pd.DataFrame(columns)).tolist()


WRAPPERS: list[Any] = [
    lambda model: GridSearchCV(model, {"logisticregression__C": [1.0, 2.0]}, cv=2),
    lambda model: CalibratedClassifierCV(model, cv=2),
    lambda model: FixedThresholdClassifier(model, threshold=0.4),
    lambda model: TunedThresholdClassifierCV(GridSearchCV(model, {}, cv=2), cv=2),
    lambda model: VotingClassifier([("a", model), ("b", model)], voting="soft"),
    lambda model: StackingClassifier([("a", model), ("b", "drop")], cv=2),
    lambda model: OneVsRestClassifier(VotingClassifier([("a", model)], voting="soft")),
    lambda model: TransformedTargetRegressor(
        GridSearchCV(make_pipeline(model.steps[0][1], LinearRegression()), {}, cv=2)
    ),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
async def test_columns_are_those_of_the_model_within(wrap: Any, make_app: MakeApp) -> None:
    """Of a search, a calibration, a vote, a transformed target: text is text within them."""
    frame = pd.concat([FRAME] * 3, ignore_index=True)
    estimator = wrap(mixed(handle_unknown="ignore")).fit(frame, LABELS * 3)
    kinds = [spec.datatype for spec in describe(estimator, "").takes]
    assert kinds == ["FP64", "BYTES", "FP64"]
    app, _ = make_app(estimator)
    columns = {"age": [25.0, 61.0], "town": ["Ulm", "Kiel"], "sum": [1, 3]}
    reply = await call(app, INFER, body(**columns))
    expected = estimator.predict(pd.DataFrame(columns)).tolist()
    assert reply.document["outputs"][0]["data"] == pytest.approx(expected)


async def test_boosting_encodes_categories_itself(make_app: MakeApp) -> None:
    """A column of pandas' categories is text, and what it never saw, or nothing, is missing."""
    frame = pd.concat([FRAME[["town", "sum"]].assign(sum=2)] * 10, ignore_index=True)
    frame = frame.astype({"town": "category"})
    boosting = HistGradientBoostingClassifier(categorical_features="from_dtype", min_samples_leaf=1)
    estimator = boosting.fit(frame, LABELS * 10)
    app, _ = make_app(estimator)
    towns = ["Ulm", "Kiel", "Rom", None]
    document = json.loads(body(town=towns, sum=[2] * 4))
    document["outputs"] = [{"name": "predict_proba"}]
    reply = await call(app, INFER, json.dumps(document).encode())
    assert reply.status == 200, reply.error
    shown = pd.Categorical(["Ulm", "Kiel", None, None], categories=["Bonn", "Kiel", "Ulm"])
    expected = estimator.predict_proba(pd.DataFrame({"town": shown, "sum": 2}))
    assert reply.document["outputs"][0]["data"] == pytest.approx(expected.ravel().tolist())
    assert len(set(expected[:, 0])) > 1
    assert describe(estimator, "").warm_up() is None


def test_numbers_pass_through_to_who_takes_missing_ones() -> None:
    """`remainder="passthrough"` looks at nothing; gradient boosting behind it decides."""
    texts = OneHotEncoder(sparse_output=False)
    for last, missing in ((HistGradientBoostingClassifier(), True), (LogisticRegression(), False)):
        transformer = ColumnTransformer([("t", texts, ["town"])], remainder="passthrough")
        model = describe(make_pipeline(transformer, last).fit(FRAME, LABELS), "")
        assert {spec.name: spec.missing for spec in model.takes if spec.name != "town"} == {
            "age": missing,
            "sum": missing,
        }


ONE, TWO = np.array([0, 1, 2, 0] * 5), np.array([[0, 1], [1, 0], [1, 1], [0, 0]] * 5)


@pytest.mark.parametrize(
    ("estimator", "labels", "shape"),
    [
        (MLPClassifier(max_iter=3), ONE, (-1,)),
        (MLPClassifier(max_iter=3), TWO, (-1, 2)),
        (LinearRegression(), TWO, (-1, 2)),
        (LinearRegression(), ONE[:, None], (-1, 1)),
        (make_pipeline(StandardScaler(), RandomForestRegressor(2)), TWO, (-1, 2)),
        (RandomForestClassifier(2), TWO, (-1, 2)),
        (KNeighborsClassifier(), TWO, (-1, 2)),
        (MultiOutputClassifier(LogisticRegression()), TWO, (-1, 2)),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_shape_of_predictions(estimator: Any, labels: Any, shape: tuple[int, ...]) -> None:
    """Is what the model answers, whatever its attributes say of classes and targets."""
    rows = np.arange(40.0).reshape(20, 2)
    model = tried(describe(estimator.fit(rows, labels), ""))
    assert model.offers[0].shape == shape
    answered = model.predict([rows], model.offers[:1])[0]
    assert answered.shape == (20, *shape[1:])


@pytest.mark.parametrize(
    "estimator",
    [LinearRegression(), mixed(), VotingClassifier([("a", mixed())]), GridSearchCV(mixed(), {})],
)
def test_what_is_not_fitted_is_no_model(estimator: Any) -> None:
    """It is refused where it is loaded, not with each request."""
    with pytest.raises(StartError, match=r"that is not fitted; fit it before it is written"):
        tried(describe(estimator, ""))


def test_texts_of_a_class_of_somebodys_own() -> None:
    """Answers tell that they are text where no classes do."""

    class Words(Sum):
        def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
            return np.where(rows.sum(axis=1) > 5, "many", "few")

    model = tried(describe(Words(), ""))
    answered = model.predict([np.array([[1.0, 2.0], [3.0, 4.0]])], model.offers)[0]
    assert (model.offers[0].datatype, answered.tolist()) == ("BYTES", ["few", "many"])


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
async def test_numbers_beyond_float32_are_the_clients_fault(make_app: MakeApp) -> None:
    """Trees compute in float32: a number that is none there is no failure of the model."""
    rows = np.arange(8.0).reshape(4, 2)
    app, _ = make_app(RandomForestClassifier(2).fit(rows, LABELS))
    tensor = {"name": "input-0", "datatype": "FP64", "shape": [1, 2], "data": [1.0, -1e39]}
    reply = await call(app, INFER, json.dumps({"inputs": [tensor]}).encode())
    assert (reply.status, "a number is -1e+39; expected at most 3.4" in reply.error) == (400, True)
