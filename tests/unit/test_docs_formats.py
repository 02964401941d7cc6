"""docs/guides/formats.md: its models are trained, served as its files say, and asked as it says."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from unit.server.conftest import Process, StartServer, starter
from unit.server.test_workers import post

from rampway.api.parse import parse_deployment
from rampway.core.model.revision import workload

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/guides/formats.md").read_text()
FILES = {path.stem: path for path in (ROOT / "examples/formats").glob("*.yaml")}
CODE = "/app"
Obj = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What the page says of one kind of model.

    Attributes:
        file: Objects of the file in examples/formats, by kind.
        shown: The part of it that the page shows.
        training: Code that makes the model's file.
        path: What is asked, and `sent` and `answered` with it.
    """

    file: Obj
    shown: Obj
    training: str
    path: str
    sent: bytes
    answered: Obj


def told(name: str) -> Told:
    """Return what the page says after its mention of a file, the training before it."""
    before, after = PAGE.split(f"](../../examples/formats/{name}.yaml)")
    curl = re.search(r"curl -s (\S+) -d '(.+)'", after)
    assert curl
    return Told(
        file={one["kind"]: one for one in yaml.safe_load_all(FILES[name].read_text())},
        shown=yaml.safe_load(_block("yaml", after)),
        training=re.findall(r"```python\n(.*?)```", before, re.DOTALL)[-1],
        path=urlsplit(curl[1]).path,
        sent=curl[2].encode(),
        answered=json.loads(_block("json", after)),
    )


def _block(language: str, text: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1]


def container(page: Told) -> tuple[Obj, Obj]:
    """Return the pod that the operator makes of a file, and the container in it."""
    made = page.file["ModelDeployment"]
    meta = {"namespace": "ml", "uid": "u", "generation": 1, "resourceVersion": "1"}
    deployment = parse_deployment(made | {"metadata": meta | made["metadata"]})
    pod = workload(deployment, "another-image", 1)["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    return pod, server


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartServer]:
    """Return a starter of servers."""
    with starter(tmp_path) as starting:
        yield starting


def served(page: Told, folder: Path, start: StartServer) -> Process:
    """Train the page's model, and serve it as the operator's pod does."""
    pod, server = container(page)
    _put_code(page, pod, server, folder)
    command = [sys.executable, "-c", page.training]
    subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(folder)}, check=True)
    env = {one["name"]: one["value"] for one in server["env"]}
    model = folder / Path(env["RAMPWAY_MODEL_URI"]).name
    kept = ("MODEL_NAME", "MODEL_VERSION", "REVISION", "ALLOW_PICKLE", "TRUST")
    given = {name: env[f"RAMPWAY_{name}"] for name in kept if f"RAMPWAY_{name}" in env}
    variables = {f"RAMPWAY_{name}": value for name, value in given.items()}
    path = f"{ROOT / 'model_server'}:{folder}"
    process = start(model.as_uri(), PYTHONPATH=path, **variables)
    process.wait_ready()
    return process


def _put_code(page: Told, pod: Obj, server: Obj, folder: Path) -> None:
    """Put the ConfigMap's files, if the pod mounts it, where the server finds code."""
    volumes = {
        one["configMap"]["name"]: one["name"] for one in pod["volumes"] if "configMap" in one
    }
    for name, volume in volumes.items():
        source = page.file["ConfigMap"]
        assert (source["metadata"]["name"], source["immutable"]) == (name, True)
        (mount,) = (one for one in server["volumeMounts"] if one["name"] == volume)
        assert mount["mountPath"] == f"{CODE}/{mount['subPath']}"
        (folder / mount["subPath"]).write_text(source["data"][mount["subPath"]])


@pytest.mark.parametrize("name", FILES)
def test_the_model_is_served_as_the_page_says(
    name: str, tmp_path: Path, start: StartServer
) -> None:
    """Trained by the page's code, in a pod's environment, asked as the page asks: its answer."""
    page = told(name)
    process = served(page, tmp_path, start)
    status, body = post(process, page.path, page.sent)
    assert (status, json.loads(body)) == (200, page.answered)


@pytest.mark.parametrize("name", FILES)
def test_the_page_shows_what_is_in_the_file(name: str) -> None:
    """What it shows of the spec is there, and the image is the one that `make` names."""
    page = told(name)
    spec, shown = page.file["ModelDeployment"]["spec"], page.shown["spec"]
    assert {part: spec[part] for part in shown} == shown
    image = shown["server"]["image"]
    assert image.split(":")[0] == "registry.example/rampway/model-server-full"
    assert container(page)[1]["image"] == image
    assert f"FROM {image}\n" in PAGE


def test_code_lies_where_the_image_looks_for_it() -> None:
    """The image's Python finds modules in the folder that the guide names."""
    recipe = (ROOT / "Dockerfile").read_text().split("AS model-server-full\n")[1]
    assert f"ENV PYTHONPATH={CODE} " in recipe
    assert f" {CODE}/" in _block("dockerfile", PAGE.replace("\n  ", "\n"))
