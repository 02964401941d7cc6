"""Stable's past: a total failure is off within two looks, and nobody waits for the past (B19)."""

from dataclasses import dataclass, field

import pytest
from simulation.stage import ERRORS, NAME, Stage, policy, serving, step

from rampway.core.checks.counters import Scrape
from rampway.core.checks.history import Past
from rampway.core.checks.judged import EvidenceState
from rampway.metrics.base import MetricsUnavailable
from rampway.metrics.memory import MemorySource
from rampway.sim.cluster_behaviour import Behaviour, Surroundings
from rampway.sim.world import World

FIFTH = policy(step("fifth", 20, 1200), checks=(ERRORS,))
ALL_FAIL = Behaviour(error_rate=1.0)
PAST_S = 620
"""A past of 120 intervals at five seconds, the finest there are."""


@dataclass(slots=True)
class Source(MemorySource):
    """A Prometheus that notes who asks for the past, and may not tell it."""

    forgetful: bool = False
    asked: list[Past] = field(default_factory=list)

    async def past(self, past: Past, until_s: float) -> tuple[Scrape, ...]:
        """Return the past, as `MemorySource` does."""
        self.asked.append(past)
        if self.forgetful:
            raise MetricsUnavailable("the past is not told")
        return await MemorySource.past(self, past, until_s)


def on_trial(
    before_s: int, *, replicas: int = 2, source: Source | None = None, scrape_s: float = 1.0
) -> Stage:
    """Return a stage with a candidate at a fifth of 50 requests a second, well for twelve seconds.

    Args:
        before_s: So long stable served before.
        replicas: Pods of stable.
        source: Prometheus.
        scrape_s: Its scrape interval; it is looked at every five seconds, pods every second.
    """
    world = World(
        surroundings=Surroundings(scrape_interval_s=scrape_s),
        look_interval_s=5.0,
        direct_look=True,
        source=source or Source(),
    )
    stage = serving(rollout=FIFTH, replicas=replicas, rate_per_s=50.0, world=world)
    stage.run(before_s)
    stage.release(2)
    stage.until_step("fifth")
    stage.run(12)
    return stage


def off_after(stage: Stage) -> int:
    """Let all of the candidate's answers fail; return after how many looks it has no traffic."""
    stage.harmed = True
    stage.world.behave(stage.desired, ALL_FAIL)
    return stage.until(lambda: stage.weight_pct == 0, 60)


def evidence(stage: Stage) -> EvidenceState:
    """Return what the operator knows of the rollout."""
    found = stage.world.reconciler._memories["default", NAME][1].evidence
    assert found is not None
    return found


def said(stage: Stage) -> str:
    """Return what the check of errors says in the rollout's status."""
    return stage.world.rollouts(NAME)[-1].status.checks[0].message


@pytest.mark.parametrize("scrape_s", [1.0, 15.0])
def test_b19_with_a_past_a_total_failure_is_off_within_two_looks(scrape_s: float) -> None:
    """B19: at any scrape interval, where stable's past shows no bursts: a look is a second."""
    stage = on_trial(PAST_S if scrape_s < 5 else 1900, scrape_s=scrape_s)
    known = evidence(stage).history
    assert known is not None
    assert (known.intervals >= 120, known.lacking) == (True, "")
    assert "slowly" not in said(stage)
    assert off_after(stage) <= 2


@pytest.mark.parametrize(("before_s", "replicas", "why"), [
    (PAST_S, 1, "stable had no two pods to compare"),
    (60, 2, "intervals of 120"),
])  # fmt: skip
def test_b19_without_a_past_no_look_proves_much(before_s: int, replicas: int, why: str) -> None:
    """B19: one pod, or a stable that is new: as without histories, and it says why."""
    stage = on_trial(before_s, replicas=replicas)
    stage.run(6)
    known = evidence(stage).history
    assert known is not None
    assert why in known.lacking
    assert "slowly" not in said(stage)  # nothing speaks for harm: nobody has to know
    assert 4 <= off_after(stage) <= 7


def test_b17_a_past_that_is_not_told_holds_nobody_up() -> None:
    """B17: the rollout begins as ever, and is judged as without."""
    source = Source(forgetful=True)
    stage = on_trial(PAST_S, source=source)
    assert 1 <= len(source.asked) <= 3
    assert evidence(stage).history is None
    stage.run(30)
    assert off_after(stage) > 2


def test_b32_the_past_is_read_once() -> None:
    """B32: neither the next look nor a new operator reads it again; what was learnt goes on."""
    source = Source()
    stage = on_trial(PAST_S, source=source)
    known = evidence(stage)
    assert len(source.asked) == 1
    stage.run(35)  # a checkpoint
    stage.world.kill(back_s=2)
    stage.run(20)
    again = evidence(stage)
    assert len(source.asked) == 1
    assert again.history == known.history
    mine, before = (e.paired["errors"].processes[0] for e in (again, known))
    assert mine.past == before.past
    assert mine.cap == pytest.approx(before.cap)
    assert off_after(stage) <= 3
