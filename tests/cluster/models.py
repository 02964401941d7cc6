"""The models that the cluster tests serve: the demo's four, and two small ones."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import skops.io
from cluster.bench import Model
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier

from demo import models as demo_models

SMALL = {"a": 1.0, "b": 2.0, "c": 3.0}
"""Small models by name, with their penalty, so that each has other bytes."""


def make(folder: Path) -> Mapping[str, Model]:
    """Train what is not in the folder yet; the demo's models only if its code changed."""
    source = hashlib.sha256(Path(demo_models.__file__).read_bytes()).hexdigest()
    trained_by = folder / "trained-by"
    if not trained_by.exists() or trained_by.read_text() != source:
        demo_models.train(folder)
        trained_by.write_text(source)
    facts = json.loads((folder / "manifest.json").read_text())["models"]
    found = {name: Model(f"{name}.skops", fact["sha256"]) for name, fact in facts.items()}
    return found | {name: _small(folder, name, penalty) for name, penalty in SMALL.items()}


def _small(folder: Path, name: str, penalty: float) -> Model:
    pixels, labels = load_digits(return_X_y=True)
    path = folder / f"{name}.skops"
    skops.io.dump(RidgeClassifier(alpha=penalty).fit(pixels, labels), path)
    return Model(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
