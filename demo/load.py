"""A client that asks at a fixed rate and writes every answer down, one JSON object a line.

The schedule is open-loop: a slow answer does not delay the next request, so a stall shows in full.
What gets no answer (refused, cut, timed out) is an answer of status 0: a failure. Runs from the
standard library and aiohttp alone:

    python -m demo.load --url http://127.0.0.1:8080 --digits holdout.jsonl --out answers.jsonl
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

OK = 200
NO_ANSWER = 0
SHOWN_BYTES = 160
SLOTS_LOST_S = 1.0
"""A schedule that is behind by so much, because this machine was busy, leaves slots out."""


class NoGateway(RuntimeError):  # noqa: N818 - named after what it is
    """The gateway gave no first answer; the message says what it said instead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and what came of it.

    Attributes:
        sent_s: When it was sent, in seconds since 1970.
        status: HTTP status; 0 if there was no answer.
        latency_ms: From sending to the whole answer, or to giving up.
        revision: Who answered, by the header `rampway-revision`; empty where nobody said.
        right: Whether the predicted digit is the true one.
        error: What went wrong where there was no prediction; of an answer, how it begins.
        automation: What the application is to do with it, by the header `rampway-automation`.
    """

    sent_s: float
    status: int
    latency_ms: float
    revision: str = ""
    right: bool = False
    error: str = ""
    automation: str = ""

    @property
    def failed(self) -> bool:
        """Whether the caller got no prediction."""
        return self.status != OK

    @property
    def answered_s(self) -> float:
        """When the answer was there, in seconds since 1970."""
        return self.sent_s + self.latency_ms / 1000


@dataclass(frozen=True, slots=True)
class Digit:
    """A request's body, made once, and the digit it should be answered with."""

    body: bytes
    label: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask, how often, and the bounds of it.

    Attributes:
        url: Address of the gateway, without a path.
        models: Names of the models, asked in turn.
        headers: What each request bears.
        rate_per_s: Requests a second.
        seconds: It ends by itself after so long.
        in_flight: So many requests may wait for their answers; one more is a failure.
        timeout_s: So long one request may take.
        patience_s: So long a gateway may take until it gives its first answer; what it says
            before that is not counted.
    """

    url: str
    models: tuple[str, ...] = ("digits",)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_per_s: float = 100.0
    seconds: float = 900.0
    in_flight: int = 300
    timeout_s: float = 10.0
    patience_s: float = 60.0

    @property
    def infer_urls(self) -> tuple[str, ...]:
        """Addresses of the models' predictions."""
        return tuple(f"{self.url.rstrip('/')}/v2/models/{name}/infer" for name in self.models)


@dataclass(slots=True)
class Summary:
    """Counts of a whole run; `left_out`: slots of the schedule in which nothing was sent."""

    sent: int = 0
    failed: int = 0
    right: int = 0
    left_out: int = 0
    by_revision: dict[str, int] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        """Count one answer."""
        self.sent += 1
        self.failed += answer.failed
        self.right += answer.right
        self.by_revision[answer.revision] = self.by_revision.get(answer.revision, 0) + 1


def read_digits(path: Path) -> list[Digit]:
    """Read held-out digits as demo.models writes them: one object of `pixels` and `label` a line.

    Raises:
        ValueError: there are none.
    """
    digits = [_digit(json.loads(line)) for line in path.read_text().splitlines()]
    if not digits:
        raise ValueError(f"{path} holds no digit; expected one JSON object a line")
    return digits


def _digit(found: dict[str, Any]) -> Digit:
    pixels = found["pixels"]
    tensor = {"name": "input-0", "shape": [1, len(pixels)], "datatype": "FP64", "data": pixels}
    return Digit(json.dumps({"inputs": [tensor]}).encode(), int(found["label"]))


def read_answers(path: Path) -> list[Answer]:
    """Read what a client wrote so far; a last line still being written is left out."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [Answer(**json.loads(line)) for line in lines]


async def run(
    plan: Plan, digits: Sequence[Digit], note: Callable[[Answer], None], stop: asyncio.Event
) -> Summary:
    """Ask until told to stop or until the plan's time is over; `note` gets every answer."""
    summary = Summary()

    def count(answer: Answer) -> None:
        summary.add(answer)
        note(answer)

    timeout = aiohttp.ClientTimeout(total=plan.timeout_s)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=plan.headers
    ) as session:
        for url in plan.infer_urls:
            await _await_gateway(_Asker(plan, session, count), url, digits[0], stop)
        await _keep_schedule(plan, _Asker(plan, session, count), digits, summary, stop)
    return summary


