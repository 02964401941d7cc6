"""How long answers take, and means of users' own values, held against a value (decision 0059)."""

import math
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError
from unit.core.builders import NOW_S, rollout
from unit.core.test_judging import looked, scrape, state_of

from rampway.api.checks import Check
from rampway.core.checks import references, unpaired
from rampway.core.checks.deltas import Delta, start_ledger
from rampway.core.checks.judged import CheckResult, CheckState, Contest, EvidenceState, Judged
from rampway.core.checks.judging import judge
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import Detector, Histogram
from rampway.core.observation import Look

QUICK: dict[str, Any] = {"against": "Value", "percentile": "99", "value": "200ms"}
SOON = {"name": "soon", "latency": QUICK}
RATED: dict[str, Any] = {
    "sum": {"metric": "stars_sum"},
    "count": {"metric": "stars_count"},
    "detect": "2x",
}
RATED |= {"lower": "1", "upper": "5", "harmWhen": "Less", "against": "Value", "value": "4"}
STARS = {"name": "stars", "mean": RATED}
ROLLING = Contest("digits-2", "digits-1", NOW_S + 300, NOW_S + 300, 0)
FINE = (0.05, 0.1, 0.2, 0.25, 0.5, math.inf)
INF = math.inf


def held(
    late: float, looks: int, bounds: tuple[float, ...] = FINE, check: Any = None, pause: int = 0
) -> Judged:
    """Return what is judged after looks at 100 requests, of which so many take 0.4 s.

    Stable is slow throughout. In each `pause`-th look the candidate had no request.
    """
    wanted = rollout(checks=[check or SOON], falseRollbackRate="1%").spec.policy
    judged, answered = Judged(None, ()), 0
    for n in range(looks):
        answered += 0 if pause and n % pause == 0 else 100
        slow = round(answered * late)
        told = Histogram.of({b: answered - slow if b < 0.4 else answered for b in bounds})
        theirs = Histogram.of({b: 900 * n if b == INF else 0 for b in bounds})
        at_s = 301.0 + 5 * n
        scrapes = (
            scrape("2", at_s, answered, started_at_s=NOW_S + 300, buckets=told),
            scrape("1", at_s, 900 * n, buckets=theirs),
        )
        look = Look(NOW_S + at_s + 1, scrapes)
        judged = judge(wanted, judged.state, look, ROLLING, NOW_S + at_s + 1)
    return judged


def test_b19_slow_answers_are_held_against_a_value() -> None:
    """B19: beyond the percentile's share and ignoreBelow; the bound that was counted is named."""
    (found,) = held(0.1, 20).results
    assert (found.state, found.unpaired, found.at_once) == (CheckState.FAIL, True, False)
    assert "190 of 1900 requests took longer than 250 ms; at most 2 % are no harm" in found.message
    assert not state_of(held(0.1, 20)).paired
    assert held(0.0, 1).results[0].state is CheckState.WAITING
    assert held(0.01, 30).results[0].state is CheckState.PASS


def test_b19_a_look_without_requests_loses_nothing() -> None:
    """B19: what was seen before a pause counts after it."""
    (found,) = held(0.1, 30, pause=3).results
    assert found.state is CheckState.FAIL
    assert "200 of 2000 requests" in found.message


@pytest.mark.parametrize(("value", "bound"), [("198ms", "237 ms"), ("200ms", "285 ms")])
def test_b19_a_bound_may_be_rounded(value: str, bound: str) -> None:
    """B19: bounds each 1.2 times the one before, in three digits, are so far apart all the same."""
    check = {"name": "soon", "latency": QUICK | {"value": value}}
    (found,) = held(0.0, 9, (0.165, 0.198, 0.237, 0.285, 0.342, INF), check).results
    assert f"took longer than {bound}" in found.message


def test_b18_bursts_make_a_pass_wait_for_more() -> None:
    """B18: nobody tells how they come, so bursts of five in the mean are reckoned with."""
    (early,), (later,) = held(0.005, 8).results, held(0.005, 14).results
    assert (early.state, later.state) == (CheckState.WAITING, CheckState.PASS)
    check = rollout(checks=[SOON]).spec.policy.checks[0]
    (to,) = references.held(check, PairedState())
    seen = Detector(requests=400, events=2)
    needed, alone = (
        unpaired._missing_of(check, seen, replace(to, calm_phi=phi)) for phi in (to.calm_phi, 1.0)
    )
    assert alone == 0
    assert needed is not None
    assert 400 < needed < 1000


