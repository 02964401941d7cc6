"""Whole rollouts whose check asks for proof that harm is ruled out (B18)."""

from simulation.stage import ERRORS, NAME, policy, serving, step

from rampway.sim.cluster_behaviour import Behaviour

PROOF = {"name": "errors", "errorRate": {"ignoreBelow": "1%", "require": "HarmRuledOut"}}
AS_TOLERATED = Behaviour(error_rate=0.01)
"""A model that fails as often as `ignoreBelow` allows beside a stable without errors."""


def test_b18_a_good_candidate_is_promoted_once_harm_is_ruled_out() -> None:
    """The step lasts until the proof is there, and says how many requests it needs and why."""
    stage = serving(rollout=policy(step("half", 50), checks=(PROOF,)))
    second = stage.release(2)
    words = "more requests on the candidate to rule out harm beyond maxIncrease 10% and ignoreBelow"
    stage.until_step("half")
    stage.until(lambda: words in stage.world.rollouts(NAME)[-1].status.message, 120)
    stage.until(lambda: stage.stable == second, 900)


def test_b18_a_candidate_as_bad_as_tolerated_is_not_promoted() -> None:
    """Where lack of harm seen suffices it passes; where proof is required it waits."""
    for check, phase in ((ERRORS, "Promoted"), (PROOF, "Stepping")):
        stage = serving(rollout=policy(step("half", 50), checks=(check,)))
        second = stage.release(2)
        stage.harmed = True
        stage.world.behave(second, AS_TOLERATED)
        stage.run(500)
        assert stage.world.rollouts(NAME)[-1].status.phase == phase
