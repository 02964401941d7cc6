"""Paths, metadata, readiness, and who is to blame for what."""

import asyncio
import json
import threading
from typing import Any

import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from structlog.testing import capture_logs
from unit.server.asgi import call, infer_body
from unit.server.conftest import MakeApp
from unit.server.waiting import DEADLINE_S, until

from rampway_server import infer, protocol

INFER = "/v2/models/digits/infer"
BODY = json.dumps(infer_body([[1.0] * 64])).encode()
TWO = json.dumps(infer_body([[1.0, 2.0]])).encode()


class Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A model with two features whose predict does what the test says."""

    n_features_in_ = 2

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.go_on = threading.Event()
        self.started = threading.Event()

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Raise what was given, or wait for the test and answer the first column."""
        if self.error is not None:
            raise self.error
        self.started.set()
        assert self.go_on.wait(DEADLINE_S)
        first: NDArray[Any] = rows[:, 0]
        return first


async def test_metadata_tells_tensors_and_digest(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """Inputs and outputs come from the model; B3: the digest of the loaded bytes is there."""
    app, _ = make_app(classifier)
    expected = {
        "name": "digits",
        "versions": ["2"],
        "platform": "sklearn_skops",
        "inputs": [{"name": "input-0", "datatype": "FP64", "shape": [-1, 64]}],
        "outputs": [
            {"name": "predict", "datatype": "INT64", "shape": [-1]},
            {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 10]},
        ],
        "parameters": {"sha256": "f" * 64, "revision": "digits-abc", "lineage": ""},
    }
    for path in ("/v2/models/digits", "/v2/models/digits/versions/2"):
        reply = await call(app, path)
        assert (reply.status, reply.document) == (200, expected)


async def test_server_metadata_names_the_server(make_app: MakeApp) -> None:
    """GET /v2 answers before any model is loaded."""
    app, _ = make_app(None)
    document = (await call(app, "/v2")).document
    assert document["name"] == "rampway"
    assert set(document) == {"name", "version", "extensions"}


