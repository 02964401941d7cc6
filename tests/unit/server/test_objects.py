"""What object stores' errors become; the stores themselves are in tests/contract."""

import pytest

from rampway_server.download import TransientError
from rampway_server.errors import StartError
from rampway_server.objects import Object

ASKED = "Error performing GET http://host:1/b/k?sig=secret in 2ms - "
STATUS = ASKED + "Server returned non-2xx status code: "
FAULT = STATUS + "403 Forbidden: <Error><Code>AccessDenied</Code><Key>secret</Key></Error>"
MACHINE = (
    "Generic GCS error: Error performing token request: Error performing GET "
    "http://169.254.169.254/computeMetadata/v1/token?audience=x in 1ms - HTTP error: error"
)
SILENT = (
    "model store unreachable s3://b/k (http://host:1/b/k): no answer within 2 s for a connection, "
    "or 10 s of silence"
)
NOBODY = (
    "no credentials for s3://b/k: none in the environment, and none from "
    "http://169.254.169.254/computeMetadata/v1/token"
)


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        (FAULT, StartError, "model store refused s3://b/k: 403 Forbidden (AccessDenied)"),
        (STATUS + "503 Slow Down: ", TransientError, "model store failed s3://b/k: 503 Slow Down"),
        (
            ASKED + "HTTP error: error sending request",
            TransientError,
            "model store unreachable s3://b/k (http://host:1/b/k): error sending request",
        ),
        (
            ASKED
            + "HTTP error: error\n\nDebug source:\nGeneric { kind: Timeout, source: TimedOut }",
            TransientError,
            SILENT,
        ),
        (
            MACHINE,
            TransientError,
            NOBODY,
        ),
        (
            "Account must be specified\n\nDebug source:\nMissingAccount",
            StartError,
            "model store s3://b/k cannot be asked: Account must be specified",
        ),
    ],
)
def test_b28_errors_are_told_without_secrets(
    text: str, kind: type[Exception], sentence: str
) -> None:
    """B28: what passes is tried again, what does not is told at once; queries are left out."""
    error = Object("s3://b/k", 9)._error(text)
    assert (type(error), str(error)) == (kind, sentence)
