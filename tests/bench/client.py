"""A client of one model at a fixed rate, whose requests can be made poisonous while it runs.

    python -m bench.client --url http://GATEWAY --model NAME --rate 50 --out answers.jsonl

Each line of its standard input is a number: the share of requests that are poisonous from now on.
It ends with its input. Open-loop: a slow answer delays no other request.
"""

import argparse
import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TextIO

import aiohttp

PIXELS = 64
POISON = 99.0
IN_FLIGHT = 200


def body(*, poisonous: bool) -> bytes:
    """Return a request; a poisonous one has a pixel that only the fragile model minds."""
    data = [POISON if poisonous else 8.0, *([8.0] * (PIXELS - 1))]
    tensor = {"name": "input-0", "datatype": "FP64", "shape": [1, PIXELS], "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


@dataclass(slots=True)
class Client:
    """Sends, and writes each answer down when it is there."""

    url: str
    rate_per_s: float
    out: TextIO
    share: float = 0.0
    done: bool = False

    async def run(self) -> None:
        """Send until told to end."""
        dice = Random(1)  # noqa: S311 - which requests are poisonous is no secret
        limit = asyncio.Semaphore(IN_FLIGHT)
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            due_s = time.monotonic()
            while not self.done:
                poisonous = dice.random() < self.share
                group.create_task(self._ask(session, limit, poisonous=poisonous))
                due_s += 1 / self.rate_per_s
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            self.share = float(line)
        self.done = True

    async def _ask(
        self, session: aiohttp.ClientSession, limit: asyncio.Semaphore, *, poisonous: bool
    ) -> None:
        sent_s, status, revision = time.time(), 0, ""
        async with limit:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with session.post(self.url, data=body(poisonous=poisonous)) as answer:
                    await answer.read()
                    status = answer.status
                    revision = answer.headers.get("rampway-revision", "")
        seen = {"sent_s": sent_s, "answered_s": time.time(), "status": status, "by": revision}
        self.out.write(json.dumps(seen) + "\n")
        self.out.flush()


def main() -> int:
    """Run until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="address of the gateway")
    parser.add_argument("--model", required=True, help="name of the model")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--out", type=Path, required=True, help="file for the answers")
    args = parser.parse_args()
    with args.out.open("w") as out:
        url = f"{args.url.rstrip('/')}/v2/models/{args.model}/infer"
        asyncio.run(Client(url, args.rate, out).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
