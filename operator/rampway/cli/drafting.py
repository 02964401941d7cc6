"""The policy that a plan tries: steps from a first share on, and checks for the harm. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rampway.api.base import API_VERSION, factor
from rampway.api.policy import Policy
from rampway.cli.assumed import Traffic
from rampway.cli.words import duration

RISE = 3
"""Each step has so many times the share of the one before."""
LAST_PCT = 60
HOLD_S = 120.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What a rollout may cost.

    Attributes:
        bad_answers: Failed answers of the harmful candidate, in the mean.
        detect: The harm that they are counted for, such as 2x.
        finish_s: Half of the good rollouts take no longer.
        mirror: Copies of requests are judged first.
    """

    bad_answers: float
    detect: str
    finish_s: float
    mirror: bool = False


def planned(base: Policy, first_pct: int, budget: Budget, traffic: Traffic) -> Policy:
    """Return a policy with steps from a first share on, and all else as it is."""
    spec = base.model_dump(mode="json", by_alias=True, exclude_unset=True)
    spec["steps"] = steps(first_pct, budget)
    given = spec.get("checks") or _checks(traffic, budget.detect)
    spec["checks"] = [_detecting(c, budget.detect) for c in given]
    return Policy.model_validate(spec, by_name=False)


def steps(first_pct: int, budget: Budget) -> list[dict[str, Any]]:
    """Return the steps: each share is RISE times the one before."""
    shares = [first_pct]
    while shares[-1] * RISE <= LAST_PCT:
        shares.append(shares[-1] * RISE)
    number = len(shares) + budget.mirror
    hold = duration(max(10, 10 * (min(HOLD_S, budget.finish_s / (3 * number)) // 10)))
    first = [{"name": "shadow", "mirror": "100%", "hold": hold}] if budget.mirror else []
    return [*first, *({"name": f"at-{p}", "weight": f"{p}%", "hold": hold} for p in shares)]


def _checks(traffic: Traffic, detect: str) -> list[dict[str, Any]]:
    """Return checks that tell the harm to detect from what they tolerate.

    What is ignored lies a quarter of the way from stable's own failures to the harm. Less would
    not do: of a kind of failure that stable has none of, the harm is a multiple of what is ignored.
    """
    ignored = {}
    if traffic.error_rate:
        part = min(1.0, (factor(detect) - 1.1) / 4)
        ignored = {"ignoreBelow": f"{max(0.005, 100 * traffic.error_rate * part):.3f}%"}
    return [{"name": "errors", "errorRate": ignored}, {"name": "latency", "latency": {}}]


def _detecting(check: dict[str, Any], detect: str) -> dict[str, Any]:
    if "errorRate" not in check:
        return check
    return check | {"errorRate": (check["errorRate"] or {}) | {"detect": detect}}


def manifest(planned: Policy, name: str, base: Policy) -> dict[str, Any]:
    """Return the policy as an object to apply, with the watch of the one it was made from."""
    policy = planned.model_copy(update={"watch": base.watch}) if base.watch else planned
    spec = policy.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {
        "apiVersion": API_VERSION,
        "kind": "RolloutPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def left_out(base: Policy) -> Sequence[str]:
    """Return what the steps of the policy that it was made from had, and these have not."""
    asks = any(step.approval for step in base.steps)
    raises = any(step.automation for step in base.steps)
    lost = [*(["approvals"] if asks else []), *(["degrees of automation"] if raises else [])]
    return [f"Not taken over from the steps before: {' and '.join(lost)}."] if lost else []
