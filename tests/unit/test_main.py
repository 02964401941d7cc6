"""Running the operator: what ends it, in which order, with which exit code."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import kopf
import pytest

from rampway import __main__ as main
from rampway.__main__ import BOUND_S, Operator
from rampway.kube.kinds import DEPLOYMENT, LEASE, MODEL_DEPLOYMENT
from rampway.metrics.memory import MemorySource
from rampway.shell import http, telemetry
from rampway.shell.fence import Deposed
from rampway.shell.followers import Followers
from rampway.shell.interest import Interest
from rampway.shell.looks import Looks
from rampway.shell.queue import WorkQueue
from rampway.shell.settings import Settings
from rampway.sim.apiserver import MemoryApi, Store

Kopf = Callable[[Operator], Awaitable[None]]


@dataclass
class Parts:
    """Fakes of everything outside; they note when they are closed."""

    closed: list[str] = field(default_factory=list)
    store: Store = field(
        default_factory=lambda: Store(
            lambda: datetime(2026, 1, 1, tzinfo=UTC), namespaces=("default", "rampway-system")
        )
    )

    def install(self, monkeypatch: pytest.MonkeyPatch, watch: Kopf) -> None:
        """Put the fakes in the place of the real ones."""
        api = MemoryApi(self.store)

        def closing(name: str) -> Callable[[], Awaitable[None]]:
            async def close() -> None:
                self.closed.append(name)

            return close

        class Runner:
            cleanup = staticmethod(closing("http"))

        class Source(MemorySource):
            close = staticmethod(closing("metrics"))  # type: ignore[assignment]

        async def connect(**_: Any) -> MemoryApi:
            return api

        async def serve(*_: Any) -> Runner:
            return Runner()

        monkeypatch.setattr(api, "close", closing("api"))
        monkeypatch.setattr(main, "connect", connect)
        monkeypatch.setattr(main, "PrometheusSource", lambda *_, **__: Source())
        monkeypatch.setattr(http, "serve", serve)
        monkeypatch.setattr(main, "_kopf", watch)


class Fake:
    """A reconciler's place: every change is news."""

    followers = Followers()

    def touch(self, *_: str) -> bool:
        """Let everything be looked at."""
        return True

    def leaning_on(self, _: Any) -> list[Any]:
        """Return nobody."""
        return []


async def until(met: Callable[[], bool]) -> None:
    """Let the operator work until something is so."""
    while not met():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)


async def _until_stopped(operator: Operator) -> None:
    await operator.stop.wait()


async def test_a_stop_ends_everything_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked to stop, passes end first, then connections close; exit code 0."""
    parts, seen = Parts(), list[Operator]()

    async def watch(operator: Operator) -> None:
        seen.append(operator)
        await until(lambda: not operator.ready())
        operator.stop.set()

    parts.install(monkeypatch, watch)
    assert await asyncio.wait_for(main.run(Settings()), 20) == 0
    assert parts.closed == ["http", "metrics", "api"]
    assert not seen[0].failed
    assert seen[0].alive() == ""


async def test_an_ended_part_stops_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that must never end does: a restart beats deafness, exit code 1."""

    async def broken(*_: Any) -> None:
        raise RuntimeError("no more lists")

    parts = Parts()
    parts.install(monkeypatch, _until_stopped)
    monkeypatch.setattr(main, "keep_resyncing", broken)
    assert await asyncio.wait_for(main.run(Settings()), 20) == 1
    assert parts.closed == ["http", "metrics", "api"]


async def test_a_watch_that_ends_stops_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """B30: kopf that returns without being asked is as bad as kopf that raises."""

    async def watch(_: Operator) -> None:
        return

    parts = Parts()
    parts.install(monkeypatch, watch)
    assert await asyncio.wait_for(main.run(Settings()), 20) == 1


async def test_a_worker_that_fails_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """B30: a pass that raises ends neither its worker nor the operator."""
    passes = list[Any]()

    class Failing(Fake):
        async def reconcile(self, key: Any) -> float | None:
            passes.append(key)
            raise RuntimeError(key)

    async def watch(operator: Operator) -> None:
        await until(lambda: operator.leading)
        operator.add(("ml", "a"))
        await until(lambda: len(passes) == 2)
        operator.stop.set()

    parts = Parts()
    parts.install(monkeypatch, watch)
    monkeypatch.setattr(main, "_reconciler", lambda *_: Failing())
    assert await asyncio.wait_for(main.run(Settings()), 20) == 0
    assert passes == [("ml", "a")] * 2


