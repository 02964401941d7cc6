"""The demo's client against small servers on loopback."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from demo import load
from demo.load import Answer, Digit, Plan

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SEVEN = Digit(b"{}", 7)


@asynccontextmanager
async def server(handle: Handler) -> AsyncIterator[str]:
    """Serve the model `digits` by a handler; gives the address."""
    app = web.Application()
    app.router.add_post("/v2/models/{model}/infer", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def prediction(digit: int) -> web.Response:
    """The answer of a model server."""
    body = {"outputs": [{"data": [digit]}]}
    return web.json_response(body, headers={"rampway-revision": "digits-abc"})


async def ask(plan: Plan) -> tuple[list[Answer], load.Summary]:
    """Run a plan to its end."""
    answers: list[Answer] = []
    summary = await load.run(plan, [SEVEN], answers.append, asyncio.Event())
    return answers, summary


async def test_answers_are_counted_as_what_they_are() -> None:
    """Right, wrong, 500, broken and cut answers are told apart, with who gave them."""
    kinds = iter(["right", "right", "wrong", "raise", "nonsense", "cut"])

    async def handle(request: web.Request) -> web.StreamResponse:
        kind = next(kinds)
        if kind == "cut" and request.transport is not None:
            request.transport.abort()
        if kind == "raise":
            said = {"rampway-revision": "digits-bad"}
            return web.Response(status=500, text="it raised", headers=said)
        if kind == "nonsense":
            return web.Response(text="hello")
        return prediction(7 if kind == "right" else 1)

    async with server(handle) as url:
        answers, summary = await ask(Plan(url, rate_per_s=20, seconds=0.25))
    assert [(a.status, a.right, a.revision) for a in answers] == [
        (200, True, "digits-abc"),
        (200, False, "digits-abc"),
        (500, False, "digits-bad"),
        (0, False, ""),
        (0, False, ""),
    ]
    assert [answer.error for answer in answers[:3]] == ["", "", "it raised"]
    assert answers[3].error.startswith("JSONDecodeError")
    assert answers[4].error.startswith("ServerDisconnected")
    assert (summary.sent, summary.failed, summary.right) == (5, 3, 1)
    assert summary.by_revision == {"digits-abc": 2, "digits-bad": 1, "": 2}


async def test_slow_answers_do_not_delay_the_next_request() -> None:
    """The schedule is open-loop: a stall is seen by every request that falls into it."""

    async def handle(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return prediction(7)

    async with server(handle) as url:
        answers, _ = await ask(Plan(url, rate_per_s=50, seconds=0.5))
    assert len(answers) == 25
    sent = sorted(answer.sent_s for answer in answers)
    assert sent[-1] - sent[0] < 3  # one after the other it would be 7.2 s, on any machine
    assert all(answer.latency_ms >= 300 for answer in answers)


async def test_requests_in_flight_are_bounded_and_the_rest_fails() -> None:
    """A server that answers nothing costs bounded memory, and each request is still counted."""
    calls = 0

    async def handle(_: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls > 1:
            await asyncio.sleep(60)
        return prediction(7)

    async with server(handle) as url:
        plan = Plan(url, rate_per_s=100, seconds=0.2, in_flight=5, timeout_s=0.5)
        answers, summary = await ask(plan)
    assert calls == 1 + 5
    assert summary.failed == len(answers) == 20
    assert sum("not sent" in answer.error for answer in answers) == 15
    assert sum("TimeoutError" in answer.error for answer in answers) == 5


async def test_gateway_that_never_answers_is_named() -> None:
    """The client gives up with the address, the last answer and what to look at."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    async with server(handle) as url:
        with pytest.raises(load.NoGateway, match=r"no prediction from http://127.*status 404"):
            await ask(Plan(url, patience_s=0.3))


