"""What people ask, and returns that were cut short, pass by pass (B10, B11, B14, B26, B29)."""

from dataclasses import replace
from typing import Any

import pytest
from unit.core.builders import (
    NAME,
    NOW_S,
    V1,
    V2,
    V3,
    ago,
    course,
    deployment,
    observation,
    result,
    revision,
    rollout,
    route,
    stable,
    stepping,
)

from rampway.api.conditions import Reason, RolloutPhase
from rampway.api.parse import ModelRollout
from rampway.api.rollout import Request, Requests
from rampway.core.actions import Annotate, Create, WriteRollout
from rampway.core.checks.judged import CheckState
from rampway.core.decide import decide
from rampway.core.model.verdict import Verdict
from rampway.core.rollout.course import Course
from rampway.core.rollout.phases import advance
from rampway.core.rollout.steps import hold_split

ANN = Request(by="ann", message="why not")
MANUAL: dict[str, Any] = {"rollback": {"mode": "Manual"}}
FAILED = (result(CheckState.FAIL),)


def asked(found: Course, **requests: Any) -> Course:
    """Return the course with what people ask."""
    spec = found.rollout.spec.model_copy(update={"requests": Requests(**requests)})
    return replace(found, rollout=replace(found.rollout, spec=spec))


def test_b11_promote_skips_the_steps_by_whoever_asked() -> None:
    """In mid-hold the promotion begins, as that person's decision."""
    came = advance(asked(course(stepping(held_s=5), weight_pct=10), promote=ANN))
    assert came.status.phase == RolloutPhase.PROMOTING
    assert [(d.actor, d.action) for d in came.news] == [("ann", "Promoting")]


def test_b10_a_pause_holds_a_persons_promotion() -> None:
    """Under a pause the step goes on as if nobody had asked."""
    came = advance(asked(course(stepping(held_s=5), weight_pct=10, paused=True), promote=ANN))
    assert came.status.phase == RolloutPhase.STEPPING


def test_b14_a_foreign_raise_is_not_kept_while_it_is_stopped() -> None:
    """Somebody writes 70 % into the route of a stopped rollout: it has the step's 10 % again."""
    status = stepping(held_s=5, weightPct=10)
    came = advance(course(status, weight_pct=70, results=FAILED, **MANUAL))
    assert (came.status.reason, came.weight_pct) == (Reason.STOPPED_BY_CHECK, 10)


def test_b18_stopped_the_clock_runs_only_with_the_share_in_force() -> None:
    """A foreign write takes the share of a stopped step away: its clock stops, and goes on."""
    away = advance(course(stepping(held_s=50), weight_pct=0, results=FAILED, **MANUAL))
    assert away.status.reason == Reason.STOPPED_BY_CHECK
    assert (away.status.step.in_force_since, away.status.step.held_s) == ("", 50)
    again = stepping(step={"index": 0, "total": 2, "heldS": 50}, weightPct=10)
    back = advance(course(again, weight_pct=10, results=FAILED, **MANUAL))
    assert back.status.step.in_force_since == ago(0)


def test_b06_stopped_it_keeps_no_more_than_its_pods_carry() -> None:
    """A stopped mirror or header step falls with its pods, and chosen requests with the last."""
    mirrored: dict[str, Any] = {"steps": [{"name": "all", "mirror": "100%"}]}
    one = revision(V2, 1, replicas=4)
    given = course(stepping(mirrorPct=100), candidate=one, results=FAILED, **mirrored, **MANUAL)
    both = replace(given.obs.route.split, candidate=one.name, mirror_pct=100)
    obs = replace(given.obs, route=replace(given.obs.route, split=both))
    assert advance(replace(given, obs=obs)).split.mirror_pct == 25


def test_b26_consent_lets_a_stopped_step_go_on() -> None:
    """With the step approved, the failed check holds it no longer; another step's does."""
    given = course(stepping(held_s=70), weight_pct=10, results=FAILED, **MANUAL)
    consent = {"step": "most", "by": "ann"}
    assert advance(asked(given, approve=(consent,))).status.reason == Reason.STOPPED_BY_CHECK
    came = advance(asked(given, approve=(consent | {"step": "ten"},)))
    assert came.status.step.name == "most"
    assert [(d.actor, d.action) for d in came.news] == [
        ("ann", "Approved"),
        ("rampway", "StepStarted"),
    ]


