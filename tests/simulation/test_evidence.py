"""Whole rollouts judged: missing data, steps, wrong queries, counters, restarts (B17-B21, B32)."""

import json
from random import Random

import pytest
from simulation.stage import BROKEN, ERRORS, NAME, SLOW, policy, serving, step

from rampway.core.answers import Answer, AnswerKind
from rampway.kube import kinds
from rampway.metrics.memory import Mode
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE, World

HOLDING = ("Progressing", "Holding")


def limit(name: str = "revenue", **fields: str) -> dict[str, object]:
    """Return a threshold check."""
    return {"name": name, "threshold": {"query": "orders{{ candidate }}"} | fields}


@pytest.mark.parametrize("mode", [Mode.DOWN, Mode.UNREACHABLE, Mode.PARTIAL])
def test_b17_an_outage_neither_advances_nor_rolls_back(mode: Mode) -> None:
    """While Prometheus gives no whole answer the step stands still and says so; then it goes on."""
    stage = serving()
    second = stage.release(2)
    stage.until_step("ten")
    stage.world.source.mode = mode
    stage.run(90)
    status = stage.world.status(NAME)
    assert (status.phase, status.reason, stage.weight_pct) == ("Holding", "EvidenceUnknown", 10)
    assert "Prometheus" in status.message
    stage.world.source.mode = Mode.UP
    stage.until_phase("Healthy")
    assert stage.stable == second


def test_b17_onunknown_pause_stalls_and_rollback_returns() -> None:
    """After the policy's patience a rollout without evidence is stalled, or put back."""
    for then, phase in (("Pause", "Holding"), ("Rollback", "RolledBack")):
        stage = serving(rollout=policy(onUnknown={"after": "30s", "then": then}))
        stage.release(2)
        stage.until_step("ten")
        stage.world.source.mode = Mode.UNREACHABLE
        stage.run(20)
        assert stage.phase == "Holding"
        assert stage.world.condition(NAME, "Stalled") == "False"
        stage.run(40)
        assert stage.phase == phase
        assert stage.world.condition(NAME, "Stalled") == "True"


def test_b17_nan_holds_a_threshold() -> None:
    """A query that gives NaN holds the rollout, whatever the limits."""
    stage = serving(rollout=policy(checks=(limit(max="1"),)))
    stage.world.source.mode = Mode.NAN
    stage.release(2)
    stage.run(60)
    assert stage.phase in HOLDING
    assert stage.world.status(NAME).reason == "EvidenceUnknown"


def test_b18_a_step_ends_by_hold_requests_and_power() -> None:
    """Not before its hold, its requests and the power to see harm; Waiting says what is missing."""
    rollout = policy(step("ten", 10, 5), checks=(ERRORS,))
    rollout["steps"][0]["minRequests"] = 900
    stage = serving(rollout=rollout)
    stage.release(2)
    stage.until_step("ten")
    stage.run(30)
    assert (
        "more requests on the candidate" in stage.world.rollouts(NAME)[-1].status.checks[0].message
    )
    stage.until(lambda: stage.world.status(NAME).message.endswith("(minRequests)"))
    stage.until_phase("Healthy")
    assert stage.ledger.by_revision[stage.stable].total >= 900


def test_b18_time_without_evidence_is_no_hold() -> None:
    """A hold of 60 s that was blind for 40 s lasts 100 s."""
    stage = serving(rollout=policy(step("half", 50, 60), checks=(ERRORS,)))
    stage.release(2)
    stage.until_step("half")
    stage.world.source.mode = Mode.UNREACHABLE
    stage.run(40)
    stage.world.source.mode = Mode.UP
    left_s = stage.until(lambda: stage.world.status(NAME).reason == "Promoting")
    assert left_s >= 58


def test_b19_harmless_candidates_are_rarely_rolled_back() -> None:
    """Of 60 whole attempts with equal error rates at most 3 end in a rollback (bound: 1 %)."""
    refused = 0
    for seed in range(60):
        how = Behaviour(error_rate=0.02)
        stage = serving(rollout=policy(step("half", 50, 20)), world=World(seed=seed))
        stage.harmed = True
        stage.world.behave(stage.stable, how)
        stage.release(2, how)
        stage.run(60)
        refused += stage.phase == "RolledBack"
    assert refused <= 3


def test_b20_counts_are_what_pods_counted() -> None:
    """The sentence's counts equal what clients saw since the step, whatever restarts meanwhile."""
    stage = serving(rollout=policy(step("half", 50, 600), checks=(ERRORS,)))
    stage.harmed = True
    second = stage.release(2)
    stage.until_step("half")
    stage.run(5)
    before = stage.ledger.by_revision[second].total
    evidence = json.loads(stage.world.rollouts(NAME)[-1].status.evidence)
    pod = next(iter(stage.world.cluster.pods(SPACE, second))).name
    stage.run(30)
    stage.world.cluster.delete_pod(SPACE, pod)
    stage.run(65)
    counted = stage.ledger.by_revision[second].total - before
    now = json.loads(stage.world.rollouts(NAME)[-1].status.evidence)
    seen = now["step"][1] - evidence["step"][1]
    # A checkpoint is up to 30 s old, and what is not scraped yet, or was lost with a pod, is small.
    assert counted * 0.5 < seen <= counted + 200


