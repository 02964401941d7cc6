"""kopf's credentials: the pod's own token, read anew before it expires, else the kubeconfig."""

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kopf

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EARLY = timedelta(minutes=5)
SERVER = "https://kubernetes.default.svc"


def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Return how to reach the API server; kopf asks again when the token expires."""
    token_file = FOLDER / "token"
    if not token_file.exists():
        return kopf.login_with_kubeconfig(**kwargs)
    token = token_file.read_text().strip()
    return kopf.ConnectionInfo(
        server=SERVER,
        ca_path=str(FOLDER / "ca.crt"),
        token=token,
        expiration=expires(token),
    )


def expires(token: str) -> datetime | None:
    """Return when to read the token file again, None for a token that does not say."""
    try:
        payload = token.split(".")[1]
        padded = payload + "=" * (-len(payload) % 4)
        at_s = json.loads(base64.urlsafe_b64decode(padded))["exp"]
        return datetime.fromtimestamp(at_s, UTC) - EARLY
    except (IndexError, ValueError, KeyError, TypeError, OverflowError, binascii.Error):
        return None
