"""The checks of a rollout: what counts, what is answered, what a checkpoint keeps."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.core.builders import NOW_S, rollout

from rampway.api.policy import Policy
from rampway.core.checks.alone import ABSENT_S, BACK_S
from rampway.core.checks.answering import STALE_S
from rampway.core.checks.answers import Answer, AnswerKind
from rampway.core.checks.checkpoint import from_text, to_text
from rampway.core.checks.counters import Scrape
from rampway.core.checks.judged import (
    CheckResult,
    CheckState,
    Contest,
    Down,
    EvidenceState,
    Failed,
    Judged,
)
from rampway.core.checks.judging import judge
from rampway.core.evidence import Histogram
from rampway.core.observation import Look

BOTH = Contest("digits-2", "digits-1", NOW_S, NOW_S, 0)
ERRORS = {"name": "errors", "errorRate": {"detect": "5x"}}
SLOW = {"name": "slow", "latency": {"detect": "5x"}}
REVENUE = {"name": "revenue", "threshold": {"query": "x", "min": "1", "sustained": "1m"}}
INF = float("inf")


def policy(*checks: dict[str, Any]) -> Policy:
    """Return a policy with these checks; by default that of errors."""
    return rollout(checks=list(checks or (ERRORS,))).spec.policy


def scrape(role: str, at_s: float, good: int, bad: int = 0, **more: Any) -> Scrape:
    """Return a scrape of the pod of a revision, `at_s` after NOW_S, of a process of long ago."""
    known: dict[str, Any] = {
        "namespace": "ml",
        "revision": f"digits-{role}",
        "pod": f"pod-{role}",
        "at_s": NOW_S + at_s,
        "started_at_s": NOW_S - 5000,
        "outcomes": {"ok": good, "model_error": bad},
        "buckets": Histogram.of({0.01: good // 2, 0.1: good, INF: good + bad}),
    }
    return Scrape(**known | more)


def failed_check(judged: Judged) -> CheckResult | None:
    """Return the first check that failed."""
    return next((r for r in judged.results if r.state is CheckState.FAIL), None)


def looked(
    looks: Sequence[tuple[float, tuple[Scrape, ...]]],
    wanted: Policy | None = None,
    contest: Contest = BOTH,
    state: EvidenceState | None = None,
) -> Judged:
    """Return what is judged after these looks, each so many seconds after NOW_S."""
    judged = Judged(state, ())
    for at_s, scrapes in looks:
        look = Look(NOW_S + at_s, scrapes)
        judged = judge(wanted or policy(), judged.state, look, contest, NOW_S + at_s)
    return judged


def grown(bad_part: float, looks: int = 12) -> list[tuple[float, tuple[Scrape, ...]]]:
    """Return looks in which both answer 500 requests each, the candidate failing so often."""
    found: list[tuple[float, tuple[Scrape, ...]]] = []
    for n in range(looks):
        bad = round(500 * n * bad_part)
        base = scrape("1", 5.0 * n + 2, 5000 + 500 * n)
        found.append((5.0 * n + 5, (scrape("2", 5.0 * n + 2, 500 * n - bad, bad), base)))
    return found


def state_of(judged: Judged) -> EvidenceState:
    """Return the evidence, which is there."""
    assert judged.state is not None
    return judged.state


def test_b21_a_check_that_never_ran_is_no_pass() -> None:
    """B21: without a look every check is Unknown, and what is known is kept."""
    known = looked(grown(0.0)).state
    found = judge(policy(ERRORS, SLOW, REVENUE), known, None, BOTH, NOW_S)
    assert [r.state for r in found.results] == [CheckState.UNKNOWN] * 3
    assert found.state is known
    assert found.unknown == "errors: no look at the metrics yet"


def test_before_traffic_checks_wait() -> None:
    """Without traffic there is nothing to judge, and thresholds do not speak either."""
    before = replace(BOTH, traffic_since_s=None, weight_since_s=None)
    found = looked(grown(0.5), policy(ERRORS, REVENUE), before)
    assert {r.state for r in found.results} == {CheckState.WAITING}
    assert "first requests" in found.waiting


def test_harm_is_found_and_harmlessness_too() -> None:
    """B18: a model that fails is caught at once; one that does not passes once it had power."""
    harm = looked(grown(0.3, looks=8))
    failed = failed_check(harm)
    assert failed is not None
    assert failed.at_once
    assert "model" not in failed.name
    assert "failed on the candidate" in failed.message
    calm = looked(grown(0.0, looks=60))
    assert [r.state for r in calm.results] == [CheckState.PASS]
    assert calm.requests > 25_000


def test_b18_where_proof_is_required_lack_of_harm_does_not_pass() -> None:
    """B18: a candidate as bad as is tolerated shows no harm, and none is ruled out either."""
    proof = {"name": "errors", "errorRate": {"detect": "5x", "require": "HarmRuledOut"}}
    bad = grown(0.005, looks=60)
    assert [r.state for r in looked(bad).results] == [CheckState.PASS]
    judged = looked(bad, policy(proof))
    assert [r.state for r in judged.results] == [CheckState.WAITING]
    assert "harm beyond maxIncrease 10% and ignoreBelow 0.5%" in judged.waiting
    early = looked(grown(0.0, looks=3), policy(proof))
    assert "more requests on the candidate to rule out harm beyond maxIncrease" in early.waiting
    good = looked(grown(0.0, looks=60), policy(proof))
    assert [r.state for r in good.results] == [CheckState.PASS]
    assert "and ignoreBelow 0.5% is ruled out" in good.results[0].message


def test_b18_harm_that_begins_after_a_long_calm_lets_nothing_pass() -> None:
    """B18: where the stakes are burnt, unproven harm shows in no e-value, and does not pass."""
    calm = grown(0.0, looks=200)
    found = looked(calm)
    assert [r.state for r in found.results] == [CheckState.PASS]
    at_s, (mine, other) = calm[-1]
    states, bad = [], 0
    for n in range(1, 7):
        bad += 100
        later = replace(mine, at_s=mine.at_s + 5 * n,
                        outcomes={"ok": 500 * (199 + n) - bad, "model_error": bad})  # fmt: skip
        base = replace(other, at_s=other.at_s + 5 * n,
                       outcomes={"ok": 5000 + 500 * (199 + n), "model_error": 0})  # fmt: skip
        found = looked([(at_s + 5 * n, (later, base))], state=found.state)
        states.append(found.results[0].state)
    assert states[2:] == [CheckState.WAITING] * 4
    assert "leans towards harm" in found.results[0].message


def test_b18_waiting_says_how_much_is_missing() -> None:
    """B18: it names the requests that are missing and how long they take."""
    found = looked(grown(0.0, looks=3))
    assert failed_check(found) is None
    assert "more requests on the candidate" in found.waiting
    assert "at the present rate" in found.waiting


def test_b18_what_can_never_be_told_apart_says_so() -> None:
    """B18: a harm to detect that is within the tolerance waits for ever, and names the remedy."""
    near = {"maxIncrease": "90%", "ignoreBelow": "1%", "detect": "2x"}
    seen = [
        (at_s, (mine, replace(other, outcomes={"ok": 475 * n + 5000, "model_error": 25 * n})))
        for n, (at_s, (mine, other)) in enumerate(grown(0.05))
    ]
    wanted = policy({"name": "errors", "errorRate": near})
    found = looked(seen, wanted)
    assert (
        "would tell detect 2x from what maxIncrease 90% and ignoreBelow 1% tolerate"
        in found.waiting
    )
    assert "cannot yet tell how many" in looked(seen[:1], wanted).waiting


def test_b17_harm_once_seen_stays_seen() -> None:
    """B17: when the metrics go away, what was proven still rolls back; the rest is Unknown."""
    harm = state_of(looked(grown(0.3, looks=8)))
    away = Look(NOW_S + 45, problem="Prometheus is down")
    found = judge(policy(), harm, away, BOTH, NOW_S + 45)
    assert failed_check(found) is not None
    calm = state_of(looked(grown(0.0, looks=8)))
    assert judge(policy(), calm, away, BOTH, NOW_S + 45).unknown == "errors: Prometheus is down"
    assert replace(state_of(judge(policy(), calm, away, BOTH, NOW_S + 45)), breaches={}) == calm


def test_b17_harm_stays_seen_when_the_evidence_falls_back() -> None:
    """B17: what comes after the verdict takes nothing back, also over a restart."""
    judged, n = Judged(None, ()), 0
    mine, theirs = [0, 0], 5000
    while failed_check(judged) is None:
        n, theirs, mine = n + 1, theirs + 500, [mine[0] + 470, mine[1] + 30]
        judged = looked([_one(n, mine, theirs)], state=judged.state)
    for calm in range(1, 40):
        mine, theirs = [mine[0] + 500, mine[1]], theirs + 500
        kept = from_text(to_text(state_of(judged)))
        judged = looked([_one(n + calm, mine, theirs)], state=kept)
    assert failed_check(judged) is not None
    forgotten = replace(state_of(judged), harmed=frozenset())
    again = looked([_one(n + 40, [mine[0] + 500, mine[1]], theirs + 500)], state=forgotten)
    assert failed_check(again) is None  # its evidence alone would no longer say so


def _one(n: int, mine: list[int], theirs: int) -> tuple[float, tuple[Scrape, ...]]:
    return 5.0 * n, (scrape("2", 5.0 * n - 3, *mine), scrape("1", 5.0 * n - 3, theirs))


@pytest.mark.parametrize(("gone", "role"), [("2", "candidate"), ("1", "stable")])
def test_b17_a_revision_that_is_not_scraped_is_unknown(gone: str, role: str) -> None:
    """B17: a revision without scrapes for a minute is not known to be well."""
    seen = grown(0.0, looks=3)
    only = [(at_s, tuple(s for s in kept if s.revision != f"digits-{gone}")) for at_s, kept in seen]
    state = looked(only).state
    late = Look(NOW_S + STALE_S + 1, only[-1][1])
    found = judge(policy(), state, late, BOTH, NOW_S + STALE_S + 1)
    assert f"no scrape of the {role} digits-{gone} for 61 s" in found.unknown


def test_a_look_seen_twice_counts_once() -> None:
    """B20: passes come more often than looks; the same look changes nothing."""
    first = looked(grown(0.0, looks=3))
    at_s, scrapes = grown(0.0, looks=3)[-1]
    again = judge(policy(), first.state, Look(NOW_S + at_s, scrapes), BOTH, NOW_S + at_s + 3)
    assert again.state == first.state


def test_what_one_revision_counted_waits_for_the_other() -> None:
    """A look in which only one revision counted is kept for the next, for a minute at most."""
    start = grown(0.0, looks=3)
    first = state_of(looked(start))
    lonely = (scrape("2", 13, 1300),)
    waited = state_of(looked([(15, lonely)], state=first))
    assert waited.seen_s == first.seen_s
    assert waited.step_requests == first.step_requests
    both = (*lonely, scrape("1", 18, 6300))
    whole = state_of(looked([(20, both)], state=waited))
    assert whole.step_requests == first.step_requests + 300
    alone = state_of(looked([(75, lonely)], state=waited))
    assert alone.step_requests == first.step_requests + 300


def test_requests_are_counted_by_step() -> None:
    """B18: `minRequests` counts from the step's own begin."""
    first = state_of(looked(grown(0.0, looks=4)))
    assert first.step_requests > 0
    following = replace(BOTH, step_index=1, weight_since_s=NOW_S + 18)
    found = looked(
        [(22, (scrape("2", 19.5, 1700), scrape("1", 19.5, 6700)))], None, following, first
    )
    assert found.requests == 0
    more = (scrape("2", 24, 1800), scrape("1", 24, 6800))
    assert looked([(25, more)], None, following, found.state).requests == 100


