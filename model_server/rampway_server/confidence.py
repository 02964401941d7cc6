"""How sure a model is of what it answers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rampway_server.model import Model


def of_answers(
    model: Model, answers: NDArray[Any] | None, probabilities: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the probability of each row's predicted class, shape [rows].

    That is not always the most probable one: a threshold may be set otherwise.

    Args:
        model: It knows its classes.
        answers: What `predict` answered, shape [rows]; None or of another shape: the most probable
            class is meant.
        probabilities: Shape [rows, classes].
    """
    sure: NDArray[np.float64] = probabilities.max(axis=1).astype(np.float64)
    if answers is None or answers.ndim != 1 or len(model.classes) != probabilities.shape[1]:
        return sure
    others = np.flatnonzero(model.labels[probabilities.argmax(axis=1)] != answers).tolist()
    if others:
        known = {label: at for at, label in enumerate(model.labels.tolist())}
        for row in others:
            at = known.get(answers[row : row + 1].tolist()[0])
            sure[row] = 0.0 if at is None else probabilities[row, at]
    return sure
