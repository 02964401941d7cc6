"""B32: which changes of a status are written at once, and which can wait."""

from typing import Any

import pytest
from unit.core.builders import NOW_S, ago

from rampway.api.conditions import Condition
from rampway.api.deployment import ModelDeploymentStatus, RevisionStatus
from rampway.api.rollout import CheckStatus, ModelRolloutStatus, StepStatus
from rampway.core.writing import rollout_is_news, status_is_news

CHECKS = (CheckStatus(name="errors", state="Waiting", message="9 more"),)
OLD = ModelRolloutStatus(
    phase="Stepping", reason="StepRunning", message="20 s more", checked_at=ago(10),
    checks=CHECKS, evidence="{}", weight_pct=10,
)  # fmt: skip

NEWS: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing": ({}, False),
    "a later time": ({"checked_at": ago(0)}, False),
    "more evidence": ({"evidence": "{1}", "checked_at": ago(0)}, False),
    "seconds left": ({"message": "19 s more"}, False),
    "a check's numbers": ({"checks": (CHECKS[0].model_copy(update={"message": "8"}),)}, False),
    "a check's state": ({"checks": (CHECKS[0].model_copy(update={"state": "Pass"}),)}, True),
    "a phase": ({"phase": "Promoting"}, True),
    "a reason": ({"reason": "Paused"}, True),
    "a step": ({"step": StepStatus(index=1)}, True),
    "a weight": ({"weight_pct": 20}, True),
    "a crash": ({"crashes": ("a",)}, True),
    "evidence lost": ({"unknown_since": ago(0)}, True),
}


@pytest.mark.parametrize(("change", "news"), NEWS.values(), ids=NEWS.keys())
def test_what_is_news_of_a_rollout(change: dict[str, Any], news: bool) -> None:
    """What changes its course is written at once; counts wait."""
    assert rollout_is_news(OLD, OLD.model_copy(update=change), NOW_S, 30.0) is news


def test_a_message_is_news_where_it_does_not_count() -> None:
    """The words of a reason that carries no numbers are news."""
    old = OLD.model_copy(update={"reason": "WaitingForCapacity"})
    assert rollout_is_news(old, old.model_copy(update={"message": "no node"}), NOW_S, 30.0)


def test_numbers_are_written_after_a_while() -> None:
    """B32: a checkpoint is due once its interval is over, or if there never was one."""
    new = OLD.model_copy(update={"evidence": "{1}", "checked_at": ago(0)})
    assert not rollout_is_news(OLD, new, NOW_S + 19.9, 30.0)
    assert rollout_is_news(OLD, new, NOW_S + 20, 30.0)
    assert not rollout_is_news(new, new, NOW_S + 900, 30.0)
    never = OLD.model_copy(update={"checked_at": ""})
    assert rollout_is_news(never, new, NOW_S, 30.0)


def status(message: str = "20 s more", since: str = "", **more: Any) -> ModelDeploymentStatus:
    """Return a ModelDeployment's status in a step, its sentence in a condition too."""
    reconciling = Condition(
        type="Reconciling", status="True", reason="StepRunning", message=message,
        last_transition_time=since,
    )  # fmt: skip
    known = {"reason": "StepRunning", "message": message, "conditions": (reconciling,)} | more
    return ModelDeploymentStatus(**known)


def test_what_is_news_of_a_deployment() -> None:
    """Counts and times are no news; reasons, pods and other words are."""
    assert not status_is_news(status(), status("19 s more", since=ago(0)))
    assert status_is_news(status(), status(stable=RevisionStatus(ready_replicas=1)))
    assert status_is_news(status(), status(observed_generation=2))
    settled = {"reason": "WaitingForCapacity"}
    assert status_is_news(status(**settled), status("no node", **settled))
    turned = status().conditions[0].model_copy(update={"status": "False"})
    assert status_is_news(status(), status(conditions=(turned,)))
