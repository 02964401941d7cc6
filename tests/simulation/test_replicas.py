"""No gateway: shares are numbers of pods behind one Service, and only what they can give."""

from dataclasses import dataclass
from typing import Any

import pytest
from simulation.stage import (
    BROKEN,
    NAME,
    SETTLE_S,
    Stage,
    approval,
    match,
    mirror,
    model,
    policy,
    quick,
    step,
)
from simulation.test_tenancy import belongings

from rampway.api import labels
from rampway.api.parse import parse_deployment
from rampway.core.traffic.split import Split
from rampway.kube import kinds
from rampway.kube.base import Obj
from rampway.metrics.memory import Mode
from rampway.routers.replicas import ReplicasRouter
from rampway.sim import loop
from rampway.sim.cluster_behaviour import Behaviour
from rampway.sim.traffic import Ledger, Rate
from rampway.sim.world import SPACE, World

LIVE = f"{NAME}-live"
WITHOUT = {"type": "Replicas"}


@dataclass(slots=True)
class Direct(Stage):
    """A stage whose clients call the Service `<name>-live`.

    Each second is watched: the Service `<name>` selects stable alone, and of the others' pods those
    of one revision at most are behind the Service that clients call.
    """

    def send(self, rate_per_s: Rate = 100.0) -> Ledger:
        """Let clients call the Service."""
        self.ledger = self.world.cluster.call(SPACE, LIVE, rate_per_s)
        return self.ledger

    def service(self, name: str = LIVE) -> Obj:
        """Return a Service."""
        return self.world.store.get(kinds.SERVICE, SPACE, name)

    @property
    def selector(self) -> dict[str, str]:
        """What the Service selects that clients call."""
        found: dict[str, str] = self.service()["spec"]["selector"]
        return found

    @property
    def split(self) -> Split:
        """Who gets which requests."""
        owner = parse_deployment(self.world.store.get(kinds.MODEL_DEPLOYMENT, SPACE, NAME))
        return loop.run(ReplicasRouter(self.world.api).observe(owner), eager=True).split

    @property
    def weight_pct(self) -> int:
        """The candidate's share by numbers of pods."""
        return self.split.weight_pct

    def pods(self, revision: str) -> int:
        """Return how many pods of a revision are asked for."""
        found: int = self.workload(revision)["spec"]["replicas"]
        return found

    def _watch_capacity(self) -> None:
        behind = {
            found["metadata"]["labels"][labels.REVISION]
            for found in self.world.store.list(kinds.POD, SPACE)
            if self.selector.items() <= found["metadata"]["labels"].items()
            and "deletionTimestamp" not in found["metadata"]
        }
        assert len(behind - {self.stable}) <= 1, self.summary
        named = self.service(NAME)["spec"]["selector"][labels.REVISION]
        assert named == self.stable or self.phase == "Progressing", self.summary


def without(
    rollout: dict[str, Any] | None = None, *, replicas: int = 3, world: World | None = None,
    rate_per_s: Rate = 100.0, **spec: Any,
) -> Direct:  # fmt: skip
    """Return a stage on which v1 serves by its Service, under traffic."""
    stage = Direct(world or World())
    steps = rollout or policy(step("quarter", 25, 20), step("half", 50, 20))
    wanted: Obj = {"model": model(1), "replicas": replicas, "traffic": WITHOUT}
    stage.apply(**wanted | {"rollout": {"policy": steps}} | spec)
    stage.until_phase("Healthy", SETTLE_S)
    stage.run(10)
    stage.send(rate_per_s)
    stage.run(10)
    return stage


def accepted(stage: Stage) -> tuple[str, str, str]:
    """Return status, reason and message of the condition Accepted."""
    found = {c.type: c for c in stage.world.status(NAME).conditions}["Accepted"]
    return found.status, found.reason, found.message