async def _await_gateway(asker: "_Asker", url: str, digit: Digit, stop: asyncio.Event) -> None:
    """Ask until there is an answer: a route that was just made reaches its proxies a bit later."""
    deadline_s = asyncio.get_running_loop().time() + asker.plan.patience_s
    while not stop.is_set():
        answer = await asker.ask(url, digit)
        if not answer.failed:
            return
        if asyncio.get_running_loop().time() > deadline_s:
            said = answer.error or f"status {answer.status}"
            raise NoGateway(
                f"no prediction from {url} within {asker.plan.patience_s:.0f} s, "
                f"the last answer was: {said}; see `kubectl describe gateway,httproute`"
            )
        await asyncio.sleep(0.2)


async def _keep_schedule(
    plan: Plan, asker: "_Asker", digits: Sequence[Digit], summary: Summary, stop: asyncio.Event
) -> None:
    """Send each request at its time, whatever became of those before it; then await the rest."""
    clock = asyncio.get_running_loop().time
    under_way: set[asyncio.Task[None]] = set()
    urls = plan.infer_urls
    begun_s = clock()
    for number in range(int(plan.rate_per_s * plan.seconds)):
        ahead_s = begun_s + number / plan.rate_per_s - clock()
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        if stop.is_set():
            break
        if ahead_s < -SLOTS_LOST_S:
            summary.left_out += 1
        elif len(under_way) >= plan.in_flight:
            asker.refuse(f"not sent: {plan.in_flight} requests waited for their answers")
        else:
            url, digit = urls[number % len(urls)], digits[number % len(digits)]
            task = asyncio.create_task(asker.count(url, digit))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
    if under_way:
        await asyncio.wait(under_way)


@dataclass(frozen=True, slots=True)
class _Asker:
    plan: Plan
    session: aiohttp.ClientSession
    note: Callable[[Answer], None]

    def refuse(self, why: str) -> None:
        self.note(Answer(time.time(), NO_ANSWER, 0.0, error=why))

    async def count(self, url: str, digit: Digit) -> None:
        """Send one request and note its answer."""
        self.note(await self.ask(url, digit))

    async def ask(self, url: str, digit: Digit) -> Answer:
        """Send one request and return its answer; nothing that goes wrong with it is raised."""
        sent_s, began_s = time.time(), time.perf_counter()
        status, revision, right, error, automation = NO_ANSWER, "", False, "", ""
        try:
            async with self.session.post(url, data=digit.body) as answer:
                body = await answer.read()
                status = answer.status
                revision = answer.headers.get("rampway-revision", "")
                automation = answer.headers.get("rampway-automation", "")
                if status == OK:
                    right = json.loads(body)["outputs"][0]["data"] == [digit.label]
                else:
                    error = body[:SHOWN_BYTES].decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, LookupError) as err:
            status, error = NO_ANSWER, f"{type(err).__name__}: {err}"
        latency_ms = round(1000 * (time.perf_counter() - began_s), 3)
        return Answer(round(sent_s, 6), status, latency_ms, revision, right, error, automation)


async def _main(plan: Plan, digits: Sequence[Digit], out: Path, *, until_stdin_ends: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_ends:
        loop.add_reader(sys.stdin.fileno(), _on_input, stop)
    with out.open("w", buffering=1, encoding="utf-8") as file:
        summary = await run(
            plan, digits, lambda answer: print(json.dumps(asdict(answer)), file=file), stop
        )
    print(json.dumps(asdict(summary)))
    return 0


def _on_input(stop: asyncio.Event) -> None:
    """Stop at the end of the input: also a parent that was killed closes its end."""
    if not os.read(sys.stdin.fileno(), 1024):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run; ends by SIGTERM, SIGINT or its time, and prints counts."""
    parser = argparse.ArgumentParser(prog="python -m demo.load", description="Ask for digits.")
    parser.add_argument("--url", required=True, help="the gateway's address, without a path")
    parser.add_argument("--digits", required=True, type=Path, help="holdout.jsonl")
    parser.add_argument("--out", required=True, type=Path, help="the answers go there")
    parser.add_argument("--model", action="append", help="a model's name; many are asked in turn")
    parser.add_argument("--header", action="append", default=[], help="name: value; of each")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=900.0, help="at most so long")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for a first answer")
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop when stdin closes")
    given = parser.parse_args(arguments)
    models = tuple(given.model or ["digits"])
    headers = dict(header.split(": ", 1) for header in given.header)
    plan = Plan(given.url, models, headers, given.rate, given.seconds, patience_s=given.patience)
    digits = read_digits(given.digits)
    try:
        return asyncio.run(_main(plan, digits, given.out, until_stdin_ends=given.until_stdin_ends))
    except NoGateway as failure:
        print(failure, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
