"""The degree of automation: whether a client is to use an answer, show it, or ask a person.

The degree is read from a file again and again, so that it changes without a restart. The server
answers the same under every degree; it only says beside the answer what to do with it.
"""

import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rampway_server import confidence
from rampway_server.errors import ModelError
from rampway_server.followed import Followed
from rampway_server.model import Model
from rampway_server.tensors import TensorSpec

Level = Literal["Off", "Assist", "Partial", "Full"]
Use = Literal["use", "suggest", "defer"]
USES: tuple[Use, ...] = get_args(Use)
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Verdict:
    """What a client is told to do with the rows of one answer.

    Attributes:
        use: What the most doubtful row asks for.
        counts: How many rows ask for what.
        each: What each row asks for, where they differ; else empty.
    """

    use: Use
    counts: Mapping[Use, int]
    each: tuple[Use, ...] = ()

    @property
    def parameters(self) -> dict[str, str]:
        """The same as parameters of the protocol."""
        told: dict[str, str] = {"automation": self.use}
        if self.each:
            told["automation_rows"] = ",".join(self.each)
        return told


def verdict(uses: Sequence[Use]) -> Verdict:
    """Return the verdict on an answer whose rows are to be used like this, at least one."""
    counts = collections.Counter(uses)
    most_cautious = max(counts, key=USES.index)
    return Verdict(most_cautious, counts, tuple(uses) if len(counts) > 1 else ())


@dataclass(frozen=True)
class Automation:
    """A degree of automation.

    Attributes:
        level: Off: no answer is to be used. Assist: each is a suggestion to a person. Partial:
            answers that the model is sure of are used, the rest is handed over. Full: all are used.
        confidence: For Partial: the least probability of the predicted class, 0 to 1.
    """

    level: Level = "Full"
    confidence: float = 1.0

    def judge(self, confidences: NDArray[np.float64] | None, rows: int) -> Verdict:
        """Return what to do with an answer.

        Args:
            confidences: Probability of each row's predicted class; None if not known.
            rows: How many there are.
        """
        if self.level == "Partial" and confidences is not None:
            return verdict(
                ["use" if sure >= self.confidence else "defer" for sure in confidences.tolist()]
            )
        # Partial here: who does not know how sure he is, is not.
        whole: dict[Level, Use] = {"Off": "defer", "Assist": "suggest", "Full": "use"}
        use = whole.get(self.level, "defer")
        return Verdict(use, {use: rows})


def parse(text: str) -> Automation:
    """Return the degree that a text such as `Full` or `Partial 0.9` names.

    Raises:
        ValueError: it names none, and why.
    """
    level, _, rest = text.strip().partition(" ")
    known = next((one for one in LEVELS if one == level), None)
    if known is None:
        raise ValueError(f"expected one of {', '.join(LEVELS)}; seen: {text[:80]!r}")
    if known != "Partial":
        return Automation(known)
    confidence = float(rest) if rest else 1.0
    if not 0 <= confidence <= 1:
        raise ValueError(f"expected a confidence from 0 to 1; seen: {text[:80]!r}")
    return Automation(known, confidence)


class Dial(Followed[Automation]):
    """The degree in force, as a file has it; without one it is Full."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "the degree of automation", parse, Automation())


def confidences(
    model: Model,
    inputs: Sequence[NDArray[Any]],
    outputs: Sequence[TensorSpec],
    arrays: Sequence[NDArray[Any]],
) -> NDArray[np.float64] | None:
    """Return the probability of each row's predicted class; None if the model tells none.

    Args:
        model: The model.
        inputs: What it was asked.
        outputs: What was answered.
        arrays: The answers, in the order of `outputs`.
    """
    if model.probabilities is None:
        return None
    found = {spec.name: array for spec, array in zip(outputs, arrays, strict=True)}
    probabilities = found.get(model.probabilities.name)
    if probabilities is None:
        try:
            (probabilities,) = model.predict(inputs, (model.probabilities,))
        except ModelError:
            return None  # the answer itself stands
    return confidence.of_answers(model, found.get(model.offers[0].name), probabilities)