async def test_b23_what_is_looked_at_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """B23: the leader's queue takes a rollout's turn before that of models added earlier."""
    passes, made = list[Any](), list[Looks]()

    class Noting(Fake):
        async def reconcile(self, key: Any) -> float | None:
            passes.append(key[1])
            return None

    def reconciler(*given: Any) -> Noting:
        made.append(given[3])
        return Noting()

    async def watch(operator: Operator) -> None:
        await until(lambda: operator.leading)
        made[0].want(("ml", "rollout"), Interest("ml", (), None, {}))
        for name in ("new-1", "new-2", "rollout"):
            operator.add(("ml", name))
        await until(lambda: {"new-1", "new-2", "rollout"} <= set(passes))
        operator.stop.set()

    Parts().install(monkeypatch, watch)
    monkeypatch.setattr(main, "_reconciler", reconciler)
    assert await asyncio.wait_for(main.run(Settings(workers=1)), 20) == 0
    assert passes[0] == "rollout"


async def test_b31_who_loses_the_lease_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """B31: another name in the Lease ends the process with an error: it may act no more."""
    parts = Parts()

    async def watch(operator: Operator) -> None:
        await until(lambda: operator.leading)
        thief = {"spec": {"holderIdentity": "thief"}}
        parts.store.patch(LEASE, "rampway-system", main.LEASE, thief)
        await operator.deaf.wait()

    parts.install(monkeypatch, watch)
    assert await asyncio.wait_for(main.run(Settings()), 20) == 1
    held = parts.store.get(LEASE, "rampway-system", main.LEASE)["spec"]["holderIdentity"]
    assert held == "thief"


async def test_b31_an_orderly_stop_gives_the_lease_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """B31: a pass under way ends first, then the Lease is free, then watching ends."""
    parts, order = Parts(), list[str]()

    class Slow(Fake):
        async def reconcile(self, _: Any) -> float | None:
            order.append("begun")
            await asyncio.sleep(0.2)
            order.append("ended")
            return None

    async def watch(operator: Operator) -> None:
        await until(lambda: operator.leading)
        operator.add(("ml", "a"))
        await until(lambda: order == ["begun"])
        operator.stop.set()
        operator.add(("ml", "b"))
        await operator.deaf.wait()
        spec = parts.store.get(LEASE, "rampway-system", main.LEASE)["spec"]
        order.append(f"holder {spec['holderIdentity']!r}")

    parts.install(monkeypatch, watch)
    monkeypatch.setattr(main, "_reconciler", lambda *_: Slow())
    assert await asyncio.wait_for(main.run(Settings()), 20) == 0
    assert order == ["begun", "ended", "holder ''"]


async def test_b31_a_deposed_pass_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """B31: whoever meets a later term in an object does not wait for its next renewal."""

    class Late(Fake):
        async def reconcile(self, _: Any) -> float | None:
            raise Deposed("term 2 has begun")

    async def watch(operator: Operator) -> None:
        await until(lambda: operator.leading)
        operator.add(("ml", "a"))
        await operator.deaf.wait()

    parts = Parts()
    parts.install(monkeypatch, watch)
    monkeypatch.setattr(main, "_reconciler", lambda *_: Late())
    assert await asyncio.wait_for(main.run(Settings()), 20) == 1


