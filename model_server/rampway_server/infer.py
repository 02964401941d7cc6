"""Several inference requests answered with one prediction: the part that runs in a thread."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rampway_server import automation
from rampway_server.automation import Dial, Verdict
from rampway_server.errors import ClientFaultError, ModelError
from rampway_server.logs import logger
from rampway_server.metrics import Meters
from rampway_server.model import Model
from rampway_server.payloads import Log
from rampway_server.request import InferRequest
from rampway_server.telemetry import Telemetry

_LOG_INTERVAL_S = 10.0
_FLOAT32 = "too large for dtype('float32')"
"""What scikit-learn says of such numbers where it computes in float32, as trees do."""


class Call(Protocol):
    """One request as it came; reading and writing are done here, in the predicting thread."""

    @property
    def size(self) -> int:
        """How many bytes came, for a bound on what is predicted at once."""
        ...

    def read(self, model: Model) -> InferRequest:
        """Return what is asked; raises ClientFaultError."""
        ...

    def write(self, asked: InferRequest, arrays: Sequence[NDArray[Any]], verdict: Verdict) -> Any:
        """Return the answer in its own protocol."""
        ...


@dataclass(frozen=True)
class Answered:
    """A good answer: what the call wrote, and what the client is told to do with it."""

    payload: Any
    verdict: Verdict


Result = Answered | Exception


class Inferrer:
    """Answers inference requests with one model.

    Args:
        meters: Hears of each batch.
        log: Takes what was asked and answered, if that is wanted.
    """

    def __init__(
        self,
        model: Model,
        dial: Dial,
        telemetry: Telemetry,
        meters: Meters,
        log: Log | None = None,
    ) -> None:
        self._model = model
        self._log_payload = log
        self._telemetry = telemetry
        self._meters = meters
        self._dial = dial
        self._failures_unlogged = 0
        self._logged_at_s = -_LOG_INTERVAL_S

    def answer(self, calls: Sequence[Call]) -> list[Result]:
        """Return each call's answer, or what came in its way; they share what predictions they can.

        Client faults and model errors concern only the call that has them.
        """
        results: list[Result] = [ModelError("not reached")] * len(calls)
        groups: dict[Any, list[tuple[int, InferRequest]]] = {}
        for at, call in enumerate(calls):
            try:
                asked = call.read(self._model)
            except Exception as error:  # noqa: BLE001  # the caller tells faults from bugs
                results[at] = error
                continue
            groups.setdefault(self._likeness(at, asked), []).append((at, asked))
        for members in groups.values():
            answers = self._together([asked for _, asked in members])
            for (at, asked), answer in zip(members, answers, strict=True):
                results[at] = self._written(calls[at], asked, answer)
        return results

    def batched(self, calls: int, waited_s: float) -> None:
        """Count a batch that is now answered, and how long the first of its calls waited."""
        self._meters.batch(calls, waited_s)

    def _likeness(self, at: int, asked: InferRequest) -> object:
        """Return what requests must have in common to be predicted together."""
        if not self._model.batches:
            return at
        shapes = tuple(values.shape[1:] for values in asked.inputs)
        return tuple(spec.name for spec in asked.specs), shapes

    def _together(self, requests: Sequence[InferRequest]) -> list["_Predicted | Exception"]:
        """Return each request's part of one prediction; alone, each, if that fails."""
        try:
            return self._predict(requests)
        except ModelError as error:
            if len(requests) == 1:
                fault = _too_large(requests[0].inputs, error)
                if fault is not None:
                    return [fault]
                self._log(error)
                return [error]
            return [found for one in requests for found in self._together([one])]

    def _predict(self, requests: Sequence[InferRequest]) -> list["_Predicted | Exception"]:
        first, specs = requests[0].inputs, requests[0].specs
        inputs = first
        if len(requests) > 1:
            parts = zip(*(one.inputs for one in requests), strict=True)
            inputs = tuple(np.concatenate(part) for part in parts)
        arrays = self._model.predict(inputs, specs)
        self._telemetry.observe(inputs, specs, arrays)
        degree = self._dial.value
        sure = None
        if degree.level == "Partial":
            sure = automation.confidences(self._model, inputs, specs, arrays)
        found: list[_Predicted | Exception] = []
        start = 0
        for one in requests:
            rows = slice(start, start + one.rows)
            mine = [array[rows] for array in arrays]
            found.append(
                _Predicted(mine, degree.judge(None if sure is None else sure[rows], one.rows))
            )
            start = rows.stop
        return found

    def _written(self, call: Call, asked: InferRequest, answer: "_Predicted | Exception") -> Result:
        if isinstance(answer, Exception):
            return answer
        try:
            payload = call.write(asked, answer.arrays, answer.verdict)
        except Exception as error:  # noqa: BLE001  # as above
            return error
        if self._log_payload is not None:
            self._log_payload(asked, answer.arrays)
        return Answered(payload, answer.verdict)

    def _log(self, error: ModelError) -> None:
        """Log a failure of the model, at most one each ten seconds: a bad model fails often."""
        now_s = time.monotonic()
        if now_s - self._logged_at_s < _LOG_INTERVAL_S:
            self._failures_unlogged += 1
            return
        logger().error(
            "the model raised", unlogged_before=self._failures_unlogged, exc_info=error.__cause__
        )
        self._failures_unlogged, self._logged_at_s = 0, now_s


@dataclass(frozen=True)
class _Predicted:
    arrays: list[NDArray[Any]]
    verdict: Verdict


def _too_large(inputs: Sequence[NDArray[Any]], error: ModelError) -> ClientFaultError | None:
    """Return what is wrong with a client's numbers, if it is that which made the model raise."""
    if _FLOAT32 not in str(error):
        return None
    most = float(np.finfo(np.float32).max)
    for values in inputs:
        large = np.abs(values) > most if values.dtype.kind == "f" else np.zeros(1)
        if large.any():
            value = values.ravel()[np.argmax(large)]
            return ClientFaultError(
                f"a number is {value:g}; expected at most {most:g}: this model computes in float32"
            )
    return None
