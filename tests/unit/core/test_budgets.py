"""What all checks, and all rollouts, share: the budget of false rollbacks, and that of writes."""

import math
from random import Random
from typing import Any

import pytest
from unit.core.builders import rollout

from rampway.core.checks import kinds, paired
from rampway.core.checks.bound import bound_of
from rampway.core.checks.deltas import Delta
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import EProcess
from rampway.core.observation import Defaults
from rampway.sim.traffic import binomial

CHECKS = ({"name": "errors", "errorRate": {}}, {"name": "refusals", "errorRate": {}})
POLICY = rollout(checks=list(CHECKS), falseRollbackRate="1%").spec.policy
BAR = math.log(100)
"""The logarithm of 1/alpha."""


@pytest.mark.parametrize(
    ("errors", "refusals", "named"),
    [
        (BAR + math.log(1.5), -9.0, set()),
        (BAR + math.log(2.5), -9.0, {"errors"}),
        (-9.0, BAR + math.log(2.5), {"refusals"}),
        (BAR + 0.1, BAR + 0.2, {"refusals"}),
        (BAR - 0.1, BAR - 0.1, set()),
        (BAR + 9.0, BAR + 9.0, {"errors", "refusals"}),
    ],
)
def test_b19_checks_share_one_budget(
    errors: float, refusals: float, named: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """B19: two checks call harm by the mean of their e-values, so each has half of the budget."""
    seen = {"errors": errors, "refusals": refusals}
    monkeypatch.setattr(paired, "log_e", lambda check, _state: seen[check.name])
    assert paired.culprits(bound_of(POLICY), POLICY.checks, {}) == named


@pytest.mark.parametrize(
    ("watch", "of_watch"),
    [
        (None, None),
        ({"hold": "1h", "holdback": "0%"}, None),
        ({"hold": "1h", "holdback": "5%"}, 0.2),
    ],
)
def test_b19_rollout_and_watch_share_one_bound(
    watch: dict[str, str] | None, of_watch: float | None
) -> None:
    """B19: both together are the attempt's bound; without a comparing watch the rollout has all."""
    more: dict[str, Any] = {"watch": watch} if watch else {}
    policy = rollout(checks=list(CHECKS), falseRollbackRate="1%", **more).spec.policy
    first = bound_of(policy)
    assert (first.checks, str(first)) == (2, "0.8 %" if of_watch else "1 %")
    assert first.log_of(0.5) == pytest.approx(first.log + math.log(4))
    if of_watch:
        after = bound_of(policy, watching=True)
        assert after.alpha == pytest.approx(of_watch * policy.alpha)
        assert first.alpha + after.alpha == pytest.approx(policy.alpha)


@pytest.mark.no_cover
def test_b19_what_is_tolerated_is_rarely_called_harm() -> None:
    """B19: at the edge of what the policy tolerates, 1 % of the attempts are refused at most.

    Both kinds of errors are at the edge, looked at 40 times; of 300 attempts 8 would be a chance
    of one in 250.
    """
    dice = Random(11)  # noqa: S311 - nothing here is secret
    wanted = rollout(checks=[{"name": "errors", "errorRate": {}}], falseRollbackRate="1%")
    policy = wanted.spec.policy
    check, bound = policy.checks[0], bound_of(policy)
    tolerance = kinds.of(check).tolerance
    stable = 0.02
    edge = tolerance.ratio * stable + tolerance.floor
    refused = 0
    for _ in range(300):
        state = PairedState((EProcess(), EProcess()))
        for _ in range(40):
            mine, other = (_counted(dice, rate) for rate in (edge, stable))
            state = paired.update(bound, check, state, mine, other, new_segment=False)
            if paired.culprits(bound, policy.checks, {check.name: state}):
                refused += 1
                break
    assert refused <= 8


def _counted(dice: Random, rate: float, n: int = 100) -> Delta:
    """Return n answers, each kind of error at this rate."""
    model, client = binomial(dice, n, rate), binomial(dice, n, rate)
    return Delta({"ok": n - model - client, "model_error": model, "client_error": client})


@pytest.mark.parametrize("rollouts", [1, 119, 121, 1000, 5000])
def test_b32_all_rollouts_together_write_four_checkpoints_a_second(rollouts: int) -> None:
    """B32: each writes every 30 s, of many less often: 4 a second."""
    interval_s = Defaults("server:1", 30.0).shared_by(rollouts).checkpoint_interval_s
    assert interval_s == max(30, rollouts / 4)


@pytest.mark.parametrize("rollouts", [1, 199, 1000, 5000])
def test_rollouts_without_an_event_are_looked_at_forty_times_a_second(rollouts: int) -> None:
    """Each is every 5 s, less often where all together would be more than 40 a second."""
    requeue_s = Defaults("server:1", 30.0).shared_by(rollouts).requeue_s
    assert requeue_s == max(5, rollouts / 40)
