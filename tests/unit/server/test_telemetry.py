"""What is counted of inputs and answers, as Prometheus sees it."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from structlog.testing import capture_logs
from unit.server.asgi import call, infer_body
from unit.server.conftest import made
from unit.server.test_estimators import FRAME, LABELS, body, mixed

import rampway_server
from rampway_server import telemetry
from rampway_server.app import App
from rampway_server.automation import Dial
from rampway_server.batching import Batcher
from rampway_server.estimators import describe
from rampway_server.inputs import MOST_ROWS, Inputs
from rampway_server.metrics import Metrics
from rampway_server.reference import Profile
from rampway_server.repository import Repository
from rampway_server.sheet import Sheet

INFER = "/v2/models/m/infer"
ROWS = np.column_stack([np.arange(100.0), np.tile([0.5, 1.5], 50)])
Counts = Callable[..., float]


def serve(estimator: Any, profile: Profile | None = None) -> tuple[App, Counts]:
    """Return an application with a model, and a reader of its metrics."""
    metrics = Metrics()
    repository = Repository(metrics, Dial(""))
    repository.expect("m", "1", "m-abc")
    repository.load("m", "1", replace(describe(estimator, ""), profile=profile))
    app = made(repository, metrics, Batcher(1, 8))

    def count(name: str, **labels: str) -> float:
        wanted = {"model": "m", "revision": "m-abc", **labels}
        families = text_string_to_metric_families(metrics.render().decode())
        samples = [sample for family in families for sample in family.samples]
        (found,) = (s.value for s in samples if s.name == name and s.labels == wanted)
        return float(found)

    return app, count


async def ask(app: App, rows: Any, **more: Any) -> None:
    """Ask for predictions."""
    document = infer_body(rows, **more)
    reply = await call(app, INFER, json.dumps(document).encode())
    assert reply.status == 200, reply.body


async def test_predictions_are_counted_by_class() -> None:
    """Every class is there from the start, at 0, whatever the model has answered."""
    rows = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    app, count = serve(LogisticRegression(C=1e6).fit(rows, ["low", "mid", "high"]))
    assert count("rampway_predictions_total", prediction="mid") == 0
    await ask(app, [rows[0], rows[0], rows[2]])
    assert count("rampway_predictions_total", prediction="low") == 2
    assert count("rampway_predictions_total", prediction="high") == 1
    assert count("rampway_predictions_total", prediction="mid") == 0
    assert count("rampway_predictions_total", prediction="other") == 0


async def test_numbers_are_counted_by_bins_of_the_profile() -> None:
    """A regressor's answers fall into the bins of what it answered on its training data."""
    estimator = LinearRegression().fit(ROWS, ROWS[:, 0])
    profile = rampway_server.profile(ROWS, estimator.predict(ROWS))
    app, count = serve(estimator, profile)
    await ask(app, [[1.0, 0.5], [50.0, 0.5], [5000.0, 0.5]])
    assert profile.prediction is not None
    first, *_, last, _ = profile.prediction.bins
    assert count("rampway_predictions_total", prediction=first) == 1
    assert count("rampway_predictions_total", prediction=last) == 1
    assert last == "+Inf"


@pytest.mark.parametrize("rows", [1, 1000])
@pytest.mark.parametrize("labels", [["low", "mid", "high"], [0, 1, 2], [0.5, 1.5, 2.5], [7, 3, 5]])
def test_few_and_many_rows_are_counted_alike(rows: int, labels: list[Any]) -> None:
    """Each class gets its rows, and what the model does not name is another."""
    estimator = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    model = replace(describe(estimator, ""), classes=tuple(labels[:2]))
    counts = telemetry.Telemetry(model, ["m", "r"], Sheet().page())
    given = [*labels * rows, labels[0]]
    answers = np.array(given, dtype=object if isinstance(labels[0], str) else None)
    counts.observe([np.zeros((len(given), 1))], model.offers[:1], [answers])
    shown = telemetry.Collector()
    shown.add(counts)
    samples = [one for family in shown.collect() for one in family.samples]
    found = {
        one.labels["prediction"]: one.value
        for one in samples
        if one.name == "rampway_predictions_total"
    }
    assert found == {str(labels[0]): rows + 1, str(labels[1]): rows, "other": rows}


