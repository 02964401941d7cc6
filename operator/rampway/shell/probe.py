"""Ask a model server which bytes it loaded (B3)."""

import json
from dataclasses import dataclass

import aiohttp

from rampway.api import labels
from rampway.kube.base import Obj

DEADLINE_S = 2.0
LONGEST_ANSWER = 256 * 1024
DIGEST_LENGTH = 64


@dataclass(frozen=True, slots=True)
class DigestProbe:
    """Reads the digest from a pod's model metadata (Open Inference Protocol)."""

    session: aiohttp.ClientSession

    async def __call__(self, _namespace: str, pod: Obj, model: str) -> str:
        """Return the digest, empty if the pod does not say; it is asked again next time."""
        address = pod.get("status", {}).get("podIP")
        if not address:
            return ""
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{labels.SERVER_PORT}/v2/models/{model}"
        try:
            timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
            async with self.session.get(url, timeout=timeout) as answer:
                body = await answer.content.read(LONGEST_ANSWER)
        except (aiohttp.ClientError, TimeoutError):
            return ""
        return digest_of(body)


def digest_of(body: bytes) -> str:
    """Return the digest in a metadata answer, empty if there is no proper one."""
    try:
        found = json.loads(body)["parameters"]["sha256"]
    except (ValueError, KeyError, TypeError):
        return ""
    whole = isinstance(found, str) and len(found) == DIGEST_LENGTH
    return found if whole else ""