def test_a_check_says_how_seldom_its_durations_are_read() -> None:
    """Beyond what one look reads a check of latency says how often its turn is; no other does."""
    wanted = policy(ERRORS, SLOW)
    scrapes = (scrape("2", 3, 100), scrape("1", 3, 5000))
    look = Look(NOW_S + 5, scrapes, timed_every_s=50.0)
    errors, slow = judge(wanted, None, look, BOTH, NOW_S + 5).results
    assert "in turns" not in errors.message
    assert slow.message.endswith(
        "with so many rollouts at once durations are read from Prometheus each 50 s, in turns"
    )
    (calm,) = judge(policy(SLOW), None, replace(look, timed_every_s=0.0), BOTH, NOW_S + 5).results
    assert "in turns" not in calm.message


def test_thresholds_are_answered_without_counters() -> None:
    """B21: a user's query stands on its own, and its mistake is named with the check."""
    wanted = policy(REVENUE)
    low = {"revenue": Answer(AnswerKind.VALUE, 0.5)}
    first = judge(wanted, None, Look(NOW_S, problem="down", answers=low), BOTH, NOW_S)
    assert [r.state for r in first.results] == [CheckState.WAITING]
    later = Look(NOW_S + 60, problem="down", answers=low)
    failed = failed_check(judge(wanted, first.state, later, BOTH, NOW_S + 60))
    assert failed is not None
    assert not failed.at_once
    wrong = {"revenue": Answer(AnswerKind.SEVERAL_SERIES, message="2 series")}
    found = judge(wanted, None, Look(NOW_S, answers=wrong), BOTH, NOW_S)
    assert found.mistake == "check revenue: 2 series"


