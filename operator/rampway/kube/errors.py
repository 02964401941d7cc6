"""Errors of the API server, one class for each thing the caller does about it."""

MAX_WORDS = 512
"""Characters of the server's own words that an error's message carries."""
BUSY = 429
SERVER_FAULT = 500
"""HTTP statuses from here on are the server's own trouble."""


class KubeError(Exception):
    """A call to the API server did not give what was asked for."""


class NotFound(KubeError):  # noqa: N818 - a state of the world, not a defect
    """The object, or its kind, is not there: make it, or forget it."""


class Conflict(KubeError):  # noqa: N818 - as above
    """Somebody wrote in between, or the object is another one of that name: read again."""


class AlreadyExists(KubeError):  # noqa: N818 - as above
    """An object of that name is there: read it and see whose it is."""


class Invalid(KubeError):  # noqa: N818 - as above
    """The API server refuses the object, and will again: tell the user its words."""


class Forbidden(KubeError):  # noqa: N818 - as above
    """The operator lacks a right, or admission said no: tell the user, try again later."""


class Ending(KubeError):  # noqa: N818 - as above
    """The namespace is being deleted: leave everything in it alone."""


class Transient(KubeError):  # noqa: N818 - as above
    """It may work soon (429, 5xx, time out, no connection, expired token or page): try again.

    `retry_after_s` is the server's wish in seconds, or None when it had none. A write may have
    taken effect all the same. `passing`: the very same call may work a moment later.
    """

    def __init__(
        self, message: str, retry_after_s: float | None = None, *, passing: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.passing = passing and not retry_after_s


def message_of(verb: str, target: str, status: int | str, words: str) -> str:
    """Return the message of an error: verb, object, status, the server's words cut at 512."""
    cut = words if len(words) <= MAX_WORDS else words[: MAX_WORDS - 1] + "…"
    return f"{verb} {target}: {status}: {cut}" if cut else f"{verb} {target}: {status}"


def error_for(
    target: str, status: int, words: str, *, verb: str, reason: str, retry_after_s: float | None
) -> KubeError:
    """Return the error that an answer of the API server means for this verb.

    `reason` is the one of its `Status`: a 409 on create may also be a quota written in between.
    """
    message = message_of(verb, target, status, words)
    match status:
        case 404:
            return NotFound(message)
        case 409:
            return AlreadyExists(message) if reason == "AlreadyExists" else Conflict(message)
        case 403:
            return Forbidden(message)
        case 401 | 408 | 410:  # 410: a list's next page expired
            return Transient(message, retry_after_s)
        case _ if status == BUSY or status >= SERVER_FAULT:
            return Transient(message, retry_after_s, passing=True)
    return Invalid(message)
