"""Several models in one process: found in a folder, loaded and unloaded under traffic."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import skops.io
import tritonclient.http as triton
from sklearn.dummy import DummyRegressor
from unit.server.asgi import Reply, call, infer_body
from unit.server.conftest import LIMITS, MakeApp, free_port
from unit.server.waiting import DEADLINE_S, until, wait_until

from rampway_server.app import App
from rampway_server.automation import Dial
from rampway_server.batching import Batcher
from rampway_server.control import Control
from rampway_server.errors import StartError
from rampway_server.folder import Folder, scan
from rampway_server.metrics import Metrics
from rampway_server.repository import Repository, _age
from rampway_server.team import Team

BODY = json.dumps(infer_body([[0.0]])).encode()


def put(path: Path, constant: float) -> None:
    """Write a model that always answers the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model = DummyRegressor(strategy="constant", constant=constant).fit([[0.0]], [0.0])
    model.n_features_in_ = 1
    temporary = path.with_name("new.partial")
    skops.io.dump(model, temporary)
    temporary.replace(path)


@dataclass
class Served:
    """An application that serves a folder."""

    root: Path
    app: App
    folder: Folder
    metrics: Metrics

    async def answer(self, path: str) -> float:
        """Return what a model answers."""
        reply = await call(self.app, f"/v2/models/{path}/infer", BODY)
        assert reply.status == 200, reply.body
        (value,) = reply.document["outputs"][0]["data"]
        return float(value)

    async def control(self, path: str, body: bytes = b"") -> Reply:
        """Ask the repository extension."""
        return await call(self.app, f"/v2/repository/{path}", body)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A folder with a model of two versions and one without, all loaded."""
    put(tmp_path / "a/9/model.skops", 9.0)
    put(tmp_path / "a/10/model.skops", 10.0)
    put(tmp_path / "b.skops", 2.0)
    metrics = Metrics()
    repository = Repository(metrics, Dial(""))
    batcher = Batcher(1, 100)
    folder, team = Folder(tmp_path, repository, (), allow_pickle=False), Team()
    team.follow(folder.change)
    app = App(repository, metrics, batcher, LIMITS, Control(repository, folder, team))
    assert (await call(app, "/v2/health/ready")).status == 503
    await folder.load_all()
    yield Served(tmp_path, app, folder, metrics)
    batcher.close()


async def test_every_model_and_version_is_served(served: Served) -> None:
    """By name, and by name and version; without one the newest, 10 being newer than 9."""
    assert (await call(served.app, "/v2/health/ready")).status == 200
    assert [await served.answer(p) for p in ("a", "a/versions/9", "b", "b/versions/1")] == [
        10.0, 9.0, 2.0, 2.0,
    ]  # fmt: skip
    assert (await call(served.app, "/v2/models/a")).document["versions"] == ["10", "9"]
    page = served.metrics.render().decode()
    for version, count in (("10", 1.0), ("9", 1.0)):
        labels = f'attempt="first",model="a",outcome="ok",revision="{version}"'
        assert f"rampway_requests_total{{{labels}}} {count}" in page


async def test_index_tells_what_there_is(served: Served) -> None:
    """All, or only what is ready."""
    put(served.root / "c/model.skops", 3.0)
    everything = (await served.control("index")).body
    states = [(m["name"], m["version"], m["state"]) for m in json.loads(everything)]
    ready = [("a", "10", "READY"), ("a", "9", "READY"), ("b", "1", "READY")]
    assert states == [*ready, ("c", "1", "UNAVAILABLE")]
    found = json.loads((await served.control("index", b'{"ready": true}')).body)
    assert [(m["name"], m["version"], m["state"]) for m in found] == ready


async def test_models_come_and_go(served: Served) -> None:
    """Loaded anew from the folder, a version more, a version less, and unloaded."""
    put(served.root / "b.skops", 22.0)
    put(served.root / "a/11/model.skops", 11.0)
    (served.root / "a/9/model.skops").unlink()
    assert await served.answer("b") == 2.0
    for name in ("a", "b"):
        assert (await served.control(f"models/{name}/load")).document == {}
    assert [await served.answer(p) for p in ("a", "b")] == [11.0, 22.0]
    assert (await call(served.app, "/v2/models/a/versions/9/infer", BODY)).status == 404
    (served.root / "a/11/model.skops").unlink()
    assert (await served.control("models/a/load")).status == 200
    assert await served.answer("a") == 10.0
    assert served.metrics.render().count(b'rampway_model_info{lineage="",model="b"') == 1
    assert (await served.control("models/b/unload")).status == 200
    assert (await call(served.app, "/v2/models/b/infer", BODY)).status == 404
    page = served.metrics.render().decode()
    nobodys = 'attempt="first",model="",outcome="client_error",revision=""} 1.0'
    assert nobodys in page, "asked for what is not there: no model is to blame"
    assert b'rampway_model_info{lineage="",model="b"' not in served.metrics.render()
    assert (await served.control("models/b/load")).status == 200
    assert await served.answer("b") == 22.0


async def test_no_request_fails_while_models_come_and_go(served: Served) -> None:
    """Under traffic a model is loaded anew again and again, and its answers change."""
    answers: list[float] = []
    stop = asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            answers.append(await served.answer("b"))

    clients = [asyncio.create_task(client()) for _ in range(4)]
    for constant in (3.0, 4.0, 5.0):
        put(served.root / "b.skops", constant)
        assert (await served.control("models/b/load")).status == 200
        # It is waited for here, or for a client that failed.
        await until(lambda: constant in answers or any(c.done() for c in clients))  # noqa: B023
    stop.set()
    await asyncio.gather(*clients)
    assert set(answers) == {2.0, 3.0, 4.0, 5.0}


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("models/x/load", b"", 404, "no model 'x' in this server's folder"),
        ("models/x/unload", b"", 404, "unknown model 'x'"),
        ("models/broken/load", b"", 400, "'broken', version '1', cannot be loaded: the model"),
        (
            "models/odd/load",
            b"",
            400,
            "'odd', version '1', cannot be loaded: the model file",
        ),
        ("models/two/load", b"", 400, "has 2 model files; expected one: model.onnx …"),
        ("models/b", b"", 404, "expected index, models/NAME/load"),
        ("index", b"{", 400, "the body is not JSON"),
        ("index", b"[]", 400, "not a JSON object"),
        ("index", b'{"ready": 1}', 400, '"ready" is an integer; expected true or false'),
    ],
)
async def test_what_cannot_be_done_is_told(
    path: str, body: bytes, status: int, sentence: str, served: Served
) -> None:
    """Nothing that is served changes by it."""
    for name in ("broken/model.skops", *(["two/model.skops", "two/model.onnx"] * ("two" in path))):
        (served.root / name).parent.mkdir(exist_ok=True)
        (served.root / name).write_bytes(b"junk")
    odd = DummyRegressor().fit([[0.0]], [0.0])
    odd.n_features_in_ = "many"
    skops.io.dump(odd, served.root / "odd.skops")
    reply = await served.control(path, body)
    assert (reply.status, sentence in reply.error) == (status, True), reply.error
    if "two" not in path:
        index = json.loads((await served.control("index")).body)
        reasons = {one["name"]: one["reason"] for one in index if one["state"] != "READY"}
        untried = {"broken": "not loaded", "odd": "not loaded"}
        tried = path.split("/")[1] if path.endswith("/load") and status == 400 else ""
        assert reasons == untried | ({tried: reply.error} if tried else {})
    assert await served.answer("b") == 2.0


async def test_a_reason_ends_with_its_cause(served: Served) -> None:
    """What is loaded at last, or unloaded, is not said to be broken."""

    async def reason() -> str:
        index = json.loads((await served.control("index")).body)
        (found,) = (str(one["reason"]) for one in index if one["name"] == "c")
        return found

    (served.root / "c.skops").write_bytes(b"junk")
    assert (await served.control("models/c/load")).status == 400
    assert "cannot be loaded" in await reason()
    put(served.root / "c.skops", 3.0)
    assert (await served.control("models/c/load")).status == 200
    assert not await reason()
    (served.root / "c.skops").write_bytes(b"junk")
    assert (await served.control("models/c/load")).status == 400
    assert not await reason()
    assert (await served.control("models/c/unload")).status == 200
    assert await reason() == "not loaded"


async def test_a_model_that_was_given_by_uri_is_not_unloaded(make_app: MakeApp) -> None:
    """In the operator's pods nobody who reaches the port can take the model away."""
    app, _ = make_app(DummyRegressor().fit([[0.0]], [0.0]))
    for change in ("load", "unload"):
        reply = await call(app, f"/v2/repository/models/digits/{change}", b"")
        assert (reply.status, "was given one model" in reply.error) == (400, True)
    index = json.loads((await call(app, "/v2/repository/index", b"")).body)
    assert index == [{"name": "digits", "version": "2", "state": "READY", "reason": ""}]
    assert (await call(app, "/v2/repository/index")).status == 405


