"""Clients whose dependencies are no part of this project: `make test-clients`.

KServe's environment is that of `make bench-server`, in the user's cache folder. NVIDIA's clients
are small and run with the unit tests (tests/unit/server/test_clients.py, test_grpc.py).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from bench.server.systems import SYSTEMS, install, python
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from unit.server.conftest import starter

KSERVE = next(system for system in SYSTEMS if system.peer == "kserve")
WORDS = np.array([["red"], ["blue"], ["red"], ["green"]], dtype=object)


def saved(folder: Path) -> dict[str, Any]:
    """Write two models into a folder; return what is to be asked of them, and their answers."""
    rows, labels = load_iris(return_X_y=True)
    iris = LogisticRegression(max_iter=1000).fit(rows, labels)
    colours = make_pipeline(OneHotEncoder(), LogisticRegression())
    colours.fit(WORDS, ["warm", "cold", "warm", "cold"])
    skops.io.dump(iris, folder / "iris.skops")
    skops.io.dump(colours, folder / "colours.skops")
    rows = rows[::10]
    return {
        "rows": rows.tolist(),
        "labels": iris.predict(rows).tolist(),
        "probabilities": iris.predict_proba(rows).tolist(),
        "words": WORDS.tolist(),
        "answers": colours.predict(WORDS).tolist(),
    }


def main() -> int:
    """Serve two models and let KServe's client ask for them; return its exit code."""
    install(KSERVE)
    with tempfile.TemporaryDirectory(prefix="rampway-clients-") as place:
        folder = Path(place)
        (folder / "models").mkdir()
        facts = saved(folder / "models")
        with starter(folder) as start:
            server = start("", RAMPWAY_MODEL_PATH=str(folder / "models"))
            server.wait_ready()
            script = Path(__file__).with_name("kserve_rest.py")
            ended = subprocess.run(
                [str(python(KSERVE)), str(script), f"http://127.0.0.1:{server.port}"],
                input=json.dumps(facts),
                text=True,
                check=False,
            )
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
