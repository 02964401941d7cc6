"""Backends of others beside a candidate, and how they are had back byte for byte (B16)."""

import json
from copy import deepcopy
from typing import Any

import jsonpatch
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rampway.api import labels
from rampway.core.traffic.split import Split
from rampway.routers import guests, rules

NAME = "digits"
CANDIDATE = "digits-00000000a2"
WEIGHTS = st.lists(st.integers(0, 1_000_000), min_size=1, max_size=4).filter(any)
NOTE = labels.adopted(NAME)


def ref(name: str, weight: int = 1, **more: Any) -> dict[str, Any]:
    """Return a backend with the API server's defaults."""
    return {"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight} | more


def route(*refs: dict[str, Any], **notes: str) -> dict[str, Any]:
    """Return a route whose first rule has these backends."""
    meta: dict[str, Any] = {"name": "site", "resourceVersion": "1"}
    return {
        "metadata": meta | ({"annotations": notes} if notes else {}),
        "spec": {"rules": [{"name": "predict", "backendRefs": list(refs)}]},
    }


def split(found: dict[str, Any], weight_pct: int) -> dict[str, Any]:
    """Return a route after a split against who has it."""
    patch = rules.changes(found, 0, NAME, Split(CANDIDATE, weight_pct, guests=True))
    after: dict[str, Any] = jsonpatch.apply_patch(deepcopy(found), patch)
    return after


@given(weights=WEIGHTS, course=st.lists(st.integers(0, 100), max_size=4))
@example(weights=[1, 2, 11997], course=[100])  # rounded up each, they were more than a million
def test_b16_after_any_course_the_rule_is_as_it_was(weights: list[int], course: list[int]) -> None:
    """B16: whatever shares it went through, each is read as set, and rest is byte for byte."""
    before = route(*(ref(f"old-{n}", weight) for n, weight in enumerate(weights)))
    found = before
    for weight_pct in course:
        found = split(found, weight_pct)
        seen = rules.beside(found, 0, NAME)
        assert seen is not None
        assert (seen.split.weight_pct, seen.in_shape) == (weight_pct, True)
        assert seen.noted == bool(weight_pct)
        refs = found["spec"]["rules"][0]["backendRefs"]
        assert all(0 <= one["weight"] <= 1_000_000 for one in refs)
    assert split(found, 0)["spec"] == before["spec"]
    assert NOTE not in split(found, 0)["metadata"].get("annotations", {})


def test_b16_the_others_keep_their_proportions() -> None:
    """B16: three to one stay three to one in what is left; filters of theirs stay theirs."""
    mine = {"filters": [{"type": "RequestHeaderModifier"}]}
    found = split(route(ref("a", 3, **mine), ref("b")), 20)
    refs = found["spec"]["rules"][0]["backendRefs"]
    assert refs == [ref("a", 240, **mine), ref("b", 80), ref(CANDIDATE, 80)]
    assert json.loads(found["metadata"]["annotations"][NOTE]) == [ref("a", 3, **mine), ref("b")]


@pytest.mark.parametrize(
    ("refs", "names"),
    [
        ([ref(NAME)], None),
        ([ref(NAME, 90), ref(CANDIDATE, 10)], None),
        ([ref("old", 0)], None),
        ([ref("old", 90), ref(NAME, 10)], ("old", NAME)),
        ([ref("old", 90), ref(CANDIDATE, 10)], ("old",)),
        ([ref("old"), ref("old", 2)], ("old",)),
    ],
)
def test_b16_who_are_others(refs: list[dict[str, Any]], names: tuple[str, ...] | None) -> None:
    """B16: our own Services are nobody else's; nor does one count that gets no request at all."""
    seen = rules.beside(route(*refs), 0, NAME)
    assert (seen.names if seen else None) == names


def test_b16_an_odd_note_does_not_count() -> None:
    """B16: edited by hand, the annotation is not believed; what the rule has now is."""
    for odd in ("{", "[1]", '{"name": "x"}', '[{"port": 1}]'):
        found = route(ref("old", 90), ref(CANDIDATE, 10), **{NOTE: odd})
        assert guests.of(found, found["spec"]["rules"][0]["backendRefs"], NAME) == [ref("old", 90)]
        assert not guests.is_noted(found, NAME)


def test_b16_the_hand_over_forgets_how_it_was() -> None:
    """B16: at rest on the model's own Service nothing of the others is left, nor of the note."""
    found = split(route(ref("old"), kept="yes"), 100)
    patch = rules.changes(found, 0, NAME, Split())
    after = jsonpatch.apply_patch(found, patch)
    assert after["spec"]["rules"][0]["backendRefs"] == [ref(NAME)]
    assert after["metadata"]["annotations"] == {"kept": "yes"}
