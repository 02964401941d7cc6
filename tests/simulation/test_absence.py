"""What happened while nobody looked: an absent operator, an absent Prometheus (B17, B20, B32)."""

import pytest
from simulation.stage import BROKEN, ERRORS, NAME, policy, serving, step
from simulation.test_evidence import compared, evidence

from rampway.kube import kinds
from rampway.metrics.memory import Mode
from rampway.sim.api_faults import Call
from rampway.sim.cluster_behaviour import Behaviour, Surroundings
from rampway.sim.world import World


def gives_all(call: Call) -> bool:
    """Whether a call gives the candidate everything."""
    return call.kind is kinds.HTTP_ROUTE and "'weight': 100" in str(call.body)


@pytest.mark.parametrize("mode", [Mode.UP, Mode.UNREACHABLE])
def test_b32_what_was_missed_is_judged_look_by_look(mode: Mode) -> None:
    """Killed before it gives everything to what then turns bad: the next one gives it nothing."""
    stage = serving(rollout=policy(step("half", 50, 20), checks=(ERRORS,)))
    second = stage.release(2)
    stage.until_step("half")
    stage.world.restart_s = 15
    stage.world.api.crash_after(1, when="before", predicate=gives_all)
    stage.until(lambda: stage.world.restarts == 1)
    stage.world.source.mode = mode
    stage.world.behave(second, BROKEN)
    for _ in range(60):
        stage.world.step()
        assert stage.weight_pct <= 50, stage.summary


def test_b17_nothing_is_promoted_without_prometheus() -> None:
    """All steps passed and Prometheus is away: it holds, also with everything given."""
    stage = serving(rollout=policy(step("half", 50, 20), checks=(ERRORS,)), replicas=4)
    first = stage.stable
    stage.release(2, Behaviour(startup_s=15))
    stage.until(lambda: bool(stage.world.rollouts(NAME)))
    stage.until(lambda: stage.world.rollouts(NAME)[-1].status.phase == "Promoting")
    stage.world.source.mode = Mode.UNREACHABLE
    stage.run(60)
    assert stage.stable == first
    assert stage.world.status(NAME).reason == "EvidenceUnknown"
    stage.world.source.mode = Mode.UP
    stage.until_phase("Healthy", 120)
    assert stage.stable != first


@pytest.mark.parametrize("directly", [False, True])
def test_b20_counts_begin_with_the_weight(directly: bool) -> None:
    """Every answer from the weight's settling on counts, read directly or scraped."""
    around = Surroundings(scrape_interval_s=5.0 if directly else 1.0)
    world = World(checkpoint_interval_s=0.0, surroundings=around, direct_look=directly)
    rollout = policy(step("half", 50, 600), checks=(ERRORS,))
    stage = serving(rollout=rollout, replicas=3, world=world)
    second = stage.release(2)
    stage.until_step("half")
    stage.run(40)
    found = evidence(stage)
    seen = [
        moment.by_revision[second].total
        for moment in stage.ledger.series
        if found.cutoff_s < moment.at_s <= found.seen_s
    ]
    assert compared(stage)[0] == sum(seen)