def test_a_start_that_fails_names_the_model(tmp_path: Path) -> None:
    """Of the many in a folder."""
    put(tmp_path / "a.skops", 1.0)
    (tmp_path / "b.skops").write_bytes(b"junk")
    folder = Folder(tmp_path, Repository(Metrics(), Dial("")), (), allow_pickle=False)
    with pytest.raises(StartError, match="model 'b', version '1', cannot be loaded: the model"):
        asyncio.run(folder.load_all())


def test_a_folder_without_models_is_no_start(tmp_path: Path) -> None:
    """And the sentence says what was expected; hidden folders do not count."""
    put(tmp_path / ".old/model.skops", 1.0)
    assert list(scan(tmp_path)) == []
    folder = Folder(tmp_path, Repository(Metrics(), Dial("")), (), allow_pickle=False)
    with pytest.raises(StartError, match=r"no model in .*; expected NAME\.skops, NAME/model"):
        asyncio.run(folder.load_all())


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """A slip in the path is not told as a folder without models."""
    absent = Folder(tmp_path / "m.skops", Repository(Metrics(), Dial("")), (), allow_pickle=False)
    with pytest.raises(StartError, match=r"there is no file or folder .*m\.skops; expected NAME"):
        asyncio.run(absent.load_all())


def test_versions_are_compared_number_by_number() -> None:
    """Not letter by letter."""
    assert sorted(["10", "9", "2.10", "2.9"], key=_age) == ["2.9", "2.10", "9", "10"]
    assert sorted(["v10", "v9"], key=_age) == ["v9", "v10"]


def test_on_a_laptop(tmp_path: Path) -> None:
    """`python -m rampway_server model/`, and Triton's client loads and unloads."""
    put(tmp_path / "model/a.skops", 1.0)
    port = free_port()
    command = [sys.executable, "-m", "rampway_server", "model/", "--port", str(port)]
    environment = os.environ | {"RAMPWAY_HOST": "127.0.0.1", "RAMPWAY_DRAIN_DELAY_S": "0"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment)
    try:
        client = triton.InferenceServerClient(f"127.0.0.1:{port}")
        wait_until(lambda: _is_ready(client), "not ready")
        index: Any = client.get_model_repository_index()
        assert [(one["name"], one["state"]) for one in index] == [("a", "READY")]
        client.unload_model("a")
        assert not client.is_model_ready("a")
        client.load_model("a")
        assert client.is_model_ready("a")
        client.close()
    finally:
        process.terminate()
        assert process.wait(DEADLINE_S) == 0


def _is_ready(client: triton.InferenceServerClient) -> bool:
    try:
        return bool(client.is_server_ready())
    except OSError:
        return False