def test_b18_a_whole_rollout_by_numbers_of_pods() -> None:
    """B14, B18: a quarter is one pod beside three, half is three; judged, promoted, none lost."""
    stage = without()
    first = stage.stable
    assert stage.selector == stage.service(NAME)["spec"]["selector"]
    second = stage.release(2)
    stage.until_step("quarter")
    assert (stage.pods(first), stage.pods(second), stage.weight_pct) == (3, 1, 25)
    assert stage.selector == {labels.DEPLOYMENT: NAME}
    since_s = stage.world.clock()
    stage.run(15)
    assert stage.ledger.share(second, since_s + 2) == pytest.approx(0.25, abs=0.05)
    stage.until_step("half")
    assert (stage.pods(first), stage.pods(second), stage.weight_pct) == (3, 3, 50)
    stage.until_phase("Healthy")
    assert stage.stable == second
    assert stage.selector == stage.service(NAME)["spec"]["selector"]
    assert labels.CANDIDATE not in stage.service()["metadata"]["annotations"]
    assert stage.rollout.status.phase == "Promoted"
    since_s = stage.world.clock()
    stage.run(40)
    assert stage.ledger.share(second, since_s + 2) == 1.0
    assert stage.pods(first) == 0


@pytest.mark.parametrize(
    ("replicas", "asked", "pods", "given"),
    [(3, 30, 1, 25), (3, 99, 3, 50), (2, 33, 1, 33), (4, 45, 3, 42), (1, 60, 1, 50)],
)
def test_b6_a_share_is_rounded_down_and_said(
    replicas: int, asked: int, pods: int, given: int
) -> None:
    """B6: the candidate gets what pods can give and no more; the record says both numbers."""
    stage = without(quick(step("some", asked, 20)), replicas=replicas)
    second = stage.release(2)
    stage.until_step("some")
    assert (stage.pods(second), stage.weight_pct) == (pods, given)
    assert stage.world.status(NAME).weight_pct == given
    (begun,) = stage.decided("StepStarted")
    assert begun.message.endswith(f"{given}%" if given == asked else f"{given}% ({asked}% asked)")


@pytest.mark.parametrize(
    ("unfit", "words"),
    [
        (step("ten", 10), "step ten asks for 10 %, and 1 candidate pod beside 3 of stable gets 25"),
        (mirror("shadow", 50), "step shadow copies or chooses requests, which takes a gateway"),
        (match("testers", x="y"), "step testers copies or chooses requests"),
    ],
)
def test_b18_what_pods_cannot_give_is_refused_and_begins_nothing(
    unfit: dict[str, Any], words: str
) -> None:
    """B18: never rounded down to nothing: such a step would pass without one request."""
    stage = without(quick(unfit, step("half", 50, 10)))
    first = stage.stable
    status, reason, message = accepted(stage)
    assert (status, reason) == ("False", "StepsNotPossible")
    assert words in message
    assert stage.phase == "Healthy"
    stage.release(2)
    stage.run(30)
    assert (stage.phase, stage.stable, len(stage.deployments())) == ("Refused", first, 1)
    assert words in stage.world.status(NAME).message
    fit = quick(step("quarter", 25, 5), step("half", 50, 5))
    stage.apply(rollout={"policy": fit})
    stage.until_phase("Healthy")
    assert stage.stable == stage.desired
    assert accepted(stage)[0] == "True"


def test_b18_enough_replicas_make_a_small_share_possible() -> None:
    """B18: the number of replicas that the message names is enough, and one less is not."""
    stage = without(quick(step("ten", 10, 10)))
    assert "or 9 replicas" in accepted(stage)[2]
    stage.apply(replicas=8)
    stage.run(5)
    assert accepted(stage)[1] == "StepsNotPossible"
    stage.apply(replicas=9)
    stage.run(5)
    assert accepted(stage)[0] == "True"
    second = stage.release(2)
    stage.until_step("ten")
    assert (stage.pods(second), stage.weight_pct) == (1, 10)


def test_b12_replicas_that_make_a_step_impossible_hold_it() -> None:
    """B12, B18: scaled down in mid-rollout, one pod is too much: it gets nothing, and it waits."""
    stage = without(quick(step("ten", 10, 10)), replicas=9)
    first = stage.stable
    second = stage.release(2)
    stage.until_step("ten")
    stage.apply(replicas=3)
    stage.run(60)
    assert (stage.weight_pct, stage.stable, stage.pods(first)) == (0, first, 3)
    assert stage.world.status(NAME).reason == "StepsNotPossible"
    stage.apply(replicas=9)
    stage.until_phase("Healthy")
    assert stage.stable == second


