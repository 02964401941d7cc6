"""The one decision function: which actions, in which order."""

from dataclasses import replace
from typing import Any

import pytest
from unit.core.builders import (
    NOW_S,
    V1,
    V2,
    ago,
    deployment,
    observation,
    pods,
    revision,
    rollout,
    route,
    stable,
    stepping,
)

from rampway.api import labels
from rampway.api.conditions import Reason
from rampway.core.actions import (
    Action,
    Annotate,
    Autoscale,
    Create,
    Delete,
    Emit,
    PointService,
    RunHook,
    Scale,
    SetSplit,
    TellPods,
    WriteRollout,
    WriteStatus,
)
from rampway.core.checks.deltas import start_ledger
from rampway.core.checks.judged import EvidenceState
from rampway.core.decide import decide
from rampway.core.model.verdict import Verdict
from rampway.core.observation import Look, Observation, StableService
from rampway.core.rollout.passes import Decision
from rampway.core.rollout.rolling import finish
from rampway.core.traffic.route import Route

NOTHING: dict[str, Any] = {"revisions": (), "route": Route(), "service": StableService()}
REFUSED = Verdict(Reason.CHECK_FAILED, f"digits-{V2}-1", "check errors: bad").written()


def kinds(found: Decision) -> list[str]:
    """Return the actions in order, each by its kind and what it is about."""
    return [_short(action) for action in found.actions]


def _short(action: Action) -> str:  # noqa: C901 - a case for each kind
    match action:
        case Create(kind, manifest):
            return f"create {kind} {manifest['metadata']['name'].replace('digits-', '')}"
        case Scale(_, replicas):
            return f"scale {replicas}"
        case Autoscale():
            return "autoscale"
        case SetSplit(split):
            return f"weight {split.weight_pct}"
        case WriteRollout(_, status):
            return f"rollout {status.phase}"
        case WriteStatus(status):
            return f"status {status.phase}"
        case Annotate(_, notes):
            return "annotate " + " ".join(key.split("/")[1] for key in notes)
        case PointService(digest):
            return f"point {digest}"
        case Delete(kind):
            return f"delete {kind}"
        case Emit():
            return f"emit {action.reason}"
        case TellPods(_, _, degree):
            return f"tell {degree}"
        case RunHook():
            return f"run {action.key}"


def status_of(found: Decision) -> str:
    """Return the message of the status that is written."""
    (wrote,) = [a for a in found.actions if isinstance(a, WriteStatus)]
    return wrote.status.message


