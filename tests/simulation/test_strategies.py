"""Every strategy: what reaches the candidate and when, in good times and bad (B6, B10 to B18)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from simulation.stage import (
    BROKEN,
    ERRORS,
    NAME,
    Stage,
    approval,
    match,
    mirror,
    model,
    policy,
    quick,
    ramp,
    serving,
    step,
)

from rampway.api.steps import HeaderMatch
from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.kube import kinds
from rampway.kube.errors import Transient
from rampway.routers.door import SETTLE_S
from rampway.sim.cluster_behaviour import Behaviour, Surroundings
from rampway.sim.world import SPACE, World

BETA = {"x-beta": "yes"}
HEADERS = (HeaderMatch(name="x-beta", value="yes"),)
BLUE_GREEN = {"strategy": "BlueGreen"}
Parts = dict[str, Any]

# Of each strategy its steps, and the splits that requests go through, each once and in this order;
# of two pods the first one carries half, before the second one is there.
STRATEGIES: dict[str, tuple[list[Parts], Parts, list[Parts]]] = {
    "weights": (
        [step("ten", 10), step("half", 50)], {},
        [{"weight_pct": 10}, {"weight_pct": 50}, {"weight_pct": 100}],
    ),
    "linear ramp": (
        [ramp("up", 20, 23, 12, "Linear")], {},
        [{"weight_pct": w} for w in (20, 21, 22, 23, 100)],
    ),
    "exponential ramp": (
        [ramp("up", 1, 100, 30, "Exponential")], {},
        [{"weight_pct": w} for w in (1, 2, 3, 5, 8, 13, 22, 36, 50, 60, 100)],
    ),
    "shadow, then weights": (
        [mirror("little", 10), mirror("all", 100), step("half", 50)], {},
        [{"mirror_pct": 10}, {"mirror_pct": 50}, {"mirror_pct": 100},
         {"weight_pct": 50}, {"weight_pct": 100}],
    ),
    "A/B, then everything": (
        [match("beta", x_beta="yes")], {}, [{"headers": HEADERS}, {"weight_pct": 100}],
    ),
    "an approval before and between": (
        [approval("first"), step("ten", 10), approval("then")], {},
        [{"weight_pct": 10}, {"weight_pct": 100}],
    ),
    "blue-green with a preview": (
        [match("preview", x_beta="yes"), approval("look")], BLUE_GREEN,
        [{"headers": HEADERS}, {"weight_pct": 100}],
    ),
    "blue-green with nothing but consent": (
        [approval("look")], BLUE_GREEN, [{"weight_pct": 100}],
    ),
    "blue-green behind a shadow": (
        [mirror("shadow", 20), approval("look")], BLUE_GREEN,
        [{"mirror_pct": 20}, {"weight_pct": 100}],
    ),
}  # fmt: skip
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
EXPOSING = {name: found for name, found in STRATEGIES.items() if len(found[2]) > 1}


def begun(strategy: str, *, replicas: int = 2, world: World | None = None,
          checks: tuple[Parts, ...] = (), **more: Any) -> Stage:  # fmt: skip
    """Return a stage on which v1 serves by this strategy; one client in five bears the header."""
    steps, how, _ = STRATEGIES[strategy]
    rollout = policy(*steps, checks=checks) | how | more
    stage = serving(rollout=rollout, replicas=replicas, world=world)
    stage.world.cluster.bear(SPACE, NAME, 0.2, BETA)
    return stage


def agree(stage: Stage) -> None:
    """Give every consent that is asked for."""
    if not stage.world.rollouts(NAME) or stage.world.status(NAME).reason != "WaitingForApproval":
        return
    found = stage.rollout
    if found.status.step.name not in {given.step for given in found.spec.requests.approve}:
        stage.ask(approve=found.status.step.name)


def unchosen(split: Split) -> Split:
    """Return a split without the requests that are chosen."""
    return replace(split, headers=()).or_rest()


def seen(stage: Stage, candidate: str, met: Callable[[], bool], within_s: int = 200) -> list[Split]:
    """Let time go on, consenting to everything; return the splits that there were, in order."""
    found: list[Split] = []
    for _ in range(within_s):
        if met():
            return found
        agree(stage)
        stage.run(1)
        now = stage.split
        if now.candidate == f"{NAME}-{candidate}" and now not in found[-1:]:
            found.append(now)
    raise AssertionError(f"not within {within_s} s; {stage.summary}")


def wanted(strategy: str, candidate: str) -> list[Split]:
    """Return the splits that a strategy goes through."""
    return [Split(f"{NAME}-{candidate}", **parts) for parts in STRATEGIES[strategy][2]]


def promoted(stage: Stage, candidate: str) -> Callable[[], bool]:
    """Return whether everything is at rest with the candidate as stable."""
    return lambda: stage.stable == candidate and stage.phase == "Healthy"


def start_of(stage: Stage, strategy: str, candidate: str) -> Split:
    """Let time go on until the candidate gets its first requests; return the split."""
    first = wanted(strategy, candidate)[0]

    def there() -> bool:
        agree(stage)
        return stage.split == first

    stage.until(there, 100)
    return first


@every_strategy
def test_b18_a_good_candidate_goes_through_every_stage(strategy: str) -> None:
    """Each stage in order, each once, no request lost, and then it is stable."""
    stage = begun(strategy)
    second = stage.release(2)
    found = seen(stage, second, promoted(stage, second))
    assert found == wanted(strategy, second)
    stage.run(60)
    assert stage.ledger.all.failed == 0
    assert stage.split == STABLE_ONLY


@pytest.mark.parametrize("strategy", EXPOSING)
def test_b24_a_bad_candidate_is_rolled_back_in_its_first_stage(strategy: str) -> None:
    """Its errors are seen where it first gets requests, and it never gets another split."""
    stage = begun(strategy, checks=(ERRORS,))
    first, second = stage.stable, stage.release(2, BROKEN)
    stage.harmed = True
    found = seen(stage, second, lambda: stage.phase == "RolledBack", 400)
    assert found == wanted(strategy, second)[:1]
    assert (stage.stable, stage.split) == (first, STABLE_ONLY)
    assert stage.world.condition(NAME, "Promoted") == "False"
    if found[0].mirror_pct:
        assert stage.ledger.all.failed == 0, "of a copy no client sees anything"
        assert second not in stage.ledger.by_revision


@pytest.mark.parametrize("strategy", EXPOSING)
def test_b24_a_candidate_that_goes_bad_later_is_rolled_back_there(strategy: str) -> None:
    """Whatever stage it is in, harm takes everything away and ends the rollout."""
    stage = begun(strategy, checks=(ERRORS,))
    second = stage.release(2)
    splits = wanted(strategy, second)
    later = splits[min(1, len(splits) - 2)]
    seen(stage, second, lambda: stage.split == later, 600)
    stage.harmed = True
    stage.world.behave(second, BROKEN)
    stage.until_phase("RolledBack", 120)
    assert stage.split == STABLE_ONLY
    assert stage.decided("RollingBack")[0].reason == "CheckFailed"


def test_b18_copies_count_as_the_candidates_requests() -> None:
    """`minRequests` of a mirror step is met by copies, and its check has had power on them."""
    rollout = policy(mirror("shadow", 50, 2, minRequests=1500), step("half", 50), checks=(ERRORS,))
    stage = serving(rollout=rollout)
    second = stage.release(2)
    stage.until(lambda: stage.split.weight_pct == 50, 300)
    assert stage.ledger.copies[second] >= 1500
    assert second not in stage.ledger.by_revision


def test_b18_a_preview_waits_for_who_bears_its_header() -> None:
    """Without one judged request an A/B step does not end, however long it lasts."""
    stage = serving(rollout=policy(match("beta", 5, x_beta="yes"), checks=(ERRORS,)))
    stage.release(2)
    stage.until_step("beta")
    stage.run(120)
    assert stage.rollout.status.step.name == "beta"
    stage.world.cluster.bear(SPACE, NAME, 0.3, BETA)
    stage.until_phase("Healthy", 400)


def test_b24_only_who_bears_the_header_sees_a_bad_candidate() -> None:
    """A/B: everybody else is with stable throughout."""
    stage = serving(rollout=policy(match("beta", 5, x_beta="yes"), checks=(ERRORS,)))
    beta = stage.world.cluster.bear(SPACE, NAME, 0.2, BETA)
    second = stage.release(2, BROKEN)
    stage.harmed = True
    stage.until_phase("RolledBack", 200)
    assert 0 < beta.all.failed == stage.ledger.all.failed
    assert beta.by_revision[second].total == stage.ledger.by_revision[second].total


@every_strategy
@pytest.mark.parametrize("replicas", [1, 3])
def test_b06_nothing_reaches_a_candidate_beyond_its_pods(strategy: str, replicas: int) -> None:
    """Pods that start slowly and are reached late are waited for, at every stage."""
    slow = Surroundings(scrape_interval_s=1.0, endpoints_delay_s=3.0)
    stage = begun(strategy, replicas=replicas, world=World(surroundings=slow))
    second = stage.release(2, Behaviour(startup_s=10))
    seen(stage, second, promoted(stage, second), 400)
    assert stage.ledger.all.failed == 0


@pytest.mark.parametrize(
    "rollout",
    [
        policy(approval("look"), checks=(), strategy="BlueGreen"),
        policy(match("beta", 5, x_beta="yes"), checks=()),
    ],
)
def test_b06_full_size_comes_before_the_first_request(rollout: Parts) -> None:
    """Blue-green and A/B: every pod of the candidate is ready before a request reaches it."""
    stage = serving(rollout=rollout, replicas=4)
    stage.world.cluster.bear(SPACE, NAME, 0.2, BETA)
    second = stage.release(2, Behaviour(startup_s=5))
    for _ in range(100):
        if stage.world.rollouts(NAME):
            agree(stage)
            if not stage.split.at_rest or stage.world.status(NAME).reason == "WaitingForApproval":
                assert stage.ready(second) == 4
        if second in stage.ledger.by_revision:
            return
        stage.run(1)
    raise AssertionError(f"no request ever reached it: {stage.summary}")


def test_b06_copies_fall_with_the_pods_that_take_them() -> None:
    """A mirror step whose candidate loses a pod copies less, and as much again once it is back."""
    stage = serving(rollout=quick(mirror("all", 100, 300)), replicas=4)
    second = stage.release(2, Behaviour(startup_s=10))
    stage.until_step("all")
    stage.world.cluster.delete_pod(SPACE, stage.world.cluster.pods(SPACE, second)[0].name)
    stage.run(1)
    assert stage.split.mirror_pct == 75
    stage.until(lambda: stage.split.mirror_pct == 100, 60)
    stage.until(lambda: bool(stage.rollout.status.step.in_force_since), 5)


@pytest.mark.parametrize("strategy", EXPOSING)
def test_b10_a_pause_keeps_every_strategy_where_it_is(strategy: str) -> None:
    """Paused, the split and the step stay; afterwards it goes on to the end."""
    stage = begun(strategy)
    second = stage.release(2)
    first = start_of(stage, strategy, second)
    stage.apply(paused=True)
    stage.run(1)
    at = stage.rollout.status.step.index
    for _ in range(60):
        agree(stage)
        stage.run(1)
        assert (stage.split, stage.rollout.status.step.index) == (first, at)
    assert stage.phase == "Paused"
    stage.apply(paused=False)
    seen(stage, second, promoted(stage, second))


@pytest.mark.parametrize("strategy", EXPOSING)
def test_b10_a_pause_protects_no_bad_candidate(strategy: str) -> None:
    """Paused in its first stage, it is rolled back all the same."""
    stage = begun(strategy, checks=(ERRORS,))
    second = stage.release(2)
    start_of(stage, strategy, second)
    stage.apply(paused=True)
    stage.harmed = True
    stage.world.behave(second, BROKEN)
    stage.until_phase("RolledBack", 200)


@pytest.mark.parametrize("strategy", EXPOSING)
def test_b14_a_foreign_write_falls_to_stable_and_is_put_back(strategy: str) -> None:
    """A GitOps sync writes the route at rest: within two seconds the split is there again.

    A rule for chosen requests takes its time at the door besides (decision 0039).
    """
    stage = begun(strategy)
    resting = stage.route()["spec"]
    second = stage.release(2)
    first = start_of(stage, strategy, second)
    stage.world.store.patch(kinds.HTTP_ROUTE, SPACE, NAME, {"spec": resting})
    assert stage.split == STABLE_ONLY
    stage.until(lambda: stage.split == first, 2 + (int(SETTLE_S) if first.headers else 0))
    found = seen(stage, second, promoted(stage, second))
    assert found == wanted(strategy, second)


@pytest.mark.parametrize("strategy", EXPOSING)
def test_b14_a_foreign_choice_never_reaches_the_candidate(strategy: str) -> None:
    """Somebody gives the candidate everything and everybody: it keeps what it was given."""
    stage = begun(strategy)
    second = stage.release(2)
    first = start_of(stage, strategy, second)
    stage.run(2)
    ref = {"group": "", "kind": "Service", "name": f"{NAME}-{second}", "port": 80, "weight": 90}
    spec = stage.route()["spec"]
    rules = [dict(spec["rules"][0]) | {"backendRefs": [ref | {"name": NAME, "weight": 10}, ref]}]
    stage.world.store.patch(kinds.HTTP_ROUTE, SPACE, NAME, {"spec": {"rules": rules}})
    stage.world.step()
    stage.world.step()
    assert unchosen(stage.split) == unchosen(first)
    stage.until(lambda: stage.split == first, 2 + int(SETTLE_S))


@pytest.mark.parametrize("strategy", EXPOSING)
@pytest.mark.parametrize("spec", [{"model": model(3)}, {"model": model(1)}], ids=["v3", "v1"])
def test_b07_b08_another_spec_takes_everything_back(strategy: str, spec: Parts) -> None:
    """A newer revision starts afresh, stable's own content ends it: no request is lost."""
    stage = begun(strategy)
    first = stage.stable
    second = stage.release(2)
    start_of(stage, strategy, second)
    stage.apply(**spec)
    stage.until(lambda: stage.split.candidate != f"{NAME}-{second}", 5)
    seen(stage, stage.desired, promoted(stage, stage.desired), 300)
    ends = [r.status.phase for r in stage.world.rollouts(NAME)]
    assert ends == (["Aborted"] if stage.desired == first else ["Superseded", "Promoted"])


@pytest.mark.parametrize("strategy", EXPOSING)
def test_b29_b30_an_operator_killed_at_each_write_ends_the_same_way(strategy: str) -> None:
    """Killed after each third write, and with every fifth call failing: the same stages."""
    stage = begun(strategy)
    api = stage.world.api
    second = stage.release(2)
    found: list[Split] = []
    api.crash_after(3)
    for second_s in range(300):
        if promoted(stage, second)():
            break
        agree(stage)
        if second_s % 4 == 0:
            api.crash_after(3)
        if second_s % 5 == 0:
            api.fail_next(Transient("500"), predicate=lambda call: call.writes)
        stage.run(1)
        now = stage.split
        if now.candidate == f"{NAME}-{second}" and now not in found[-1:]:
            found.append(now)
    assert promoted(stage, second)(), stage.summary
    assert found == wanted(strategy, second)
    assert stage.world.restarts > 3
    assert stage.ledger.all.failed == 0
