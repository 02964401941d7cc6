"""B13 in the whole: a gateway that splits otherwise than its route says."""

from dataclasses import replace

import pytest
from simulation.stage import NAME, policy, serving, step

from rampway.sim.cluster_network import Network
from rampway.sim.cluster_rules import Rule


def skewed(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Let the data plane give the candidate this share, whatever its route says."""
    known = Network._met

    def met(self: Network, route: tuple[str, str], group: object) -> Rule | None:
        found = known(self, route, group)  # type: ignore[arg-type]
        if found is None or len(found.backends) != 2 or not all(w for _, w in found.backends):
            return found
        weights = {True: round(1000 * (1 - share)), False: round(1000 * share)}
        backends = tuple((name, weights[name == NAME]) for name, _ in found.backends)
        return replace(found, backends=backends)

    monkeypatch.setattr(Network, "_met", met)


def test_b13_a_share_that_is_contradicted_holds_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """B13: 10 % asked for, half of all given: the step waits and says why, nothing rolls back."""
    stage = serving(rollout=policy(step("ten", 10, 150), step("half", 50, 150)))
    with monkeypatch.context() as patch:
        skewed(patch, 0.5)
        second = stage.release(2)
        stage.until_step("ten")
        stage.run(400)
        status = stage.world.status(NAME)
        assert (status.phase, status.reason) == ("Holding", "ShareContradicted")
        assert "where 10 % were asked for" in status.message
        assert stage.world.rollouts(NAME)[-1].status.step.share == "Contradicted"
        assert stage.weight_pct == 10
    stage.until_step("half", 900)  # it shows after a while that this was put right
    stage.run(140)
    assert stage.world.rollouts(NAME)[-1].status.step.share == "Confirmed"
    stage.until_phase("Healthy")
    assert stage.stable == second