async def test_answers_before_the_first_good_one_do_not_count() -> None:
    """A route that reaches its proxy a moment later is no failure of the model."""
    calls = 0

    async def handle(_: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        return prediction(7) if calls > 2 else web.Response(status=404)

    async with server(handle) as url:
        _, summary = await ask(Plan(url, rate_per_s=50, seconds=0.1))
    assert calls == 3 + 5
    assert (summary.sent, summary.failed) == (5, 0)


def test_file_being_written_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    """The demo reads along while the client writes."""
    file = tmp_path / "answers.jsonl"
    assert load.read_answers(file) == []
    whole = '{"sent_s": 1.0, "status": 200, "latency_ms": 2.0, "right": true}\n'
    file.write_text(whole + '{"sent_s": 2.0, "sta')
    assert load.read_answers(file) == [Answer(1.0, 200, 2.0, right=True)]


def test_digits_become_requests_of_the_protocol(tmp_path: Path) -> None:
    """A held-out digit is one row of FP64 under the name that the model server expects."""
    file = tmp_path / "holdout.jsonl"
    file.write_text('{"pixels": [0.0, 16.0], "label": 3}\n')
    (digit,) = load.read_digits(file)
    assert digit.label == 3
    assert json.loads(digit.body) == {
        "inputs": [{"name": "input-0", "shape": [1, 2], "datatype": "FP64", "data": [0.0, 16.0]}]
    }
    file.write_text("")
    with pytest.raises(ValueError, match="holds no digit"):
        load.read_digits(file)


async def test_many_models_are_asked_in_turn_with_the_same_headers() -> None:
    """Each model is waited for and gets its part; what to do with an answer is written down."""
    asked: list[tuple[str, str]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append((request.match_info["model"], request.headers.get("x-preview", "")))
        answer = prediction(7)
        answer.headers["rampway-automation"] = "suggest"
        return answer

    async with server(handle) as url:
        plan = Plan(url, ("digits", "letters"), {"x-preview": "yes"}, rate_per_s=20, seconds=0.2)
        answers, _ = await ask(plan)
    both = [("digits", "yes"), ("letters", "yes")]
    assert asked[:2] == both
    assert sorted(asked[2:]) == sorted(both * 2)
    assert {answer.automation for answer in answers} == {"suggest"}


@pytest.mark.parametrize("end", ["stdin", "signal"])
async def test_command_writes_answers_until_it_is_ended(tmp_path: Path, end: str) -> None:
    """As a command it ends with its input or by SIGTERM, and its counts match its file."""
    digits, out = tmp_path / "holdout.jsonl", tmp_path / "answers.jsonl"
    digits.write_text('{"pixels": [0.0], "label": 7}\n')

    async def handle(_: web.Request) -> web.StreamResponse:
        return prediction(7)

    async with server(handle) as url:
        words = ["-m", "demo.load", "--url", url, "--digits", str(digits), "--out", str(out)]
        words.append("--until-stdin-ends")
        client = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        deadline_s = time.monotonic() + 30
        while len(load.read_answers(out)) < 10:
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.05)
        assert client.stdin is not None
        if end == "signal":
            client.send_signal(signal.SIGTERM)
        else:
            client.stdin.close()
        printed, _ = await asyncio.wait_for(client.communicate(), 20)
    assert client.returncode == 0
    summary = json.loads(printed)
    assert summary["sent"] == len(load.read_answers(out)) == summary["right"]


async def test_slots_lost_by_a_busy_machine_are_told_apart() -> None:
    """What the client itself could not send in time is neither sent in a burst nor a failure."""
    calls = 0

    async def handle(_: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls == 2:
            time.sleep(1.5)  # noqa: ASYNC251 - the client shares this loop, so it stops as well
        return prediction(7)

    async with server(handle) as url:
        _, summary = await ask(Plan(url, rate_per_s=20, seconds=2))
    assert summary.left_out == pytest.approx(10, abs=3)
    assert summary.sent + summary.left_out == 40
    assert summary.failed == 0
