"""What other tests took from the operator itself is held here against figures written out (B6)."""

from simulation.stage import quick, serving, step

from rampway.sim.cluster_behaviour import Behaviour

CARRIED_PCT = {0: 0, 1: 33, 2: 66, 3: 100}
"""What so many ready pods of three carry: pods are equal, and no pod gets more than its part."""


def test_b06_a_weight_is_within_what_ready_pods_carry() -> None:
    """Pods that start slowly get weight one after another, never more than their part."""
    steps = [step(f"w{w}", w, 2) for w in (5, 35, 70, 100)]
    stage = serving(rollout=quick(*steps), replicas=3)
    first, second = stage.stable, stage.release(2, Behaviour(startup_s=12))
    seen = set()
    while stage.stable == first:
        stage.run(1)
        ready = stage.ready(second)
        assert stage.weight_pct <= CARRIED_PCT[ready], stage.summary
        seen.add((ready, stage.weight_pct))
    assert {(1, 5), (1, 33), (2, 35), (2, 66), (3, 70), (3, 100)} <= seen
