"""Rolling back, sick pods, and an operator or API server that fails (B23 to B26, B28 to B30)."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from simulation.stage import BROKEN, ERRORS, NAME, SLOW, Stage, model, policy, quick, serving, step

from rampway.api import labels
from rampway.kube import kinds
from rampway.kube.errors import Conflict, KubeError, Transient
from rampway.metrics.memory import Mode
from rampway.sim.api_faults import When
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.world import SPACE, World


def on_trial(how: Behaviour | None = None, *, replicas: int = 2, **more: object) -> Stage:
    """Return a stage with v2 under half of the traffic, in a step without end."""
    rollout = policy(step("half", 50, 600), **more)  # type: ignore[arg-type]
    stage = serving(rollout=rollout, replicas=replicas)
    stage.release(2, how)
    stage.until_step("half")
    stage.run(5)
    return stage


def test_b23_the_weight_goes_first_and_waits_for_nothing() -> None:
    """With Prometheus gone and every status write refused, a crash still takes traffic back."""
    stage = on_trial()
    stage.harmed = True
    stage.world.source.mode = Mode.DOWN
    refusing = Transient("statuses are refused")
    stage.world.api.fail_next(
        refusing, times=50, predicate=lambda c: c.subresource == "status" or c.kind is kinds.EVENT
    )
    pods = [pod.name for pod in stage.world.cluster.pods(SPACE, stage.desired)]
    stage.world.cluster.crash(SPACE, pods[0], "OOMKilled")
    before = len(stage.world.api.calls)
    stage.world.run(2)
    assert stage.weight_pct == 0
    writes = [c for c in stage.world.api.calls[before:] if c.writes]
    assert writes[0].kind is kinds.HTTP_ROUTE
    stage.world.run(90)
    assert stage.phase == "RolledBack"


def test_b24_errors_return_everything_with_one_stable_pod() -> None:
    """Three of stable's four pods unready: a failing candidate loses all traffic all the same."""
    stage = on_trial(replicas=4)
    stage.harmed = True
    first = stage.stable
    for pod in stage.world.cluster.pods(SPACE, first)[:3]:
        stage.world.cluster.crash(SPACE, pod.name, "Error")
    stage.world.behave(first, Behaviour(startup_s=200))
    stage.world.behave(stage.desired, BROKEN)
    for _ in range(60):
        stage.world.step()
        if stage.weight_pct == 0:
            break
    assert stage.weight_pct == 0
    assert stage.ready(first) < 4


def test_b24_stable_without_a_ready_pod_keeps_traffic_where_it_is() -> None:
    """Nobody is sent to pods that cannot answer; traffic moves with the first that can."""
    stage = on_trial(replicas=4)
    stage.harmed = True
    first = stage.stable
    stage.world.behave(first, Behaviour(startup_s=60))
    for pod in stage.world.cluster.pods(SPACE, first):
        stage.world.cluster.delete_pod(SPACE, pod.name)
    stage.world.run(8)
    bad = stage.world.cluster.pods(SPACE, stage.desired)[0]
    stage.world.cluster.crash(SPACE, bad.name, "OOMKilled")
    for _ in range(30):
        stage.world.step()
        assert (stage.ready(first), stage.weight_pct) == (0, 50)
    assert stage.phase == "RollingBack"
    assert stage.world.condition(NAME, "Ready") == "False"
    assert "stable has no ready pod" in stage.world.status(NAME).message
    while not stage.ready(first):
        stage.world.step()
    assert stage.weight_pct == 0
    stage.until_phase("RolledBack", 10)


def test_b24_other_harm_returns_what_stable_can_carry() -> None:
    """A slow candidate gives back as much as stable's ready pods carry, the rest with each pod."""
    stage = on_trial(replicas=4, checks=(SLOW,))
    stage.harmed = True
    first = stage.stable
    stage.world.behave(first, Behaviour(startup_s=90))
    for pod in stage.world.cluster.pods(SPACE, first)[:3]:
        stage.world.cluster.crash(SPACE, pod.name, "Error")
        stage.world.run(20)
    stage.world.behave(stage.desired, Behaviour(slowdown=4.0))
    weights: dict[int, set[int]] = {}
    for _ in range(120):
        stage.world.step()
        if stage.phase in {"RollingBack", "RolledBack"}:
            weights.setdefault(stage.ready(first), set()).add(stage.weight_pct)
    # A pod of four carries 25 %, and 1.5 times that for a while: 37, 75 and all of it.
    assert weights == {1: {50}, 2: {25}, 3: {0}, 4: {0}}
    assert stage.phase == "RolledBack"


