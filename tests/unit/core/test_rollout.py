"""The course of a rollout: every phase's changes, and that there are no others."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.core.builders import (
    NOW_S,
    V2,
    ago,
    course,
    crash,
    later,
    pods,
    result,
    revision,
    rollout,
    route,
    stable,
    stepping,
)

from rampway.api.conditions import Reason, RolloutPhase
from rampway.core.checks.deltas import start_ledger
from rampway.core.checks.judged import CheckState, EvidenceState, Judged
from rampway.core.observation import Look
from rampway.core.pods import capacity
from rampway.core.rollout.course import Course, Outcome, enter
from rampway.core.rollout.decisions import MAX_DECISIONS
from rampway.core.rollout.phases import (
    _PHASES,
    TRANSITIONS,
    IllegalTransition,
    advance,
    withdraw,
)
from rampway.core.traffic.split import Split

P, R = RolloutPhase, Reason
FAIL, WAITING, UNKNOWN = CheckState.FAIL, CheckState.WAITING, CheckState.UNKNOWN
OOM = crash(reason="OOMKilled", code=137)
COUNTED = EvidenceState(NOW_S, start_ledger(0.0), step_requests=100)


@dataclass(frozen=True)
class Case:
    """What a pass sees, and what it must come to."""

    given: dict[str, Any]
    phase: RolloutPhase
    reason: Reason
    weight_pct: int
    words: str = ""
    replicas: int | None = None
    commit: bool = False


def crashed(*ends: Any, ready: int = 3) -> dict[str, Any]:
    """Return the fields of a revision one of whose pods had these containers end."""
    return {"pods": (*pods(ready), *pods(unready=1, crashes=ends))}


STARTING = {
    "pods that are not ready yet are waited for": Case(
        {"candidate": revision(V2, 0, replicas=1, pods=pods(0, 1, trouble="ErrImagePull: no"))},
        P.STARTING, R.CANDIDATE_STARTING, 0, "0 of 1 candidate pods ready: ErrImagePull: no", 1,
    ),
    "B6: a ready pod that its Service does not reach is waited for": Case(
        {"candidate": revision(V2, 1, reachable=frozenset())}, P.STARTING, R.CANDIDATE_STARTING, 0,
        "1 of 1 candidate pods ready, 0 of them reached by the Service yet",
    ),
    "B10: a pause keeps it from its first traffic": Case(
        {"paused": True}, P.STARTING, R.PAUSED, 0, "spec.paused",
    ),
    "B17: without a look there is no traffic": Case(
        {"look": None}, P.STARTING, R.EVIDENCE_UNKNOWN, 0, "no look at the metrics yet",
    ),
    "B17: without counters there is no traffic": Case(
        {"look": Look(NOW_S, problem="refused")}, P.STARTING, R.EVIDENCE_UNKNOWN, 0, "refused",
    ),
    "without checks no look is needed": Case(
        {"look": None, "checks": []}, P.STEPPING, R.STEP, 10, "step 1/2 ten: 10%", 4,
    ),
    "what is ready begins with the first step": Case(
        {"candidate": revision(V2, 1)}, P.STEPPING, R.STEP, 10, "step 1/2 ten: 10%", 1,
    ),
    "B25: what never becomes ready ends at the deadline": Case(
        {
            "status": {"unreadySince": ago(600)},
            "candidate": revision(V2, 0, replicas=1, pods=pods(0, 1, trouble="no such model")),
        },
        P.ROLLED_BACK, R.DEADLINE, 0, "within 10 min (progressDeadline): no such model",
    ),
    "B25: a deadline that nothing explains says so": Case(
        {"status": {"unreadySince": ago(600)}, "candidate": revision(V2, 0, replicas=1)},
        P.ROLLED_BACK, R.DEADLINE, 0, "no pod says why",
    ),
    "one second before the deadline it may still come": Case(
        {"status": {"unreadySince": ago(599)}, "candidate": revision(V2, 0, replicas=1)},
        P.STARTING, R.CANDIDATE_STARTING, 0,
    ),
    "B25: a full cluster stops the deadline's clock": Case(
        {
            "status": {"unreadySince": ago(900), "unschedulableSince": ago(400)},
            "candidate": revision(V2, 0, replicas=1, pods=pods(0, 1, unschedulable="no node")),
        },
        P.STARTING, R.CANDIDATE_STARTING, 0, "no node",
    ),
}  # fmt: skip

STEPPING = {
    "a step holds": Case(
        {"status": stepping(held_s=20)}, P.STEPPING, R.STEP, 10, "step ten holds for 40 s more",
    ),
    "B17: time without evidence does not count": Case(
        {
            "status": stepping(held_s=70, unknownSince=ago(15)),
            "results": (result(UNKNOWN),),
        },
        P.STEPPING, R.EVIDENCE_UNKNOWN, 10, "holding without evidence: errors: it says Unknown",
    ),
    "B18: evidence that is back is not yet enough": Case(
        {"status": stepping(held_s=70, unknownSince=ago(15))}, P.STEPPING, R.STEP, 10,
        "holds for 5 s more",
    ),
    "B13: a weight counts once the gateway accepts it": Case(
        {"status": stepping(), "accepted": False}, P.STEPPING, R.ROUTE_PENDING, 10,
        "waiting for the gateway",
    ),
    "B18: a check that waits holds the step": Case(
        {"status": stepping(held_s=70), "results": (result(WAITING),)},
        P.STEPPING, R.EVIDENCE_WAITING, 10, "step ten: errors: it says Waiting",
    ),
    "B18: minRequests holds the step": Case(
        {"status": stepping(1, held_s=70), "weight_pct": 80}, P.STEPPING, R.EVIDENCE_WAITING, 80,
        "1 of at least 100 requests",
    ),
    "a step that is over gives way to the next": Case(
        {"status": stepping(held_s=70)}, P.STEPPING, R.STEP, 80, "step 2/2 most: 80%", 4,
    ),
    "B6: the next step begins with what its ready pods carry": Case(
        {"status": stepping(held_s=70), "candidate": revision(V2, 1)},
        P.STEPPING, R.STEP, 25, "step 2/2", 4,
    ),
    "B10: a step that is over waits while paused": Case(
        {"status": stepping(held_s=70), "paused": True}, P.STEPPING, R.PAUSED, 10, "is over",
    ),
    "B6: weight follows ready pods down": Case(
        {"status": stepping(1, held_s=70), "weight_pct": 80,
         "candidate": revision(V2, 3, replicas=4)},
        P.STEPPING, R.CAPACITY, 75, "3 of 4 candidate pods ready", 4,
    ),
    "B10: while paused weight does not follow them up": Case(
        {"status": stepping(1, held_s=70), "weight_pct": 25, "paused": True},
        P.STEPPING, R.PAUSED, 25, "paused at 25 %",
    ),
    "B14: while paused what was taken away by others comes back": Case(
        {"status": stepping(held_s=70, weightPct=10), "weight_pct": 0, "paused": True},
        P.STEPPING, R.ROUTE_PENDING, 10,
    ),
    "after a restart nothing rises before the first look": Case(
        {"status": stepping(1, held_s=70), "weight_pct": 25, "look": None},
        P.STEPPING, R.CAPACITY, 25,
    ),
    "B25: lack of pods in a step ends at the deadline": Case(
        {"status": stepping(1, unreadySince=ago(601)), "weight_pct": 25,
         "candidate": revision(V2, 1, replicas=4)},
        P.ROLLING_BACK, R.DEADLINE, 0,
    ),
    "B24: errors take everything away at once": Case(
        {"status": stepping(1), "weight_pct": 80, "other": stable(1),
         "results": (result(FAIL, at_once=True),)},
        P.ROLLING_BACK, R.CHECK_FAILED, 0, "check errors: it says Fail",
    ),
    "B24: other harm leaves as far as stable carries": Case(
        {"status": stepping(1), "weight_pct": 80, "other": stable(1), "results": (result(FAIL),)},
        P.ROLLING_BACK, R.CHECK_FAILED, 63, "stable's ready pods carry 37 %, the rest follows",
    ),
    "B24: other harm leaves at once where stable carries all": Case(
        {"status": stepping(1), "weight_pct": 80, "results": (result(FAIL),)},
        P.ROLLING_BACK, R.CHECK_FAILED, 0,
    ),
    "B24: without a ready pod of stable traffic stays": Case(
        {"status": stepping(1), "weight_pct": 80, "other": stable(0, pods=pods(0, 4)),
         "results": (result(FAIL, at_once=True),)},
        P.ROLLING_BACK, R.CHECK_FAILED, 80, "stable has no ready pod, so traffic stays",
    ),
    "B10: a pause stops no rollback": Case(
        {"status": stepping(), "paused": True, "results": (result(FAIL, at_once=True),)},
        P.ROLLING_BACK, R.CHECK_FAILED, 0,
    ),
    "B25: one container killed for its memory is enough": Case(
        {"status": stepping(), "candidate": revision(V2, 4, **crashed(OOM))},
        P.ROLLING_BACK, R.CANDIDATE_OOM, 0, "raise spec.server.resources.limits.memory",
    ),
    "B25: stable that suffers alike makes it hold": Case(
        {"status": stepping(held_s=70), "candidate": revision(V2, 4, **crashed(OOM)),
         "other": stable(4, **crashed(OOM))},
        P.STEPPING, R.STABLE_CRASHES_TOO, 10, "holding: stable suffers alike",
    ),
    "B25: crashes that are gone by now still count": Case(
        {"status": stepping(crashes=["a", "b"])}, P.ROLLING_BACK, R.CANDIDATE_CRASHED, 0,
        "crashed 2 times",
    ),
    "dangers come before evidence": Case(
        {"status": stepping(crashes=["a", "b"]), "results": (result(FAIL),)},
        P.ROLLING_BACK, R.CANDIDATE_CRASHED, 0,
    ),
    "B17: patience at its end goes on holding by default": Case(
        {"status": stepping(unknownSince=ago(1800)), "results": (result(UNKNOWN),)},
        P.STEPPING, R.EVIDENCE_UNKNOWN, 10,
    ),
    "B17: patience at its end rolls back where the policy says so": Case(
        {"status": stepping(unknownSince=ago(1800)), "results": (result(UNKNOWN),),
         "onUnknown": {"then": "Rollback"}},
        P.ROLLING_BACK, R.UNKNOWN_TOO_LONG, 0, "no evidence for 30 min (onUnknown): errors",
    ),
    "B17: before its end patience holds": Case(
        {"status": stepping(unknownSince=ago(1799)), "results": (result(UNKNOWN),),
         "onUnknown": {"then": "Rollback"}},
        P.STEPPING, R.EVIDENCE_UNKNOWN, 10,
    ),
}  # fmt: skip

PROMOTING = {
    "it asks for all pods and keeps its share until they are ready": Case(
        {"weight_pct": 50, "candidate": revision(V2, 2)}, P.PROMOTING, R.CAPACITY, 50,
        "2 of 4 candidate pods ready", 4,
    ),
    "B6: its share falls with its ready pods": Case(
        {"weight_pct": 80, "candidate": revision(V2, 2, replicas=4)},
        P.PROMOTING, R.CAPACITY, 50,
    ),
    "with all pods it gets everything": Case(
        {"weight_pct": 80}, P.PROMOTING, R.PROMOTING, 100, "giving the candidate everything", 4,
    ),
    "B13: it is not stable before the gateway accepts": Case(
        {"weight_pct": 100, "accepted": False}, P.PROMOTING, R.PROMOTING, 100,
    ),
    "with everything accepted it is stable": Case(
        {"weight_pct": 100}, P.PROMOTING, R.PROMOTING, 100, "is stable", 4, commit=True,
    ),
    "B10: a pause keeps it from being stable": Case(
        {"weight_pct": 80, "paused": True}, P.PROMOTING, R.PAUSED, 80, "paused before promotion",
    ),
    "after a restart it does not rise before the first look": Case(
        {"weight_pct": 80, "look": None, "more": {"reason": "Promoting"}},
        P.PROMOTING, R.PROMOTING, 80,
    ),
    "a check that fails rolls back to the last": Case(
        {"weight_pct": 100, "results": (result(FAIL, at_once=True),)},
        P.ROLLING_BACK, R.CHECK_FAILED, 0,
    ),
    "B25: pods that never come end at the deadline": Case(
        {"weight_pct": 50, "candidate": revision(V2, 2, replicas=4),
         "more": {"unreadySince": ago(601)}},
        P.ROLLING_BACK, R.DEADLINE, 0,
    ),
}  # fmt: skip

LEAVING = {"reason": "CheckFailed", "message": "check errors: bad; stable has no ready pod, so"}
ROLLING_BACK = {
    "B24: traffic goes with stable's first pod where that was decided": Case(
        {"status": {"returnAtOnce": True}, "other": stable(1)}, P.ROLLING_BACK, R.CHECK_FAILED, 0,
    ),
    "B24: else it goes as stable's pods become ready": Case(
        {"other": stable(2)}, P.ROLLING_BACK, R.CHECK_FAILED, 25, "carry 75 %",
    ),
    "B24: a candidate without pods keeps nothing": Case(
        {"other": stable(1), "candidate": revision(V2, 0, replicas=4)},
        P.ROLLING_BACK, R.CHECK_FAILED, 0,
    ),
    "it is not over before the gateway says so": Case(
        {"weight_pct": 0, "accepted": False, "status": {"trafficSince": ago(300)}},
        P.ROLLING_BACK, R.CHECK_FAILED, 0, "the gateway has not confirmed",
    ),
    "what never had traffic waits for no gateway": Case(
        {"weight_pct": 0, "accepted": False}, P.ROLLED_BACK, R.CHECK_FAILED, 0,
    ),
    "with nothing to return it is over": Case(
        {"weight_pct": 0, "status": {"trafficSince": ago(300)}},
        P.ROLLED_BACK, R.CHECK_FAILED, 0,
    ),
}  # fmt: skip


def run(phase: RolloutPhase, case: Case, **defaults: Any) -> Outcome:
    """Return what the pass of a case comes to."""
    known = dict(defaults) | case.given
    base = defaults.get("status", {}) | case.given.get("status", {}) | known.pop("more", {})
    known["status"] = base | {"phase": phase.value}
    return advance(course(**known))


def check(found: Outcome, case: Case) -> None:
    """Check an outcome against what the case expects."""
    seen = (found.status.phase, found.status.reason, found.weight_pct, found.commit)
    assert seen == (case.phase, case.reason, case.weight_pct, case.commit), found.status.message
    assert case.words in found.status.message
    if case.replicas is not None:
        assert found.replicas == case.replicas
    assert bool(found.status.ended_at) == case.phase.ended


@pytest.mark.parametrize("case", STARTING.values(), ids=STARTING.keys())
def test_starting(case: Case) -> None:
    """A rollout that begins gets no traffic before pods, Service and evidence are there."""
    check(run(P.STARTING, case, weight_pct=0), case)


@pytest.mark.parametrize("case", STEPPING.values(), ids=STEPPING.keys())
def test_stepping(case: Case) -> None:
    """A step is guarded first, then judged, then over."""
    check(run(P.STEPPING, case, weight_pct=10), case)


@pytest.mark.parametrize("case", PROMOTING.values(), ids=PROMOTING.keys())
def test_promoting(case: Case) -> None:
    """The candidate takes everything with all its pods, then it is stable."""
    check(run(P.PROMOTING, case, status=stepping(1, held_s=90)), case)


@pytest.mark.parametrize("case", ROLLING_BACK.values(), ids=ROLLING_BACK.keys())
def test_rolling_back(case: Case) -> None:
    """A rollback goes on by stable's capacity and names its cause to the end."""
    found = run(P.ROLLING_BACK, case, weight_pct=80, status=LEAVING)
    check(found, case)
    assert found.status.message.startswith("check errors: bad")
    assert found.status.message.count("; stable") <= 1
    assert not found.news