def test_b21_a_wrong_query_holds_only_its_own_rollout_and_is_named() -> None:
    """Several series make Accepted False with the query's words; other checks still roll back."""
    words = "query gives 2 series; expected one: aggregate with sum()"
    stage = serving(rollout=policy(checks=(limit(max="1"), ERRORS)))
    stage.world.source.answers = lambda _q, at: Answer(
        AnswerKind.SEVERAL_SERIES, message=words, at_s=at
    )
    stage.release(2)
    stage.until_step("ten")
    stage.run(60)
    assert stage.world.condition(NAME, "Accepted") == "False"
    accepted = next(c for c in stage.world.status(NAME).conditions if c.type == "Accepted")
    assert (accepted.reason, words in accepted.message) == ("BadQuery", True)
    stage.harmed = True
    stage.world.behave(stage.desired, BROKEN)
    stage.until_phase("RolledBack")


@pytest.mark.parametrize(("fields", "value", "end"), [
    ({"max": "1"}, 2.0, "RolledBack"),
    ({"max": "1"}, 0.5, "Healthy"),
    ({"min": "3"}, 1.0, "RolledBack"),
    ({"min": "3", "sustained": "20s"}, 1.0, "RolledBack"),
])  # fmt: skip
def test_b21_thresholds_decide_by_their_limits(
    fields: dict[str, str], value: float, end: str
) -> None:
    """A value within its limits promotes; one outside, for as long as it takes, rolls back."""
    stage = serving(rollout=policy(checks=(limit(**fields),)))
    asked: list[str] = []

    def answer(query: str, at_s: float) -> Answer:
        asked.append(query)
        return Answer(AnswerKind.VALUE, value, at_s=at_s)

    stage.world.source.answers = answer
    second = stage.release(2)
    stage.until_phase(end)
    assert asked[-1] == f"orders{NAME}-{second}"


def test_b32_a_restart_neither_forgets_nor_counts_twice() -> None:
    """An operator killed in mid-step ends with the evidence of one that was not."""
    ends = []
    for killed in (False, True):
        stage = serving(
            rollout=policy(step("half", 50, 100), checks=(ERRORS,)), world=World(seed=7)
        )
        stage.release(2)
        stage.until_step("half")
        stage.run(20)
        if killed:
            stage.world.kill()
            stage.run(15)
            stage.world.start()
        else:
            stage.run(15)
        stage.run(70)
        found = json.loads(stage.world.rollouts(NAME)[-1].status.evidence)
        ends.append(found["step"][1])
    assert ends[0] > 3000
    assert abs(ends[0] - ends[1]) <= 0.2 * ends[0]


def test_b32_checkpoints_are_few() -> None:
    """A step that brings no news is written about every 30 s."""
    stage = serving(rollout=policy(step("half", 50, 600), checks=(ERRORS,)))
    stage.release(2)
    stage.until_step("half")
    stage.run(60)
    writes = ("patch", "ModelRollout")
    before = stage.world.api.counts[writes]
    stage.run(120)
    assert 2 <= stage.world.api.counts[writes] - before <= 6


def test_b19_a_slow_candidate_is_rolled_back_and_an_equal_one_promoted() -> None:
    """Latency is judged by the same evidence: 2.5 times as slow is seen, equal is let pass."""
    for slowdown, end in ((2.5, "RolledBack"), (1.0, "Healthy")):
        stage = serving(rollout=policy(step("half", 50, 10), checks=(SLOW,)))
        stage.release(2, Behaviour(slowdown=slowdown))
        stage.until_phase(end)


def test_b20_a_stepping_back_prometheus_counts_nothing_twice() -> None:
    """Old scrapes that come again, in any order, change no verdict of a good candidate."""
    stage = serving(rollout=policy(step("half", 50, 30), checks=(ERRORS,)))
    dice = Random(3)  # noqa: S311 - nothing here is secret
    source = stage.world.source
    original = source.record

    stage.release(2)
    stage.until_step("half")
    for _ in range(40):
        kept = list(source._kept)[-200:]
        for scrape in dice.sample(kept, min(5, len(kept))):
            original(scrape)
        stage.run(1)
    requests = json.loads(stage.world.rollouts(NAME)[-1].status.evidence)["step"][1]
    assert requests <= stage.ledger.by_revision[stage.desired].total
    assert stage.world.store.list(kinds.MODEL_ROLLOUT)
