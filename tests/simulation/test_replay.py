"""Replay: a rollout of the simulated cluster, judged again from what its Prometheus kept."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from simulation.stage import BROKEN, NAME, SLOW, Stage, policy, serving, step

from rampway.api.parse import ModelRollout
from rampway.api.policy import Policy
from rampway.cli import measured, replaying
from rampway.cli.policyfile import NoPolicy
from rampway.core.checks.counters import Scrape
from rampway.core.checks.judged import CheckState
from rampway.core.instants import from_wire
from rampway.metrics.memory import MemorySource
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import World


def other(**errors: Any) -> Policy:
    """Return a policy whose check of errors has these fields."""
    checks = ({"name": "errors", "errorRate": errors}, SLOW)
    return Policy.model_validate(policy(checks=checks), by_name=False)


def broken() -> tuple[Stage, ModelRollout]:
    """Return a stage whose second revision was rolled back."""
    stage = serving()
    stage.release(2, BROKEN)
    stage.harmed = True
    stage.until(lambda: stage.world.status(NAME).phase == "RolledBack", 300)
    return stage, stage.world.rollouts(NAME)[-1]


def promoted(stage: Stage) -> bool:
    """Whether the last rollout is over, and well."""
    return any(one.status.phase == "Promoted" for one in stage.world.rollouts(NAME)[-1:])


def again(stage: Stage, rollout: ModelRollout, under: Policy) -> replaying.Verdict:
    """Judge a rollout again by another policy."""
    what = replaying.recorded(rollout, stage.world.clock())
    return asyncio.run(replaying.replay(stage.world.source, under, what))


def test_b41_its_own_policy_comes_to_the_same() -> None:
    """B41: the check that rolled it back fails again, within a look of when it did."""
    stage, rollout = broken()
    verdict = again(stage, rollout, rollout.spec.policy)
    since_s, until_s = (
        from_wire(rollout.status.traffic_since),
        from_wire(rollout.status.ended_at),
    )
    assert since_s is not None
    assert until_s is not None
    assert [failure.check for failure in verdict.failures] == ["errors"]
    assert verdict.failures[0].at_s == pytest.approx(until_s - since_s, abs=replaying.LOOK_S + 1)
    assert "requests failed on the candidate" in verdict.failures[0].message
    assert verdict.lacking == []


def test_a_policy_that_tolerates_it_fails_nothing() -> None:
    """The same counts under a check that ignores half of all answers."""
    stage, rollout = broken()
    verdict = again(stage, rollout, other(ignoreBelow="50%"))
    assert verdict.failures == []


def test_b41_another_policy_may_ask_for_stables_past() -> None:
    """B41: what stable did before is read as the operator reads it, of one pod as well."""
    stage = serving(replicas=1)
    stage.run(900)
    stage.release(2, BROKEN)
    stage.harmed = True
    stage.until(lambda: stage.world.status(NAME).phase == "RolledBack", 300)
    asked = other(against="Past", ignoreBelow="1%", detect="5x")
    found = again(stage, stage.world.rollouts(NAME)[-1], asked).failures
    assert [failure.check for failure in found] == ["errors"]
    assert "on stable before the rollout" in found[0].message


def test_b41_another_policy_may_ask_for_the_past_of_users() -> None:
    """B41: so are their own counters, though the rollout itself was not judged by them."""
    stage = serving(replicas=1)
    stage.world.behave(stage.stable, Behaviour(base_order_rate=0.1))
    stage.run(900)
    stage.release(2, Behaviour(base_order_rate=0.1, order_rate=0.02))
    stage.until(lambda: promoted(stage), 900)
    visits, orders = ({"metric": f"shop_{name}_total"} for name in ("visits", "orders"))
    counts = {"exposures": visits, "events": orders, "against": "Past", "harmWhen": "Less"}
    asked = policy(checks=({"name": "orders", "counts": counts | {"detect": "2x"}},))
    under = Policy.model_validate(asked, by_name=False)
    found = again(stage, stage.world.rollouts(NAME)[-1], under).failures
    assert [failure.check for failure in found] == ["orders"]
    assert "on stable before the rollout" in found[0].message


def test_a_good_rollout_passes_each_step_when_it_did() -> None:
    """For each step it tells after how long all checks passed."""
    stage = serving(rollout=policy(step("ten", 10, 20), step("half", 50, 20)))
    stage.release(2)
    stage.until(lambda: promoted(stage), 900)
    verdict = again(stage, stage.world.rollouts(NAME)[-1], other(ignoreBelow="1%", detect="5x"))
    assert verdict.failures == []
    assert set(verdict.passed) == {"ten", "half"}
    assert all(after_s is not None for after_s in verdict.passed.values())
    assert verdict.last is not None
    assert all(r.state is CheckState.PASS for r in verdict.last.results)


def test_b41_a_history_that_is_gone_is_told() -> None:
    """B41: without scrapes of that time there is nothing to judge, and no verdict is made up."""
    stage, rollout = broken()
    what = replaying.recorded(rollout, stage.world.clock())
    everything = asyncio.run(replaying.scrapes(stage.world.source, rollout.spec.policy, what))
    for kept in ((), what.names[1:]):
        stage.world.source = MemorySource()
        for scrape in everything:
            if scrape.revision in kept:
                stage.world.source.record(scrape)
        with pytest.raises(replaying.NoHistory, match="no scrape of the candidate"):
            again(stage, rollout, rollout.spec.policy)


def kept(stage: Stage, rollout: ModelRollout, keep: Callable[[Scrape, float], bool]) -> None:
    """Let Prometheus have kept these scrapes only, by when they were after the first request."""
    what = replaying.recorded(rollout, stage.world.clock())
    everything = asyncio.run(replaying.scrapes(stage.world.source, rollout.spec.policy, what))
    stage.world.source = MemorySource()
    for scrape in everything:
        if keep(scrape, scrape.at_s - what.since_s):
            stage.world.source.record(scrape)


def tolerated() -> tuple[Stage, ModelRollout]:
    """Return a stage whose policy promoted a bad revision in two minutes."""
    lax = {"name": "errors", "errorRate": {"ignoreBelow": "60%", "detect": "1.6x"}}
    stage = serving(rollout=policy(step("half", 50, 120), checks=(lax,)))
    stage.release(2, BROKEN)
    stage.harmed = True
    stage.until(lambda: promoted(stage), 900)
    return stage, stage.world.rollouts(NAME)[-1]


def test_b41_scrapes_at_moments_of_their_own_are_put_together() -> None:
    """B41: each revision each 15 s, 7 s apart: what one counted waits for the other, unread."""
    stage, rollout = tolerated()
    phase_s = {rollout.spec.candidate.revision: 0, rollout.spec.stable.revision: 7}
    kept(stage, rollout, lambda s, at_s: int(at_s) % 15 == phase_s[s.revision[-10:]])
    strict = other(ignoreBelow="1%", detect="5x")
    found = again(stage, rollout, strict).failures
    assert [failure.check for failure in found] == ["errors"]
    assert found[0].at_s < 110  # five or six scrapes of both, as no look gains more


def test_b41_a_history_no_longer_than_the_rollout_has_all_of_the_candidate() -> None:
    """B41: its pods are new, so what their first scrape has counted is of this rollout."""
    stage, rollout = tolerated()
    kept(stage, rollout, lambda s, at_s: at_s > (-3 if s.revision.endswith(
        rollout.spec.stable.revision) else 5))  # fmt: skip
    verdict = again(stage, rollout, rollout.spec.policy)
    assert verdict.last is not None
    assert verdict.last.state is not None
    total = verdict.last.state.paired["errors"].processes[0].total
    answered = verdict.last.state.ledger.total(f"{NAME}-{rollout.spec.candidate.revision}")
    assert total.candidate_n == answered.requests


def test_b41_what_a_check_waited_for_at_the_end_is_told() -> None:
    """B41: in the operator's words; not that nothing would ever do, as nobody had reckoned it."""
    stage = serving(rollout=policy(step("half", 50, 20)))
    stage.release(2)
    stage.until(lambda: promoted(stage), 900)
    rollout = stage.world.rollouts(NAME)[-1]
    verdict = again(stage, rollout, other(ignoreBelow="0.1%", detect="3x"))
    assert verdict.last is not None
    message = next(r.message for r in verdict.last.results if r.name == "errors")
    assert "more requests on the candidate" in message
    assert verdict.passed == {"half": None}