def test_b34_what_is_being_deleted_is_left_to_the_collector() -> None:
    """B34: nothing is done for an object that is being deleted."""
    gone = deployment(meta={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert decide(observation(deployment=gone)) == Decision(())


def test_b15_a_conflict_touches_nothing_but_the_status() -> None:
    """B15: the status names who has the host, and it is asked again."""
    found = decide(observation(conflict="ml/other", **NOTHING))
    assert kinds(found) == ["status Refused"]
    assert "already taken on this Gateway by ModelDeployment ml/other" in status_of(found)
    assert found.requeue_after_s == 30


def test_b15_b23_a_conflict_takes_the_candidates_traffic() -> None:
    """B23: a candidate that nobody judges any more gets no requests, as stable can take them."""
    assert kinds(decide(rolling(stepping(), conflict="ml/other")))[0] == "weight 0"
    alone = (stable(0, pods=pods(0, 4)), revision(V2, 1))
    stuck = decide(rolling(stepping(), conflict="ml/other", revisions=alone))
    assert kinds(stuck) == ["status Refused"]


def test_b01_a_first_apply_makes_everything() -> None:
    """B1: straight to everything, and promoted with the first ready pod."""
    first = decide(observation(1, **NOTHING))
    assert kinds(first) == [f"create Deployment {V1}", f"point {V1}", "weight 0", "status Pending"]
    assert "0 of 4 pods ready" in status_of(first)
    rest = {"service": StableService(V1), "route": route(0)}
    up = decide(observation(1, revisions=(revision(V1, 1, replicas=4),), **rest))
    assert kinds(up) == ["annotate promoted-at", "emit Promoted"]
    assert up.requeue_after_s == 0


def test_b01_a_change_before_the_first_is_a_first_apply() -> None:
    """B1: what never served goes, and what is missing of the new one is made."""
    half = revision(V1, 0, replicas=2, has_service=False)
    found = decide(observation(1, **NOTHING | {"revisions": (revision(V2, 0), half)}))
    wanted = ["Deployment", "Service", "ConfigMap", "PodDisruptionBudget"]
    gone = [f"delete {kind}" for kind in wanted]
    assert kinds(found)[:6] == [*gone, f"create Service {V1}", "scale 4"]


def test_b10_a_pause_before_the_first_makes_nothing() -> None:
    """B10: paused from the start, nothing is made; once it is made, it goes on."""
    paused = deployment(1, paused=True)
    found = decide(observation(deployment=paused, **NOTHING))
    assert not [a for a in found.actions if not isinstance(a, WriteStatus)]
    assert "paused before the first revision" in status_of(found)


def test_b28_a_refused_template_is_not_sent_again() -> None:
    """B28: the API server's words are shown, and the same template is not tried again."""
    found = decide(observation(1, refusal="quota exceeded", **NOTHING))
    assert not [a for a in found.actions if isinstance(a, Create)]
    assert status_of(found).endswith("pods ready: quota exceeded")


LOST: dict[str, dict[str, Any]] = {
    "its verdict is on the Deployment": {"revisions": (revision(V2, verdict=REFUSED),)},
    "its rollout was rolled back": {
        "revisions": (revision(V2),), "rollouts": (rollout(status={"phase": "RolledBack",
        "reason": "CheckFailed", "message": "bad"}),),
    },
    "its rollout is under way": {
        "revisions": (revision(V2),), "rollouts": (rollout(status=stepping()),),
    },
}  # fmt: skip


@pytest.mark.parametrize("given", LOST.values(), ids=LOST.keys())
def test_b01_nothing_is_promoted_unchecked(given: dict[str, Any]) -> None:
    """B1: with stable gone, what was refused or is on trial does not take its place."""
    found = decide(observation(2, **given))
    assert kinds(found) == ["status Degraded"]
    assert "not promoted unchecked" in status_of(found)


def test_at_rest_there_is_nothing_to_do() -> None:
    """A healthy one whose status is written: no action, no timer."""
    first = decide(observation(1))
    (wrote,) = first.actions
    assert isinstance(wrote, WriteStatus)
    known = deployment(1, status=wrote.status.model_dump(mode="json", by_alias=True))
    assert decide(observation(deployment=known)) == Decision(())


REPAIRS: dict[str, tuple[dict[str, Any], str]] = {
    "its size": ({"revisions": (stable(3, replicas=3),)}, "scale 4"),
    "its Service": ({"revisions": (stable(has_service=False),)}, f"create Service {V1}"),
    "B38: its budget": (
        {"revisions": (stable(has_budget=False),)},
        f"create PodDisruptionBudget {V1}",
    ),
    "the Service in front": ({"service": StableService(V2)}, f"point {V1}"),
    "the route's backends": ({"route": route(50)}, "weight 0"),
    "the route's shape": ({"route": route(0, in_shape=False)}, "weight 0"),
    "a route that is gone": ({"route": Route()}, "weight 0"),
    "a digest not pinned": (
        {"revisions": (stable(recorded_sha256="", reported_sha256="ab"),)},
        f"create ConfigMap {V1}",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "action"), REPAIRS.values(), ids=REPAIRS.keys())
def test_at_rest_everything_is_kept_as_it_should_be(given: dict[str, Any], action: str) -> None:
    """What somebody changed or deleted is put right."""
    assert kinds(decide(observation(1, **given)))[0] == action


def test_a_new_revision_makes_a_rollout() -> None:
    """The rollout carries the policy as it is, the next number, and both contenders."""
    past = rollout(3, attempt=4, status={"phase": "Superseded"})
    old = stable(version="7")
    found = decide(observation(2, rollouts=(past,), revisions=(old,)))
    assert kinds(found) == [f"create ModelRollout {V2}-5", "emit CandidateStarting"]
    assert found.requeue_after_s == 0
    made = found.actions[0]
    assert isinstance(made, Create)
    assert made.manifest["spec"]["stable"] == {
        "revision": V1,
        "info": {"version": "7", "lineage": {}},
    }
    assert made.manifest["spec"]["candidate"]["model"]["uri"].endswith("/2")
    assert made.manifest["metadata"]["labels"][labels.REVISION] == V2


def test_b07_a_new_revision_is_only_recorded_while_paused() -> None:
    """B7: paused, no rollout is made; status names what waits."""
    found = decide(observation(deployment=deployment(2, paused=True)))
    assert kinds(found) == ["status Paused"]
    assert f"revision {V2} is recorded" in status_of(found)


def test_b26_what_was_refused_is_not_tried_again() -> None:
    """B26: refused by its rollout, or by its Deployment where no rollout is left."""
    ended = rollout(status={"phase": "RolledBack", "reason": "CheckFailed", "message": "bad"})
    by_rollout = observation(2, rollouts=(ended,), revisions=(stable(), revision(V2, 0)))
    by_deployment = observation(2, revisions=(stable(), revision(V2, 0, verdict=REFUSED)))
    for obs in (by_rollout, by_deployment):
        assert kinds(decide(obs)) == ["status RolledBack"]
    assert "Not tried again until the spec changes" in status_of(decide(by_rollout))


def test_b26_once_the_spec_changed_it_may_be_tried_again() -> None:
    """B26: the change is noted on rollout and Deployment, and then it is tried anew."""
    ended = rollout(status={"phase": "RolledBack", "reason": "CheckFailed"})
    both = (stable(), revision(V2, 0, verdict=REFUSED))
    noted = decide(observation(1, rollouts=(ended,), revisions=both))
    assert kinds(noted)[:2] == ["annotate verdict", "rollout RolledBack"]
    (wrote,) = [a for a in noted.actions if isinstance(a, WriteRollout)]
    assert wrote.status.moved_on
    again = replace(ended, status=wrote.status)
    assert kinds(decide(observation(2, rollouts=(again,), revisions=both)))[0].startswith(
        "create ModelRollout"
    )


def rolling(status: dict[str, Any], number: int = 2, **more: Any) -> Observation:
    """Return the observation of a rollout of V2 under way, at ten percent."""
    known = {
        "revisions": (stable(), revision(V2, 1)),
        "rollouts": (rollout(status=status),),
        "route": route(10),
        "look": Look(NOW_S - 1),
    }
    return observation(number, **known | more)


def test_b23_down_before_everything_up_after_the_record() -> None:
    """B23: a weight falls before anything is written, and rises after the status knows why."""
    falling = kinds(decide(rolling(stepping(crashes=["a", "b"]))))
    assert falling[0] == "weight 0"
    assert falling[1:3] == ["annotate verdict", "rollout RollingBack"]
    assert "emit CandidateCrashed" in falling
    rising = kinds(decide(rolling({"phase": "Starting"}, route=route(0))))
    assert rising.index("rollout Stepping") < rising.index("weight 10")


def test_a_verdict_is_written_before_the_rollout_ends() -> None:
    """B1: the Deployment carries reason and rollout before the status says that it is over."""
    found = decide(rolling(stepping(crashes=["a", "b"])))
    (noted,) = [a for a in found.actions if isinstance(a, Annotate)]
    written = noted.annotations[labels.VERDICT]
    assert written.startswith(f"RolledBack: CandidateCrashed: digits-{V2}-1: ")
    assert found.requeue_after_s == 0
    leaving = stepping(phase="RollingBack", reason="CheckFailed", message="bad")
    found = decide(rolling(leaving, route=route(0)))
    assert kinds(found)[:2] == ["annotate verdict", "rollout RolledBack"]
    assert (found.active, found.evidence, found.requeue_after_s) == ("", None, 0)


def test_b23_the_answers_that_led_to_a_rollback_stay() -> None:
    """B23: a check that failed still says so once later looks would no longer prove it."""
    failed = [{"name": "errors", "state": "Fail", "message": "18 of 179 failed"}]
    leaving = stepping(phase="RollingBack", reason="CheckFailed", message="bad", checks=failed)
    found = decide(rolling(leaving, route=route(0)))
    (wrote,) = [a for a in found.actions if isinstance(a, WriteRollout)]
    assert wrote.status.phase == "RolledBack"
    assert [c.model_dump(exclude_defaults=True) for c in wrote.status.checks] == failed


def test_b01_a_rollout_that_lost_its_status_is_recalled() -> None:
    """B1: its verdict on the Deployment has it rolled back as it had been."""
    both = (stable(), revision(V2, 1, verdict=REFUSED))
    found = decide(rolling({}, revisions=both))
    assert kinds(found) == ["rollout RollingBack"]
    another = rollout(attempt=2, status={})
    fresh = decide(rolling({}, revisions=both, rollouts=(another,)))
    assert "rollout RollingBack" not in kinds(fresh)


def test_b14_a_foreign_write_is_put_back() -> None:
    """B14: what others wrote to the route is set again, while the step goes on."""
    taken = decide(rolling(stepping(held_s=5, weightPct=10), route=route(0)))
    assert "weight 10" in kinds(taken)
    reshaped = decide(rolling(stepping(held_s=5), route=route(10, in_shape=False)))
    assert "weight 10" in kinds(reshaped)
    assert "weight 10" not in kinds(decide(rolling(stepping(held_s=5))))


def test_b07_b08_what_the_spec_names_decides() -> None:
    """B7, B8: a third revision supersedes, stable's content aborts, a rollback goes on."""
    back = {"route": route(0)}
    assert "weight 0" in kinds(decide(rolling(stepping(), number=3)))
    assert "rollout Superseded" in kinds(decide(rolling(stepping(), number=3, **back)))
    assert "rollout Aborted" in kinds(decide(rolling(stepping(), number=1, **back)))
    leaving = stepping(phase="RollingBack", reason="CheckFailed", message="bad")
    assert "rollout RolledBack" in kinds(decide(rolling(leaving, number=3, **back)))


def test_a_candidate_that_is_missing_is_made_or_forgotten() -> None:
    """Its Deployment is made again with the evidence kept; unwanted, the rollout just ends."""
    seen = EvidenceState(NOW_S, start_ledger(NOW_S))
    wanted = decide(rolling(stepping(), revisions=(stable(),), evidence=seen))
    assert kinds(wanted) == ["weight 0", f"create Deployment {V2}", "status Progressing"]
    assert wanted.active == f"digits-{V2}-1"
    assert wanted.evidence is seen
    refused = decide(rolling({}, revisions=(stable(),), route=route(0), refusal="quota"))
    assert kinds(refused) == ["status Progressing"]
    assert refused.requeue_after_s == 30
    assert "refused the pod template: quota" in status_of(refused)
    dropped = decide(rolling({}, number=3, revisions=(stable(),), route=route(0)))
    assert kinds(dropped) == ["rollout Superseded", "emit NewRevision"]


def promoted(**more: Any) -> Observation:
    """Return the observation just after V2 became stable; its rollout is still open."""
    now = revision(V2, 4, promoted_at_s=NOW_S - 1)
    front = StableService(V2, frozenset(p.name for p in now.pods))
    known = {
        "revisions": (now, stable()),
        "rollouts": (rollout(status={"phase": "Promoting"}),),
        "route": route(100),
        "service": front,
    }
    return observation(2, **known | more)


def test_b05_promotion_waits_for_the_service() -> None:
    """B5: the route leaves the candidate's own Service when the front reaches the same pods."""
    slow = decide(promoted(service=StableService(V1)))
    assert kinds(slow)[:1] == [f"point {V2}"]
    assert "weight 0" not in kinds(slow)
    partly = decide(promoted(service=StableService(V2, frozenset({"ready-0"}))))
    assert "weight 0" not in kinds(partly)
    assert partly.requeue_after_s == 1
    done = decide(promoted())
    assert kinds(done) == ["weight 0", "rollout Promoted", "emit Promoted"]
    resting = promoted(route=route(0))
    assert "weight 0" not in kinds(finish(resting, resting.rollouts[0], resting.revisions[0]))


def test_b25_a_new_stable_that_fails_gives_way_to_its_predecessor() -> None:
    """B25: before the Service points to it, the old pods are warm and nothing points elsewhere."""
    dead = revision(V2, 0, promoted_at_s=NOW_S - 1, pods=pods(0, 4))
    begun = rollout(status={"phase": "Promoting", "trafficSince": ago(300)})
    scene: dict[str, Any] = {"service": StableService(V1), "rollouts": (begun,)}
    found = decide(promoted(revisions=(dead, stable()), **scene))
    assert kinds(found) == [
        "annotate promoted-at",
        "annotate verdict",
        "rollout RollingBack",
        "emit CandidateNotReady",
    ]
    assert [a.revision for a in found.actions if isinstance(a, Annotate)] == [
        f"digits-{V1}",
        f"digits-{V2}",
    ]
    well = revision(V2, 4, promoted_at_s=NOW_S - 1)
    for both in ((dead, stable(0, pods=pods(0, 4))), (well, stable())):
        kept = decide(promoted(revisions=both, **scene))
        assert "rollout RollingBack" not in kinds(kept)


def test_b25_a_new_stable_that_was_drained_is_a_candidate_again() -> None:
    """B25: it lost its pods by no fault of its own: the predecessor serves, nobody is blamed."""
    gone = revision(V2, 0, promoted_at_s=NOW_S - 1, pods=())
    begun = rollout(status={"phase": "Promoting", "trafficSince": ago(300)})
    scene: dict[str, Any] = {"service": StableService(V1), "rollouts": (begun,)}
    found = decide(promoted(revisions=(gone, stable()), **scene))
    assert kinds(found) == ["annotate promoted-at"]
    assert [a.revision for a in found.actions if isinstance(a, Annotate)] == [f"digits-{V1}"]
    assert found.requeue_after_s == 0
    neither = decide(promoted(revisions=(gone, stable(0, pods=pods(0, 4))), **scene))
    assert "annotate promoted-at" not in kinds(neither)


def test_a_commit_marks_the_candidate_as_stable() -> None:
    """The annotation comes after the status, and the next pass at once."""
    all_up = (stable(), revision(V2, 4))
    status = stepping(1, phase="Promoting")
    unchecked = (rollout(status=status, checks=[]),)
    scene: dict[str, Any] = {"revisions": all_up, "route": route(100)}
    found = decide(rolling(status, rollouts=unchecked, **scene))
    marks = [a for a in found.actions if isinstance(a, Annotate)]
    assert [sorted(a.annotations) for a in marks] == [[labels.PROMOTED_AT, labels.VERDICT]]
    assert found.requeue_after_s == 0
    blind = decide(rolling(status, **scene))  # B17: no scrape of either
    assert not [a for a in blind.actions if isinstance(a, Annotate)]


def test_the_candidate_gets_its_service_and_size() -> None:
    """What a step needs of the candidate is made with it."""
    lame = revision(V2, 1, has_service=False, replicas=1)
    found = kinds(decide(rolling(stepping(1), revisions=(stable(), lame))))
    assert f"create Service {V2}" in found
    assert "scale 4" in found


def test_of_two_open_rollouts_the_latest_counts() -> None:
    """B29: a crash may leave two; the older one is not acted upon."""
    two = (rollout(attempt=1, status=stepping()), rollout(attempt=2, status={}))
    assert rolling({}, rollouts=two).active is two[1]
    assert observation(rollouts=two).last is two[1]
    assert observation().last is None