def test_b18_a_harm_within_the_tolerance_is_never_told() -> None:
    """B18: no number of requests does, which is said; more of them would not decide."""
    check = {"name": "soon", "latency": QUICK | {"detect": "1.5x"}}
    (found,) = held(0.0, 20, FINE, check).results
    assert found.state is CheckState.WAITING
    assert "no number of them would tell detect 1.5x from what maxIncrease 20%" in found.message


@pytest.mark.parametrize(
    ("bounds", "value", "said"),
    [
        (
            (0.05, 0.1, 0.2, INF),
            "200ms",
            "the histogram has no bound from 240 ms (value and maxIncrease) on",
        ),
        ((INF,), "200ms", "the histogram has no bound from 240 ms (value and maxIncrease) on"),
        (FINE, "1h", "the histogram has no bound from 4320 s (value and maxIncrease) on"),
        ((0.1, 10.0, INF), "200ms", "on is 10 s; expected one up to 480 ms"),
    ],
)
def test_b18_a_histogram_that_ends_too_soon_never_passes(
    bounds: tuple[float, ...], value: str, said: str
) -> None:
    """B18: what is longer than the value it cannot tell, which is said, and is no pass."""
    check = {"name": "soon", "latency": QUICK | {"value": value}}
    (found,) = held(0.5, 20, bounds, check).results
    assert found.state is CheckState.UNKNOWN
    assert said in found.mistake


def test_b18_too_coarse_a_histogram_of_stables_is_said() -> None:
    """B18: in a comparison too it would be waited for for ever; 20 % are half of a step here."""
    check = {"name": "slow", "latency": {"detect": "5x"}}
    wanted = rollout(checks=[check]).spec.policy
    two = Histogram.of({0.1: 150, 0.11: 190, INF: 200})
    looks = [
        (301.0 + 5 * n, (scrape("2", 301 + 5 * n, 200, buckets=two),
                         scrape("1", 301 + 5 * n, 200 * n, buckets=two)))
        for n in range(3)
    ]  # fmt: skip
    (found,) = looked(looks, wanted).results
    assert found.state is CheckState.UNKNOWN
    assert "no two bounds as far apart as maxIncrease 20% tolerates" in found.mistake


def rated(mean: float, looks: int = 60) -> CheckResult:
    """Return what is answered after looks at 20 values with a mean."""
    wanted = rollout(checks=[STARS], falseRollbackRate="1%").spec.policy
    check = wanted.checks[0]
    state = EvidenceState(0.0, start_ledger(0.0))
    for n in range(looks):
        mine = Delta(counters={"stars_count": 20.0, "stars_sum": 20 * mean})
        found = unpaired.watched(wanted, state, mine, ROLLING, NOW_S + 300 + 5 * n)
        state = replace(state, lone=found)
    harmed = unpaired.beyond(wanted, state.lone, watching=False)
    return unpaired.answer(check, replace(state, harmed=harmed), ROLLING)


def test_b19_a_mean_is_held_against_a_value() -> None:
    """B19: two stars where four are usual are harm, told in stars; as many as usual pass."""
    found = rated(2.0)
    assert (found.state, found.unpaired) == (CheckState.FAIL, True)
    assert "a mean of 2 over 1200 stars_count; at least 3.6 is no harm" in found.message
    assert rated(4.0).state is CheckState.PASS
    assert rated(3.7).state is CheckState.PASS
    assert rated(3.5, 10).state is CheckState.WAITING


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"latency": {"against": "Value", "percentile": "99"}}, "expected value where against"),
        ({"latency": {"percentile": "99", "value": "1s"}}, "expected value where against"),
        ({"latency": {"against": "Value", "value": "1s"}}, "percentile: expected beside value"),
        ({"latency": QUICK | {"value": "2%"}}, "expected a duration"),
        ({"latency": QUICK | {"value": "0s"}}, "expected a duration above 0s"),
        ({"latency": QUICK | {"require": "HarmRuledOut"}}, "needs stable"),
        ({"mean": RATED | {"value": "0.5"}}, "expected a mean from lower to upper"),
        ({"mean": RATED | {"value": "5.5"}}, "expected a mean from lower to upper"),
        ({"mean": RATED | {"value": "40%"}}, "expected a number from 0 on"),
    ],
)
def test_b39_a_value_is_in_the_unit_of_what_it_is_held_against(
    asked: dict[str, object], words: str
) -> None:
    """A value that says nothing of this check is refused."""
    with pytest.raises(ValidationError, match=words):
        Check.model_validate({"name": "x"} | asked)


def test_the_bounds_of_values_are_valid_ones() -> None:
    """A mean may be at the end that harm leads away from."""
    for value, harm in (("1", "More"), ("5", "Less")):
        check = {"name": "x", "mean": RATED | {"value": value, "harmWhen": harm}}
        assert Check.model_validate(check).usual == (float(value) - 1) / 4