@pytest.mark.parametrize("phase", [p for p in P if p.ended])
def test_an_end_is_an_end(phase: RolloutPhase) -> None:
    """Rule 3: a rollout that has ended does nothing whatever it sees."""
    failing = course({"phase": phase.value}, weight_pct=50, results=(result(FAIL, at_once=True),))
    found = advance(failing)
    assert (found.status.phase, found.weight_pct, found.replicas) == (phase, 0, None)
    assert not found.news
    assert not TRANSITIONS[phase]


def test_the_last_step_leads_to_promotion() -> None:
    """All steps over, the rollout promotes and notes so."""
    over = course(stepping(1, held_s=90), weight_pct=80)
    found = advance(replace(over, judged=Judged(COUNTED, (result(),))))
    assert (found.status.phase, found.status.message) == (P.PROMOTING, "all steps passed")
    assert [d.action for d in found.news] == ["Promoting"]
    assert found.weight_pct == 80


ILLEGAL = [(a, b) for a, b in product(P, P) if a is not b and b not in TRANSITIONS[a]]


@pytest.mark.parametrize(("before", "after"), ILLEGAL)
def test_an_illegal_change_is_refused(
    before: RolloutPhase, after: RolloutPhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 1: a change that the table does not name raises and leaves everything as it was."""

    def wrong(seen: Course) -> Outcome:
        return enter(Outcome(seen.status, Split("digits-x", 100)), after, seen.now_s)

    phases = cast("MutableMapping[RolloutPhase, Any]", _PHASES)
    monkeypatch.setitem(phases, before, wrong)
    seen = course({"phase": before.value})
    dumped = seen.status.model_dump()
    with pytest.raises(IllegalTransition, match=f"{before} cannot become {after}"):
        advance(seen)
    assert seen.status.model_dump() == dumped
    assert seen.phase is before


def test_the_table_names_every_phase() -> None:
    """Every phase has its row, and every end can be reached."""
    assert set(TRANSITIONS) == set(P) == set(_PHASES)
    reached = frozenset[RolloutPhase]().union(*TRANSITIONS.values())
    assert reached == set(P) - {P.STARTING}


@pytest.mark.parametrize("end", [P.SUPERSEDED, P.ABORTED])
def test_b07_b08_what_is_no_longer_wanted_leaves(end: RolloutPhase) -> None:
    """B7, B8: traffic returns at once; without a ready pod of stable it waits for the first."""
    wanted = withdraw(course(stepping(), weight_pct=10), end, R.NEW_REVISION, "newer")
    assert (wanted.status.phase, wanted.weight_pct) == (P.ROLLING_BACK, 0)
    assert [d.action for d in wanted.news] == [end.value]
    gone = course(stepping(phase="RollingBack", reason="NewRevision"))
    over = withdraw(gone, end, R.NEW_REVISION, "newer")
    assert (over.status.phase, over.news) == (end, ())
    stuck = course(stepping(), weight_pct=10, other=stable(0))
    waiting = withdraw(stuck, end, R.NEW_REVISION, "newer")
    assert (waiting.status.phase, waiting.weight_pct) == (P.ROLLING_BACK, 10)


def test_only_the_latest_decisions_are_kept() -> None:
    """The record of decisions is bounded; the newest is there."""
    old = [{"at": ago(1), "actor": "rampway", "action": f"n{n}", "reason": "x"} for n in range(60)]
    found = advance(course({"decisions": old[:MAX_DECISIONS]}))
    assert len(found.status.decisions) == MAX_DECISIONS
    assert found.status.decisions[-1].action == "StepStarted"
    assert found.status.decisions[0].action == "n1"


@dataclass
class Walk:
    """A rollout that random events happen to; what was decided is so at the next pass."""

    course: Course
    seen: list[RolloutPhase] = field(default_factory=list)

    def happen(self, event: dict[str, Any]) -> Outcome:
        """Let one event happen, decide, and carry the decision out."""
        ready, base = event["ready"], event["stable"]
        mine = revision(
            V2, ready, replicas=4, **(crashed(OOM, ready=ready) if event["oom"] else {})
        )
        obs = replace(
            later(self.course, event["after_s"]).obs,
            route=replace(self.course.obs.route, accepted=event["accepted"]),
            look=Look(NOW_S) if event["look"] else None,
        )
        state = event["check"] if event["look"] else UNKNOWN  # as `judge` has it
        judged = Judged(COUNTED, (result(state, at_once=event["at_once"]),))
        now = replace(self.course, obs=obs, candidate=mine, stable=stable(base), judged=judged)
        found = withdraw(now, P.ABORTED, R.BACK_TO_STABLE, "") if event["away"] else advance(now)
        status = found.status.model_copy(update={"weight_pct": found.weight_pct})
        attempt = replace(rollout(), status=status)
        obs = replace(obs, route=route(found.weight_pct), rollouts=(attempt,))
        self.course = replace(now, obs=obs, rollout=attempt)
        return found


EVENTS = st.fixed_dictionaries(
    {
        "ready": st.integers(0, 4),
        "stable": st.integers(0, 4),
        "oom": st.sampled_from([False, False, False, True]),
        "after_s": st.sampled_from([0.0, 1.0, 30.0, 61.0, 700.0]),
        "accepted": st.sampled_from([True, True, False]),
        "look": st.sampled_from([True, True, False]),
        "check": st.sampled_from([*CheckState, CheckState.PASS, CheckState.PASS]),
        "at_once": st.booleans(),
        "away": st.sampled_from([False] * 9 + [True]),
    }
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=25))
@pytest.mark.no_cover
def test_no_order_of_events_leaves_the_table(events: list[dict[str, Any]]) -> None:
    """Rule 1, B6, B23: phases change as the table says, weight rises only where pods carry it."""
    walk = Walk(course({}, weight_pct=0))
    for event in events:
        before, weight = walk.course.phase, walk.course.weight_pct
        if before.ended:
            break
        found = walk.happen(event)
        after = RolloutPhase(found.status.phase)
        assert after is before or after in TRANSITIONS[before]
        carried = capacity.weight_for(event["ready"], 4)
        assert found.weight_pct <= max(weight, carried)
        assert found.weight_pct <= weight or event["look"], "rose without a look"
        assert not found.commit or (weight == 100 and before is P.PROMOTING)
        assert not after.ended or found.weight_pct == 0
        if weight and not found.weight_pct:
            assert event["stable"] or not event["ready"], "nobody is left to answer"
