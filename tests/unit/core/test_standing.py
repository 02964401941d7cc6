"""The status of a ModelDeployment: what each standing makes of phase and conditions."""

from dataclasses import dataclass
from typing import Any

import pytest
from unit.core.builders import (
    NOW_S,
    V1,
    V2,
    ago,
    course,
    deployment,
    observation,
    pods,
    result,
    revision,
    rollout,
    stable,
    stepping,
)

from rampway.api.conditions import Phase, Reason
from rampway.api.deployment import ModelDeploymentStatus
from rampway.core.checks.judged import CheckState
from rampway.core.model.standing import Standing, project
from rampway.core.model.verdict import Verdict
from rampway.core.observation import Observation
from rampway.core.rollout.course import Outcome
from rampway.core.traffic.split import Split

REFUSAL = Verdict(Reason.CHECK_FAILED, "digits-x-1", "check errors: bad")
HEALTHY = observation()
DOWN = stable(0, pods=pods(unready=4, trouble="ErrImagePull: gone"))


def rolling(status: dict[str, Any], **more: Any) -> Standing:
    """Return the standing of a rollout with this status."""
    seen = course(stepping() | status, **more)
    return Standing.rolling(seen, Outcome(seen.status, Split("digits-x", 10)))


@dataclass(frozen=True)
class Case:
    """A standing and what it must say: phase, reason, Accepted Promoted Reconciling Stalled."""

    standing: Standing
    phase: Phase
    reason: Reason
    conditions: str
    obs: Observation = HEALTHY


CASES = {
    "B15: another one has the host": Case(
        Standing.refused(Reason.ROUTE_CONFLICT, "taken"),
        Phase.REFUSED, Reason.ROUTE_CONFLICT, "False False False True",
    ),
    "the first revision is on its way": Case(
        Standing.pending(Reason.FIRST_REVISION, "0 of 4"),
        Phase.PENDING, Reason.FIRST_REVISION, "True Unknown True False",
    ),
    "B28: the first revision's template is refused": Case(
        Standing.pending(Reason.FIRST_REVISION, "refused", refusal="quota"),
        Phase.PENDING, Reason.FIRST_REVISION, "False Unknown False True",
    ),
    "at rest": Case(
        Standing.at_rest(observation(), stable()),
        Phase.HEALTHY, Reason.AT_REST, "True True False False",
    ),
    "at rest, and no pod is ready": Case(
        Standing.at_rest(observation(revisions=(DOWN,)), DOWN),
        Phase.DEGRADED, Reason.NO_READY_POD, "True True False False",
        observation(revisions=(DOWN,)),
    ),
    "B26: the spec's revision was refused": Case(
        Standing.rolled_back(REFUSAL, V2, "digits-2", stable()),
        Phase.ROLLED_BACK, Reason.CHECK_FAILED, "True False False True",
    ),
    "B1: stable is gone and nothing may take its place": Case(
        Standing.lost(V2, "gone"),
        Phase.DEGRADED, Reason.NO_READY_POD, "True False False True",
        observation(revisions=(revision(V2),)),
    ),
    "B7: a revision waits for the pause to end": Case(
        Standing.paused(V2, "recorded"), Phase.PAUSED, Reason.PAUSED, "True Unknown False False",
    ),
    "the candidate is being made": Case(
        Standing.starting(rollout(), ""),
        Phase.PROGRESSING, Reason.CANDIDATE_STARTING, "True Unknown True False",
    ),
    "B28: the candidate's template is refused": Case(
        Standing.starting(rollout(), "refused", refusal="quota"),
        Phase.PROGRESSING, Reason.BAD_POD_TEMPLATE, "False Unknown False True",
    ),
    "the candidate is stable, the Service follows": Case(
        Standing.promoting(rollout(), "switching"),
        Phase.PROGRESSING, Reason.PROMOTING, "True Unknown True False",
    ),
    "a step runs": Case(
        rolling({"reason": "StepRunning"}),
        Phase.PROGRESSING, Reason.STEP, "True Unknown True False",
    ),
    "B17: a step holds without evidence": Case(
        rolling({"reason": "EvidenceUnknown"}),
        Phase.HOLDING, Reason.EVIDENCE_UNKNOWN, "True Unknown False False",
    ),
    "B17: it has held beyond its patience": Case(
        rolling({"reason": "EvidenceUnknown", "unknownSince": ago(1800)},
                results=(result(CheckState.UNKNOWN),)),
        Phase.HOLDING, Reason.EVIDENCE_UNKNOWN, "True Unknown False True",
    ),
    "B10: a step while paused": Case(
        rolling({"reason": "Paused"}, paused=True),
        Phase.PAUSED, Reason.PAUSED, "True Unknown False False",
    ),
    "B21: a query is wrong": Case(
        rolling({"reason": "EvidenceUnknown"},
                results=(result(CheckState.UNKNOWN, mistake="2 series"),)),
        Phase.HOLDING, Reason.EVIDENCE_UNKNOWN, "False Unknown False False",
    ),
    "traffic is on its way back": Case(
        rolling({"phase": "RollingBack", "reason": "CheckFailed"}),
        Phase.ROLLING_BACK, Reason.CHECK_FAILED, "True False True False",
    ),
    "B7: traffic leaves a candidate nobody wants any more": Case(
        rolling({"phase": "RollingBack", "reason": "NewRevision"}),
        Phase.ROLLING_BACK, Reason.NEW_REVISION, "True Unknown True False",
    ),
    "rolled back": Case(
        rolling({"phase": "RolledBack", "reason": "CandidateOutOfMemory"}),
        Phase.ROLLED_BACK, Reason.CANDIDATE_OOM, "True False False True",
    ),
}  # fmt: skip


