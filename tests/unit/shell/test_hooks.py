"""Hooks as they run: what Jobs say, and how calls are made, repeated and given up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, web
from unit.core.builders import rollout

from rampway.api.hooks import Hook
from rampway.core.actions import RunHook
from rampway.core.observation import HookRun
from rampway.core.rollout import hookjob
from rampway.core.rollout.hooks import facts
from rampway.shell import hooks
from rampway.shell.hooks import HookCaller, read_jobs

KEY = ("ml", "digits")


@dataclass
class Other:
    """The other side of calls: answers in turn, the last one for ever.

    Attributes:
        seen: Bodies and idempotency keys of all tries.
    """

    answers: list[tuple[int, str]]
    url: str = ""
    seen: list[tuple[dict[str, str], str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a try."""
        self.seen.append((await request.json(), request.headers["Idempotency-Key"]))
        status, text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return web.Response(status=status, text=text, headers=headers)


@pytest.fixture
async def other(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Other]:
    """A server on loopback that is called; waits between tries are short."""
    monkeypatch.setattr(hooks, "FIRST_WAIT_S", 0.01)
    made = Other([(200, "done")])
    app = web.Application()
    app.add_routes([web.post("/go", made.answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/go"
    yield made
    await runner.cleanup()


def run_of(url: str, **more: Any) -> RunHook:
    """Return the run of a hook that calls an address."""
    hook = Hook.model_validate(
        {"name": "ask", "when": "BeforeRollout", "http": {"url": url}, "timeout": "5s"} | more
    )
    active = rollout()
    return RunHook(active.name, active.uid, "ask", hook, facts(active, hook, None))


async def ended(other: Other, run: RunHook, allowed: str = "http://127.0.0.1") -> HookRun:
    """Return what a run comes to."""
    over = asyncio.Event()
    async with ClientSession() as session:
        caller = HookCaller(session, (allowed,), lambda _key: over.set())
        caller.begin(KEY, run, other.url)
        caller.begin(KEY, run, other.url)
        async with asyncio.timeout(10):
            await over.wait()
        return caller.runs(run.rollout)[f"{run.rollout}/ask"]


async def test_a_call_tells_what_it_is_about(other: Other) -> None:
    """One POST, however often it is begun, with its facts and its key; a 2xx is success."""
    run = run_of(other.url)
    found = await ended(other, run)
    assert (found.state, found.message) == ("Succeeded", f"{other.url} answered 200: done")
    ((body, key),) = other.seen
    assert body["deployment"] == "digits"
    assert body["when"] == "BeforeRollout"
    assert key == body["idempotency_key"] == f"{run.rollout_uid}/ask"


async def test_what_may_pass_is_tried_again(other: Other) -> None:
    """5xx and 429 are repeated with the same key until it succeeds."""
    other.answers[:] = [(500, ""), (429, "slow"), (503, ""), (204, "")]
    found = await ended(other, run_of(other.url))
    assert found.state == "Succeeded"
    assert len(other.seen) == 4
    assert len({key for _, key in other.seen}) == 1


@pytest.mark.parametrize("status", [302, 400, 404])
async def test_a_refusal_is_final(other: Other, status: int) -> None:
    """A 4xx fails at once, in its own words; a redirect is not followed."""
    other.answers[:] = [(status, "not you")]
    found = await ended(other, run_of(other.url))
    assert found.state == "Failed"
    assert f"answered {status}" in found.message
    assert len(other.seen) == 1


async def test_time_runs_out(other: Other) -> None:
    """After its timeout it has failed; the last answer is told."""
    other.answers[:] = [(500, "still down")]
    found = await ended(other, run_of(other.url, timeout="300ms"))
    assert found.state == "Failed"
    assert "not done within 300ms" in found.message
    assert "still down" in found.message


async def test_nobody_there_is_tried_again(other: Other) -> None:
    """A refused connection is a passing state of the world."""
    other.url = "http://127.0.0.1:1/go"
    found = await ended(other, run_of(other.url, timeout="300ms"))
    assert "127.0.0.1" in found.message


async def test_b36_addresses_come_from_the_administrators_list(other: Other) -> None:
    """B36: an address that is not allowed is never called."""
    found = await ended(other, run_of(other.url), allowed="http://hooks.example/")
    assert found.state == "Failed"
    assert "RAMPWAY_HOOK_URLS" in found.message
    assert other.seen == []


def job_of(**status: Any) -> dict[str, Any]:
    """Return a Job of a hook with this status."""
    meta = {"name": "j", "annotations": {"rampway.dev/hook": "r-1/ask"}}
    return {"metadata": meta, "status": status}


@pytest.mark.parametrize(
    ("status", "state", "message"),
    [
        ({}, "Running", ""),
        ({"conditions": [{"type": "Complete", "status": "True"}]}, "Succeeded", "Job j"),
        ({"conditions": [{"type": "Failed", "status": "True", "message": "backoff"}]},
         "Failed", "Job j: backoff"),
        ({"conditions": [{"type": "Failed", "status": "False"}]}, "Running", ""),
    ],
)  # fmt: skip
def test_a_job_is_read(status: dict[str, Any], state: str, message: str) -> None:
    """Its conditions say how it ended; a foreign Job is none of ours."""
    foreign: dict[str, Any] = {"metadata": {"name": "x"}}
    assert read_jobs([job_of(**status), foreign]) == {"r-1/ask": HookRun(state, message)}


def test_the_name_of_a_job_fits_and_is_its_own() -> None:
    """At most 63 characters, the same each time, another for each run."""
    names = {hookjob.name_of("a" * 52 + "-0123456789-1", key) for key in ("a", "b", "a")}
    assert len(names) == 2
    assert max(map(len, names)) <= 63