def test_b11_consent_given_before_a_check_fails_is_told_again_once_it_does() -> None:
    """What was agreed to in advance goes over the failure as well, and the record says so, once."""
    consent = ({"step": "ten", "by": "ann"},)
    calm = advance(asked(course(stepping(held_s=5), weight_pct=10, **MANUAL), approve=consent))
    assert [d.message for d in calm.news] == ["step ten approved by ann"]
    made = [d.model_dump(mode="json", by_alias=True) for d in calm.status.decisions]
    bad = course(stepping(held_s=6, decisions=made), weight_pct=10, results=FAILED, **MANUAL)
    came = advance(asked(bad, approve=consent))
    assert [d.message for d in came.news] == [
        f"step ten approved over check {FAILED[0].name} by ann"
    ]
    made = [d.model_dump(mode="json", by_alias=True) for d in came.status.decisions]
    for results in (FAILED, ()):
        still = course(stepping(held_s=7, decisions=made), weight_pct=10, results=results, **MANUAL)
        assert advance(asked(still, approve=consent)).news == ()


def watched(number: int, **more: Any) -> ModelRollout:
    """Return V2's rollout in its watch, over the last step."""
    status = {
        "phase": "Watching",
        "step": {"index": 2, "total": 2},
        "trafficSince": ago(300),
        "watchedSince": ago(20),
    } | more
    return rollout(number, status=status, watch={"hold": "10m", "holdback": "10%"})


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("verdict", ["", Verdict(Reason.CHECK_FAILED, "r", "bad").written()])
def test_b29_a_return_cut_short_ends_whatever_the_spec_names(number: int, verdict: str) -> None:
    """V1 is stable again and the rollout still says Watching: it ends as what it was."""
    again = stable(promoted_at_s=NOW_S - 1)
    refused = revision(V2, 4, promoted_at_s=NOW_S - 20, verdict=verdict)
    obs = observation(
        number, revisions=(again, refused), rollouts=(watched(2),), route=route(100, V1)
    )
    (wrote,) = [a for a in decide(obs).actions if isinstance(a, WriteRollout)]
    end = ("RolledBack", "CheckFailed") if verdict else ("Aborted", "Undone")
    assert (wrote.status.phase, wrote.status.reason) == end
    assert [d.action for d in wrote.status.decisions] == ["RollingBack"]


def test_b09_an_undo_marks_the_old_revision_after_the_route() -> None:
    """Traffic, then who is stable, then the record: a crash between them loses nothing."""
    before, now = stable(promoted_at_s=NOW_S - 900), revision(V2, 4, promoted_at_s=NOW_S - 20)
    obs = observation(1, revisions=(before, now), rollouts=(watched(2),), route=route(10, V1))
    kinds = [type(action).__name__ for action in decide(obs).actions]
    assert kinds == ["SetSplit", "Annotate", "WriteRollout", "Emit"]


def test_b07_a_newer_revision_ends_the_watch_but_not_under_a_pause() -> None:
    """The promoted revision stays stable; paused, the watch goes on and nothing starts."""
    before, now = stable(promoted_at_s=NOW_S - 900), revision(V2, 4, promoted_at_s=NOW_S - 20)
    parts: dict[str, Any] = {"revisions": (before, now), "rollouts": (watched(2),)}
    ended = decide(observation(3, **parts))
    assert [a.status.phase for a in ended.actions if isinstance(a, WriteRollout)] == ["Promoted"]
    paused = decide(observation(deployment=deployment(3, paused=True), **parts))
    phases = [a.status.phase for a in paused.actions if isinstance(a, WriteRollout)]
    assert phases == ["Watching"]
    made = [a for a in paused.actions if isinstance(a, Create | Annotate)]
    assert not [a for a in made if V3 in str(a)], NAME


def test_b14_a_rollout_begins_once_the_route_is_at_rest() -> None:
    """While everything goes round the Service, its pods may be those of what was returned from."""
    given = course({"phase": "Starting"}, candidate=revision(V2, 1))
    going = replace(given, obs=replace(given.obs, route=route(100, V1)))
    assert advance(going).status.reason == Reason.ROUTE_PENDING
    assert advance(given).status.phase == RolloutPhase.STEPPING


def test_b06_chosen_requests_stay_while_one_pod_serves() -> None:
    """They begin at full size, stay with one pod, and go with the last."""
    steps: dict[str, Any] = {
        "steps": [{"name": "beta", "match": {"headers": [{"name": "a", "value": "b"}]}}]
    }
    for serving, begun, has in ((3, False, False), (4, False, True), (1, True, True)):
        one = revision(V2, serving, replicas=4)
        given = course(stepping(matched=begun), candidate=one, **steps)
        if begun:
            whole = given.stage.split(one.name)
            obs = replace(given.obs, route=replace(given.obs.route, split=whole))
            given = replace(given, obs=obs)
        assert bool(hold_split(given).split.headers) is has
