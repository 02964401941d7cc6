"""Model servers side by side: `make bench-server`.

The same models, the same load generator (wrk), one core for the server and another for the load.
What is done is kept in build/bench/server.jsonl, so that it can be interrupted and goes on; delete
that file to begin anew. Peers are installed into the user's cache folder.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import skops.io
from bench.server import figures, load
from bench.server.systems import PORT, SYSTEMS, System, install, prepared, python
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import rampway_server

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "build/bench/server.jsonl"
CONNECTIONS = (1, 16, 64)
WARM_UP_S = 1.0
BESIDE_S = 0.5
START_S = 300.0
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}


def works() -> dict[str, tuple[Any, np.ndarray]]:
    """Return the models, fitted, with the rows of one request, by name."""
    rows, labels = load_iris(return_X_y=True)
    iris = LogisticRegression(max_iter=1000).fit(rows, labels)
    dice = np.random.default_rng(0)
    wide = dice.random((2000, 64)).round(3)
    forest = RandomForestClassifier(100, random_state=0).fit(wide, wide[:, 0] + wide[:, 1] > 1)
    many = rows[dice.integers(0, len(rows), 1000)]
    return {"1x4": (iris, rows[:1]), "1000x4": (iris, many), "forest": (forest, wide[:1])}


def saved(folder: Path) -> dict[str, Path]:
    """Write each work's model as skops, plain and profiled, and joblib; return their paths.

    A profile is of rows like those that are sent: ten bins a feature.
    """
    paths = {}
    for name, (model, rows) in works().items():
        paths[name] = folder / f"{name}.model"
        skops.io.dump(model, paths[name].with_suffix(".skops"))
        joblib.dump(model, paths[name].with_suffix(".joblib"))
        profiled = paths[name].with_suffix(".profiled.skops")
        skops.io.dump(model, profiled)
        training = np.random.default_rng(1).normal(rows.mean(axis=0), 1.0, (500, rows.shape[1]))
        rampway_server.profile(training, model.predict(training)).add_to(profiled)
    return paths


def together(seconds: float = 2.0) -> dict[str, float]:
    """Return by work how many requests a second bare `predict` makes, 64 at once."""
    return {
        name: round(64 / _predict_s(model, np.concatenate([rows] * 64), seconds), 1)
        for name, (model, rows) in works().items()
    }


def _predict_s(model: Any, rows: np.ndarray, seconds: float) -> float:
    """Return the median of a prediction's time."""
    found, end_s = [], time.perf_counter() + seconds
    while time.perf_counter() < end_s:
        begun_s = time.perf_counter()
        model.predict(rows)
        found.append(time.perf_counter() - begun_s)
    return float(np.median(found))


@contextlib.contextmanager
def serving(system: System, model: Path, folder: Path) -> Iterator[int]:
    """Run a server on its core until the block ends; give its process."""
    command = [str(python(system)), *prepared(system, folder, model)]
    log = folder / "server.log"
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            ["taskset", "-c", load.SERVER_CORE, *command],
            env=os.environ | ONE_THREAD | dict(system.environment),
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_ready(system, process, log)
        yield process.pid
    finally:
        for pid in load.tree(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _wait_ready(system: System, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{system.ready}", timeout=5):
                return
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"{system.name} does not serve; see {log}")
        time.sleep(0.3)


def measure(system: System, work: str, model: Path, options: argparse.Namespace) -> None:
    """Measure what is not measured yet of one system and work."""
    forms = [form for form in system.forms if form in options.forms or form == "rows"]
    wanted = [
        (form, connections)
        for form in forms
        for connections in CONNECTIONS
        if (system.name, work, form, connections) not in options.known
    ]
    if not wanted:
        return
    install(system)
    folder = ROOT / "build/bench/server" / f"{system.name}-{work}"
    predicted = works()[work]
    with serving(system, model, folder) as leader:
        for form, connections in wanted:
            place = {"system": system.name, "peer": system.peer, "work": work, "form": form}
            sent = load.body(predicted[1], form)
            load.run(sent, system.path, connections, WARM_UP_S, folder)
            # A shared machine is not as fast all the time: predict alone right before and after.
            beside_s = _predict_s(*predicted, BESIDE_S)
            row = place | _measured(sent, system, connections, options.seconds, folder, leader)
            beside_s = (beside_s + _predict_s(*predicted, BESIDE_S)) / 2
            row["predict_ms"] = round(1000 * beside_s, 4)
            _keep(row)
            _say(figures.table([row]).splitlines()[-1])


def _measured(  # noqa: PLR0917 - what a measurement needs
    sent: load.Body,
    system: System,
    connections: int,
    seconds: float,
    folder: Path,
    leader: int,
) -> dict[str, Any]:
    begun_s = load.cpu_s(load.tree(leader))
    found = load.run(sent, system.path, connections, seconds, folder)
    pids = load.tree(leader)
    return {
        "connections": connections,
        "rps": found["requests"] / found["seconds"],
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
        "bad": found["bad"],
        "cpu_ms": 1000 * (load.cpu_s(pids) - begun_s) / max(1, found["requests"]),
        "rss_mb": load.rss_mb(pids),
        "load": os.getloadavg()[0],
    }


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what a benchmark is for


def _keep(row: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def kept() -> list[dict[str, Any]]:
    """Return what was measured so far."""
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def main(argv: Sequence[str]) -> int:
    """Measure what is asked for, and print the table and one line of JSON."""
    parser = argparse.ArgumentParser(prog="bench.server", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--only", default="", help="systems whose names contain one of these")
    parser.add_argument("--works", default="1x4,1000x4,forest")
    parser.add_argument("--forms", default="json,binary")
    options = parser.parse_args(argv)
    if shutil.which("wrk") is None:
        print("wrk is missing: apt-get install wrk", file=sys.stderr)  # noqa: T201 - what a benchmark is for
        return 1
    options.known = {
        (row["system"], row["work"], row["form"], row["connections"]) for row in kept()
    }
    chosen = [s for s in SYSTEMS if any(part in s.name for part in options.only.split(","))]
    folder = ROOT / "build/bench/server"
    folder.mkdir(parents=True, exist_ok=True)
    models = saved(folder)
    os.sched_setaffinity(0, {int(load.SERVER_CORE)})  # predict alone is timed where it is served
    for system in chosen:
        _say(f"{system.name}: {' '.join(system.command)} {dict(system.settings)}")
    for work in options.works.split(","):
        for system in chosen:
            measure(system, work, models[work], options)
    _say(figures.table(kept()))
    _say(json.dumps(figures.summary(kept(), together())))
    return 0


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    sys.exit(main(sys.argv[1:]))
