"""Checks of a mean of the user's own: how values are scaled, and what is said of them."""

import math
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError
from unit.core.builders import NOW_S, rollout

from rampway.api.checks import Check
from rampway.api.policy import Policy
from rampway.core.checks import kinds, paired
from rampway.core.checks.bound import bound_of
from rampway.core.checks.checkpoint import from_text, to_text
from rampway.core.checks.deltas import Delta, start_ledger
from rampway.core.checks.judged import EvidenceState
from rampway.core.checks.kinds.base import PairedState
from rampway.core.checks.sentences import harm, seen

SUM, COUNT = "shop_revenue_sum", "shop_revenue_count"


def asked(**more: Any) -> dict[str, Any]:
    """Return a check of the revenue of an order, from 10 to 50, less of which is harm."""
    bounds = {"lower": "10", "upper": "50", "harmWhen": "Less", "maxChange": "0%"}
    mean = {"sum": {"metric": SUM}, "count": {"metric": COUNT}} | bounds | more
    return {"name": "revenue", "mean": mean}


def policy(**more: Any) -> Policy:
    """Return a policy with this check alone."""
    return rollout(checks=[asked(**more)], falseRollbackRate="1%").spec.policy


def counted(number: float, total: float) -> Delta:
    """Return what a revision counted."""
    return Delta(counters={COUNT: number, SUM: total})


def after(
    wanted: Policy, looks: int, mine: tuple[float, float], other: tuple[float, float]
) -> tuple[Check, PairedState]:
    """Return the check and its evidence after so many looks alike, of numbers and sums."""
    check = wanted.checks[0]
    state = kinds.of(check).begin(Delta())
    for _ in range(looks):
        state = paired.update(
            bound_of(wanted), check, state, counted(*mine), counted(*other), new_segment=False
        )
    return check, state


def test_values_are_scaled_by_their_bounds() -> None:
    """A value of 10 counts as no event, one of 50 as a whole one; means are told as they are."""
    check, state = after(policy(), 1, (4, 4 * 30.0), (8, 8 * 40.0))
    total = state.processes[0].total
    assert (total.candidate_n, total.candidate_events) == (8, 6.0)
    assert (total.stable_n, total.stable_events) == (4, 2.0)
    assert seen(check, state) == (
        f"a mean of 30 over 4 {COUNT} on the candidate, 40 over 8 on stable: 1.3 times as small"
    )
    assert kinds.of(check).tolerated == "maxChange 0% and ignoreBelow 0"


@pytest.mark.parametrize(
    ("more", "mine", "other"),
    [
        ({"maxChange": "10%"}, 36.0, 40.0),
        ({"maxChange": "10%", "ignoreBelow": "2"}, 34.0, 40.0),
        ({"harmWhen": "More", "maxChange": "10%", "ignoreBelow": "1"}, 45.0, 40.0),
        ({"harmWhen": "More", "ignoreBelow": "3"}, 43.0, 40.0),
    ],
)
def test_the_tolerance_is_that_of_the_means_themselves(
    more: dict[str, str], mine: float, other: float
) -> None:
    """At the edge, in the unit of the values, the scaled means are just at theirs."""
    check, state = after(policy(**more), 1, (100, 100 * mine), (100, 100 * other))
    total = state.processes[0].total
    tolerance = kinds.of(check).tolerance
    worse, better = total.candidate_events / 100, total.stable_events / 100
    assert worse == pytest.approx(tolerance.ratio * better + tolerance.floor)


def test_a_smaller_mean_is_harm() -> None:
    """Values that vary little are found by betting, before their events tell it."""
    wanted = policy(lower="0", upper="100")
    check, state = after(wanted, 160, (10, 500.0), (10, 650.0))
    assert state.bets is not None
    assert state.bets.log_e() > state.processes[0].log_e()
    bound = bound_of(wanted)
    assert paired.culprits(bound, wanted.checks, {"revenue": state}) == {"revenue"}
    assert "times as small" in harm(bound, check, state)
    _, larger = after(wanted, 160, (10, 650.0), (10, 500.0))
    assert paired.culprits(bound, wanted.checks, {"revenue": larger}) == frozenset()


def test_b19_two_ways_share_the_budget() -> None:
    """B19: the e-value is the average of both, so that one alone has to win twice as much."""
    check, state = after(policy(lower="0", upper="100"), 160, (10, 500.0), (10, 650.0))
    assert state.bets is not None
    both = math.exp(state.processes[0].log_e()) + math.exp(state.bets.log_e())
    assert paired.log_e(check, state) == pytest.approx(math.log(both / 2))


def test_b32_what_was_won_by_betting_survives_a_restart() -> None:
    """B32: bets and parts of events are read back from a checkpoint; other bets begin anew."""
    check, state = after(policy(), 9, (7, 7 * 33.3), (11, 11 * 40.1))
    whole = EvidenceState(NOW_S, start_ledger(NOW_S), paired={"revenue": state})
    back = from_text(to_text(whole))
    assert isinstance(back, EvidenceState)
    kept = back.paired["revenue"]
    assert kept.bets == state.bets
    assert paired.log_e(check, kept) == pytest.approx(paired.log_e(check, state), abs=1e-6)
    events = kept.processes[0].total.candidate_events
    assert events == pytest.approx(state.processes[0].total.candidate_events, abs=1e-6)
    assert from_text(to_text(whole).replace('"bets":[', '"bets":[0,')) is None


def test_values_outside_their_bounds_are_a_mistake() -> None:
    """B21: a mean above upper or below lower is the user's mistake, in words with the bounds."""
    for total in (60.0, 5.0):
        check, state = after(policy(), 3, (10, 10 * total), (10, 400.0))
        assert "outside lower 10 and upper 50" in kinds.of(check).mistake(state)
    check, state = after(policy(), 3, (10, 500.0), (10, 100.0))
    assert not kinds.of(check).mistake(state)


@pytest.mark.no_cover
def test_b19_what_is_tolerated_is_rarely_called_harm() -> None:
    """B19: values of 10 or 50 at the edge of what is tolerated: under one rollback in fifty."""
    dice = Random(8)  # noqa: S311 - nothing here is secret
    wanted = policy(maxChange="10%")
    check, bound = wanted.checks[0], bound_of(wanted)
    refused = 0
    for _ in range(300):
        state = kinds.of(check).begin(Delta())
        for _ in range(40):
            mine, other = (
                counted(50, sum(50.0 if dice.random() < high else 10.0 for _ in range(50)))
                for high in (0.5 * 0.9 - 0.025, 0.5)
            )
            state = paired.update(bound, check, state, mine, other, new_segment=False)
            if paired.culprits(bound, wanted.checks, {check.name: state}):
                refused += 1
                break
    assert refused <= 6


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"lower": "50"}, "expected lower below upper"),
        ({"lower": "-1"}, "a number from 0 on"),
        ({"ignoreBelow": "0", "require": "HarmRuledOut"}, "above 0"),
        ({"maxChange": "50%"}, "expected more than what maxChange tolerates"),
    ],
)
def test_what_cannot_be_meant_is_refused(more: dict[str, Any], words: str) -> None:
    """Bounds that are none, and limits that say nothing, are refused."""
    with pytest.raises(ValidationError, match=words):
        Check.model_validate(asked(**more))