def test_a_rollout_without_requests_has_nothing_to_replay() -> None:
    """One that never began is refused."""
    stage, rollout = broken()
    empty = rollout.status.model_copy(update={"traffic_since": ""})
    never = type(rollout)(**{**_fields(rollout), "status": empty})
    with pytest.raises(replaying.NoHistory, match="never got a request"):
        again(stage, never, rollout.spec.policy)


def _fields(rollout: ModelRollout) -> dict[str, Any]:
    return {name: getattr(rollout, name) for name in rollout.__dataclass_fields__}


def test_live_traffic_is_measured_by_both_ends_of_a_window() -> None:
    """Rate, failures and durations are those that the clients' side sent."""
    stage = serving()
    stage.run(300)
    deployment = _deployment(stage.world)
    now_s = stage.world.clock()
    found = asyncio.run(measured.measure(stage.world.source, deployment, (), 280.0, now_s))
    assert found.rate_per_s == pytest.approx(100, rel=0.1)
    assert found.error_rate == 0
    assert found.durations[-1][1] == 1.0
    with pytest.raises(NoPolicy, match="expected 100 at least"):
        asyncio.run(measured.measure(MemorySource(), deployment, (), 280.0, now_s))


def _deployment(world: World) -> Any:
    from rampway.api.parse import parse_deployment
    from rampway.kube import kinds
    from rampway.sim.world import SPACE

    return parse_deployment(world.store.get(kinds.MODEL_DEPLOYMENT, SPACE, NAME))