@pytest.mark.parametrize(("kind", "reason"), [
    ("OOMKilled", "CandidateOutOfMemory"),
    ("Error", "CandidateNotReady"),
])  # fmt: skip
def test_b25_a_sick_candidate_is_rolled_back_within_a_second(kind: str, reason: str) -> None:
    """Killed for memory, or its last ready pod lost: one second after the pod says so."""
    stage = on_trial(replicas=1)
    stage.harmed = True
    pod = stage.world.cluster.pods(SPACE, stage.desired)[0].name
    stage.world.cluster.crash(SPACE, pod, "OOMKilled" if kind == "OOMKilled" else "Error")
    stage.world.run(2)
    assert stage.weight_pct == 0
    assert stage.world.rollouts(NAME)[-1].status.reason == reason


def test_b25_two_crashed_containers_are_no_accident() -> None:
    """One crash among many pods is borne, the second one rolls back."""
    stage = on_trial(replicas=4)
    stage.harmed = True
    pods = [pod.name for pod in stage.world.cluster.pods(SPACE, stage.desired)]
    stage.world.cluster.crash(SPACE, pods[0], "Error")
    stage.world.run(5)
    assert stage.weight_pct > 0
    stage.world.cluster.crash(SPACE, pods[1], "Error")
    stage.world.run(2)
    assert stage.weight_pct == 0
    assert stage.world.rollouts(NAME)[-1].status.reason == "CandidateCrashed"


@pytest.mark.parametrize("how", ["evict", "delete_pod"])
def test_b25_a_drained_pod_is_not_the_models_fault(how: str) -> None:
    """The weight falls to what is ready, the rollout goes on with the new pod."""
    stage = on_trial(replicas=1)
    stage.harmed = True
    pod = stage.world.cluster.pods(SPACE, stage.desired)[0].name
    getattr(stage.world.cluster, how)(SPACE, pod)
    stage.world.run(3)
    assert stage.weight_pct == 0
    assert stage.phase != "RolledBack"
    stage.world.run(30)
    assert stage.weight_pct == 50


def test_b25_stable_that_crashes_alike_holds() -> None:
    """When stable is killed for its memory too, the candidate is not blamed."""
    stage = on_trial(replicas=2)
    stage.harmed = True
    for revision in (stage.stable, stage.desired):
        pod = stage.world.cluster.pods(SPACE, revision)[0].name
        stage.world.cluster.crash(SPACE, pod, "OOMKilled")
    stage.world.run(3)
    assert stage.phase == "Holding"
    assert stage.world.status(NAME).reason == "StableCrashesToo"


def test_b25_the_deadline_ends_a_candidate_that_never_gets_ready() -> None:
    """A pod that is never ready ends it; time in which no node takes it does not count."""
    stage = serving()
    stage.apply(rollout={"progressDeadline": "60s"})
    elapsed_s = stage.world.clock.elapsed_s
    stage.release(2, Behaviour(never_ready=True, unschedulable_until_s=elapsed_s + 100))
    stage.run(130)
    assert stage.phase == "Progressing"
    stage.run(50)
    assert stage.world.rollouts(NAME)[-1].status.reason == "ProgressDeadlineExceeded"


def test_b17_a_candidate_with_a_part_of_its_weight_is_judged() -> None:
    """B6, B17: no node takes its other pods, it answers a third of the requests, and fails them."""
    stage = serving(rollout=policy(step("tenth", 10), step("most", 70)), replicas=3)
    second = stage.release(2)
    stage.until_step("tenth")
    stage.world.behave(second, Behaviour(unschedulable_until_s=1e9))
    stage.until(lambda: stage.weight_pct == 33)
    stage.run(60)
    assert stage.world.status(NAME).reason == "WaitingForCapacity"
    stage.harmed = True
    since_s = stage.world.clock.elapsed_s
    stage.world.behave(second, replace(BROKEN, unschedulable_until_s=1e9, from_s=since_s))
    stage.until_phase("RolledBack", within_s=30)
    assert stage.world.rollouts(NAME)[-1].status.reason == "CheckFailed"


def test_b26_a_refused_revision_is_named_and_not_tried_again() -> None:
    """Ready, Promoted False, the bad one named; a retry only when the spec has changed."""
    stage = serving()
    stage.harmed = True
    bad = stage.release(2, BROKEN)
    stage.until_phase("RolledBack")
    stage.run(120)
    status = stage.world.status(NAME)
    assert f"{NAME}-{bad}" in status.message
    assert stage.world.condition(NAME, "Ready") == "True"
    assert stage.world.condition(NAME, "Promoted") == "False"
    assert len(stage.world.rollouts(NAME)) == 1
    stage.release(1)
    stage.until_phase("Healthy")
    stage.world.behave(bad, Behaviour())
    stage.release(2)
    stage.run(10)
    assert len(stage.world.rollouts(NAME)) == 2
    stage.until_phase("Healthy")
    assert stage.stable == bad


