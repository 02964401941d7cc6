"""The models that the cluster tests serve: the demo's four, small ones, and some that fail."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED

import numpy as np
import skops.io
from cluster.bench import Model
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from demo import models as demo_models

SMALL = {"a": 1.0, "b": 2.0, "c": 3.0}
"""Small models by name, with their penalty, so that each has other bytes."""
FAILING = {"tenth": (0.10, 1.0), "tenth-again": (0.10, 2.0), "half-more": (0.15, 1.0)}
"""Small models that raise on about this share of the held-out digits, with their penalty."""
PIXEL = 20
"""Where such a model takes grey values for categories, and raises on one that it does not know."""


def make(folder: Path) -> Mapping[str, Model]:
    """Train what is not in the folder yet; the demo's models only if its code changed."""
    source = hashlib.sha256(Path(demo_models.__file__).read_bytes()).hexdigest()
    trained_by = folder / "trained-by"
    if not trained_by.exists() or trained_by.read_text() != source:
        demo_models.train(folder)
        trained_by.write_text(source)
    facts = json.loads((folder / "manifest.json").read_text())["models"]
    found = {name: Model(f"{name}.skops", fact["sha256"]) for name, fact in facts.items()}
    found |= {name: _small(folder, name, penalty) for name, penalty in SMALL.items()}
    return found | {name: _failing(folder, name) for name in FAILING}


def _small(folder: Path, name: str, penalty: float) -> Model:
    pixels, labels = load_digits(return_X_y=True)
    return _saved(folder, name, RidgeClassifier(alpha=penalty).fit(pixels, labels))


def _failing(folder: Path, name: str) -> Model:
    _, penalty = FAILING[name]
    pixels, labels = load_digits(return_X_y=True)
    unknown = unknown_values(folder / "holdout.jsonl", name)
    known = sorted({float(value) for value in pixels[:, PIXEL]} - unknown)
    rows = np.isin(pixels[:, PIXEL], known)
    encoder = ColumnTransformer(
        [("categories", OrdinalEncoder(categories=[known]), [PIXEL])], remainder="passthrough"
    )
    model = make_pipeline(encoder, RidgeClassifier(alpha=penalty))
    return _saved(folder, name, model.fit(pixels[rows], labels[rows]))


def unknown_values(holdout: Path, name: str) -> set[float]:
    """Return the grey values on which a failing model raises, by what the held-out digits have.

    That of the first digit is none of them: the client asks for it until there is an answer.
    """
    first, *others = (row[PIXEL] for row in _rows(holdout))
    counts = Counter(others)
    aim = FAILING[name][0] * (1 + counts.total())
    sums: dict[int, tuple[float, ...]] = {0: ()}
    for value, count in sorted(counts.items()):
        if value != first:
            sums = {have + count: (*of, value) for have, of in sums.items()} | sums
    return set(sums[min(sums, key=lambda have: abs(have - aim))])


def failing_share(holdout: Path, name: str) -> float:
    """Return the share of the held-out digits on which a model raises."""
    unknown = unknown_values(holdout, name)
    rows = _rows(holdout)
    return sum(row[PIXEL] in unknown for row in rows) / len(rows)


def write_refused(holdout: Path, out: Path) -> None:
    """Write the held-out digits so that a failing model raises on all but the first one."""
    (value, *_) = sorted(unknown_values(holdout, "tenth"))
    first, *others = [json.loads(line) for line in holdout.read_text().splitlines()]
    for digit in others:
        digit["pixels"][PIXEL] = value
    out.write_text("".join(json.dumps(digit) + "\n" for digit in (first, *others)))


def _rows(holdout: Path) -> list[list[float]]:
    return [json.loads(line)["pixels"] for line in holdout.read_text().splitlines()]


def _saved(folder: Path, name: str, model: Any) -> Model:
    path = folder / f"{name}.skops"
    skops.io.dump(model, path, compression=ZIP_DEFLATED)
    return Model(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
