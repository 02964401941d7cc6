"""How this process is named."""

import os
import secrets


def host() -> str:
    """Return its host's name; kopf would look for a user's, and a pod may have none."""
    return os.environ.get("HOSTNAME", "operator")


def unique(pod: str) -> str:
    """Name it as nobody else is named, its own successor in the same pod included."""
    return f"{pod or host()}-{secrets.token_hex(4)}"
