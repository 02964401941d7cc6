"""What judges a model beside its errors: its inputs against training's, its answers, its sureness.

Counts are arrays, added to once per prediction however many requests share it, and become series
only when they are scraped. All names in labels come from the model or its profile, never from a
request, and are bounded in number.
"""

import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from rampway_server import confidence
from rampway_server.errors import ModelError
from rampway_server.inputs import Inputs
from rampway_server.labels import distinct
from rampway_server.logs import logger
from rampway_server.model import Model
from rampway_server.reference import OTHER
from rampway_server.sheet import Page
from rampway_server.tensors import TensorSpec

MOST_CLASSES = 64
CONFIDENCES = tuple(step / 10 for step in range(1, 11))
CONFIDENCE_EVERY = 251
"""Of so many predictions probabilities that nobody asked for are computed of one.

They cost about as much as the prediction, and those of 1 % would be the model's p99. A prime:
of clients that take turns it would else be the same one's rows each time.
"""
_FEW = 256  # to count so many is less than numpy's preparations


class Telemetry:
    """Counts of one loaded model.

    Args:
        labels: The model's and the revision's name.
        page: Where this worker counts.
    """

    def __init__(self, model: Model, labels: Sequence[str], page: Page) -> None:
        self.labels = list(labels)
        self._model = model
        self._lock = threading.Lock()
        self._classes = distinct(map(str, model.classes[:MOST_CLASSES]), (OTHER,))
        self._at = {label: at for at, label in enumerate(model.classes[:MOST_CLASSES])}
        known = np.array(list(self._at))
        self._order = np.argsort(known if known.dtype.kind in "biuf" else [])
        self._sorted = known[self._order]
        predicted = model.profile.prediction if model.profile else None
        self._edges = np.array(predicted.edges if predicted else ())
        bins = self._classes or (predicted.bins[:-2] if predicted else [])
        self.prediction_bins = [*bins, OTHER if self._classes else "+Inf"]
        features = model.training.features
        # Counts go on where those of the same bins were, whoever counted them: none ever falls.
        layout = repr((self.prediction_bins, [(one.name, one.bins) for _, one in features]))
        name = (*labels, hashlib.sha256(layout.encode()).hexdigest())
        self._predictions = page.cells("predictions", *name, size=len(bins) + 1)
        self._nulls = page.cells("nulls", *name, size=1)
        self._confidences = page.cells("confidences", *name, size=len(CONFIDENCES) + 2)
        self._unsure = itertools.count()
        self._inputs = Inputs(features, page, name)
        self._failed: set[str] = set()

    def observe(
        self,
        inputs: Sequence[NDArray[Any]],
        outputs: Sequence[TensorSpec],
        arrays: Sequence[NDArray[Any]],
    ) -> None:
        """Count one prediction; what goes wrong in one part is logged once and hurts no other."""
        found = {spec.name: array for spec, array in zip(outputs, arrays, strict=True)}
        self._try(self._count_answers, found)
        self._try(self._count_inputs, inputs)
        self._try(self._count_sureness, inputs, found)

    def _try(self, count: Callable[..., None], *seen: Any) -> None:
        try:
            count(*seen)
        except Exception:  # noqa: BLE001  # telemetry must not fail an answer
            part = count.__name__.removeprefix("_count_")
            if part not in self._failed:
                logger().exception("telemetry failed; said once", part=part)
            self._failed.add(part)

    def _count_inputs(self, inputs: Sequence[NDArray[Any]]) -> None:
        with self._lock:
            self._inputs.count(inputs)

    def _count_sureness(
        self, inputs: Sequence[NDArray[Any]], found: dict[str, NDArray[Any]]
    ) -> None:
        sure = self._sureness(inputs, found)
        if sure is None:
            return
        at = np.searchsorted(CONFIDENCES, sure)
        with self._lock:
            counts, summed = self._confidences.own[:-1], self._confidences.own[-1:]
            counts += np.bincount(at, minlength=len(counts))
            summed += sure.sum()

    def _sureness(
        self, inputs: Sequence[NDArray[Any]], found: dict[str, NDArray[Any]]
    ) -> NDArray[Any] | None:
        """Return the probability of each row's predicted class: if asked for, else now and then."""
        offered = self._model.probabilities
        if offered is None:
            return None
        given = found.get(offered.name)
        if given is None:
            if next(self._unsure) % CONFIDENCE_EVERY:
                return None
            try:
                (given,) = self._model.predict(inputs, (offered,))
            except ModelError:
                return None
        answers = found.get(self._model.offers[0].name)
        sure = confidence.of_answers(self._model, answers, given)
        finite: NDArray[Any] = sure[np.isfinite(sure)]
        return finite

    def _count_answers(self, found: dict[str, NDArray[Any]]) -> None:
        answers = found.get(self._model.offers[0].name)
        if answers is not None and answers.ndim == 1:
            with self._lock:
                self._count_predictions(answers)

    def _count_predictions(self, values: NDArray[Any]) -> None:
        if values.dtype.kind == "f":
            nulls = ~np.isfinite(values)
            self._nulls.own[0] += nulls.sum()
            values = values[~nulls]
        if self._classes:
            self._count_classes(values)
        elif self._edges.size:
            at = np.searchsorted(self._edges, values)
            counts = self._predictions.own
            counts += np.bincount(at, minlength=len(counts))
        if values.dtype.kind == "O":
            self._nulls.own[0] += sum(not value for value in values.tolist())

    def _count_classes(self, values: NDArray[Any]) -> None:
        counts = self._predictions.own
        if values.dtype.kind == "O" or len(values) <= _FEW:
            for label, count in Counter(values.tolist()).items():
                counts[self._at.get(label, -1)] += count
            return
        # Half of what np.unique takes, which does not know the classes.
        near = np.searchsorted(self._sorted[1:], values, side="right")
        at = np.where(self._sorted[near] == values, self._order[near], len(counts) - 1)
        counts += np.bincount(at, minlength=len(counts))

    def add_to(self, families: dict[str, Any]) -> None:
        """Add the counts of all workers to families of metrics."""
        if len(self.prediction_bins) > 1:
            counts = self._predictions.total().tolist()
            for bin_name, count in zip(self.prediction_bins, counts, strict=True):
                families["predictions"].add_metric([*self.labels, bin_name], count)
        families["nulls"].add_metric(self.labels, *self._nulls.total().tolist())
        *counts, summed = self._confidences.total().tolist()
        bounds = [*map(str, CONFIDENCES), "+Inf"]
        cumulated = np.cumsum(counts).tolist()
        families["confidence"].add_metric(
            self.labels, list(zip(bounds, cumulated, strict=True)), summed
        )
        self._add_inputs(families)

    def _add_inputs(self, families: dict[str, Any]) -> None:
        for column, counts in self._inputs.bins():
            named = [*self.labels, column.name]
            training = (*column.counts, column.missing)
            for name, count, rows in zip(column.bins, counts.tolist(), training, strict=True):
                families["values"].add_metric([*named, name], count)
                families["reference"].add_metric([*named, name], rows)
        for name, count in self._inputs.outside():
            families["outside"].add_metric([*self.labels, name], count)
        for kind, count in self._inputs.violations().items():
            families["violations"].add_metric([*self.labels, kind], count)


