"""Several workers of one server: together they count, change their models, end, and outlive one."""

import http.client
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from unit.server.asgi import infer_body
from unit.server.conftest import Process, StartServer
from unit.server.test_folder import BODY as ONE
from unit.server.test_folder import put
from unit.server.waiting import DEADLINE_S, wait_until

BODY = json.dumps(infer_body([[1.0] * 64])).encode()
INFER = "/v2/models/digits/infer"
REQUESTS = 40


def page(server: Process) -> dict[str, float]:
    """Return the metrics of the digits, by name and outcome; those of first attempts only."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(server.get("/metrics")[1].decode()):
        for sample in family.samples:
            labels = sample.labels
            if labels.get("attempt", "first") == "first" and "le" not in labels:
                found[sample.name + labels.get("outcome", "")] = sample.value
    return found


def post(server: Process, path: str = INFER, body: bytes = BODY) -> tuple[int, bytes]:
    """Send a request over a connection of its own, which any worker may take."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
    try:
        connection.request("POST", path, body)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def workers(server: Process) -> list[int]:
    """Return the worker processes."""
    leader = server.popen.pid
    return [int(x) for x in Path(f"/proc/{leader}/task/{leader}/children").read_text().split()]


@pytest.fixture
def two(start_server: StartServer, model_file: Path) -> Process:
    """A server of two workers, both of which serve."""
    server = start_server(f"file://{model_file}", RAMPWAY_WORKERS="2")
    server.wait_ready()
    wait_all_serve(server)
    return server


def wait_all_serve(server: Process, count: int = 2) -> None:
    """Wait until every worker listens: it has polled the listening socket."""

    def all_serve() -> bool:
        with suppress(OSError):
            return len(workers(server)) == count and all(map(_listens, workers(server)))
        return False

    wait_until(all_serve, "not all workers serve")


def wait_all_done(server: Process) -> None:
    """Wait until no request is in flight: the last leaves the count once its answer is sent."""
    wait_until(lambda: not page(server)["rampway_in_flight_requests"], "requests stay in flight")


def _listens(pid: int) -> bool:
    """Return whether a process has an epoll set that holds a socket which listens."""
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(OSError):
            text = info.read_text()
            watched = [line.split()[1] for line in text.splitlines() if line.startswith("tfd:")]
            for number in watched:
                target = str(Path(f"/proc/{pid}/fd/{number}").readlink())
                if target in _listening():
                    return True
    return False


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _listening() -> set[str]:
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {f"socket:[{fields[9]}]" for fields in lines if fields[3] == "0A"}


def test_one_page_counts_for_all(two: Process) -> None:
    """Whoever is scraped tells what all workers counted, and their processes' sums."""
    assert [post(two)[0] for _ in range(REQUESTS)] == [200] * REQUESTS
    wait_all_done(two)
    for _ in range(6):
        found = page(two)
        assert found["rampway_requests_totalok"] == REQUESTS
        assert found["rampway_request_duration_seconds_count"] == REQUESTS
        assert found["rampway_batch_requests_sum"] == REQUESTS
        assert found["rampway_predictions_total"] >= 0
        assert found["rampway_in_flight_requests"] == 0
        assert found["process_resident_memory_bytes"] > 100e6
        assert 0 < time.time() - found["process_start_time_seconds"] < 600


def test_a_worker_killed_loses_no_count_and_is_started_anew(two: Process) -> None:
    """Counts never fall, whoever is scraped, and soon there are two workers again."""
    for _ in range(REQUESTS):
        post(two)
    (victim, other) = workers(two)
    started_s = page(two)["process_start_time_seconds"]
    os.kill(victim, signal.SIGKILL)
    answers = []
    for _ in range(REQUESTS):
        with suppress(OSError, http.client.HTTPException):
            answers.append(post(two)[0])
    assert set(answers) == {200}
    wait_all_serve(two)
    assert other in workers(two)
    assert victim not in workers(two)
    for _ in range(6):
        assert page(two)["rampway_requests_totalok"] == REQUESTS + len(answers)
        assert page(two)["process_start_time_seconds"] == started_s
    os.kill(two.popen.pid, signal.SIGTERM)
    code, stderr = two.end()
    assert code == 0, stderr
    assert "a worker ended; it is started anew" in stderr