def test_b23_a_bad_candidate_is_cut_off_with_its_pods() -> None:
    """B23: the Service lets go first; then its pods end, and with them connections that last."""
    stage = without()
    first = stage.stable
    stage.harmed = True
    second = stage.release(2, BROKEN)
    stage.until_step("quarter")
    stage.until_phase("RolledBack")
    assert stage.selector.get(labels.REVISION) == first
    stage.run(5)
    assert stage.pods(second) == 0
    before = stage.ledger.all.failed
    stage.run(60)
    assert stage.ledger.all.failed == before
    assert stage.phase == "RolledBack"


def test_b25_a_step_whose_pods_never_become_ready_ends_at_the_deadline() -> None:
    """B25: the share is that of pods asked for, and the ones that do not come are late."""
    stage = without(quick(step("quarter", 25, 10), step("half", 50, 20)))
    stage.apply(rollout={"progressDeadline": "30s"})
    first, second = stage.stable, stage.release(2)
    stage.until_step("quarter")
    stage.world.behave(second, Behaviour(never_ready=True))
    stage.until_phase("RolledBack", 90)
    assert stage.rollout.status.reason == "ProgressDeadlineExceeded"
    assert stage.selector.get(labels.REVISION) == first


def test_b10_a_pause_brings_up_no_pod_more() -> None:
    """B10: each pod raises the share, so none comes up while paused; then it goes on."""
    stage = without(quick(step("quarter", 25, 10), step("half", 50, 20)))
    second = stage.release(2)
    stage.until_step("half")
    stage.apply(paused=True)
    stage.run(5)
    scale(stage, second, 1)
    stage.run(60)
    assert (stage.pods(second), stage.weight_pct) == (1, 25)
    stage.apply(paused=False)
    stage.until_phase("Healthy")
    assert stage.stable == second


def test_b17_a_new_operator_raises_no_share_before_it_has_heard() -> None:
    """B17: after a restart without Prometheus the candidate keeps its pods, and gets no more."""
    stage = without(policy(step("quarter", 25, 15), step("half", 50, 60)))
    second = stage.release(2)
    stage.until_step("half")
    stage.world.source.mode = Mode.DOWN
    stage.world.kill(0.0)
    scale(stage, second, 1)
    stage.world.start()
    stage.run(20)
    assert (stage.pods(second), stage.weight_pct) == (1, 25)


def test_b14_a_selector_edited_by_hand_is_put_back() -> None:
    """B14: somebody selects stable alone: put back at once, and the rollout goes on."""
    stage = without(quick(step("half", 50, 30)))
    second = stage.release(2)
    stage.until_step("half")
    rest = stage.service(NAME)["spec"]["selector"]
    stage.world.store.patch(kinds.SERVICE, SPACE, LIVE, {"spec": {"selector": rest}})
    assert stage.until(lambda: stage.weight_pct == 50, 2) <= 2
    stage.until_phase("Healthy")
    assert stage.stable == second


def test_b7_a_superseded_candidates_pods_are_not_behind_the_next_ones_service() -> None:
    """B7: the one Service has all pods, so it opens only once the old candidate's are gone.

    Also where somebody else brings them up again and again.
    """
    stage = without(quick(step("half", 50, 60)))
    second = stage.release(2)
    stage.until_step("half")
    third = stage.release(3)
    stage.until(lambda: len(stage.world.rollouts(NAME)) > 1, 30)
    for _ in range(40):
        scale(stage, second, 3)
        stage.run(1)
        assert stage.weight_pct == 0
    assert stage.world.status(NAME).reason == "RoutePending"
    assert f"until the pods of {NAME}-{second} are gone" in stage.world.status(NAME).message
    stage.until_step("half")
    assert stage.pods(second) == 0
    assert (stage.split.candidate, stage.weight_pct) == (f"{NAME}-{third}", 50)


