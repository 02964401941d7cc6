"""One inference request from body to answer: the part that runs in a prediction thread."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from rampway_server import automation, protocol
from rampway_server.automation import Dial, Use
from rampway_server.errors import ClientFaultError, ModelError
from rampway_server.logs import logger
from rampway_server.metrics import Outcome
from rampway_server.model import Model

_LOG_INTERVAL_S = 10.0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer with a JSON body.

    Attributes:
        outcome: What it counts as if it answers an infer.
        uses: What to do with each row's answer; empty where there is none.
    """

    status: int
    body: bytes
    outcome: Outcome = "ok"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    uses: tuple[Use, ...] = ()


class Inferrer:
    """Answers inference requests with one model."""

    def __init__(self, name: str, version: str, model: Model, dial: Dial) -> None:
        self._dial = dial
        self._name = name
        self._version = version
        self._model = model
        self._failures_unlogged = 0
        self._logged_at_s = -_LOG_INTERVAL_S

    def answer(self, body: bytes) -> Answer:
        """Return the answer to one request's body; client and model faults are answers too."""
        model = self._model
        try:
            request = protocol.parse(body, model.takes, model.offers)
            arrays = model.predict(request.rows, request.outputs)
            uses = self._uses(request, arrays)
            told = protocol.Told(self._name, self._version, uses)
            written = protocol.infer_answer(told, request, arrays)
        except ClientFaultError as fault:
            return Answer(fault.status, protocol.error_body(fault.message), "client_error")
        except ModelError as error:
            self._log(error)
            message = f"model {self._name} failed on this input; the server's log says how"
            return Answer(500, protocol.error_body(message), "model_error")
        mark = (b"rampway-automation", automation.most_cautious(uses).encode())
        return Answer(200, written, headers=(mark,), uses=tuple(uses))

    def _uses(self, request: protocol.InferRequest, arrays: Sequence[NDArray[Any]]) -> list[Use]:
        """Return what to do with each row's answer, by the degree of automation in force."""
        now = self._dial.automation
        sure = None
        if now.level == "Partial":
            sure = automation.confidences(self._model, request.rows, request.outputs, arrays)
        return now.uses(sure, len(request.rows))

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
