"""Ask a model server which bytes it loaded (B3); it runs a user's code, so nothing is believed."""

import json
import re
from dataclasses import dataclass

import aiohttp

from rampway.api import labels
from rampway.kube.base import Obj

DEADLINE_S = 2.0
LONGEST_ANSWER = 256 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


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
            # A redirect would let a pod choose whom the operator asks.
            async with self.session.get(url, timeout=timeout, allow_redirects=False) as answer:
                body = await _read(answer.content)
        except (aiohttp.ClientError, TimeoutError):
            return ""
        return digest_of(body)


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Return an answer, cut at its longest; it comes in pieces."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > LONGEST_ANSWER:
            break
    return bytes(body)


def digest_of(body: bytes) -> str:
    """Return the digest in a metadata answer, empty if there is no proper one."""
    try:
        found = json.loads(body)["parameters"]["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):  # nested beyond reason
        return ""
    whole = isinstance(found, str) and _DIGEST.fullmatch(found)
    return found if whole else ""
