"""Whole rollouts judged: missing data, steps, wrong queries, counters, restarts (B17-B21, B32)."""

from dataclasses import replace
from typing import Any

import pytest
from simulation.stage import (
    BROKEN,
    ERRORS,
    NAME,
    SLOW,
    Stage,
    model,
    policy,
    serving,
    step,
)

from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.checkpoint import from_text
from rampway.core.checks.judged import EvidenceState
from rampway.metrics.memory import Mode
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE, World

HOLDING = ("Progressing", "Holding")


def writing() -> World:
    """Return a world in which every look is written, so that a test sees all of the evidence."""
    return World(checkpoint_interval_s=0.0)


def evidence(stage: Stage) -> EvidenceState:
    """Return the latest rollout's evidence as it was written last."""
    found = from_text(stage.world.rollouts(NAME)[-1].status.evidence)
    assert found is not None
    return found


def compared(stage: Stage) -> tuple[int, int]:
    """Return how many requests of candidate and stable the check of errors has compared."""
    total = evidence(stage).paired["errors"].processes[0].total
    return total.candidate_n, total.stable_n


def answered(stage: Stage, revision: str) -> int:
    """Return how many answers clients got from a revision while the evidence counted them.

    That is since the first scrape after the weight had settled; pods are scraped every second.
    """
    found = evidence(stage)
    moments = stage.ledger.series
    since_s = min(m.at_s for m in moments if m.at_s >= found.cutoff_s - 0.001)
    counted = [m.by_revision.get(revision) for m in moments if since_s < m.at_s <= found.seen_s]
    return sum(tally.total - tally.failed for tally in counted if tally is not None)


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


def test_b17_no_traffic_before_evidence_can_be_read() -> None:
    """Prometheus is away when the candidate is ready: it gets no request, and status says why."""
    stage = serving()
    stage.world.source.mode = Mode.UNREACHABLE
    second = stage.release(2)
    stage.run(60)
    assert stage.ready(second) == 1
    assert stage.backends() == {NAME: 1}
    assert "no traffic without evidence" in stage.world.status(NAME).message
    stage.world.source.mode = Mode.UP
    stage.until_step("ten")


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


@pytest.mark.parametrize(
    ("failures", "phase"), [({"total": 3}, "RolledBack"), ({"consecutive": 3}, "Healthy")]
)
def test_b21_failures_of_a_threshold_are_counted(failures: dict[str, int], phase: str) -> None:
    """B21: a value that is out of its limits now and then fails by its total, in a row never."""
    asked = {"query": "orders", "min": "3", "failures": failures | {"every": "5s"}}
    world = World(checkpoint_interval_s=0.0)
    world.source.answers = lambda _, at_s: Answer(
        AnswerKind.VALUE, 1.0 if round(at_s) % 20 < 10 else 5.0, at_s=at_s
    )
    check = {"name": "revenue", "threshold": asked}
    stage = serving(rollout=policy(step("half", 50, 60), checks=(check,)), world=world)
    stage.release(2)
    stage.until_step("half")
    stage.world.kill(2)  # what was counted survives
    stage.until_phase(phase, 300)


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


def test_b18_what_the_checks_said_as_a_step_ended_is_on_record() -> None:
    """With the decision that ends it, its own figures; before the first step nothing was judged."""
    stage = serving()
    stage.release(2)
    stage.until_phase("Healthy", 600)
    begun = stage.decided("StepStarted")
    (promoting,) = stage.decided("Promoting")
    said = [{check.name: check.state for check in made.checks} for made in (*begun, promoting)]
    assert said == [{}, *[{"errors": "Pass", "slow": "Pass"}] * 2]
    assert begun[1].checks[0].message != promoting.checks[0].message


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


def test_b18_a_step_lasts_its_hold_and_its_requests() -> None:
    """Each step has its own hold and its own requests; what earlier ones had counts for none."""
    steps = (step("ten", 10, 5), step("half", 50, 5), step("most", 90, 60))
    rollout = policy(*steps, checks=(ERRORS,))
    rollout["steps"][0]["minRequests"] = 400
    rollout["steps"][1]["minRequests"] = 2000
    stage = serving(rollout=rollout)
    second = stage.release(2)
    asked, lasted_s = [], []
    for name in ("ten", "half", "most"):
        stage.until_step(name)
        stage.until(lambda: second in stage.ledger.by_revision)
        before = stage.ledger.by_revision[second].total
        lasted_s.append(stage.until(lambda name=name: over(stage, name)))  # type: ignore[misc]
        asked.append(stage.ledger.by_revision[second].total - before)
    assert asked[0] >= 400
    assert asked[1] >= 2000
    assert 59 <= lasted_s[2] <= 65
    stage.until_phase("Healthy")


def over(stage: Stage, name: str) -> bool:
    """Whether the rollout has gone on from this step."""
    status = stage.world.rollouts(NAME)[-1].status
    return status.step.name != name or status.phase != "Stepping"


def test_b19_harmless_candidates_are_rarely_rolled_back() -> None:
    """Of 25 whole attempts as bad as the policy just tolerates, at most 2 end in a rollback."""
    stage = serving(rollout=policy(step("half", 50, 20)))
    stage.harmed = True
    edge = Behaviour(error_rate=0.02 * 1.1 + 0.01)
    ends = []
    for number in range(2, 27):
        stage.world.behave(stage.stable, Behaviour(error_rate=0.02))
        stage.release(number, edge)
        stage.run(40)
        ends.append(stage.world.rollouts(NAME)[-1].status.phase)
    assert ends.count("RolledBack") <= 2
    assert ends.count("Promoted") >= 10