@pytest.mark.parametrize("suffix", ["", "/versions/2", "/versions/digits-abc"])
async def test_version_and_revision_name_the_model(
    suffix: str, make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """The model answers without a version, by its version, and by its revision."""
    app, _ = make_app(classifier)
    assert (await call(app, f"/v2/models/digits{suffix}/infer", BODY)).status == 200
    ready = await call(app, f"/v2/models/digits{suffix}/ready")
    assert (ready.status, ready.document) == (200, {"name": "digits", "ready": True})


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/v2/models/other/infer", "unknown model 'other'; this server serves 'digits'"),
        ("/v2/models/digits/versions/7/infer", "unknown version '7' of model 'digits'"),
        ("/v2/models/digits/v/2/infer", "no such path"),
        ("/v2/models/infer", "no such path"),
    ],
)
async def test_unknown_model_or_version_is_404_with_one_label(
    path: str, sentence: str, make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """What a client makes up appears in no label; a model is not to blame for another's name."""
    app, metrics = make_app(classifier)
    reply = await call(app, path, BODY)
    assert reply.status == 404
    assert sentence in reply.error
    assert 'model="other"' not in metrics.render().decode()
    counted = 'model="",outcome="client_error",revision=""} 1.0'
    if "digits" in path:
        counted = 'model="digits",outcome="client_error",revision="digits-abc"} 1.0'
    assert counted in metrics.render().decode()


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 404),
        ("/v2/", "GET", 200),
        ("/v2/models", "GET", 404),
        ("/v2/models/ready", "GET", 404),
        ("/v2/models/other/ready", "GET", 404),
        ("/v2/models/digits/infer", "GET", 405),
        ("/v2/models/digits/infer", "PUT", 405),
        ("/v2/models/digits/versions/2/infer", "DELETE", 405),
        ("/v2/health/ready", "POST", 405),
        ("/metrics", "GET", 200),
    ],
)
async def test_other_paths_and_methods(
    path: str, method: str, status: int, make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """Unknown paths are 404 and wrong methods 405, each with the protocol's error object."""
    app, _ = make_app(classifier)
    reply = await call(app, path, method=method)
    assert reply.status == status
    assert status == 200 or reply.error
    if status == 405:
        assert reply.error.endswith("expected POST" if path.endswith("infer") else "expected GET")


async def test_missing_or_odd_content_type_is_accepted(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """Triton's client sends no Content-Type with JSON, curl one of its own."""
    app, _ = make_app(classifier)
    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
        assert (await call(app, INFER, BODY, headers)).status == 200


async def test_before_loading_only_live_is_true(make_app: MakeApp) -> None:
    """Live is true at once; ready, metadata and infer say 503 until the model is loaded."""
    app, metrics = make_app(None)
    assert (await call(app, "/v2/health/live")).status == 200
    for path in ("/v2/health/ready", "/v2/models/digits/ready", "/v2/models/digits"):
        assert (await call(app, path)).status == 503
    reply = await call(app, INFER, BODY)
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert "is being loaded" in reply.error
    assert b'outcome="server_error",revision="digits-abc"} 1.0' in metrics.render()


async def test_draining_is_unready_and_closes_but_answers(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """While draining every answer asks the client to close, and inference goes on."""
    app, _ = make_app(classifier)
    app.drain()
    assert (await call(app, "/v2/health/ready")).status == 503
    assert (await call(app, "/v2/models/digits/ready")).status == 503
    assert (await call(app, "/v2/health/live")).status == 200
    reply = await call(app, INFER, BODY)
    assert (reply.status, reply.headers["connection"]) == (200, "close")


@pytest.mark.parametrize(
    "error", [ValueError("secret detail"), SystemExit(3), MemoryError(), KeyboardInterrupt()]
)
async def test_exception_in_the_model_is_a_model_error(
    error: BaseException, make_app: MakeApp
) -> None:
    """The model's own exception is a 500 without internals, counted apart, and ends nothing."""
    app, metrics = make_app(Estimator(error))
    for _ in range(2):
        reply = await call(app, INFER, TWO)
        assert reply.status == 500
        assert reply.error == "the model failed on this input; the server's log says how"
    assert b'outcome="model_error",revision="digits-abc"} 2.0' in metrics.render()


async def test_model_errors_are_logged_but_not_each(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that fails a hundred times in a while leaves one line; the next says how often."""
    monkeypatch.setattr(infer, "_LOG_INTERVAL_S", 3600.0)
    error = ValueError("odd pixel")
    app, _ = make_app(Estimator(error))
    with capture_logs() as lines:
        for _ in range(100):
            await call(app, INFER, TWO)
        monkeypatch.setattr(infer, "_LOG_INTERVAL_S", 0.0)
        await call(app, INFER, TWO)
    told = [(line["event"], line["exc_info"], line["unlogged_before"]) for line in lines]
    assert told == [("the model raised", error, 0), ("the model raised", error, 99)]


async def test_answer_that_cannot_be_written_is_a_model_error(make_app: MakeApp) -> None:
    """A model that answers with no tensor of its own kind failed, not the client."""

    class Odd(Estimator):
        def predict(self, rows: NDArray[Any]) -> Any:
            return [object() for _ in rows]

    app, metrics = make_app(Odd())
    reply = await call(app, INFER, TWO)
    assert reply.status == 500
    assert b'outcome="model_error",revision="digits-abc"} 1.0' in metrics.render()


async def test_error_of_the_server_itself_shows_no_internals(
    make_app: MakeApp, classifier: LogisticRegression, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of the server is a 500 in JSON, counted as server_error; the log has the rest."""
    app, metrics = make_app(classifier)

    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(protocol, "parse", broken)
    with capture_logs() as lines:
        reply = await call(app, INFER, BODY)
    assert reply.status == 500
    assert reply.error == "internal error of the model server; its log says more"
    assert [line["event"] for line in lines] == ["internal error"]
    assert b'outcome="server_error",revision="digits-abc"} 1.0' in metrics.render()


@pytest.mark.parametrize("path", ["/metrics", "/v2/models/digits"])
async def test_any_path_shows_no_internals(
    path: str,
    make_app: MakeApp,
    classifier: LogisticRegression,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bug is a 500 in JSON on every path, not on that of inference alone."""
    app, _ = make_app(classifier)
    monkeypatch.setattr(app, "_get", None)
    with capture_logs() as lines:
        reply = await call(app, path)
    assert (reply.status, "internal error" in reply.error) == (500, True)
    assert [line["event"] for line in lines] == ["internal error"]


async def test_health_answers_while_a_slow_model_predicts(make_app: MakeApp) -> None:
    """Predictions run off the event loop, and the queue in front of them is bounded."""
    slow = Estimator()
    app, metrics = make_app(slow, workers=1, max_waiting=1)
    running = [asyncio.create_task(call(app, INFER, TWO))]
    assert await asyncio.to_thread(slow.started.wait, DEADLINE_S)
    running.append(asyncio.create_task(call(app, INFER, TWO)))
    in_flight = b'rampway_in_flight_requests{model="digits",revision="digits-abc"} '
    await until(lambda: in_flight + b"2.0" in metrics.render())
    assert (await call(app, "/v2/health/live")).status == 200
    refused = await call(app, INFER, TWO)
    assert (refused.status, refused.headers.get("retry-after")) == (503, "1")
    assert "1 requests wait already" in refused.error
    slow.go_on.set()
    assert [reply.status for reply in await asyncio.gather(*running)] == [200, 200]
    assert (await call(app, INFER, TWO)).status == 200
    assert in_flight + b"0.0" in metrics.render()


async def test_client_that_goes_away_is_not_counted(
    make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """A request whose body never came whole got no answer, so it is none of the outcomes."""
    app, metrics = make_app(classifier)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": INFER, "headers": []}
    await app(scope, receive, send)
    assert not sent
    rendered = metrics.render().decode()
    assert 'duration_seconds_count{model="digits",revision="digits-abc"} 0.0' in rendered
    assert 'in_flight_requests{model="digits",revision="digits-abc"} 0.0' in rendered
