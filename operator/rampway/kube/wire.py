"""Requests to and answers from the API server, and what a failed answer says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rampway.kube.errors import Conflict, Ending, KubeError, error_for, message_of
from rampway.kube.objects import has_test


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `verb` and `target` are for messages."""

    verb: str
    target: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def content_type(self) -> str:
        """The media type of the body: a patch's form decides how the server applies it."""
        if self.method != "PATCH":
            return "application/json"
        form = "json-patch" if isinstance(self.body, list) else "merge-patch"
        return f"application/{form}+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def failed(self) -> bool:
        """Whether the server did not do it."""
        return not 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers


def failure(request: Request, answer: Answer) -> KubeError:
    """Return the error for a failed answer, with the words of its `Status` object."""
    try:
        status = json.loads(answer.body)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        status = {"message": answer.body.decode(errors="replace").strip()}
    details = status.get("details") or {}
    words = str(status.get("message") or "")
    if answer.status == 422 and _lost_race(request, details):  # noqa: PLR2004 - HTTP's own number
        return Conflict(message_of(request.verb, request.target, answer.status, words))
    if any(c.get("reason") == "NamespaceTerminating" for c in details.get("causes") or ()):
        return Ending(message_of(request.verb, request.target, answer.status, words))
    return error_for(
        request.target,
        answer.status,
        words,
        verb=request.verb,
        reason=str(status.get("reason") or ""),
        retry_after_s=_seconds(answer.headers.get("Retry-After"), details.get("retryAfterSeconds")),
    )


def _lost_race(request: Request, details: Mapping[str, Any]) -> bool:
    """Whether a 422 says that the object is not the one that the patch was made for.

    A JSON patch that does not apply gets a bare 422, without a word on which operation failed;
    a refused object gets one with details. A merge patch with another object's uid gets a 422
    that blames this field.
    """
    if isinstance(request.body, list):
        return not details and has_test(request.body)
    causes = details.get("causes") or ()
    return any(cause.get("field") == "metadata.uid" for cause in causes)


def _seconds(header: str | None, detail: Any) -> float | None:
    """Return the server's wish in seconds; the header's date form is not used by API servers."""
    for wish in (header, detail):
        try:
            if wish:
                return max(0.0, float(wish))
        except (TypeError, ValueError):
            continue
    return None