def test_b19_evidence_goes_on_from_step_to_step() -> None:
    """All steps of an attempt share one budget: what the first one compared is never forgotten."""
    steps = (step("ten", 10, 20), step("half", 50, 20), step("most", 80, 20))
    stage = serving(rollout=policy(*steps, checks=(ERRORS,)), world=writing())
    stage.release(2)
    stage.until_step("ten")
    stage.run(5)
    before = (0, 0)
    while not over(stage, stage.world.rollouts(NAME)[-1].status.step.name):
        now = compared(stage)
        assert min(a - b for a, b in zip(now, before, strict=True)) >= 0, stage.summary
        before = now
        stage.run(1)
    assert min(before) > 1000


def test_b20_counts_are_what_pods_counted() -> None:
    """Every answer counts once, exactly: over crashed containers, new pods and deleted ones."""
    rollout = policy(step("half", 50, 600), checks=(ERRORS,))
    stage = serving(rollout=rollout, replicas=3, world=writing())
    first, second = stage.stable, stage.release(2)
    stage.until_step("half")
    stage.run(13)
    stage.harmed = True
    crashed, deleted, _ = stage.world.cluster.pods(SPACE, first)
    stage.world.cluster.crash(SPACE, crashed.name, "Error")
    stage.run(20)
    stage.world.cluster.delete_pod(SPACE, deleted.name)
    stage.run(40)
    assert compared(stage) == (answered(stage, second), answered(stage, first))
    assert evidence(stage).step_requests == answered(stage, second)
    assert min(compared(stage)) > 2000


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
    assert (stage.weight_pct, stage.phase) == (10, "Holding")
    assert stage.world.condition(NAME, "Accepted") == "False"
    accepted = next(c for c in stage.world.status(NAME).conditions if c.type == "Accepted")
    assert (accepted.reason, words in accepted.message) == ("BadQuery", True)
    stage.harmed = True
    stage.world.behave(stage.desired, BROKEN)
    stage.until_phase("RolledBack")


def test_b21_a_wrong_query_holds_nobody_else() -> None:
    """Another ModelDeployment with the same Prometheus goes on while the mistaken one waits."""
    stage = serving(rollout=policy(checks=(limit(max="1"),)))
    other: dict[str, Any] = {
        "model": model(1),
        "replicas": 1,
        "rollout": {"policy": policy(checks=(limit(max="1"),))},
        "traffic": {"ownedRoute": {"parentRefs": [{"name": "eg"}], "hostnames": ["other.example"]}},
    }

    def answer(query: str, at_s: float) -> Answer:
        if NAME in query:
            return Answer(AnswerKind.SEVERAL_SERIES, message="2 series", at_s=at_s)
        return Answer(AnswerKind.VALUE, 0.5, at_s=at_s)

    stage.world.source.answers = answer
    stage.world.apply("other", other)
    stage.until(lambda: stage.world.status("other").phase == "Healthy")
    stage.release(2)
    stage.world.apply("other", {"model": model(2)})
    stage.run(90)
    assert [r.status.phase for r in stage.world.rollouts("other")] == ["Promoted"]
    assert stage.world.condition("other", "Accepted") == "True"
    assert (stage.weight_pct, stage.phase) == (10, "Holding")


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


@pytest.mark.parametrize("away_s", [15, 700])
def test_b32_a_restart_neither_forgets_nor_counts_twice(away_s: int) -> None:
    """All that was scraped before, while and after no operator ran is counted once, exactly."""
    stage = serving(rollout=policy(step("half", 50, 3000), checks=(ERRORS,)), world=World(seed=7))
    first, second = stage.stable, stage.release(2)
    stage.until_step("half")
    stage.run(50)
    before = compared(stage)
    stage.world.kill()
    stage.run(away_s // 5)
    stage.harmed = True
    crashed = stage.world.cluster.pods(SPACE, first)[0]
    stage.world.cluster.crash(SPACE, crashed.name, "Error")
    stage.run(away_s - away_s // 5)
    stage.world.start()
    stage.run(70)
    assert compared(stage) == (answered(stage, second), answered(stage, first))
    assert min(compared(stage)) > min(before) + 40 * away_s


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
    """Another replica answers with less than was counted: that is no restart, and dropped."""
    stage = serving(rollout=policy(step("half", 50, 600), checks=(ERRORS,)), world=writing())
    first, second = stage.stable, stage.release(2)
    stage.until_step("half")
    stage.run(10)
    source = stage.world.source
    for number in range(40):
        newest = {s.pod: s for s in source._kept}
        older = [s for s in source._kept if s.at_s == stage.world.clock() - 3]
        for scrape in older:
            late_s = 0.25 + 0.5 * (number % 2)
            source.record(replace(scrape, at_s=newest[scrape.pod].at_s + late_s))
            source.record(scrape)
        stage.run(1)
    assert compared(stage) == (answered(stage, second), answered(stage, first))
    assert min(compared(stage)) > 2000


def test_b22_checks_of_errors_say_whose_they_count() -> None:
    """B22: in the steps and in the watch; what counts no failures says nothing of it."""
    watch = {"hold": "1m", "holdback": "10%"}
    stage = serving(rollout=policy(step("half", 50, 10), checks=(ERRORS, SLOW), watch=watch))
    stage.release(2)
    for phase in ("Progressing", "Watching"):
        stage.until_phase(phase)
        stage.run(5)
        told = {one.name: one.view for one in stage.world.rollouts(NAME)[-1].status.checks}
        assert told == {"errors": "ServerSideOnly", "slow": ""}
