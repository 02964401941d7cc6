"""One inference request from body to answer: the part that runs in a prediction thread."""

import time
from dataclasses import dataclass

from rampway_server import protocol
from rampway_server.errors import ClientFaultError, ModelError
from rampway_server.logs import logger
from rampway_server.metrics import Outcome
from rampway_server.model import Model

_LOG_INTERVAL_S = 10.0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer with a JSON body; `outcome` is what it counts as if it answers an infer."""

    status: int
    body: bytes
    outcome: Outcome = "ok"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Inferrer:
    """Answers inference requests with one model."""

    def __init__(self, name: str, version: str, model: Model) -> None:
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
            written = protocol.infer_answer(self._name, self._version, request, arrays)
        except ClientFaultError as fault:
            return Answer(fault.status, protocol.error_body(fault.message), "client_error")
        except ModelError as error:
            self._log(error)
            message = f"model {self._name} failed on this input; the server's log says how"
            return Answer(500, protocol.error_body(message), "model_error")
        return Answer(200, written)

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
