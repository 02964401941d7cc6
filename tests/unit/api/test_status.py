"""What the status models do by themselves."""

import pytest

from rampway.api.base import factor, fraction, seconds
from rampway.api.conditions import Condition, RolloutPhase
from rampway.api.deployment import ModelDeploymentStatus, RevisionStatus
from rampway.api.rollout import StepStatus


def test_a_revision_is_shown_by_its_version_else_by_its_hash() -> None:
    """The column is never blank for a revision that exists."""
    assert RevisionStatus(revision="abc", version="2").shown == "2"
    assert RevisionStatus(revision="abc").shown == "abc"


def test_a_step_is_shown_counted_from_one() -> None:
    """2/4 is the second of four; before the first there is nothing to show."""
    assert StepStatus(index=1, total=4).shown == "2/4"
    assert StepStatus().shown == ""


def test_what_is_shown_is_written_and_read_back_without_harm() -> None:
    """The computed fields go out with the status and are ignored when it comes back."""
    status = ModelDeploymentStatus(stable=RevisionStatus(revision="abc", version="2"))
    wire = status.model_dump(mode="json", by_alias=True)
    assert wire["stable"]["shown"] == "2"
    assert ModelDeploymentStatus.model_validate(wire) == status


def test_an_overlong_message_is_cut_not_refused() -> None:
    """A kubelet's novel must not keep the status from being written."""
    found = Condition(type="Ready", status="False", reason="R", message="x" * 9000)
    assert len(found.message) == 4096
    assert found.message.endswith("x…")


def test_phases_that_have_ended() -> None:
    """A rollout that has ended can never act again."""
    ended = {phase for phase in RolloutPhase if phase.ended}
    assert ended == {
        RolloutPhase.PROMOTED,
        RolloutPhase.ROLLED_BACK,
        RolloutPhase.SUPERSEDED,
        RolloutPhase.ABORTED,
    }


def test_scalars_are_parsed_in_their_units() -> None:
    """Durations in seconds, percentages as fractions, factors as numbers."""
    assert seconds("1h30m") == 5400.0
    assert seconds("1m500ms") == 60.5
    assert fraction("0.5%") == pytest.approx(0.005)
    assert factor("1.5x") == 1.5


@pytest.mark.parametrize(
    ("parse", "text"), [(seconds, "90"), (seconds, "5m\n"), (fraction, "5"), (factor, "3")]
)
def test_malformed_scalars_say_what_is_expected(parse: object, text: str) -> None:
    """The error shows the value and an example."""
    with pytest.raises(ValueError, match="expected for example"):
        parse(text)  # type: ignore[operator]  # one of three functions


def test_after_the_last_step_it_is_still_the_last() -> None:
    """While a watch runs, and ever after, no step is beyond the last one."""
    shown = [StepStatus(index=index, total=3).shown for index in (0, 2, 3)]
    assert shown == ["1/3", "3/3", "3/3"]
    assert not StepStatus().shown
