"""The direct look: harm is seen within seconds at any scrape interval (B17, B20)."""

from typing import Any

import pytest
from simulation.stage import BROKEN, ERRORS, NAME, Stage, policy, serving, step

from rampway.metrics.memory import Mode
from rampway.sim.cluster_behaviour import Surroundings
from rampway.sim.world import World

SCRAPE_S = 15.0


def scraped(*, directly: bool) -> World:
    """Return a world whose Prometheus scrapes every 15 s and is looked at every 5 s."""
    around = Surroundings(scrape_interval_s=SCRAPE_S)
    return World(surroundings=around, look_interval_s=5.0, direct_look=directly)


def turned_bad(*, directly: bool, **spec: Any) -> tuple[Stage, int]:
    """Let a candidate at half fail from some moment on; return after how many seconds it is off."""
    half = policy(step("half", 50, 600), checks=(ERRORS,))
    stage = serving(rollout=half, world=scraped(directly=directly), **spec)
    bad = stage.release(2)
    stage.until_step("half")
    stage.run(40)
    stage.harmed = True
    stage.world.behave(bad, BROKEN)
    return stage, stage.until(lambda: stage.weight_pct == 0, 200)


def test_harm_is_seen_at_any_scrape_interval() -> None:
    """At a scrape interval of 15 s: within 8 s by the direct look, much later without."""
    _, fast_s = turned_bad(directly=True)
    _, slow_s = turned_bad(directly=False)
    assert fast_s <= 8
    assert slow_s > 2 * fast_s


def test_it_can_be_switched_off() -> None:
    """`metrics.directLook.enabled: false` reads no pod."""
    off = {"directLook": {"enabled": False}}
    stage, after_s = turned_bad(directly=True, metrics=off)
    assert after_s > 8
    assert stage.phase in {"RollingBack", "RolledBack"}


@pytest.mark.parametrize("mode", [Mode.DOWN, Mode.PARTIAL])
def test_b17_harm_is_seen_with_prometheus_down(mode: Mode) -> None:
    """B17: without Prometheus nothing advances, and harm that the pods tell still rolls back."""
    half = policy(step("ten", 10, 20), step("half", 50, 20), checks=(ERRORS,))
    stage = serving(rollout=half, world=scraped(directly=True))
    bad = stage.release(2)
    stage.until_step("ten")
    stage.world.source.mode = mode
    stage.run(120)
    assert (stage.weight_pct, stage.phase) == (10, "Holding")
    stage.harmed = True
    stage.world.behave(bad, BROKEN)
    assert stage.until(lambda: stage.weight_pct == 0, 60) <= 20
    assert stage.world.status(NAME).reason == "CheckFailed"


def test_b17_what_only_the_pods_say_lets_nothing_advance() -> None:
    """B17: pods that Prometheus does not scrape any more are not known to be well."""
    half = policy(step("ten", 10, 20), step("half", 50, 20), checks=(ERRORS,))
    stage = serving(rollout=half, world=scraped(directly=True))
    stage.release(2)
    stage.until_step("ten")
    stage.world.cluster.scraping = False
    stage.run(200)
    assert (stage.weight_pct, stage.phase) == (10, "Holding")


def test_b20_what_is_read_twice_counts_once() -> None:
    """B20: Prometheus and the direct look tell of the same requests; each counts once."""
    half = policy(step("half", 50, 600), checks=(ERRORS,))
    stage = serving(rollout=half, world=scraped(directly=True))
    candidate = stage.release(2)
    stage.until_step("half")
    stage.run(100)
    memory = stage.world.reconciler._memories["default", NAME][1]
    assert memory.evidence is not None
    counted = memory.evidence.paired["errors"].processes[0].total.candidate_n
    answered = sum(pod.counters.requests for pod in stage.world.cluster.pods("default", candidate))
    # The first seconds after the weight changed belong to no weight, the last one is not read yet.
    assert answered - 500 < counted <= answered