class Collector:
    """Gives Prometheus' client the counts of all models, at each scrape."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], Telemetry] = {}

    def add(self, telemetry: Telemetry) -> None:
        """Show these counts from now on, instead of those of the same name."""
        self._found[tuple(telemetry.labels)] = telemetry

    def remove(self, labels: Sequence[str]) -> None:
        """Show the counts of these labels no longer."""
        self._found.pop(tuple(labels), None)

    def collect(self) -> Iterator[Metric]:
        """Return the families of metrics."""
        families = {
            name: kind(f"rampway_{title}", told, labels=["model", "revision", *more])
            for name, (kind, title, told, more) in _FAMILIES.items()
        }
        for telemetry in list(self._found.values()):
            telemetry.add_to(families)
        yield from families.values()


_FAMILIES: dict[str, tuple[Any, str, str, list[str]]] = {
    "predictions": (
        CounterMetricFamily,
        "predictions",
        "Rows by predicted class or bin.",
        ["prediction"],
    ),
    "nulls": (
        CounterMetricFamily,
        "null_predictions",
        "Rows answered with nothing: NaN or no text.",
        [],
    ),
    "confidence": (
        HistogramMetricFamily,
        "confidence",
        "Probability of the predicted class, of a sample of rows.",
        [],
    ),
    "values": (
        CounterMetricFamily,
        "feature_values",
        "Rows by bin of a feature.",
        ["feature", "bin"],
    ),
    "reference": (
        GaugeMetricFamily,
        "feature_reference_rows",
        "Rows of the training data by bin of a feature.",
        ["feature", "bin"],
    ),
    "outside": (
        CounterMetricFamily,
        "feature_out_of_range",
        "Rows below or above all of the training data.",
        ["feature"],
    ),
    "violations": (
        CounterMetricFamily,
        "schema_violations",
        "Values unlike any of the training data, by kind.",
        ["kind"],
    ),
}
