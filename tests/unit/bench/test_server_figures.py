"""Figures of the comparison of model servers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from bench.server import figures, load
from bench.server.systems import SYSTEMS, prepared

from rampway_server import protocol
from rampway_server.estimators import describe

PREDICT_MS = {"small": 0.1, "large": 10.0}


def row(system: str, work: str, rps: float, **more: Any) -> dict[str, Any]:
    """Return a measurement."""
    peer = "" if system == figures.OURS else system.partition("-")[0]
    base = {"system": system, "peer": peer, "work": work, "form": "json", "connections": 1}
    took_ms = 1000 / rps
    base |= {"p50_ms": took_ms, "cpu_ms": took_ms, "predict_ms": PREDICT_MS[work]}
    return {**base, "rps": rps, "rss_mb": 1.0, **more}


def test_the_best_peer_counts_in_each_case() -> None:
    """Whichever it is and in whichever setting; bytes are compared with bytes."""
    rows = [
        row(figures.OURS, "small", 2000.0),
        row(figures.OURS, "small", 3000.0, form="binary"),
        row("mlserver", "small", 500.0),
        row("mlserver-batching", "small", 800.0),
        row("bentoml", "small", 1000.0, form="rows"),
        row("kserve", "small", 300.0, form="binary"),
        row("kserve", "small", 9000.0, connections=16),
    ]
    found = figures.ratios(rows)
    assert [(one["best_peer"], one["ratio"]) for one in found] == [("bentoml", 2.0), ("kserve", 10)]
    assert figures.summary(rows, {})["min_ratio_to_best_peer"] == 2.0


def test_where_prediction_dominates_the_time_above_it_counts() -> None:
    """Nobody can be twice as fast as the prediction itself."""
    rows = [row(figures.OURS, "large", 95.0), row("kserve", "large", 80.0)]
    told = figures.summary(rows, {})
    assert told["min_ratio_to_best_peer"] is None
    assert told["max_p50_over_predict_ms_alone"] == 0.526


def test_prediction_is_timed_beside_each_measurement() -> None:
    """A machine that was slow for a while was so for both; the range over the run is told."""
    rows = [row(figures.OURS, "large", 50.0, predict_ms=19.8), row("kserve", "large", 40.0)]
    told = figures.summary(rows, {})
    assert told["max_p50_over_predict_ms_alone"] == 0.2
    assert told["raw_predict_ms"] == {"large": [10.0, 14.9, 19.8]}


def test_share_of_what_bare_prediction_can_do() -> None:
    """With 64 connections, in bytes."""
    rows = [row(figures.OURS, "small", 5000.0, form="binary", connections=64)]
    assert figures.shares(rows, {"small": 20000.0}) == {"small": 0.25}


def test_what_counting_costs_is_the_difference_of_processor_time() -> None:
    """Of the same work with one connection; what was not measured is not told."""
    rows = [
        row(figures.OURS, "small", 2000.0, cpu_ms=0.40),
        row(figures.PROFILED, "small", 1800.0, peer="", cpu_ms=0.46),
        row(figures.PROFILED, "small", 1800.0, peer="", cpu_ms=9.0, connections=64),
        row(figures.PROFILED, "large", 10.0, peer=""),
    ]
    assert figures.counting_us(rows) == {"small": 60.0}


def test_a_measurement_is_a_line_of_the_table() -> None:
    """For people."""
    lines = figures.table([row("kserve", "small", 10.0, p99_ms=3.0, bad=0)]).splitlines()
    assert lines[2] == "| kserve | small | json | 1 | 10 | 100.00 | 3.0 | 100.000 | 1 | 0 |"
    assert len({line.count("|") for line in lines}) == 1


def test_the_same_rows_are_sent_in_every_form() -> None:
    """What our server reads of JSON and of bytes are these rows; BentoML's are plain lists."""
    from sklearn.linear_model import LinearRegression

    rows = np.arange(12.0).reshape(4, 3)
    model = describe(LinearRegression().fit(rows, rows[:, 0]), "")
    for form in ("json", "binary"):
        sent = load.body(rows, form)
        (read,) = protocol.parse(sent.content, sent.json_bytes, model, 10_000).inputs
        assert np.array_equal(read, rows)
    assert json.loads(load.body(rows, "rows").content) == {"rows": rows.tolist()}


def test_every_system_is_set_up_with_its_own_paths(tmp_path: Path) -> None:
    """No place is left to be filled; peers get joblib, this server skops."""
    for system in SYSTEMS:
        command = prepared(system, tmp_path / system.name, Path("/models/m.model"))
        texts = [path.read_text() for path in (tmp_path / system.name).iterdir()]
        told = " ".join([*command, *texts])
        assert "{model}" not in told
        assert "{folder}" not in told
        ending = "joblib" if system.peer else "profiled.skops" if system.profiled else "skops"
        assert f"/models/m.{ending}" in told, system.name
