"""The model servers that are compared: how each is installed, set up and asked.

Each gets the same Python, one core, one process that predicts, and one thread of linear algebra.
Where a server batches, but not unless told to, it is run both ways, and its better figure counts in
each case.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sklearn

SKLEARN = f"scikit-learn=={sklearn.__version__}"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rampway/bench-server"
PORT = 18080
NAME = "m"
TREES = ("--trust", "sklearn.tree._tree.Tree")
INFER = f"/v2/models/{NAME}/infer"
_KSERVE = '''"""What KServe's sklearnserver does, on KServe's SDK: it is in no package registry."""
import sys
import joblib
import kserve
from kserve.utils.utils import get_predict_input, get_predict_response


class Served(kserve.Model):
    def __init__(self, name, path):
        super().__init__(name)
        self.model = joblib.load(path)
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        rows = get_predict_input(payload)
        return get_predict_response(payload, self.model.predict(rows), self.name)


if __name__ == "__main__":
    path = sys.argv.pop(1)
    kserve.ModelServer(
        http_port=int(sys.argv.pop(1)), enable_grpc=False, workers=1, access_log_format=None
    ).start([Served("m", path)])
'''
_BENTO = """import bentoml
import joblib
import numpy as np


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Served:
    def __init__(self):
        self.model = joblib.load('{model}')

    @bentoml.api(route="/predict"{batching})
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict(rows)
"""


@dataclass(frozen=True)
class System:
    """One server in one setting.

    Attributes:
        peer: Whose it is; empty for this project's.
        pins: What pip installs; empty: it runs in this Python.
        settings: Files to be written, by name; `{model}` is the model's path.
        command: After the Python's path; `{folder}` is where the files are.
        environment: Beyond what all get.
        forms: What it understands: `json`, `binary`, or `rows` (BentoML's own).
        profiled: Whether the model's file has the profile of its training data, so that inputs are
            counted.
    """

    name: str
    peer: str
    pins: Sequence[str]
    command: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    forms: Sequence[str] = ("json", "binary")
    path: str = INFER
    ready: str = f"/v2/models/{NAME}/ready"
    profiled: bool = False


def _ours(name: str, *, profiled: bool = False) -> System:
    options = ["--uri", "file://{model}", "--name", NAME, "--port", str(PORT)]
    options += ["--host", "127.0.0.1", "--workers", "1", *TREES]
    return System(name, "", (), ["-m", "rampway_server", *options], profiled=profiled)


def _mlserver(name: str, **batching: float) -> System:
    server = {"parallel_workers": 0, "http_port": PORT, "host": "127.0.0.1", "debug": False}
    server |= {"grpc_port": PORT + 1, "metrics_port": PORT + 2}
    model = {"name": NAME, "implementation": "mlserver_sklearn.SKLearnModel", **batching}
    model["parameters"] = {"uri": "{model}", "version": "v1"}
    return System(
        name,
        "mlserver",
        ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop==0.21.0", SKLEARN),
        ["-m", "mlserver.cli.main", "start", "{folder}"],
        {
            "settings.json": json.dumps(server),
            "model-settings.json": json.dumps(model),
        },
        forms=("json",),  # it answers Triton's binary tensors with 422
    )


def _bentoml(name: str, batching: str) -> System:
    return System(
        name,
        "bentoml",
        ("bentoml==1.4.39", SKLEARN),
        ["-m", "bentoml", "serve", "service:Served", "--port", str(PORT), "--host", "127.0.0.1"],
        {"service.py": _BENTO.replace("{batching}", batching)},
        forms=("rows",),
        path="/predict",
        ready="/readyz",
    )


SYSTEMS = (
    _ours("rampway"),
    _ours("rampway-profiled", profiled=True),
    _mlserver("mlserver"),
    _mlserver("mlserver-batching", max_batch_size=64, max_batch_time=0.002),
    System(
        "kserve",
        "kserve",
        ("kserve==0.21.0", SKLEARN),
        ["{folder}/served.py", "{model}", str(PORT)],
        {"served.py": _KSERVE},
    ),
    _bentoml("bentoml", ""),
    _bentoml("bentoml-batching", ", batchable=True, max_batch_size=65536, max_latency_ms=1000"),
)


def prepared(system: System, folder: Path, model: Path) -> list[str]:
    """Write a system's files into a folder; return its command after the Python's path."""
    folder.mkdir(parents=True, exist_ok=True)
    places = {"{folder}": str(folder), "{model}": str(_file(system, model))}
    for name, text in system.settings.items():
        for place, path in places.items():
            text = text.replace(place, path)  # noqa: PLW2901  # each place in turn
        (folder / name).write_text(text, encoding="utf-8")
    command = []
    for part in system.command:
        for place, path in places.items():
            part = part.replace(place, path)  # noqa: PLW2901  # as above
        command.append(part)
    return command


def _file(system: System, model: Path) -> Path:
    """Return the model in the form the system loads: skops here, joblib there."""
    if system.profiled:
        return model.with_suffix(".profiled.skops")
    return model.with_suffix(".joblib" if system.peer else ".skops")


def python(system: System) -> Path:
    """Return the Python that runs a system."""
    return CACHE / system.peer / "bin/python" if system.peer else Path(sys.executable)


def install(system: System) -> None:
    """Make a peer's environment, once."""
    folder = CACHE / system.peer
    done = folder / ".done"
    # By the interpreter that runs this project's: how it was built makes a quarter of the figures.
    wanted = "\n".join([*system.pins, f"python {platform.python_version()} {sys.base_prefix}"])
    if not system.peer or (done.exists() and done.read_text() == wanted):
        return
    print(f"installing {', '.join(system.pins)} into {folder} (some minutes)", flush=True)  # noqa: T201 - what a benchmark is for
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python(system)), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, *system.pins], check=True)
    done.write_text(wanted)
