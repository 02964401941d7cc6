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
    step_weight="20%",
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
            "spec": {"policy": {"steps": [{"weight": "20%"}, {"weight": "50%"}]}},
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


def test_power_is_told_for_the_end_of_each_step() -> None:
    """What ended a step is what the next status says, and the last one may tell of no rollout."""
    second = replace(
        RUNNING,
        step="2/3",
        step_name="half",
        step_weight="50%",
        weight_pct=50,
        checks=(Check("errors", "Pass", "0 of 500"),),
    )
    later = replace(second, checks=(Check("errors", "Pass", "0 of 900"),), weight_pct=100)
    promoted = Seen("True", "Healthy", "2 of 2 pods ready")
    assert power([RUNNING, second, later, promoted]) == [
        "step 1/3 fifth, 20%:",
        "  errors: had power (80 % for `detect`) and saw no harm",
        "    0 of 500",
        "step 2/3 half, 50%:",
        "  errors: had power (80 % for `detect`) and saw no harm",
        "    0 of 900",
    ]


def test_harm_that_ends_a_step_is_told_with_it() -> None:
    """After a rollback the weight is 0, but the rollout still tells why."""
    refused = replace(
        RUNNING, phase="RolledBack", weight_pct=0, checks=(Check("errors", "Fail", "9 of 60"),)
    )
    assert power([RUNNING, refused]) == [
        "step 1/3 fifth, 20%:",
        "  errors: needed no more power: harm proven",
        "    9 of 60",
    ]
    assert power([replace(RUNNING, weight_pct=0)]) == []
