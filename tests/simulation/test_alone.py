"""A stable that serves nobody: a sound candidate is judged by itself, and nothing else is (B17)."""

from dataclasses import dataclass

import pytest
from simulation.stage import BROKEN, Stage, policy, serving, step

from rampway.core.checks.checkpoint import from_text
from rampway.core.checks.counters import Scrape
from rampway.metrics.memory import MemorySource, Mode
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import World

PATIENCE_S = 120
TEN = (step("ten", 10), step("half", 50))
CRASHING = Behaviour(crash_every_s=1.0)


def unready(stage: Stage, seconds: float) -> Behaviour:
    """Return how pods behave that are not ready for so long from now on."""
    return Behaviour(unready_until_s=stage.world.clock.elapsed_s + seconds)


def begun(world: World | None = None, how: Behaviour | None = None) -> tuple[Stage, str]:
    """Return a stage on which v2 is at ten percent, and v1's hash."""
    rollout = policy(*TEN)
    stage = serving(rollout=rollout, world=world)
    stage.apply(rollout={"policy": rollout, "progressDeadline": f"{PATIENCE_S}s"})
    first = stage.desired
    stage.release(2, how)
    stage.harmed = how is not None
    stage.until_step("ten")
    return stage, first


def judged_alone(stage: Stage) -> bool:
    """Whether a check says that the candidate is judged by itself."""
    return any("is judged by itself: " in check.message for check in stage.rollout.status.checks)


@pytest.mark.parametrize("crashing", [True, False])
def test_b17_beside_a_stable_that_is_down_a_sound_candidate_is_promoted(crashing: bool) -> None:
    """B17: no pod of stable stays ready, as Kubernetes says: not before `progressDeadline`."""
    stage, first = begun()
    stage.harmed = True
    stage.world.behave(first, CRASHING if crashing else unready(stage, 10_000))
    stage.run(PATIENCE_S - 10)
    assert stage.weight_pct == 10
    assert not judged_alone(stage)
    stage.until_phase("Healthy", 120)
    assert stage.rollout.status.phase == "Promoted"
    assert stage.stable == stage.desired


def test_b17_beside_a_stable_that_is_down_a_bad_candidate_is_not_promoted() -> None:
    """B17: judged by itself it has to keep the limits of its checks; traffic stays where it is."""
    stage, first = begun()
    stage.harmed = True
    stage.world.behave(first, unready(stage, 10_000))
    stage.world.behave(stage.desired, BROKEN)
    stage.run(PATIENCE_S + 100)
    assert stage.stable == first
    assert stage.weight_pct == 10
    assert judged_alone(stage)
    assert "requests failed (at most 1 %)" in stage.rollout.status.checks[0].message


def test_b17_a_stable_that_is_down_for_a_while_is_waited_for() -> None:
    """B17: it is back before `progressDeadline`: the comparison goes on, and decides."""
    stage, first = begun(how=Behaviour(slowdown=3.0))
    stage.world.behave(first, unready(stage, PATIENCE_S - 30))
    for _ in range(PATIENCE_S):
        stage.run(1)
        assert not judged_alone(stage)
    assert stage.weight_pct <= 10
    stage.until_phase("RolledBack", 600)
    assert stage.stable == first


def test_b17_without_prometheus_nothing_passes_beside_a_stable_that_is_down() -> None:
    """B17: what the candidate does is not known then either; it goes on when it is."""
    stage, first = begun()
    stage.harmed = True
    stage.world.source.mode = Mode.DOWN
    stage.world.behave(first, unready(stage, 10_000))
    stage.run(PATIENCE_S + 60)
    assert stage.weight_pct == 10
    assert {check.state for check in stage.rollout.status.checks} == {"Unknown"}
    stage.world.source.mode = Mode.UP
    stage.run(PATIENCE_S - 10)
    assert stage.weight_pct == 10  # what was while nobody looked is not known: the clock began anew
    stage.until_phase("Healthy", 120)


@dataclass(slots=True)
class Partly(MemorySource):
    """A Prometheus that does not scrape one revision."""

    untold: str = ""

    async def scrapes(self, *args: object, **more: object) -> tuple[Scrape, ...]:
        """Return the others' scrapes."""
        found = await MemorySource.scrapes(self, *args, **more)  # type: ignore[arg-type]
        return tuple(s for s in found if not self.untold or not s.revision.endswith(self.untold))


def test_b17_a_stable_that_serves_unscraped_is_missing_data() -> None:
    """B17: no scrape of it for long is no ground to promote: its pods are ready."""
    source = Partly()
    stage, first = begun(World(source=source))
    source.untold = first
    stage.run(4 * PATIENCE_S)
    assert stage.weight_pct == 10
    assert stage.stable == first
    assert not judged_alone(stage)
    assert f"no scrape of the stable digits-{first}" in stage.rollout.status.checks[0].message
    source.untold = ""
    stage.until_phase("Healthy", 600)


def test_b32_the_clock_of_a_stable_that_is_down_survives_a_restart() -> None:
    """B32: the checkpoint has it, so an operator that restarts does not begin anew."""
    stage, first = begun(World(checkpoint_interval_s=5.0))
    stage.harmed = True
    stage.world.behave(first, unready(stage, 10_000))
    stage.run(PATIENCE_S // 2)
    before = from_text(stage.rollout.status.evidence)
    assert before is not None
    stage.world.kill()
    stage.world.start()
    stage.run(10)
    after = from_text(stage.rollout.status.evidence)
    assert after is not None
    assert after.down is not None
    assert after.down == before.down
    assert stage.until_phase("Healthy", 120) < PATIENCE_S
