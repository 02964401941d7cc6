"""Two operators: a leader that is frozen in mid-write does no harm once it thaws (B31)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from simulation.stage import BROKEN, NAME, Stage, policy, serving, step

from rampway.core.observation import Defaults
from rampway.kube import kinds
from rampway.kube.errors import KubeError
from rampway.routers.by_type import RouterByType
from rampway.shell.authors import Stamping
from rampway.shell.events import Recorder
from rampway.shell.execute import Executor
from rampway.shell.fence import Deposed, Fence
from rampway.shell.gather import Gatherer
from rampway.shell.reconcile import Reconciler
from rampway.sim.api_faults import Call
from rampway.sim.apiserver import MemoryApi
from rampway.sim.world import SPACE, World

KEY = (SPACE, NAME)
RECORDS = {kinds.EVENT}
"""Kinds whose late writes change nothing that anybody acts upon."""


class Freezing(MemoryApi):
    """A connection whose process is frozen at its `at`-th write, which goes out when it thaws."""

    def __init__(self, world: World, at: int) -> None:
        super().__init__(world.store)
        self.at, self.writes = at, 0
        self.frozen, self.thawed = asyncio.Event(), asyncio.Event()
        self.held: Call | None = None

    async def _do(self, call: Call, effect: Callable[[], Any]) -> Any:
        if call.writes and call.kind not in RECORDS:
            self.writes += 1
            if self.writes == self.at:
                self.held = call
                self.frozen.set()
                await self.thawed.wait()
        return await super()._do(call, effect)


def leader(world: World, api: MemoryApi) -> Reconciler:
    """Return a second operator, in a term of its own, sharing the first one's looks."""
    world.term += 1
    fence = Fence(api, world.term, lambda: True)
    router = RouterByType(api)
    return Reconciler(
        api,
        Gatherer(
            api,
            router,
            Defaults("server:1"),
            world.cluster.probe_digest,
            fence,
            world.calls,
            Stamping(api, world.clock),
        ),
        Executor(api, router, Recorder(api, world.clock, "sim"), fence, world.calls),
        world.looks,
        fence,
        world.clock,
    )


def promotion(stage: Stage) -> None:
    """The candidate is about to get its second weight."""
    stage.release(2)
    stage.until_step("ten")
    stage.run(4)


def harm(stage: Stage) -> None:
    """The candidate is about to be rolled back."""
    stage.harmed = True
    stage.release(2, BROKEN)
    stage.until_step("ten")
    stage.run(1)


def start(stage: Stage) -> None:
    """A new revision was just applied."""
    stage.release(2)


SCENES: dict[str, Callable[[Stage], None]] = {"start": start, "promotion": promotion, "harm": harm}


async def acting(operator: Reconciler, world: World) -> None:
    """Let an operator do passes while time goes on, until it is frozen."""
    for _ in range(12):
        await operator.reconcile(KEY)
        world.cluster.step(1.0)
        await world.looks.look()


@pytest.mark.parametrize("at", range(1, 10))
@pytest.mark.parametrize("scene", SCENES)
def test_b31_a_write_of_a_frozen_leader_comes_too_late(scene: str, at: int) -> None:
    """B31: frozen before any of its writes and thawed after the takeover, it changes nothing."""
    stage = serving(rollout=policy(step("ten", 10), step("half", 50)))
    SCENES[scene](stage)
    world = stage.world
    with asyncio.Runner() as process:
        api = Freezing(world, at)
        old = process.run(frozen(leader(world, api), world, api))
        assert api.held is not None, f"no {at}th write"
        world.start()
        world.run(12)
        before = world.store.revision
        process.run(thaw(api, old))
    late = [c for c in world.store.seen_since(before, lag_s=0) if c.kind not in RECORDS]
    assert late == [], f"{api.held.verb} {api.held.kind.kind} of the old leader came through"


async def frozen(operator: Reconciler, world: World, api: Freezing) -> "asyncio.Task[None]":
    """Let an operator work until it is frozen."""
    old = asyncio.create_task(acting(operator, world))
    waiting = asyncio.create_task(api.frozen.wait())
    await asyncio.wait([old, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return old


async def thaw(api: Freezing, old: "asyncio.Task[None]") -> None:
    """Let the frozen write go out; the process goes on until it meets what the next one wrote."""
    api.thawed.set()
    with suppress(KubeError, Deposed):
        await old
