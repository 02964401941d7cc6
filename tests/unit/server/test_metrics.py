"""Metric names, labels and buckets: a contract with the operator."""

import itertools
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sklearn.linear_model import LogisticRegression
from unit.server.asgi import call
from unit.server.conftest import MakeApp

from rampway_server.lineage import Lineage
from rampway_server.metrics import ATTEMPTS, CODES, OUTCOMES, Metrics, duration_buckets_s
from rampway_server.sheet import Sheet


def _samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def _metrics() -> Metrics:
    metrics = Metrics()
    metrics.meters("digits", "digits-abc")
    return metrics


def test_every_series_exists_from_the_start() -> None:
    """All outcomes and attempts are there at 0 before the first request: no increase is lost."""
    samples = _samples(_metrics())
    base = {("model", "digits"), ("revision", "digits-abc")}
    requests = {key: value for key, value in samples.items() if key[0] == "rampway_requests_total"}
    expected = {
        ("rampway_requests_total", frozenset(base | {("outcome", o), ("attempt", a)}))
        for o in OUTCOMES
        for a in ATTEMPTS
    }
    assert set(requests) == expected
    assert set(requests.values()) == {0.0}
    assert samples["rampway_in_flight_requests", frozenset(base)] == 0
    assert samples["rampway_request_duration_seconds_count", frozenset(base)] == 0


def test_names_are_exactly_these() -> None:
    """No series besides the contract's and the process's own, and no _created twins."""
    metrics = Metrics()
    metrics.meters("digits", "digits-abc").loaded("2", "f" * 64, Lineage())
    names = {name for name, _ in _samples(metrics) if not name.startswith("process_")}
    assert names == {
        "rampway_requests_total",
        "rampway_responses_total",
        "rampway_request_duration_seconds_bucket",
        "rampway_request_duration_seconds_sum",
        "rampway_request_duration_seconds_count",
        "rampway_in_flight_requests",
        "rampway_model_info",
        "rampway_answers_total",
        "rampway_batch_requests_bucket",
        "rampway_batch_requests_sum",
        "rampway_batch_requests_count",
        "rampway_queue_seconds_bucket",
        "rampway_queue_seconds_sum",
        "rampway_queue_seconds_count",
    }


def test_process_start_time_is_there() -> None:
    """A restart of the process is known by its start time."""
    (start_s,) = (
        value
        for (name, _), value in _samples(_metrics()).items()
        if name == "process_start_time_seconds"
    )
    assert 0 < time.time() - start_s < 24 * 3600


def test_model_info_names_version_digest_and_lineage(tmp_path: Path) -> None:
    """The info metric is 1 and says which bytes are served, and what its file says of them now."""
    metrics, path = Metrics(), tmp_path / "lineage"
    lineage = Lineage(str(path))
    metrics.meters("digits", "digits-abc").loaded("2", "f" * 64, lineage)
    labels = {"model": "digits", "revision": "digits-abc", "version": "2", "sha256": "f" * 64}
    for text, told in (("", ""), ('{"run": "7", "commit": "1a"}', "commit=1a, run=7")):
        path.write_text(text)
        lineage.read()
        (found,) = [key for key in _samples(metrics) if key[0] == "rampway_model_info"]
        assert found[1] == frozenset((labels | {"lineage": told}).items())
        assert _samples(metrics)[found] == 1


def test_buckets_rise_by_a_fifth_from_1_ms_to_10_s() -> None:
    """Each bound is 1.2 times the one before, to the rounding of 3 digits."""
    bounds_s = duration_buckets_s()
    assert (bounds_s[0], bounds_s[-1]) == (0.001, 10.0)
    for below, above in itertools.pairwise(bounds_s[:-1]):
        assert above / below == pytest.approx(1.2, abs=0.01)
    assert 1 < bounds_s[-1] / bounds_s[-2] <= 1.2


@pytest.mark.parametrize(
    ("header", "attempt"),
    [("1", "first"), ("2", "retry"), ("10", "retry"), ("x", "first"), ("", "first")],
)
async def test_retries_of_the_gateway_are_counted_apart(
    header: str, attempt: str, make_app: MakeApp
) -> None:
    """Envoy's header tells a retry; nonsense in it is a first attempt, never an error."""
    app, metrics = make_app(None)
    reply = await call(app, "/v2/models/digits/infer", b"{}", {"x-envoy-attempt-count": header})
    assert reply.status == 503
    labels = {
        "model": "digits",
        "revision": "digits-abc",
        "outcome": "server_error",
        "attempt": attempt,
    }
    assert _samples(metrics)["rampway_requests_total", frozenset(labels.items())] == 1


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("digits", {}, "400"),
        ("digits", {"content-encoding": "br"}, "415"),
        ("digits/versions/2", {"content-length": "9999999", "expect": "100-continue"}, "413"),
        ("another", {}, "404"),
    ],
)
async def test_answers_are_counted_by_their_code(
    path: str, headers: dict[str, str], code: str, make_app: MakeApp, classifier: LogisticRegression
) -> None:
    """Every code has its series from the start, and nothing that is sent makes another."""
    app, metrics = make_app(classifier)

    def counted() -> dict[str, float]:
        found = _samples(metrics).items()
        return {dict(k[1])["code"]: v for k, v in found if k[0] == "rampway_responses_total"}

    assert counted() == dict.fromkeys(CODES, 0.0)
    reply = await call(app, f"/v2/models/{path}/infer", b"{}", headers)
    assert str(reply.status) == code
    assert counted() == dict.fromkeys(CODES, 0.0) | {code: 1.0}


async def test_answer_is_counted_before_it_leaves(make_app: MakeApp) -> None:
    """A client that has its answer finds it in both counters: B20 leaves no gap between them."""
    app, metrics = make_app(None)
    seen: list[bytes] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(_: dict[str, object]) -> None:
        seen.append(metrics.render())

    path = "/v2/models/digits/infer"
    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    await app(scope, receive, send)
    assert b'outcome="server_error",revision="digits-abc"} 1.0' in seen[0]
    assert b'duration_seconds_count{model="digits",revision="digits-abc"} 1.0' in seen[0]


def test_what_a_worker_had_in_flight_goes_with_it() -> None:
    """Its successor counts its requests on, and has none in flight; other workers' stay."""
    sheet = Sheet(2)
    dead, other = (Metrics(sheet.page(number)) for number in range(2))
    for metrics in (dead, other):
        meters = metrics.meters("digits", "digits-abc")
        meters.begun()
        meters.answered("ok", "first", 0.002, "200")
    successor = Metrics(sheet.page(0))
    successor.meters("digits", "digits-abc")
    labels = frozenset({("model", "digits"), ("revision", "digits-abc")})
    for metrics in (successor, other):
        samples = _samples(metrics)
        assert samples["rampway_in_flight_requests", labels] == 1
        assert samples["rampway_request_duration_seconds_count", labels] == 2