def told(stage: Stage, words: str) -> bool:
    """Whether a pod or a Deployment says so in its status."""
    objects = stage.world.store.list(kinds.POD, SPACE) + stage.deployments()
    return any(words in str(obj.get("status")) for obj in objects)


@pytest.mark.parametrize(("how", "words"), [
    (Behaviour(image_pull_error="Back-off pulling image x: not found"), "pulling image x: not"),
    (Behaviour(missing_secret="store"), 'secret "store" not found'),  # noqa: S106 - a name
    (Behaviour(fails_to_load="model store refused http://m/2: 404 Not Found"), "404 Not Found"),
    (Behaviour(fails_to_load="/var/cache: No space left on device"), "No space left on device"),
    (Behaviour(sha256="b" * 64), "wrong digest"),
    (Behaviour(unschedulable_until_s=1e9), "Insufficient memory"),
    (Behaviour(quota_message="exceeded quota: team"), "exceeded quota: team"),
])  # fmt: skip
@pytest.mark.parametrize("first", [False, True], ids=["candidate", "first"])
def test_b28_what_keeps_a_revision_from_starting_is_in_the_status(
    how: Behaviour, words: str, first: bool
) -> None:
    """Within 10 s of the cluster's saying so, in the kubelet's or the server's words."""
    spec = {"model": model(2) | {"sha256": "a" * 64}}
    if first:
        stage = Stage(World())
        stage.apply(replicas=2, rollout={"policy": policy()}, **spec)
    else:
        stage = serving()
        stage.apply(**spec)
    stage.world.behave(stage.desired, how)
    stage.until(lambda: told(stage, words), within_s=60)
    stage.until(lambda: words in stage.world.status(NAME).message, within_s=10)


def story(stage: Stage, how: Behaviour | None) -> tuple[str, int, bool]:
    """Play a release to its end; return phase, number of rollouts, and whether v2 is stable."""
    stage.harmed = how is not None
    second = stage.release(2, how)
    for _ in range(400):
        stage.world.step()
        if stage.phase in {"Healthy", "RolledBack"} and stage.desired in {stage.stable, second}:
            ended = stage.world.rollouts(NAME)
            if ended and ended[-1].status.phase in {"Promoted", "RolledBack"}:
                break
    stage.world.run(30)
    return stage.phase, len(stage.world.rollouts(NAME)), stage.stable == second


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("how", "end"), [
    (None, ("Healthy", 1, True)),
    (BROKEN, ("RolledBack", 1, False)),
], ids=["promotion", "rollback"])  # fmt: skip
def test_b29_killed_at_any_write_the_next_one_ends_the_same(
    when: str, how: Behaviour | None, end: tuple[str, int, bool]
) -> None:
    """Killed before or after its k-th write, for every k: same end, every object made once."""
    killed = 0
    for k in range(1, 200):
        stage = serving(rollout=policy(step("half", 50, 5), checks=(ERRORS,)))
        stage.world.api.crash_after(k, when="before" if when == "before" else "after")
        assert story(stage, how) == end, f"killed {when} write {k}"
        if not stage.world.restarts:
            break
        killed += 1
        assert stage.backends() == {NAME: 1}
        assert len(stage.deployments()) == 2
        if how is None:
            assert stage.ledger.all.failed == 0
    assert killed >= 10


def crashing() -> Stage:
    """Return a stage with a candidate under traffic whose container is killed next."""
    stage = serving(rollout=quick(step("half", 50, 600)))
    stage.release(2)
    stage.until_step("half")
    stage.harmed = True
    pod = stage.world.cluster.pods(SPACE, stage.desired)[0]
    stage.world.cluster.crash(SPACE, pod.name, "OOMKilled")
    return stage


def late() -> Stage:
    """Return a stage with a candidate that never gets ready, a second before its deadline."""
    stage = serving(rollout=quick(step("half", 50, 600)))
    stage.apply(rollout={"progressDeadline": "10s"})
    stage.release(2, Behaviour(never_ready=True))
    stage.run(9)
    return stage


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("begin", "reason"), [
    (crashing, "CandidateOutOfMemory"),
    (late, "ProgressDeadlineExceeded"),
])  # fmt: skip
def test_b29_killed_while_it_rolls_back_the_next_one_finishes(
    begin: Callable[[], Stage], reason: str, when: When
) -> None:
    """Killed at any write of a rollback: no traffic comes back, and reason and verdict stand."""
    for k in range(1, 30):
        stage = begin()
        stage.world.api.crash_after(k, when=when)
        shares = []
        for _ in range(15):
            stage.world.step()
            shares.append(stage.weight_pct)
        if not stage.world.restarts:
            break
        assert shares == sorted(shares, reverse=True), f"killed {when} write {k}: {shares}"
        status = stage.world.rollouts(NAME)[-1].status
        assert (status.phase, status.reason) == ("RolledBack", reason), f"killed {when} write {k}"
        notes = stage.workload(stage.desired)["metadata"]["annotations"]
        assert notes.get(labels.VERDICT, "").startswith(f"RolledBack: {reason}"), f"{when} {k}"
    assert k > 4


