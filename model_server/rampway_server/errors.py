"""The errors of the model server, typed by what is done about them."""


class StartError(Exception):
    """The server cannot start; the one sentence is shown to the model's owner as it is."""


class ClientFaultError(Exception):
    """The client's request cannot be served.

    Attributes:
        status: HTTP status code, 400 to 499.
        message: what was seen and what was expected.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class ModelError(Exception):
    """The model's own code raised; the cause is chained, for the log only."""

    told = "the model failed on this input; the server's log says how"


class UnavailableError(Exception):
    """Not now, perhaps soon: not loaded yet, or too many requests wait already."""


class LateError(Exception):
    """The answer was not there by the request's deadline."""