def scale(stage: Direct, revision: str, replicas: int) -> None:
    """Ask for so many pods of a revision, as somebody else does."""
    patch = {"spec": {"replicas": replicas}}
    stage.world.store.patch(kinds.DEPLOYMENT, SPACE, f"{NAME}-{revision}", patch)


def test_b9_undone_from_the_watch_at_once() -> None:
    """B9, B27: no share is kept back by pods; an undo points the Service to the warm old pods."""
    rollout = quick(step("half", 50, 5)) | {"watch": {"hold": "10m", "holdback": "1%"}}
    stage = without(rollout)
    first = stage.stable
    stage.release(2)
    stage.until_phase("Watching")
    stage.run(30)
    assert stage.weight_pct == 0
    assert stage.pods(first) == 3
    stage.apply(model=model(1))
    assert stage.until(lambda: stage.selector.get(labels.REVISION) == first, 5) <= 5
    stage.run(5)
    assert stage.stable == first


def test_b38_blue_green_is_one_switch() -> None:
    """Blue-green by an approval: all pods up and none behind the Service, then all at once."""
    stage = without(policy(approval("go"), checks=(), strategy="BlueGreen"))
    second = stage.release(2)
    stage.until(lambda: stage.world.status(NAME).reason == "WaitingForApproval", 60)
    assert (stage.pods(second), stage.weight_pct) == (3, 0)
    stage.ask(approve="go")
    stage.until_phase("Healthy")
    assert stage.stable == second


@pytest.mark.parametrize("orphan", [False, True])
def test_b34_deleted_in_mid_rollout(orphan: bool) -> None:
    """B34: everything goes, the Service too; with Orphan it has stable's pods alone, and serves."""
    more: dict[str, Any] = {"deletionPolicy": "Orphan"} if orphan else {}
    stage = without(quick(step("half", 50, 300)), **more)
    first = stage.stable
    stage.release(2)
    stage.until_step("half")
    failed = stage.ledger.all.failed
    stage.world.store.delete(kinds.MODEL_DEPLOYMENT, SPACE, NAME)
    stage.world.run(60)
    if orphan:
        assert stage.selector.get(labels.REVISION) == first
        assert stage.ledger.all.failed == failed
    else:
        assert belongings(stage, NAME) == []


def test_a_service_of_somebody_else_is_left_alone() -> None:
    """A Service of that name that is not ours is told and not touched."""
    stage = Direct(World())
    foreign: Obj = {
        "metadata": {"name": LIVE, "namespace": SPACE},
        "spec": {"selector": {"a": "b"}},
    }
    stage.world.store.create(kinds.SERVICE, foreign)
    stage.apply(model=model(1), replicas=1, traffic=WITHOUT)
    stage.run(10)
    assert accepted(stage)[:2] == ("False", "RouteNotFound")
    assert f"Service {SPACE}/{LIVE} is not of this ModelDeployment" in accepted(stage)[2]
    assert stage.service()["spec"] == {"selector": {"a": "b"}}


def test_b15_a_namesake_of_the_service_does_not_take_it_over() -> None:
    """B15: a ModelDeployment whose own Service would have that name leaves it as it is."""
    stage = without()
    first = stage.selector
    stage.world.kill(0.0)
    stage.world.start()
    stage.apply(replicas=2)
    stage.run(10)  # by now it bears the stamp of who leads
    owned = {"ownedRoute": {"parentRefs": [{"name": "eg"}]}}
    stage.world.apply(LIVE, {"model": model(7), "replicas": 1, "traffic": owned})
    stage.run(60)
    assert stage.selector == first
    assert stage.phase == "Healthy"
    assert stage.world.status(LIVE).phase != "Healthy"


def test_b15_two_without_a_gateway_do_not_collide() -> None:
    """B15: each has a Service of its own."""
    stage = without()
    stage.world.apply("numbers", {"model": model(7), "replicas": 1, "traffic": WITHOUT})
    stage.run(60)
    assert stage.world.status("numbers").phase == "Healthy"
    assert stage.phase == "Healthy"