def test_b29_what_is_there_already_ends_no_pass() -> None:
    """Somebody's Service has the name that we need: all else goes on, status says what lacks."""
    stage = serving(rollout=quick())
    stage.apply(paused=True)
    name = labels.revision_name(NAME, stage.release(2))
    theirs = {
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }
    stage.world.store.create(kinds.SERVICE, theirs)
    stage.apply(paused=False)
    stage.run(20)
    status = stage.world.status(NAME)
    assert "1 of 1 candidate pods ready, 0 of them reached by the Service" in status.message
    assert stage.backends() == {NAME: 1}
    stage.world.store.delete(kinds.SERVICE, SPACE, name)
    stage.until_phase("Healthy")
    assert stage.stable == stage.desired


LISTED = (kinds.DEPLOYMENT, kinds.POD, kinds.SERVICE, kinds.ENDPOINT_SLICE, kinds.MODEL_ROLLOUT)


@pytest.mark.parametrize("kind", LISTED, ids=lambda kind: str(kind.plural))
def test_b30_what_cannot_be_read_is_not_taken_for_empty(kind: kinds.Kind) -> None:
    """A list that fails three times running, in a rollout and at rest: nothing changes by it."""
    stage = serving(rollout=quick(step("half", 50, 60)))
    first, pods = stage.stable, stage.running(stage.stable)
    stage.release(2)
    stage.until_step("half")
    for at in ("half", "rest"):
        before = stage.backends()
        stage.world.api.fail_next(
            Transient("cannot be listed"),
            times=3,
            predicate=lambda c: (c.verb, c.kind) == ("list", kind),
        )
        for _ in range(20):
            stage.run(1)
            assert stage.backends() == before, f"{at}: {stage.summary}"
            assert stage.phase in {"Progressing", "Healthy"}, f"{at}: {stage.summary}"
        if at == "half":
            stage.apply(model=model(1))
            stage.until_phase("Healthy")
            stage.run(5)
        else:
            stage.world.wake((SPACE, NAME))
    assert (stage.stable, stage.running(first)) == (first, pods)
    assert len(stage.world.rollouts(NAME)) == 1
    assert stage.ledger.all.failed == 0


def test_b30_no_traffic_is_given_by_what_was_read_before() -> None:
    """The watch is cut, and the pod that a step needs is lost: the step is not begun without it."""
    stage = serving(rollout=quick(step("ten", 10, 6), step("half", 50, 60)))
    stage.harmed = True
    second = stage.release(2)
    stage.until_step("ten")
    stage.world.deaf = True
    stage.run(3)
    stage.world.behave(second, Behaviour(startup_s=40))
    for pod in stage.world.cluster.pods(SPACE, second):
        stage.world.cluster.delete_pod(SPACE, pod.name)
    for _ in range(25):
        stage.world.step()
        assert stage.weight_pct <= 10, stage.summary
    assert stage.weight_pct == 0  # a lost event costs no more than 10 s
    stage.world.run(60)
    assert stage.weight_pct == 50


FAULTS: dict[str, KubeError] = {
    "conflict": Conflict("somebody wrote in between"),
    "429": Transient("too many requests", 1.0),
    "500": Transient("internal error"),
    "timeout": Transient("no answer within 10 s"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_b30_faults_of_the_api_server_lose_and_double_nothing(fault: str, when: str) -> None:
    """Every seventh call of a whole rollout fails, or takes effect and loses its answer."""
    stage = serving(rollout=quick(step("half", 50, 5)))
    for n in range(1, 30):
        stage.world.api.fail_next(
            FAULTS[fault], after_calls=7 * n, when="before" if when == "before" else "after"
        )
    assert story(stage, None) == ("Healthy", 1, True)
    assert stage.ledger.all.failed == 0
    assert len(stage.deployments()) == 2


@pytest.mark.parametrize("lag_s", [10.0, 1e9])
def test_b30_a_watch_that_lags_or_hears_nothing_loses_nothing(lag_s: float) -> None:
    """Ten seconds late, or silent for ever: the resync finds what the watch did not tell."""
    world = World()
    stage = serving(rollout=policy(step("half", 50, 5), checks=(ERRORS, SLOW)), world=world)
    world.watch_lag_s = lag_s
    assert story(stage, None) == ("Healthy", 1, True)
