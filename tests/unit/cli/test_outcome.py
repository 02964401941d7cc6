"""When `--wait` ends: a table of statuses, and what becomes of the spec meanwhile."""

from dataclasses import replace
from typing import Any

import pytest
from unit.cli import scenes

from rampway.api.deployment import RevisionStatus
from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.api.succession import Rollout
from rampway.cli.exits import ExitCode
from rampway.cli.outcome import Release, outcome, timed_out

UNDER_WAY = None


def deployment(
    *, generation: int = 2, about: int = 2, version: str = "2", **said: tuple[str, str]
) -> ModelDeployment:
    """Return a ModelDeployment with conditions, type=(status, reason), `about` a generation."""
    given = {kind: (*value, f"{kind} it is") for kind, value in said.items()}
    status: dict[str, Any] = {
        "observedGeneration": about,
        "phase": "Progressing",
        "reason": "StepRunning",
        "message": "step half holds for 20 s more",
        "conditions": scenes.conditions(about, **given),
    }
    return parse_deployment(
        {
            "metadata": {
                "name": scenes.NAME,
                "namespace": scenes.SPACE,
                "uid": "u1",
                "generation": generation,
            },
            "spec": scenes.spec(version),
            "status": status,
        }
    )


RELEASE = Release.of(deployment())


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (deployment(about=0), UNDER_WAY),
        (deployment(Promoted=("Unknown", "StepRunning")), UNDER_WAY),
        (deployment(Promoted=("True", "AtRest")), ExitCode.OK),
        (deployment(about=1, Promoted=("True", "AtRest")), UNDER_WAY),
        (deployment(generation=3, about=3, Promoted=("True", "AtRest")), ExitCode.OK),
        (deployment(Promoted=("False", "CheckFailed")), ExitCode.FAILED),
        (deployment(about=1, Promoted=("False", "CheckFailed")), UNDER_WAY),
        (deployment(Promoted=("False", "NewRevision")), UNDER_WAY),
        (deployment(Promoted=("False", "BackToStable")), UNDER_WAY),
        (
            deployment(
                Promoted=("Unknown", "EvidenceUnknown"), Stalled=("True", "EvidenceUnknown")
            ),
            ExitCode.FAILED,
        ),
        (deployment(about=1, Stalled=("True", "BadPodTemplate")), UNDER_WAY),
        (deployment(Stalled=("True", "WaitingForApproval")), ExitCode.WAITS),
        (deployment(Stalled=("True", "StoppedByCheck")), ExitCode.WAITS),
        (deployment(Stalled=("False", "StepRunning")), UNDER_WAY),
        (deployment(Promoted=("True", "AtRest"), Stalled=("True", "AtRest")), ExitCode.OK),
        (deployment(version="3", Promoted=("True", "AtRest")), ExitCode.FAILED),
    ],
)
def test_the_outcome_of_each_status(seen: ModelDeployment, code: ExitCode | None) -> None:
    """Only conditions about the release's own spec count, and only for its own revision."""
    ended = outcome(RELEASE, seen)
    assert (ended.code if ended else None) == code


def test_the_sentence_says_why() -> None:
    """The last line of a CI job is all that most people read."""
    failed = outcome(RELEASE, deployment(Promoted=("False", "CheckFailed")))
    assert failed is not None
    assert failed.sentence == "CheckFailed: Promoted it is"
    stalled = outcome(RELEASE, deployment(Stalled=("True", "EvidenceUnknown")))
    assert stalled is not None
    assert stalled.sentence == "stalled, EvidenceUnknown: Stalled it is"
    newer = outcome(RELEASE, deployment(version="3"))
    assert newer is not None
    assert newer.sentence == (
        f"superseded: the spec names revision {scenes.digest('3')} now, not {scenes.V2} any more"
    )


QUEUE = {"onNewRevision": "Queue"}


def overtaken(
    *,
    about: int = 3,
    candidate: str = scenes.V2,
    stable: str = scenes.V1,
    queued: bool = True,
    stalled: tuple[str, str] = ("False", "StepRunning"),
) -> ModelDeployment:
    """Return a ModelDeployment whose spec names version 3 after the waiting began."""
    found = deployment(generation=3, about=about, version="3", Stalled=stalled)
    status = found.status.model_copy(
        update={
            "candidate": RevisionStatus(revision=candidate),
            "stable": RevisionStatus(revision=stable),
            "queued": RevisionStatus(revision=scenes.digest("3")) if queued else None,
        }
    )
    spec = found.spec.model_copy(update={"rollout": Rollout.model_validate(QUEUE)})
    return replace(found, spec=spec, status=status)


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (overtaken(), UNDER_WAY),
        (overtaken(about=2, queued=False), UNDER_WAY),
        (overtaken(stable=scenes.V2, candidate=scenes.digest("3"), queued=False), ExitCode.OK),
        (overtaken(stable=scenes.V2), ExitCode.OK),
        (overtaken(candidate=scenes.digest("3"), queued=False), ExitCode.FAILED),
        (overtaken(stalled=("True", "WaitingForApproval")), ExitCode.WAITS),
        (overtaken(stalled=("True", "EvidenceUnknown")), ExitCode.FAILED),
    ],
)
def test_b7_a_newer_revision_that_waits_ends_no_waiting(
    seen: ModelDeployment, code: ExitCode | None
) -> None:
    """B7: with a queue the release goes on to its own end, which is what counts."""
    ended = outcome(RELEASE, seen)
    assert (ended.code if ended else None) == code


def test_an_object_made_anew_is_not_the_one_waited_for() -> None:
    """Its generations begin again at 1, so that they say nothing."""
    other = replace(deployment(Promoted=("True", "AtRest")), uid="u2")
    ended = outcome(RELEASE, other)
    assert ended is not None
    assert ended.code is ExitCode.FAILED
    assert "deleted and made anew" in ended.sentence


def test_a_timeout_says_what_was_waited_for_and_whether_the_operator_is_there() -> None:
    """A status about an older spec hints at an operator that does not run."""
    late = timed_out(RELEASE, deployment(), "15m")
    assert late.code is ExitCode.TIMEOUT
    assert late.sentence == (
        "not promoted within 15m: Progressing, StepRunning: step half holds for 20 s more"
    )
    absent = timed_out(RELEASE, deployment(about=1), "15m")
    assert "has not looked at generation 2 of the spec yet (its status is about 1)" in (
        absent.sentence
    )