async def test_null_answers_are_counted() -> None:
    """NaN from a regressor."""

    class Odd(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
        n_features_in_ = 2

        def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
            return np.where(rows[:, 0] > 0, 1.0, np.nan)

    app, count = serve(Odd())
    await ask(app, [[1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    assert count("rampway_null_predictions_total") == 2


async def test_confidence_is_measured_of_a_sample() -> None:
    """Of the first request and one in many, too few for a p99, and always where asked for."""
    estimator = LogisticRegression().fit([[0.0, 0.0], [1.0, 1.0]], [0, 1])
    app, count = serve(estimator)
    for _ in range(200):
        await ask(app, [[0.5, 0.5]])
    assert count("rampway_confidence_count") == 1
    assert count("rampway_confidence_bucket", le="0.4") == 0
    assert count("rampway_confidence_bucket", le="0.6") == 1
    await ask(app, [[0.5, 0.5]], outputs=[{"name": "predict_proba"}])
    assert count("rampway_confidence_count") == 2
    assert count("rampway_confidence_sum") == pytest.approx(1.0, abs=0.05)
    for _ in range(2 * telemetry.CONFIDENCE_EVERY - 200):
        await ask(app, [[0.5, 0.5]])
    assert count("rampway_confidence_count") == 3


async def test_features_are_counted_against_training() -> None:
    """Bins, range, fractions where training had none; with training's own rows beside them."""
    estimator = LinearRegression().fit(ROWS, ROWS[:, 0])
    profile = rampway_server.profile(ROWS)
    app, count = serve(estimator, profile)
    await ask(app, [[0.0, 0.5], [99.5, 1.5], [-3.0, 9.0], [5.0, 1.0]])
    first, second = profile.features
    lowest = {"feature": "column-0", "bin": first.bins[0]}
    assert count("rampway_feature_values_total", **lowest) == 3
    assert count("rampway_feature_reference_rows", **lowest) == 10
    assert count("rampway_feature_values_total", feature="column-0", bin="+Inf") == 1
    assert count("rampway_feature_out_of_range_total", feature="column-0") == 2
    assert count("rampway_feature_out_of_range_total", feature="column-1") == 1
    assert count("rampway_schema_violations_total", kind="fraction_for_integer") == 1
    for feature in (first, second):
        values = [
            count("rampway_feature_values_total", feature=feature.name, bin=name)
            for name in feature.bins
        ]
        assert sum(values) == 4


async def test_text_and_missing_values_are_counted() -> None:
    """Unknown and empty text, and what is missing where training had everything."""
    estimator = mixed(handle_unknown="ignore").fit(FRAME, LABELS)
    app, count = serve(estimator, rampway_server.profile(FRAME))
    towns = ["Ulm", "Paris", "", None]
    sent = body(age=[1.0, None, 3.0, 4.0], town=towns, sum=[1, 2, 3, 4])
    assert (await call(app, INFER, sent)).status == 200
    assert count("rampway_feature_values_total", feature="town", bin="Ulm") == 1
    assert count("rampway_feature_values_total", feature="town", bin="other") == 2
    assert count("rampway_feature_values_total", feature="town", bin="missing") == 1
    assert count("rampway_feature_values_total", feature="age", bin="missing") == 1
    assert count("rampway_schema_violations_total", kind="unknown_category") == 2
    assert count("rampway_schema_violations_total", kind="empty_string") == 1
    assert count("rampway_schema_violations_total", kind="missing_not_in_training") == 2


async def test_what_a_client_sends_makes_no_label() -> None:
    """A thousand towns that nobody knows add no series."""
    estimator = mixed(handle_unknown="ignore").fit(FRAME, LABELS)
    app, count = serve(estimator, rampway_server.profile(FRAME))

    async def lines() -> int:
        return len((await call(app, "/metrics")).body.splitlines())

    before = await lines()
    towns = [f"town {n}" for n in range(1000)]
    sent = body(age=[1.0] * 1000, town=towns, sum=[1] * 1000)
    assert (await call(app, INFER, sent)).status == 200
    assert await lines() == before
    assert 250 < count("rampway_feature_values_total", feature="town", bin="other") <= MOST_ROWS


async def test_failing_telemetry_fails_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be counted is told of once, and keeps nothing else from being counted."""

    def fail(*_: Any) -> None:
        raise IndexError

    estimator = LogisticRegression().fit(ROWS, np.tile([0, 1], 50))
    app, count = serve(estimator, rampway_server.profile(ROWS))
    monkeypatch.setattr(Inputs, "count", fail)
    with capture_logs() as logs:
        for _ in range(3):
            await ask(app, [[0.0, 0.5]])
    told = [(log["event"], log["part"]) for log in logs]
    assert told == [("telemetry failed; said once", "inputs")]
    assert count("rampway_predictions_total", prediction="0") == 3
    assert count("rampway_confidence_count") == 1


@pytest.mark.parametrize("columns", [["town", "sum", "age"], ["sum", "town"], ["age"]])
async def test_features_are_the_columns_of_their_name(columns: list[str]) -> None:
    """However the profile's frame was ordered, and where it had fewer columns."""
    estimator = mixed(handle_unknown="ignore").fit(FRAME, LABELS)
    app, count = serve(estimator, rampway_server.profile(FRAME[columns], LABELS))
    sent = body(age=[30.0, 90.0], town=["Ulm", "Ulm"], sum=[1, 2])
    with capture_logs() as logs:
        assert (await call(app, INFER, sent)).status == 200
    assert logs == []
    if "age" in columns:
        assert count("rampway_feature_out_of_range_total", feature="age") == 1
    if "town" in columns:
        assert count("rampway_feature_out_of_range_total", feature="sum") == 0
        assert count("rampway_feature_values_total", feature="town", bin="Ulm") == 2


async def test_a_matrix_is_counted_by_name_too() -> None:
    """Of a model fitted on a frame of numbers, however the profile's frame was ordered."""
    frame = pd.DataFrame(ROWS, columns=["big", "small"])
    estimator = LinearRegression().fit(frame, ROWS[:, 0])
    app, count = serve(estimator, rampway_server.profile(frame[["small", "big"]]))
    await ask(app, [[99.0, 1.0], [50.0, 99.0], [60.0, 1.0]])
    assert count("rampway_feature_out_of_range_total", feature="big") == 0
    assert count("rampway_feature_out_of_range_total", feature="small") == 1


async def test_empty_texts_of_the_training_data_are_no_violations() -> None:
    """Only what is unlike any value in training is."""
    frame = FRAME.assign(town=["Ulm", "", "Ulm", "Bonn"])
    app, count = serve(
        mixed(handle_unknown="ignore").fit(frame, LABELS), rampway_server.profile(frame)
    )
    sent = body(age=[30.0, 40.0], town=["", "Kiel"], sum=[1, 2])
    assert (await call(app, INFER, sent)).status == 200
    assert count("rampway_schema_violations_total", kind="empty_string") == 0
    assert count("rampway_schema_violations_total", kind="unknown_category") == 1
    assert count("rampway_feature_values_total", feature="town", bin="") == 1


async def test_of_a_column_without_numbers_none_is_out_of_range() -> None:
    """Training had nothing that a number could be unlike."""
    rows = np.column_stack([ROWS[:, 0], np.full(100, np.nan)])
    filled = SimpleImputer(keep_empty_features=True)
    estimator = make_pipeline(filled, LinearRegression()).fit(rows, ROWS[:, 0])
    app, count = serve(estimator, rampway_server.profile(rows))
    await ask(app, [[1.0, 3.5]])
    assert count("rampway_feature_out_of_range_total", feature="column-1") == 0
    assert count("rampway_schema_violations_total", kind="fraction_for_integer") == 0
    assert count("rampway_feature_values_total", feature="column-1", bin="+Inf") == 1


LONG = "x" * 60
ALIKE = [LONG + "a", LONG + "b", "other"]


async def test_no_series_comes_twice() -> None:
    """However alike classes, texts, features and bounds are, and if they are called `other`."""
    frame = pd.DataFrame({name: ["other", "missing", "Ulm"] for name in ALIKE[:2]})
    frame["large"] = [1e9, 1e9 + 1, 1e9 + 2]
    texts = ColumnTransformer(
        [("t", OneHotEncoder(handle_unknown="ignore"), ALIKE[:2]), ("n", "passthrough", ["large"])]
    )
    estimator = make_pipeline(texts, KNeighborsClassifier(1)).fit(frame, ALIKE)
    app, count = serve(estimator, rampway_server.profile(frame))
    page = (await call(app, "/metrics")).body.decode()
    families = text_string_to_metric_families(page)
    names = [(s.name, *sorted(s.labels.items())) for family in families for s in family.samples]
    assert len(names) == len(set(names)) > 100
    sent = {name: ["other"] for name in ALIKE[:2]} | {"large": [1e9 + 1]}
    assert (await call(app, INFER, body(**sent))).status == 200
    told = {"feature": f"{LONG} (2)"}
    assert count("rampway_feature_values_total", bin="other (2)", **told) == 1
    assert count("rampway_feature_values_total", bin="other", **told) == 0
    assert count("rampway_feature_values_total", feature="large", bin="1000000001") == 1
    assert count("rampway_predictions_total", prediction="other") == 0


def test_series_are_bounded() -> None:
    """However many features, categories and classes a model has."""
    many = pd.DataFrame({f"f{n}": [f"v{i}" for i in range(200)] for n in range(100)})
    profile = rampway_server.profile(many)
    assert len(profile.features) == 64
    assert all(len(column.bins) <= 22 for column in profile.features)
    texts = OneHotEncoder(handle_unknown="ignore")
    estimator = make_pipeline(texts, KNeighborsClassifier(1))
    estimator.fit(pd.concat([many] * 3), np.tile(np.arange(200), 3))
    metrics = Metrics()
    model = replace(describe(estimator, ""), profile=profile)
    assert len(model.training.features) == 64
    metrics.telemetry(metrics.meters("m", "r"), model)
    page = metrics.render()
    assert page.count(b"rampway_predictions_total{") == 65
    assert len(page) < 500_000


def test_counting_is_cheap() -> None:
    """However many numbers a row has, as much Python is run as for two: numpy does the rest."""
    calls = {features: _calls_of_counting(features) for features in (2, 64)}
    assert 0 < calls[64] == calls[2] < 200


def _calls_of_counting(features: int) -> int:
    """Return how many functions are called to count a prediction of a row."""
    rows = np.random.default_rng(0).random((500, features))
    estimator = LinearRegression().fit(rows, rows[:, 0])
    model = replace(describe(estimator, ""), profile=rampway_server.profile(rows, rows[:, 0]))
    counts = telemetry.Telemetry(model, ["m", "r"], Sheet().page())
    answers = [estimator.predict(rows[:1])]
    counts.observe([rows[:1]], model.offers, answers)
    called: list[str] = []
    sys.setprofile(lambda _frame, event, _of: called.append(event))
    try:
        counts.observe([rows[:1]], model.offers, answers)
    finally:
        sys.setprofile(None)
    return sum(event in {"call", "c_call"} for event in called)


async def test_other_bins_have_counts_of_their_own() -> None:
    """A model loaded anew goes on counting in the same bins; in other bins it begins at 0."""
    metrics = Metrics()
    repository = Repository(metrics, Dial(""))
    repository.expect("m", "1", "m-abc")
    app = made(repository, metrics, Batcher(1, 8))
    page = []
    for classes in ([0, 1], [0, 1], [5, 7]):
        estimator = LogisticRegression().fit(ROWS, np.tile(classes, 50))
        repository.load("m", "1", describe(estimator, ""))
        await ask(app, ROWS[:4].tolist())
        families = text_string_to_metric_families(metrics.render().decode())
        samples = [sample for family in families for sample in family.samples]
        found = {
            sample.labels["prediction"]: sample.value
            for sample in samples
            if sample.name == "rampway_predictions_total"
        }
        page.append((sorted(found), sum(found.values())))
    assert page == [(["0", "1", "other"], 4), (["0", "1", "other"], 8), (["5", "7", "other"], 4)]
