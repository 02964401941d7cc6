"""Hooks as they run: Jobs are read from the API server, HTTP calls are made here."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import structlog

from rampway.api import labels
from rampway.core.actions import RunHook
from rampway.core.observation import HookRun
from rampway.core.rollout.hooks import FAILED, RUNNING, SUCCEEDED

log = structlog.get_logger("rampway.hooks")
Key = tuple[str, str]

TRY_S = 10.0
"""One try of a call takes at most so long."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
SHOWN = 300
_AGAIN = frozenset({408, 425, 429})
"""Refusals that may pass."""


class Calls(Protocol):
    """Makes the HTTP calls of hooks."""

    def runs(self, rollout: str) -> dict[str, HookRun]:
        """Return what is known of the calls of a rollout, by `rollout/key`."""
        ...

    def begin(self, key: Key, run: RunHook, url: str) -> None:
        """Begin a call, once."""
        ...


def read_jobs(jobs: Sequence[Mapping[str, Any]]) -> dict[str, HookRun]:
    """Return what the Jobs of hooks say, by `rollout/key`."""
    return {
        name: _of(job)
        for job in jobs
        if (name := (job["metadata"].get("annotations") or {}).get(labels.HOOK))
    }


def _of(job: Mapping[str, Any]) -> HookRun:
    conditions = {c["type"]: c for c in job.get("status", {}).get("conditions") or []}
    for kind, state in (("Complete", SUCCEEDED), ("Failed", FAILED)):
        found = conditions.get(kind, {})
        if found.get("status") == "True":
            said = found.get("message") or found.get("reason", "")
            return HookRun(state, f"Job {job['metadata']['name']}: {said}".rstrip(": "))
    return HookRun(RUNNING)


@dataclass(slots=True)
class HookCaller:
    """Makes the HTTP calls of hooks, each until it succeeds, is refused, or is out of time.

    Attributes:
        allowed: What an address has to begin with; without any, no call is made (B36).
        done: Called with the ModelDeployment's key when a call has come to its end.
    """

    session: aiohttp.ClientSession
    allowed: tuple[str, ...]
    done: Callable[[Key], None]
    _runs: dict[str, HookRun] = field(default_factory=dict)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def runs(self, rollout: str) -> dict[str, HookRun]:
        """Return what is known of the calls of a rollout, by `rollout/key`."""
        return {name: run for name, run in self._runs.items() if name.startswith(f"{rollout}/")}

    def begin(self, key: Key, run: RunHook, url: str) -> None:
        """Begin a call, once: as long as this process lives it is not made again."""
        name = f"{run.rollout}/{run.key}"
        if name in self._runs:
            return
        if not any(url.startswith(prefix) for prefix in self.allowed):
            text = (
                f"{url} is not among the addresses that the operator's administrator allows "
                f"({', '.join(self.allowed) or 'none'}; RAMPWAY_HOOK_URLS)"
            )
            self._end(key, name, HookRun(FAILED, text))
            return
        self._runs[name] = HookRun(RUNNING)
        task = asyncio.create_task(self._call(key, name, run, url), name=f"hook {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self, key: Key, name: str, run: HookRun) -> None:
        self._runs[name] = run
        log.info("hook ended", hook=name, state=run.state, why=run.message)
        self.done(key)

    async def _call(self, key: Key, name: str, run: RunHook, url: str) -> None:
        wait_s = FIRST_WAIT_S
        with suppress(TimeoutError):
            async with asyncio.timeout(run.hook.timeout_s):
                while True:
                    found = await self._try(run, url)
                    if found.state != RUNNING:
                        self._end(key, name, found)
                        return
                    self._runs[name] = found
                    await asyncio.sleep(wait_s * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
                    wait_s = min(LONGEST_WAIT_S, 2 * wait_s)
        last = self._runs[name].message
        self._end(key, name, HookRun(FAILED, f"not done within {run.hook.timeout}; {last}"))

    async def _try(self, run: RunHook, url: str) -> HookRun:
        """Make one try; Running means that another one may help."""
        headers = {"Idempotency-Key": run.facts["idempotency_key"]}
        limit = aiohttp.ClientTimeout(total=TRY_S)
        try:
            async with self.session.post(
                url, json=dict(run.facts), headers=headers, timeout=limit, allow_redirects=False
            ) as answer:
                words = (await answer.content.read(SHOWN)).decode(errors="replace").strip()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            return HookRun(RUNNING, f"{url}: {str(error) or type(error).__name__}")
        said = f"{url} answered {status}" + (f": {words}" if words else "")
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own numbers
            return HookRun(SUCCEEDED, said)
        passing = status >= 500 or status in _AGAIN  # noqa: PLR2004 - as above
        return HookRun(RUNNING if passing else FAILED, said)
