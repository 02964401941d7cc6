"""A candidate whose pods answer their first requests slowly (`latency.warmUp`)."""

from typing import Any

import pytest
from simulation.stage import NAME, policy, serving, step

from rampway.sim.cluster_behaviour import Behaviour

COLD = Behaviour(cold_requests=250, cold_slowdown=4.0)
"""For ten seconds at half of the traffic."""
SLOW = Behaviour(cold_requests=250, cold_slowdown=4.0, slowdown=2.5)


def slow(requests: int) -> dict[str, Any]:
    """Return a check of latency that leaves out so many requests of each pod."""
    more = {"warmUp": {"requests": requests}} if requests else {}
    return {"name": "slow", "latency": {"detect": "5x"} | more}


@pytest.mark.parametrize(
    ("how", "requests", "end"),
    [(COLD, 0, "RolledBack"), (COLD, 250, "Healthy"), (SLOW, 250, "RolledBack")],
)
@pytest.mark.parametrize("direct", [True, False])
def test_b18_cold_pods_are_no_slow_candidate(
    how: Behaviour, requests: int, end: str, direct: bool
) -> None:
    """Slow at first is promoted where the warm-up is left out; slow for good never is."""
    rollout = policy(step("half", 50, 10), checks=(slow(requests),))
    stage = serving(rollout=rollout, metrics={"directLook": {"enabled": direct}})
    stage.release(2, how)
    stage.harmed = end == "RolledBack"
    stage.until_phase(end, 600)
    if end == "RolledBack":
        assert "slow" in stage.world.status(NAME).message


def test_b32_a_new_operator_leaves_out_the_same() -> None:
    """The operator is killed while pods are cold: the next one leaves their warm-up out too."""
    stage = serving(rollout=policy(step("half", 50, 30), checks=(slow(250),)))
    stage.release(2, COLD)
    stage.until_step("half")
    stage.run(6)
    stage.world.kill(5)
    stage.until_phase("Healthy", 600)