def test_workers_that_die_again_and_again_end_the_server(two: Process) -> None:
    """B25: a model that crashes its process crashes the container, which the operator watches."""
    for _ in range(2):
        victim = workers(two)[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not _is_there(victim))  # noqa: B023  # it is waited for here
    code, stderr = two.end()
    assert code == 128 + signal.SIGKILL, stderr
    assert stderr.count("a worker ended; it is started anew") == 1


def test_all_end_with_the_leader(two: Process) -> None:
    """SIGTERM drains every worker, and the exit code is 0."""
    pids = workers(two)
    assert len(pids) == 2
    two.popen.send_signal(signal.SIGTERM)
    code, stderr = two.end()
    assert code == 0, stderr
    assert [json.loads(line)["event"] for line in stderr.splitlines()].count("draining") == 2
    assert not any(map(_is_there, pids))


def test_workers_outlive_no_leader(two: Process) -> None:
    """A leader that is killed leaves nobody behind."""
    pids = workers(two)
    two.popen.kill()
    wait_until(lambda: not any(map(_is_there, pids)))


def test_start_failure_is_told_once(start_server: StartServer) -> None:
    """B28: what keeps the model from being served is one sentence, not one for each worker."""
    server = start_server("file:///no/such.skops", RAMPWAY_WORKERS="3")
    code, stderr = server.end()
    assert code == 1
    assert server.termination_log.read_text().startswith("cannot read model file")
    assert [json.loads(line)["event"] for line in stderr.splitlines()].count(
        server.termination_log.read_text()
    ) == 1


def test_what_one_loads_all_serve(start_server: StartServer, tmp_path: Path) -> None:
    """A model loaded or unloaded through one worker is so in all when that is answered."""
    root = tmp_path / "models"
    put(root / "a.skops", 1.0)
    server = start_server("", RAMPWAY_MODEL_PATH=str(root), RAMPWAY_WORKERS="2")
    server.wait_ready()
    wait_all_serve(server)
    for value in (2.0, 3.0):
        put(root / "a.skops", value)
        assert post(server, "/v2/repository/models/a/load", b"")[0] == 200
        for _ in range(10):
            status, body = post(server, "/v2/models/a/infer", ONE)
            assert (status, json.loads(body)["outputs"][0]["data"]) == (200, [value])
    (root / "a.skops").write_bytes(b"no model")
    status, body = post(server, "/v2/repository/models/a/load", b"")
    assert (status, b"cannot be loaded" in body) == (400, True)
    assert post(server, "/v2/models/a/infer", ONE)[0] == 200
    assert post(server, "/v2/repository/models/a/unload", b"")[0] == 200
    assert {post(server, "/v2/models/a/infer", ONE)[0] for _ in range(10)} == {404}


def test_a_reload_under_load_fails_no_request(start_server: StartServer, tmp_path: Path) -> None:
    """While all workers load a model anew, kept connections to both go on being answered."""
    root = tmp_path / "models"
    put(root / "a.skops", 1.0)
    server = start_server("", RAMPWAY_MODEL_PATH=str(root), RAMPWAY_WORKERS="2")
    server.wait_ready()
    wait_all_serve(server)
    stop = threading.Event()
    seen: set[tuple[int, float]] = set()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
        while not stop.is_set():
            connection.request("POST", "/v2/models/a/infer", ONE)
            reply = connection.getresponse()
            document = json.loads(reply.read())
            seen.add((reply.status, document["outputs"][0]["data"][0]))
        connection.close()

    with ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(client) for _ in range(6)]
        try:
            for value in (1.0, 2.0, 3.0, 4.0):
                put(root / "a.skops", value)
                assert post(server, "/v2/repository/models/a/load", b"")[0] == 200
                wait_until(lambda: (200, value) in seen)  # noqa: B023  # it is waited for here
        finally:
            stop.set()
        for one in clients:
            one.result()
    assert seen == {(200, value) for value in (1.0, 2.0, 3.0, 4.0)}