async def test_the_real_parts_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ModelDeployment that only the list tells of is reconciled."""
    parts = Parts()
    spec = {
        "model": {"uri": "file:///m"},
        "traffic": {"ownedRoute": {"parentRefs": [{"name": "eg"}]}},
    }
    meta = {"name": "digits", "namespace": "default"}
    parts.store.create(MODEL_DEPLOYMENT, {"metadata": meta, "spec": spec})

    async def watch(operator: Operator) -> None:
        await until(lambda: bool(parts.store.list(DEPLOYMENT)))
        operator.stop.set()

    parts.install(monkeypatch, watch)
    settings = Settings(server_image="server:7")
    assert await asyncio.wait_for(main.run(settings), 20) == 0
    (made,) = parts.store.list(DEPLOYMENT)
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "server:7"


def test_health_follows_the_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """B30: ready with the first whole list; unwell when there was none for three minutes."""
    now_s = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    operator = Operator(Settings(), began_s=now_s[0])
    assert operator.ready() == "waiting for the first list"
    assert operator.alive() == ""
    now_s[0] += BOUND_S + 1
    assert operator.alive() == "nothing listed for 181 s"
    operator.listed()
    assert (operator.ready(), operator.alive()) == ("", "")
    now_s[0] += BOUND_S + 1
    assert operator.alive() == "nothing listed for 181 s"


def test_a_pass_that_never_ends_is_unwell() -> None:
    """A worker that hangs beyond every deadline of its calls is a reason to restart."""
    now_s = [0.0]
    operator = Operator(Settings(), queue=WorkQueue(lambda: now_s[0]))
    operator.listed()
    operator.queue._begun_s["ml", "digits"] = 0.0
    assert operator.alive() == ""
    now_s[0] = BOUND_S + 1
    assert operator.alive() == "a pass has not ended for 181 s"


def fake_kopf(monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> None:
    """Put a fake in kopf's place that starts, waits for its flag, and ends."""

    async def operator(*, stop_flag: asyncio.Event, ready_flag: asyncio.Event, **_: Any) -> None:
        if fails:
            raise ConnectionError("no API server")
        ready_flag.set()
        await stop_flag.wait()

    monkeypatch.setattr(kopf, "operator", operator)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_means_an_orderly_stop(
    signum: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kopf's start the signals are ours: they set the flag, nothing is cancelled."""
    fake_kopf(monkeypatch)
    operator = Operator(Settings())
    operator.listed()
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(main._kopf(operator))
    try:
        for _ in range(10):
            await asyncio.sleep(0)
        os.kill(os.getpid(), signum)
        await asyncio.wait_for(operator.stop.wait(), 20)
        assert not task.done()  # it watches until the last pass has ended
        operator.deaf.set()
        await asyncio.wait_for(task, 20)
    finally:
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(one)


async def test_b30_kopf_starts_once_all_could_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """B30: kopf looks only once which kinds there are: without an API server or CRDs it waits.

    A signal means an orderly stop meanwhile, too.
    """
    started = asyncio.Event()

    async def kopfs(*, stop_flag: asyncio.Event, **_: Any) -> None:
        started.set()
        await stop_flag.wait()

    monkeypatch.setattr(kopf, "operator", kopfs)
    operator = Operator(Settings())
    task = asyncio.create_task(main._kopf(operator))
    try:
        await asyncio.sleep(0.05)
        assert not started.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(operator.stop.wait(), 20)
        operator.listed()
        await asyncio.wait_for(started.wait(), 20)
        operator.deaf.set()
        await asyncio.wait_for(task, 20)
    finally:
        for one in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(one)


async def test_a_stop_before_the_first_list_starts_no_kopf(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stopped while it waits for the API server ends, and watches nothing."""
    fake_kopf(monkeypatch, fails=True)
    operator = Operator(Settings())
    operator.deaf.set()
    try:
        await asyncio.wait_for(main._kopf(operator), 20)
    finally:
        for one in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(one)


async def test_kopf_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """B30: what kopf ends with is what the part ends with."""
    fake_kopf(monkeypatch, fails=True)
    operator = Operator(Settings())
    operator.listed()
    try:
        with pytest.raises(ConnectionError, match="no API server"):
            await main._kopf(operator)
    finally:
        for one in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(one)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


@pytest.mark.parametrize(
    ("name", "value"), [("RAMPWAY_WORKERS", "many"), ("RAMPWAY_LOG_LEVEL", "loud")]
)
def test_a_wrong_setting_is_exit_code_2(name: str, value: str) -> None:
    """The process says which setting it is and what is expected, without a traceback."""
    env = os.environ | {name: value}
    found = subprocess.run(
        [sys.executable, "-m", "rampway"], env=env, capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert f"{name}={value!r}: expected" in found.stderr
    assert "Traceback" not in found.stderr


def test_main_runs_with_the_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is the run's."""

    async def run(settings: Settings) -> int:
        return settings.workers

    monkeypatch.setenv("RAMPWAY_WORKERS", "5")
    monkeypatch.setattr(main, "run", run)
    monkeypatch.setattr(telemetry, "configure", lambda _: None)
    assert main.main() == 5
