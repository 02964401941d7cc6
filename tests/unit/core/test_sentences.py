"""What a comparison says: counts, how many times as often, how sure."""

import pytest
from unit.core.builders import rollout
from unit.core.test_judging import grown, looked

from rampway.core import evidence
from rampway.core.checks import paired, sentences
from rampway.core.checks.bound import bound_of
from rampway.core.checks.deltas import Delta
from rampway.core.checks.judged import CheckState
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import BoundPair, EProcess, Histogram

POLICY = rollout(
    checks=[{"name": "errors", "errorRate": {}}, {"name": "slow", "latency": {"percentile": "99"}}],
    falseRollbackRate="1%",
).spec.policy
ERRORS, SLOW = POLICY.checks
BOUND = bound_of(POLICY)


def errors(*looks: tuple[int, int, int, int]) -> PairedState:
    """Return the evidence after looks of (candidate's requests, failed, stable's, failed)."""
    state = PairedState((EProcess(), EProcess()))
    for n_c, mine, n_s, other in looks:
        candidate = Delta({"ok": n_c - mine, "model_error": mine})
        stable = Delta({"ok": n_s - other, "model_error": other})
        state = paired.update(BOUND, ERRORS, state, candidate, stable, new_segment=False)
    return state


def test_harm_says_how_often_at_least_and_how_sure() -> None:
    """Counts, ratio, the least ratio that the interval leaves possible, and the bound."""
    text = sentences.harm(BOUND, ERRORS, errors(*[(41, 6, 369, 6)] * 10))
    start, rest = text.split(" (at least ")
    assert start == (
        "60 of 410 requests failed on the candidate, 60 of 3690 on stable: 9.0 times as often"
    )
    least, end = rest.split(")")
    assert 3 < float(least) < 9
    assert end == "; a false alarm at this point has a chance under 1 %"


def steps(*segments: tuple[int, tuple[int, int, int, int]]) -> PairedState:
    """Return the evidence after so many looks of each kind, each kind under a split of its own."""
    state = PairedState((EProcess(), EProcess()))
    for number, (n_c, mine, n_s, other) in segments:
        for look in range(number):
            candidate = Delta({"ok": n_c - mine, "model_error": mine})
            stable = Delta({"ok": n_s - other, "model_error": other})
            new = look == 0
            state = paired.update(BOUND, ERRORS, state, candidate, stable, new_segment=new)
    return state


def test_an_outage_of_both_turns_no_ratio_round() -> None:
    """Where counts suggest another ratio than the looks show, it is said why (Simpson)."""
    both = (20, (50, 10, 950, 190))
    text = sentences.seen(ERRORS, steps(both, (10, (500, 30, 500, 10))))
    assert text == (
        "500 of 6000 requests failed on the candidate, 3900 of 24000 on stable; "
        "compared at the same times 1.4 times as often"
    )
    assert sentences.seen(ERRORS, steps((10, (500, 30, 500, 10)))).endswith(": 3.0 times as often")


def test_harm_that_began_with_a_step_is_told_of_that_step() -> None:
    """What was counted in an outage before, at another split, hides it."""
    state = steps((20, (25, 5, 475, 95)), (12, (250, 12, 250, 1)))
    start, _, rest = sentences.harm(BOUND, ERRORS, state).partition(" (at least ")
    assert start == (
        "since the split of the traffic changed, 144 of 3000 requests failed on the candidate, "
        "12 of 3000 on stable: 12.0 times as often"
    )
    assert float(rest.split(")")[0]) > 2
    steady = steps((20, (41, 6, 369, 6)), (2, (205, 30, 205, 4)))
    assert sentences.harm(BOUND, ERRORS, steady).startswith("180 of 1230 requests failed")


PROOF = [
    {"name": "errors", "errorRate": {"require": "HarmRuledOut", "ignoreBelow": below}}
    for below in ("0.5%", "0%")
]


@pytest.mark.parametrize("asked", PROOF)
def test_proof_says_how_often_at_most(asked: dict[str, object]) -> None:
    """The upper end of the interval; without a floor, no more than what was ruled out."""
    (check,) = rollout(checks=[asked], falseRollbackRate="1%").spec.policy.checks
    state = errors(*[(200, 2, 800, 8)] * 30)
    text = sentences.proved(check, state)
    start, most = text.removesuffix(" times as often").split(" is ruled out: at most ")
    assert start.startswith("harm beyond maxIncrease 10%")
    high = evidence.interval(state.processes[0]).high
    limit = high if "0.5" in start else 1.1
    assert float(most) == pytest.approx(limit, abs=0.01)
    assert 1.1 < high < 3
    nothing = sentences.proved(check, errors(*[(200, 0, 800, 0)] * 30))
    assert nothing.endswith(" is ruled out") is ("0.5" in start)


def test_harm_beside_a_stable_without_failures() -> None:
    """There is no ratio, but there is a least one."""
    text = sentences.harm(BOUND, ERRORS, errors(*[(41, 6, 369, 0)] * 10))
    assert "0 of 3690 on stable: at least " in text
    assert " times as often; " in text


def test_where_nothing_is_sure_nothing_is_said() -> None:
    """Too few failures for a least ratio above 1: the counts speak alone."""
    few = errors((400, 1, 400, 0))
    assert sentences.harm(BOUND, ERRORS, few).startswith(
        "1 of 400 requests failed on the candidate, 0 of 400 on stable; a false"
    )
    some = errors((400, 1, 400, 1))
    assert "on stable: 1.0 times as often; a false" in sentences.harm(BOUND, ERRORS, some)


def test_what_is_only_seen_costs_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look says what was seen; the least ratio, which takes milliseconds, is for harm."""
    asked: list[EProcess] = []
    monkeypatch.setattr(evidence, "interval", asked.append)
    text = sentences.seen(ERRORS, errors(*[(41, 6, 369, 6)] * 10))
    assert text.endswith("60 of 3690 on stable: 9.0 times as often")
    assert not asked


@pytest.mark.parametrize(("bound_s", "words"), [(0.25, "250 ms"), (2.5, "2.5 s")])
def test_slowness_names_both_bounds(bound_s: float, words: str) -> None:
    """A latency check says what was exceeded on either side."""
    state = PairedState((EProcess(),), (BoundPair(1.0, bound_s / 1.25, bound_s),))
    buckets = Histogram.of({bound_s / 1.25: 50, bound_s: 60, float("inf"): 100})
    delta = Delta({"ok": 100}, buckets)
    state = paired.update(BOUND, SLOW, state, delta, delta, new_segment=False)
    assert f"40 of 100 requests took longer than {words} on the candidate" in sentences.seen(
        SLOW, state
    )
    assert "50 of 100 longer than" in sentences.seen(SLOW, state)


@pytest.mark.parametrize(("bad", "why"), [(0.006, False), (0.014, True)])
def test_b18_a_pass_says_why_more_than_is_tolerated_did_not_fail(bad: float, *, why: bool) -> None:
    """B18: as harm of the size of detect would have shown, which a reader may not guess."""
    check = {"name": "errors", "errorRate": {"ignoreBelow": "1%", "detect": "10x"}}
    (found,) = looked(grown(bad, 8), rollout(checks=[check]).spec.policy).results
    assert found.state is CheckState.PASS
    told = "; more than maxIncrease 10% and ignoreBelow 1% tolerate, but harm as large as detect"
    assert (told in found.message) is why
    assert found.message.endswith(" 10x would have shown") is why