def evidence() -> EvidenceState:
    """Return evidence with everything in it that a checkpoint keeps."""
    wanted = policy(ERRORS, SLOW, REVENUE)
    found = looked(grown(0.01, looks=6), wanted)
    failed = {"revenue": Failed(2, NOW_S - 9)}
    state = replace(state_of(found), breaches={"revenue": NOW_S - 5}, step_index=1)
    return replace(state, failures=failed)


def test_b32_a_checkpoint_keeps_everything() -> None:
    """B32: what is read back answers as what was written did, and goes on alike."""
    before = evidence()
    assert before.paired["slow"].bounds
    after = from_text(to_text(before))
    assert after is not None
    assert to_text(after) == to_text(before)
    assert after.ledger == before.ledger
    assert (after.breaches, after.failures) == (before.breaches, before.failures)
    more = (scrape("2", 37, 3300, 90), scrape("1", 37, 8600))
    wanted = policy(ERRORS, SLOW)
    one, two = (looked([(40, more)], wanted, state=state) for state in (before, after))
    assert [r.state for r in one.results] == [r.state for r in two.results]
    assert one.requests == two.requests


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": 0}', "[" * 100_000])
def test_b32_what_is_no_checkpoint_is_none(text: str) -> None:
    """B32: a checkpoint that cannot be read begins anew and never raises."""
    assert from_text(text) is None


@settings(deadline=None)
@given(st.data())
@pytest.mark.no_cover
def test_b32_a_damaged_checkpoint_never_raises(data: st.DataObject) -> None:
    """B32: whatever stands in the place of a part, it is read or begun anew."""
    whole = json.loads(to_text(evidence()))
    inner: Any = whole
    while True:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(inner[key], dict | list) or not inner[key] or data.draw(st.booleans()):
            break
        inner = inner[key]
    inner[key] = data.draw(st.sampled_from([None, [], {}, "x", 3, [[1, 2], 3], {"a": []}]))
    found = from_text(json.dumps(whole))
    assert found is None or isinstance(found, EvidenceState)


DOWN = replace(BOTH, stable_ready=False, patience_s=60.0)


def alone(n: int, events: int, wanted: Policy | None = None, at_s: float = 65) -> Judged:
    """Return what is judged when a stable has been down since NOW_S, and so many were counted."""
    begin = (scrape("2", 3, 0), scrape("1", 3, 5000))
    first = looked([(5, begin)], wanted, DOWN)
    later = scrape("2", at_s - 1, n - events, events)
    return looked([(at_s, (later,))], wanted, DOWN, first.state)


@pytest.mark.parametrize(
    ("n", "events", "found"),
    [(99, 0, "Waiting"), (600, 0, "Pass"), (600, 4, "Waiting"), (3000, 14, "Pass"),
     (3000, 16, "Waiting"), (3000, 900, "Waiting")],
)  # fmt: skip
def test_b17_a_candidate_beside_a_stable_that_is_down_keeps_its_checks_limits(
    n: int, events: int, found: str
) -> None:
    """B17: at most ignoreBelow (0.5 %) fail, in enough requests to see five times that."""
    (errors,) = alone(n, events).results
    assert errors.state == found
    assert f"{events} of {n} requests failed (at most 0.5 %)" in errors.message
    assert ("more requests" in errors.message) is (events == 0 and found == "Waiting")


def test_b18_beside_a_stable_that_is_down_a_harm_within_the_tolerance_is_told() -> None:
    """B18: no number of requests makes that check pass, so none is named."""
    check = {"name": "errors", "errorRate": {"detect": "1.5x"}}
    wanted = rollout(checks=[check]).spec.policy
    refusing = scrape("1", 3, 0, outcomes={"ok": 4950, "client_error": 50})
    first = looked([(5, (scrape("2", 3, 0), refusing))], wanted, DOWN)
    (errors,) = looked([(65, (scrape("2", 64, 3000),))], wanted, DOWN, first.state).results
    assert errors.state is CheckState.WAITING
    assert "no number tells the harm to detect" in errors.message


def test_b17_a_stable_is_down_only_after_the_patience() -> None:
    """B17: before it the metrics that are missing are missing; the message says for how long."""
    (errors,) = alone(3000, 0, at_s=64.9).results  # the clock began with the first look, at 5 s
    assert errors.state is CheckState.UNKNOWN
    assert errors.message.endswith(
        "no pod of it stays ready: in 0 s the candidate is judged by itself"
    )
    ready = replace(DOWN, stable_ready=True)
    state = state_of(alone(3000, 0))
    for at_s, down in ((66, True), (66 + BACK_S, False)):
        state = state_of(looked([(at_s, (scrape("2", at_s - 1, 4000),))], None, ready, state))
        assert (state.down is not None) is down


def test_b17_an_absence_begins_the_clock_of_a_stable_that_is_down_anew() -> None:
    """B17: nobody knows what stable did while nobody looked."""
    state = state_of(looked([(5, (scrape("2", 3, 0), scrape("1", 3, 5000)))], None, DOWN))
    assert state.down is not None
    late_s = 5 + ABSENT_S + 1
    later = state_of(looked([(late_s, (scrape("2", late_s, 9),))], None, DOWN, state))
    assert later.down == Down(NOW_S + late_s)


def test_b18_durations_beside_a_stable_that_is_down_keep_to_what_it_showed() -> None:
    """B18: a slower candidate does not pass; where stable left no record at all, a hundred do."""
    wanted = policy(SLOW)
    slow = Histogram.of({0.01: 0, 0.1: 30, INF: 900})
    first = looked([(5, (scrape("2", 3, 0), scrape("1", 3, 5000)))], wanted, DOWN).state
    late = scrape("2", 64, 900, buckets=slow)
    (found,) = looked([(65, (late,))], wanted, DOWN, first).results
    assert found.state is CheckState.WAITING
    assert "took longer than" in found.message
    bare = looked([(5, (scrape("2", 3, 0),))], wanted, DOWN).state
    for n, state in ((99, CheckState.WAITING), (100, CheckState.PASS)):
        (found,) = looked([(65, (scrape("2", 64, n),))], wanted, DOWN, bare).results
        assert found.state is state
        assert "how fast stable was is not known" in found.message


def test_b18_beside_a_stable_that_is_down_no_harm_can_be_ruled_out() -> None:
    """B18: a check that wants proof waits for a person, however well the candidate does."""
    strict = {"name": "errors", "errorRate": {"detect": "5x", "require": "HarmRuledOut"}}
    (errors,) = alone(100_000, 0, policy(strict)).results
    assert errors.state is CheckState.WAITING
    assert "cannot rule out harm beyond" in errors.message


def test_b32_after_a_restart_the_same_is_said_to_be_missing() -> None:
    """B32: the number is counted down on both ways to it, and never searched anew by a restart."""

    def seen(state: EvidenceState | None, first: int, last: int) -> Judged:
        looks = [
            (5.0 * n, (scrape("2", 5 * n, 20 * n), scrape("1", 5 * n, 80 * n)))
            for n in range(first, last)
        ]
        return looked(looks, state=state)

    before = seen(None, 1, 12)
    assert before.state is not None
    back = from_text(to_text(before.state))
    assert back is not None
    told = [seen(state, 12, 15).results for state in (before.state, back)]
    assert told[0] == told[1]
    assert "more requests on the candidate" in told[0][0].message
    assert back.paired["errors"].processes[0].countdown is not None
