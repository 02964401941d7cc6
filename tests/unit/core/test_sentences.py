"""What a comparison says: counts, how many times as often, how sure."""

import pytest
from unit.core.builders import rollout

from rampway.core import evidence
from rampway.core.checks import paired, sentences
from rampway.core.checks.bound import bound_of
from rampway.core.checks.deltas import Delta
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import BoundPair, EProcess

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
    buckets = ((bound_s / 1.25, 50), (bound_s, 60), (float("inf"), 100))
    delta = Delta({"ok": 100}, buckets)
    state = paired.update(BOUND, SLOW, state, delta, delta, new_segment=False)
    assert f"40 of 100 requests took longer than {words} on the candidate" in sentences.seen(
        SLOW, state
    )
    assert "50 of 100 longer than" in sentences.seen(SLOW, state)
