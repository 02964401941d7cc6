"""The watch without a holdback: held against what stable showed before (B27)."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from random import Random

import pytest
from pydantic import ValidationError
from unit.core.builders import NOW_S, rollout
from unit.core.test_judging import ERRORS, SLOW, grown, looked, scrape, state_of

from rampway.api.checks import Check
from rampway.api.policy import Policy
from rampway.core.checks import unpaired
from rampway.core.checks.checkpoint import from_text, to_text
from rampway.core.checks.counters import Scrape
from rampway.core.checks.deltas import Delta, start_ledger
from rampway.core.checks.judged import (
    CheckResult,
    CheckState,
    Contest,
    EvidenceState,
    Judged,
)
from rampway.core.checks.judging import judge
from rampway.core.checks.references import Reference, limit_of
from rampway.core.evidence import Detector
from rampway.core.observation import Look
from rampway.sim.traffic import binomial

WATCH = Contest("digits-2", "digits-1", NOW_S + 300, NOW_S + 300, 2, watching=True, unpaired=True)


def policy(hold: str = "10m") -> Policy:
    """Return a policy with a watch without a holdback."""
    return rollout(
        checks=[ERRORS, SLOW], watch={"hold": hold, "holdback": "0%"}, falseRollbackRate="1%"
    ).spec.policy


def rolled() -> EvidenceState:
    """Return the evidence of a rollout in which both were fine."""
    return state_of(looked(grown(0.0, looks=60), policy()))


def watch(bad: float, looks: int = 20, begins: int = 0) -> Judged:
    """Return what is judged after so many looks at the promoted revision alone."""
    judged = Judged(rolled(), ())
    count = {"good": 29_500, "bad": 0}
    for n in range(looks):
        failed = round(500 * bad) if n >= begins else 0
        count["bad"] += failed
        count["good"] += 500 - failed
        at_s = 305.0 + 5 * n
        told = scrape("2", at_s, count["good"], count["bad"])
        look = Look(NOW_S + at_s + 1, (told,))
        judged = judge(policy(), judged.state, look, WATCH, NOW_S + at_s + 1)
    return judged


def test_b27_harm_is_found_without_anybody_to_compare_with() -> None:
    """B27: failures that begin in the watch fail the check, marked and with both counts."""
    judged = watch(0.1, begins=10)
    errors = judged.results[0]
    assert (errors.state, errors.unpaired) == (CheckState.FAIL, True)
    assert errors.message.startswith("Unpaired: ")
    assert "on stable before the promotion" in errors.message
    assert "what changed for all looks the same" in errors.message


def test_b27_as_before_is_no_harm() -> None:
    """B27: a revision that does as it did passes, and what it is held against stays frozen."""
    judged = watch(0.0)
    assert [r.state for r in judged.results] == [CheckState.PASS, CheckState.PASS]
    assert all(r.unpaired for r in judged.results)
    assert state_of(judged).paired == rolled().paired


def test_b27_without_a_reference_it_waits() -> None:
    """B27: where nothing was compared before the promotion there is nothing to be held against."""
    begun = replace(rolled(), paired={})
    told: tuple[Scrape, ...] = (scrape("2", 305, 40_000, 9_000),)
    found = judge(policy(), begun, Look(NOW_S + 306, told), WATCH, NOW_S + 306)
    assert {r.state for r in found.results} == {CheckState.WAITING}
    assert "too little of stable" in found.results[0].message


def test_b17_without_prometheus_it_is_unknown() -> None:
    """B17: no look, no verdict."""
    look = Look(NOW_S + 320, problem="Prometheus is away")
    found = judge(policy(), rolled(), look, WATCH, NOW_S + 320)
    assert {r.state for r in found.results} == {CheckState.UNKNOWN}


def test_b32_a_detector_survives_a_restart() -> None:
    """B32: what was seen in the watch goes on after a checkpoint."""
    before = state_of(watch(0.05, looks=6))
    after = from_text(to_text(before))
    assert after is not None
    (mine, _), (kept, _) = before.lone["errors"], after.lone["errors"]
    assert (kept.begun, kept.requests, kept.events) == (mine.begun, mine.requests, mine.events)
    assert kept.log_e() == pytest.approx(mine.log_e(), abs=1e-6)


@pytest.mark.parametrize(("events", "requests"), [(0, 1000), (20, 1000), (300, 1000)])
@pytest.mark.parametrize("fewer", [False, True])
def test_stables_rate_is_taken_on_the_careful_side(
    events: int, requests: int, *, fewer: bool
) -> None:
    """The exact binomial chance of what stable showed, at the rate taken for it, is about 1 %."""
    rate = Reference(requests, events, 1.0).rate(fewer=fewer)
    if fewer and not events:
        assert rate < 1e-6
        return
    upto = range(events + 1) if not fewer else range(events)
    below = sum(
        math.exp(
            math.lgamma(requests + 1) - math.lgamma(k + 1) - math.lgamma(requests - k + 1)
            + k * math.log(rate) + (requests - k) * math.log1p(-rate)
        )
        for k in upto
    )  # fmt: skip
    chance = 1 - below if fewer else below
    assert 0.005 < chance < 0.02


def test_each_check_has_a_part_of_what_may_be_wrong() -> None:
    """A longer watch and more checks ask for more evidence before harm is called."""
    state = state_of(watch(0.03, looks=9))
    log_e = max(one.log_e() for one in state.lone["errors"])
    periods = 11
    bar = math.log(periods * 2 / 0.01) + math.log(2)
    assert unpaired.beyond(policy(), state.lone, watching=True) == (
        frozenset({"errors"}) if log_e >= bar else frozenset()
    )
    assert (
        "errors" not in unpaired.beyond(policy("168h"), state.lone, watching=True)
        or log_e > bar + 4
    )


USUAL = {"name": "errors", "errorRate": {"against": "Value", "value": "2%", "detect": "5x"}}
TRIPLE = {"name": "errors", "errorRate": {"against": "Value", "value": "2%", "detect": "3x"}}
ROLLING = replace(WATCH, watching=False, unpaired=False, step_index=0)


def held(bad: float, looks: int, check: Mapping[str, object] = USUAL) -> Judged:
    """Return what a check against a value answers after so many looks at 100 requests."""
    wanted = rollout(checks=[dict(check)], falseRollbackRate="1%").spec.policy
    judged = Judged(None, ())
    for n in range(looks):
        failed = round(100 * n * bad)
        at_s = 301.0 + 5 * n
        told = scrape("2", at_s, 100 * n - failed, failed)
        other = scrape("1", at_s, 9000 + 900 * n, 300 * n)
        look = Look(NOW_S + at_s + 1, (told, other))
        judged = judge(wanted, judged.state, look, ROLLING, NOW_S + at_s + 1)
    return judged


def test_b19_against_a_value_stable_does_not_matter() -> None:
    """B19: a stable that fails in a third of its answers excuses nobody; the answer is marked."""
    (found,) = held(0.15, 20).results
    assert (found.state, found.unpaired, found.tells) == (CheckState.FAIL, True, False)
    assert found.at_once
    assert "at most 2.7 % are no harm" in found.message
    assert found.message.startswith("Unpaired: ")
    assert not state_of(held(0.15, 20)).paired


def test_b18_against_a_value_it_passes_once_it_would_have_been_seen() -> None:
    """B18: until then it says how many more requests that takes; beyond the value it waits."""
    (early,) = held(0.01, 2, TRIPLE).results
    assert early.state is CheckState.WAITING
    assert re.search(r"more requests on the candidate, \d+ s at the present rate", early.message)
    (later,) = held(0.01, 10).results
    assert later.state is CheckState.PASS
    assert not re.search(r"more requests", later.message)
    (near,) = held(0.03, 4).results
    assert near.state is CheckState.WAITING
    assert "more of them decide" in near.message


def test_b18_harm_that_begins_in_a_later_step_is_no_pass() -> None:
    """B18: what all steps showed is fine; what this one shows speaks for harm: it waits."""
    wanted = rollout(checks=[USUAL]).spec.policy
    (check,), found = wanted.checks, {}
    for again in (False, True):
        state = EvidenceState(0.0, start_ledger(0.0))
        for look in range(100):
            step, failed = (1, 8) if look >= 97 else (0, 0)
            contest = replace(ROLLING, step_index=0 if again else step)
            mine = Delta({"ok": 100 - failed, "model_error": failed})
            lone = unpaired.watched(wanted, state, mine, contest, NOW_S + 300 + look)
            state = replace(state, lone=lone, step_index=contest.step_index)
        assert not unpaired.beyond(wanted, state.lone, watching=False)
        found[again] = unpaired.answer(check, state, contest)
        assert "24 of 10000 requests failed" in found[again].message
    assert (found[False].state, found[True].state) == (CheckState.WAITING, CheckState.PASS)
    assert "more of them decide" in found[False].message


def told(*looks: tuple[int, float, float]) -> CheckResult:
    """Return what counts against a value of 1 % come to, in looks of (step, exposures, events)."""
    counts = {
        "events": {"metric": "faults"},
        "exposures": {"metric": "visits"},
        "detect": "3x",
        "ignoreBelow": "0%",
        "against": "Value",
        "value": "1%",
    }
    wanted = rollout(checks=[{"name": "faults", "counts": counts}]).spec.policy
    state, contest = EvidenceState(0.0, start_ledger(0.0)), ROLLING
    for step, visits, faults in looks:
        contest = replace(ROLLING, step_index=step)
        mine = Delta(counters={"visits": visits, "faults": faults})
        lone = unpaired.watched(wanted, state, mine, contest, NOW_S)
        state = replace(state, lone=lone, step_index=step)
    return unpaired.answer(wanted.checks[0], state, contest)


def test_b18_events_that_wait_for_their_requests_pass_nothing() -> None:
    """B18: they were scraped before the requests that they are of, and are harm all the same."""
    assert told((0, 1000, 0)).state is CheckState.PASS
    late = told((0, 1000, 0), (0, 0, 100))
    assert late.state is CheckState.WAITING
    assert "more of them decide" in late.message
    assert told((0, 20_000, 0), (1, 1, 0)).state is CheckState.PASS
    assert told((0, 20_000, 0), (1, 1, 0), (1, 0, 100)).state is CheckState.WAITING


def test_b18_a_step_in_which_nothing_was_counted_passes_nothing() -> None:
    """B18: neither before its first requests, nor while a lag leaves them out."""
    empty = told((0, 1000, 0), (1, 0, 0))
    assert empty.state is CheckState.WAITING
    assert "nothing of this step was counted yet" in empty.message
    assert told((0, 1000, 0), (1, 1, 0)).state is CheckState.PASS


@pytest.mark.parametrize(
    ("known", "read"),
    [
        (7, Detector(requests=9, step=(4, 1.0), part=0.5)),
        (6, Detector(requests=9, step=(4, 1.0))),
        (5, Detector(requests=9)),
    ],
)
def test_b32_a_detector_of_an_earlier_version_is_read(known: int, read: Detector) -> None:
    """B32: it does not know what the step showed, and that is no reason to forget all else."""
    shown = Detector(requests=9, step=(4, 1.0), part=0.5)
    text = to_text(replace(rolled(), lone={"errors": (shown,)}))
    data, state = json.loads(text), from_text(text)
    assert state is not None
    data["lone"] = {name: [one[:known] for one in of] for name, of in data["lone"].items()}
    found = from_text(json.dumps(data))
    assert found is not None
    assert found.paired == state.paired
    assert found.lone["errors"] == (read,)


def test_b19_at_the_value_harm_is_rarely_called() -> None:
    """B19: 200 rollouts of 40 looks at the limit: at most one in fifty is called harm."""
    dice, called = Random(9), 0  # noqa: S311 - nothing here is secret
    wanted = rollout(checks=[USUAL], falseRollbackRate="1%").spec.policy
    check = wanted.checks[0]
    limit = limit_of(check, 0.02)
    for _ in range(200):
        detector = Detector()
        for look in range(40):
            seen = (100, binomial(dice, 100, limit))
            detector = detector.after(seen, limit, begun=1 + look // 4, phi=2.0, endless=True)
            found = {"errors": (detector,)}
            if unpaired.beyond(wanted, found, watching=False):
                called += 1
                break
    assert called <= 4


def test_b19_harm_that_begins_late_is_called_against_a_value_too() -> None:
    """After an hour without a failure, fifteen looks in which a third fails suffice."""
    wanted = rollout(checks=[USUAL]).spec.policy
    state = EvidenceState(0.0, start_ledger(0.0))
    for look in range(360 + 15):
        failed = 33 if look >= 360 else 0
        mine = Delta({"ok": 100 - failed, "model_error": failed})
        at_s = NOW_S + 300 + 10 * look
        found = unpaired.watched(wanted, state, mine, ROLLING, at_s)
        state = replace(state, lone=found, seen_s=at_s)
        assert look >= 360 or not unpaired.beyond(wanted, found, watching=False)
    assert unpaired.beyond(wanted, state.lone, watching=False) == {"errors"}


def test_b19_traffic_that_comes_again_begins_anew() -> None:
    """B19: harm may begin with it; that more than an hour went well before does not hide it."""
    wanted = rollout(checks=[USUAL]).spec.policy
    begun = []
    state, contest = EvidenceState(0.0, start_ledger(0.0)), ROLLING
    for look in range(360):
        at_s = NOW_S + 300 + 10 * look
        if look == 180:
            contest = replace(ROLLING, traffic_since_s=at_s)
        found = unpaired.watched(wanted, state, Delta({"ok": 100}), contest, at_s)
        state = replace(state, lone=found, seen_s=at_s)
        begun.append(found["errors"][0].begun)
    assert [begun[look] for look in (0, 5, 6, 179, 180, 185, 186, 359)] == [
        1, 1, 2, 30, 31, 31, 32, 60
    ]  # fmt: skip


def test_b20_parts_of_an_exposure_are_not_lost() -> None:
    """B20: what users count need not be whole: seconds, or weighted visits."""
    assert told(*[(0, 0.5, 0.0)] * 2000).state is CheckState.PASS
    found = told(*[(0, 1.5, 0.0)] * 100)
    assert "0 of 150 visits" in found.message


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"errorRate": {"against": "Value"}}, "expected value where against is Value"),
        ({"errorRate": {"value": "2%"}}, "expected value where against is Value"),
        (
            {"errorRate": {"against": "Value", "value": "2%", "require": "HarmRuledOut"}},
            "needs stable to compare with",
        ),
    ],
)
def test_a_value_stands_beside_the_word(asked: dict[str, object], words: str) -> None:
    """A value without the word is refused, and the word without one."""
    with pytest.raises(ValidationError, match=words):
        Check.model_validate({"name": "x"} | asked)


def test_fewer_than_a_value() -> None:
    """Orders below what is usual fail too, and as many as usual pass."""
    counts = {
        "events": {"metric": "orders"},
        "exposures": {"metric": "visits"},
        "harmWhen": "Less",
        "detect": "2x",
        "against": "Value",
        "value": "10%",
    }
    wanted = rollout(checks=[{"name": "orders", "counts": counts}]).spec.policy
    check = wanted.checks[0]
    states = {}
    for rate in (0.02, 0.1):
        detectors = {}
        state = EvidenceState(0.0, start_ledger(0.0))
        for _ in range(40):
            mine = Delta(counters={"visits": 100.0, "orders": 100 * rate})
            detectors = unpaired.watched(wanted, state, mine, ROLLING, NOW_S)
            state = replace(state, lone=detectors)
        harmed = unpaired.beyond(wanted, detectors, watching=False)
        states[rate] = unpaired.answer(check, replace(state, harmed=harmed), ROLLING).state
    assert states == {0.02: CheckState.FAIL, 0.1: CheckState.PASS}
