"""What the demo says of a rollout, from objects as kubectl prints them."""

from dataclasses import replace
from typing import Any

from demo.view import Check, Seen, changes, power, seen

RUNNING = Seen(
    promoted="Unknown",
    phase="Progressing",
    message="step fifth",
    stable="aaa",
    candidate="bbb",
    step="1/3",
    step_name="fifth",
    weight_pct=20,
    checks=(Check("errors", "Waiting", "about 100 more requests"),),
)


def deployment(**status: Any) -> dict[str, Any]:
    """A ModelDeployment of generation 2."""
    return {"metadata": {"name": "digits", "generation": 2}, "status": status}


def test_objects_are_read() -> None:
    """Deployment and rollout come together by the rollout's name in the status."""
    rollouts = [
        {"metadata": {"name": "digits-old-1"}, "status": {"checks": []}},
        {
            "metadata": {"name": "digits-bbb-2"},
            "status": {
                "step": {"index": 0, "shown": "1/3", "name": "fifth"},
                "checks": [
                    {"name": "errors", "state": "Waiting", "message": "about 100 more requests"}
                ],
            },
        },
    ]
    found = deployment(
        phase="Progressing",
        message="step fifth",
        stable={"revision": "aaa"},
        candidate={"revision": "bbb"},
        rollout="digits-bbb-2",
        weightPct=20,
        conditions=[{"type": "Promoted", "status": "Unknown", "observedGeneration": 2}],
    )
    assert seen(found, rollouts) == RUNNING


def test_condition_of_an_older_generation_is_not_believed() -> None:
    """Right after `kubectl apply` the status still tells of the manifest before."""
    old = {"type": "Promoted", "status": "True", "observedGeneration": 1}
    found = seen(deployment(phase="Healthy", conditions=[old]), [])
    assert found.promoted == ""
    assert not found.settled
    assert changes(None, found) == []


def test_object_without_status_is_read() -> None:
    """A ModelDeployment that the operator has not seen yet is nothing settled."""
    assert not seen({"metadata": {"generation": 1}}, []).settled


def test_ends_are_known() -> None:
    """Promoted and serving, or refused: else it goes on, also while traffic returns."""
    ends = {
        ("True", "Healthy"): True,
        ("True", "Degraded"): False,
        ("False", "RolledBack"): True,
        ("False", "RollingBack"): False,
        ("Unknown", "Progressing"): False,
    }
    for (promoted, phase), settled in ends.items():
        assert replace(RUNNING, promoted=promoted, phase=phase).settled is settled, phase


def test_each_change_is_a_line_and_nothing_else_is() -> None:
    """New numbers in a sentence are no news; a new weight or verdict is."""
    assert changes(None, RUNNING) == [
        "Progressing, candidate's weight 20 %, step 1/3 fifth",
        "check errors: Waiting: about 100 more requests",
    ]
    again = replace(RUNNING, checks=(Check("errors", "Waiting", "about 50 more requests"),))
    assert changes(RUNNING, again) == []
    passed = replace(RUNNING, checks=(Check("errors", "Pass", "none failed"),))
    assert changes(again, passed) == ["check errors: Pass: none failed"]
    back = replace(
        passed, phase="RolledBack", promoted="False", weight_pct=0, message="bbb was rolled back"
    )
    assert changes(passed, back) == [
        "RolledBack, candidate's weight 0 %",
        "bbb was rolled back",
    ]


def decided(action: str, message: str = "", *checks: tuple[str, str]) -> dict[str, Any]:
    """A decision, with what the checks said."""
    return {"action": action, "message": message, "checks": answers(*checks)}


def answers(*checks: tuple[str, str]) -> list[dict[str, str]]:
    """Answers of the check errors, of state and message each."""
    return [{"name": "errors", "state": state, "message": said} for state, said in checks]


FIFTH, HALF = "step 1/2 fifth: 20%", "step 2/2 half: 50%"


def test_power_is_told_with_the_answers_that_ended_each_step() -> None:
    """They are on record with the decision that followed; what the status says is later."""
    made = [
        decided("StepStarted", FIFTH),
        decided("Paused"),
        decided("StepStarted", HALF, ("Pass", "0 of 500")),
        decided("Promoting", "all steps passed", ("Pass", "0 of 900")),
        decided("Promoted"),
    ]
    later = {"decisions": made, "checks": answers(("Waiting", "waits for a first scrape"))}
    assert power([{"status": later}, {"status": {}}, {}]) == [
        f"{FIFTH}:",
        "  errors: had power (80 % for `detect`) and saw no harm",
        "    0 of 500",
        f"{HALF}:",
        "  errors: had power (80 % for `detect`) and saw no harm",
        "    0 of 900",
    ]


def test_harm_that_ends_a_step_is_told_with_it() -> None:
    """A rollback is an end, too, once; what led to it stays in the status."""
    made = [decided("StepStarted", FIFTH), decided("RollingBack", "bad")]
    harmed = {"decisions": made, "checks": answers(("Fail", "9 of 60"))}
    assert power([{"status": harmed}]) == [
        f"{FIFTH}:",
        "  errors: needed no more power: harm proven",
        "    9 of 60",
    ]