def conditions(status: ModelDeploymentStatus) -> dict[str, str]:
    """Return the conditions' states by type."""
    return {c.type: c.status for c in status.conditions}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_each_standing_says(case: Case) -> None:
    """Phase, reason and all conditions follow from the standing, at the spec's generation."""
    found = project(case.obs, case.standing)
    assert (found.phase, found.reason) == (case.phase, case.reason)
    named = ("Accepted", "Promoted", "Reconciling", "Stalled")
    assert " ".join(conditions(found)[name] for name in named) == case.conditions
    assert set(conditions(found)) == {*named, "Ready"}
    assert {c.observed_generation for c in found.conditions} == {3}
    assert found.observed_generation == 3


@pytest.mark.parametrize(
    ("obs", "ready", "words"),
    [
        (observation(), "True", f"stable digits-{V1} serves"),
        (observation(revisions=(DOWN,)), "False", "is ready: ErrImagePull: gone"),
        (observation(revisions=(stable(0, pods=()),)), "False", "is ready"),
        (observation(revisions=(revision(V2),)), "False", "how it stands"),
    ],
)
def test_ready_is_about_stable_alone(obs: Observation, ready: str, words: str) -> None:
    """Ready: stable serves, whatever becomes of the candidate."""
    found = project(obs, Standing.pending(Reason.FIRST_REVISION, "how it stands"))
    (condition,) = [c for c in found.conditions if c.type == "Ready"]
    assert (condition.status, condition.message.endswith(words)) == (ready, True)


def test_transition_times_change_with_the_status_alone() -> None:
    """A condition's time is that of its last change of status."""
    first = project(observation(), Standing.at_rest(observation(), stable()))
    known = first.model_dump(mode="json", by_alias=True)
    later = observation(deployment=deployment(2, status=known), now_s=NOW_S + 60)
    second = project(later, Standing.rolled_back(REFUSAL, V2, "digits-2", stable()))
    times = {c.type: c.last_transition_time for c in second.conditions}
    assert times["Ready"] == times["Accepted"] == ago(0)
    assert times["Promoted"] == times["Stalled"] == ago(-60)


def test_the_step_is_shown_as_people_count() -> None:
    """Steps are counted from 1; none before the first, all while promoting."""
    assert rolling({}).step == "1/2"
    assert rolling({"phase": "Starting"}).step == "0/2"
    assert rolling({"phase": "Promoting"}).step == "2/2"


def test_the_candidate_is_named_even_before_it_exists() -> None:
    """Status names the candidate by hash, with version, digest and pods once it is there."""
    found = project(observation(), Standing.starting(rollout(), ""))
    assert found.candidate is not None
    assert (found.candidate.revision, found.candidate.ready_replicas) == (V2, 0)
    there = observation(revisions=(stable(), revision(V2, 3, version="2")))
    known = project(there, Standing.starting(rollout(), "")).candidate
    assert known is not None
    assert (known.version, known.ready_replicas, known.sha256) == ("2", 3, "ab" * 32)
    assert project(observation(), Standing.at_rest(observation(), stable())).candidate is None


def test_at_rest_says_why_pods_lack() -> None:
    """B28: with some pods ready the words of the others are shown."""
    some = stable(2, pods=(*pods(2), *pods(unready=2, unschedulable="Unschedulable: no node")))
    found = Standing.at_rest(observation(), some)
    assert found.message == "2 of 4 pods ready: Unschedulable: no node"
