"""Capacity, instants, queries, verdicts: the small parts that everything rests on."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.core.builders import revision

from rampway.api.conditions import Reason
from rampway.core.checks.queries import fill
from rampway.core.instants import brief, from_wire, to_wire
from rampway.core.model import verdict
from rampway.core.model.verdict import Verdict
from rampway.core.pods import capacity


@pytest.mark.parametrize(
    ("weight_pct", "replicas", "pods"),
    [(0, 4, 1), (1, 0, 0), (1, 1, 1), (5, 3, 1), (25, 4, 1), (26, 4, 2), (50, 3, 2), (100, 3, 3)],
)
def test_b06_pods_for_a_weight(weight_pct: int, replicas: int, pods: int) -> None:
    """B6: at least one pod, and each carries its part of all."""
    assert capacity.replicas_for(weight_pct, replicas) == pods


@pytest.mark.parametrize(
    ("ready", "replicas", "weight_pct"),
    [(0, 3, 0), (2, 0, 0), (1, 3, 33), (2, 3, 66), (3, 3, 100), (5, 3, 100)],
)
def test_b06_weight_for_pods(ready: int, replicas: int, weight_pct: int) -> None:
    """B6: what ready pods carry is rounded down, and never more than all."""
    assert capacity.weight_for(ready, replicas) == weight_pct


@settings(deadline=None)
@given(st.integers(1, 100), st.integers(1, 1000))
def test_b06_pods_for_a_weight_carry_it(weight_pct: int, replicas: int) -> None:
    """B6: the pods asked for a weight carry it, one less would not."""
    pods = capacity.replicas_for(weight_pct, replicas)
    assert capacity.weight_for(pods, replicas) >= weight_pct
    assert pods == 1 or capacity.weight_for(pods - 1, replicas) < weight_pct


@pytest.mark.parametrize(("ready", "pct"), [(0, 0), (1, 37), (2, 75), (3, 100), (4, 100)])
def test_b24_what_stable_can_take_back(ready: int, pct: int) -> None:
    """B24: each ready pod of four takes half as much again as it carried."""
    assert capacity.returnable_pct(ready, 4) == pct


def test_instants_are_written_as_kubernetes_does() -> None:
    """RFC 3339 in UTC with microseconds; both of Kubernetes' forms are read."""
    assert to_wire(1_767_323_045.25) == "2026-01-02T03:04:05.250000Z"
    assert from_wire("2026-01-02T03:04:05Z") == 1_767_323_045
    assert from_wire("2026-01-02T04:04:05.25+01:00") == 1_767_323_045.25


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z"])
def test_an_unreadable_instant_is_none(text: str) -> None:
    """What is no instant is None, never an error: people can write annotations."""
    assert from_wire(text) is None


@settings(deadline=None)
@given(st.floats(0, 4e9))
def test_instants_round_trip(at_s: float) -> None:
    """An instant survives the wire to the microsecond."""
    assert from_wire(to_wire(at_s)) == pytest.approx(at_s, abs=2e-6)


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (180, "3 min"),
        (5400, "1.5 h"),
        (172_700, "48.0 h"),
        (172_800, "2 days"),
        (20_000_000, "231 days"),
    ],
)
def test_durations_are_said_briefly(duration_s: float, text: str) -> None:
    """Seconds up to a minute and a half, minutes up to an hour and a half, hours up to two days."""
    assert brief(duration_s) == text


@pytest.mark.parametrize(
    ("query", "filled"),
    [
        ('x{revision="{{ candidate }}"}', 'x{revision="digits-2"}'),
        (
            'x{revision="{{candidate}}"} / y{r="{{  stable }}"}',
            'x{revision="digits-2"} / y{r="digits-1"}',
        ),
        ("x{{ nobody }}", "x{{ nobody }}"),
        ('x{a="b"}', 'x{a="b"}'),
    ],
)
def test_queries_are_filled_in(query: str, filled: str) -> None:
    """Known places are filled in; unknown ones stay, for Prometheus to complain about."""
    assert fill(query, {"candidate": "digits-2", "stable": "digits-1"}) == filled


def test_b01_a_verdict_outlives_status() -> None:
    """B1: what is written on the Deployment reads the same, colons in its message included."""
    made = Verdict(Reason.CHECK_FAILED, "digits-abc-1", "check errors: 9 of 10: failed")
    read = verdict.read(revision("abc", verdict=made.written()))
    assert read == made


@pytest.mark.parametrize(
    "text",
    ["", "Promoted", "RolledBack: CheckFailed: x", "RolledBack: NoReason: r: m", "Other: a: b: c"],
)
def test_b01_what_is_no_refusal_is_none(text: str) -> None:
    """Only a whole refusal with a known reason is one."""
    assert verdict.read(revision("abc", verdict=text)) is None
    assert verdict.read(None) is None


def test_b26_a_refusal_that_was_moved_on_from_is_none() -> None:
    """B26: after the spec changed the verdict stays on record and is in force no more."""
    made = Verdict(Reason.CANDIDATE_OOM, "digits-abc-1", "RolledBack: killed")
    noted = verdict.moved_on(revision("abc", verdict=made.written()))
    assert noted == "MovedOn: CandidateOutOfMemory: digits-abc-1: RolledBack: killed"
    assert verdict.read(revision("abc", verdict=noted)) is None
