"""A split as rules of a route: what is written, what is read, what is never touched (B14)."""

from copy import deepcopy
from typing import Any

import pytest

from rampway.api.steps import HeaderMatch
from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.kube.base import Obj
from rampway.routers import rules
from rampway.sim.api_patch import patched

SECOND, THIRD = "digits-00000000a2", "digits-00000000a3"
TESTER = HeaderMatch(name="x-tester", value="yes")
REWRITE = {"type": "URLRewrite", "urlRewrite": {"hostname": "inner.example"}}
SHADOW = {
    "type": "RequestMirror",
    "requestMirror": {"backendRef": {"name": "digits-shadow", "port": 80}, "percent": 5},
}
STRANGERS: list[Obj] = [
    {"name": "web", "matches": [{"path": {"value": "/web"}}], "backendRefs": [{"name": "web"}]},
    {
        "name": "tenants",
        "matches": [{"headers": [{"name": "tenant", "value": "a"}]}],
        "backendRefs": [{"name": "digits-eu", "port": 80}],
    },
]
MINE: Obj = {
    "name": "predict",
    "matches": [
        {"path": {"value": "/v2"}, "headers": [{"name": "team", "value": "vision"}]},
        {"path": {"value": "/v1"}},
    ],
    "filters": [REWRITE, SHADOW],
    "timeouts": {"request": "9s"},
    "backendRefs": [{"name": "digits", "port": 80, "filters": [REWRITE]}],
}
INDEX = 1


def route() -> Obj:
    """Return a user's route: our rule stands between two others."""
    found = [STRANGERS[0], MINE, STRANGERS[1]]
    return {"metadata": {"name": "site"}, "spec": {"rules": deepcopy(found)}}


def split(found: Obj, wanted: Split) -> Obj:
    """Return the route with another split."""
    return patched(found, rules.changes(found, INDEX, "digits", wanted))


STAGES = [
    Split(SECOND, mirror_pct=20),
    Split(SECOND, mirror_pct=100),
    Split(SECOND, headers=(TESTER,)),
    Split(THIRD, headers=(TESTER,)),
    Split(SECOND, 1),
    Split(SECOND, 100),
    Split(THIRD, 30, 10, (TESTER,)),
]


def test_b14_a_users_route_is_byte_for_byte_what_it_was() -> None:
    """B14: through every split and back to rest, other rules, matches and filters stay."""
    found = before = route()
    for wanted in STAGES:
        found = split(found, wanted)
        assert rules.read(found, INDEX, "digits") == wanted
        assert rules.tidy(found, INDEX, "digits")
        every = found["spec"]["rules"]
        assert [every[0], every[2]] == STRANGERS
        assert every[1]["filters"][:2] == [REWRITE, SHADOW]
        assert {k: v for k, v in every[1].items() if k not in {"filters", "backendRefs"}} == {
            k: v for k, v in MINE.items() if k not in {"filters", "backendRefs"}
        }
    found = split(found, STABLE_ONLY)
    (rest,) = found["spec"]["rules"][INDEX].pop("backendRefs")
    del before["spec"]["rules"][INDEX]["backendRefs"]
    assert found == before
    assert (rest["name"], rest["weight"], rest["filters"]) == ("digits", 1, [REWRITE])


def test_b14_a_route_at_rest_needs_no_change() -> None:
    """B14: whatever weight the user gave the one backend, there is nothing to put right."""
    for weight in ({}, {"weight": 1}, {"weight": 100}):
        found = route()
        found["spec"]["rules"][INDEX]["backendRefs"][0] |= weight
        assert rules.changes(found, INDEX, "digits", STABLE_ONLY) == []
        assert rules.tidy(found, INDEX, "digits")
    found["spec"]["rules"][INDEX]["backendRefs"][0]["weight"] = 0  # nobody would answer
    assert not rules.tidy(found, INDEX, "digits")


def test_b14_a_weight_touches_backends_only() -> None:
    """B14: a change of weight is one operation on the backends of the one rule."""
    found = route()
    for weight_pct in (5, 50):
        patch = rules.changes(found, INDEX, "digits", Split(SECOND, weight_pct))
        assert [op["path"] for op in patch] == ["/spec/rules/1/backendRefs"]
        found = patched(found, patch)


def test_a_mirror_touches_filters_only() -> None:
    """B14: a mirror is one filter more, and one less."""
    found = route()
    patch = rules.changes(found, INDEX, "digits", Split(SECOND, mirror_pct=7))
    assert [op["path"] for op in patch] == ["/spec/rules/1/filters"]
    assert patch[0]["value"][:2] == [REWRITE, SHADOW]
    assert patch[0]["value"][2]["requestMirror"]["backendRef"]["name"] == SECOND
    bare = route()
    del bare["spec"]["rules"][INDEX]["filters"]
    without = split(split(bare, Split(SECOND, mirror_pct=7)), STABLE_ONLY)
    assert "filters" not in without["spec"]["rules"][INDEX]


def test_the_rule_for_headers_is_like_the_one_that_is_split() -> None:
    """B14: it has the user's matches with one header more, his filters and timeouts, our name."""
    found = split(route(), Split(SECOND, 0, 10, (TESTER,)))
    added = found["spec"]["rules"][-1]
    header = {"type": "Exact", "name": "x-tester", "value": "yes"}
    assert added == {
        "name": "rampway-digits",
        "matches": [
            {"path": {"value": "/v2"}, "headers": [{"name": "team", "value": "vision"}, header]},
            {"path": {"value": "/v1"}, "headers": [header]},
        ],
        "filters": [REWRITE, SHADOW],
        "timeouts": {"request": "9s"},
        "backendRefs": [
            {
                "group": "",
                "kind": "Service",
                "name": SECOND,
                "port": 80,
                "weight": 1,
                "filters": [REWRITE],
            }
        ],
    }


@pytest.mark.parametrize(
    "name", ["digits-shadow", "digits-eu", "digits", "digitsx-00000000a2", "digits-00000000g2"]
)
def test_what_others_added_is_not_taken_for_ours(name: str) -> None:
    """B14: a mirror to, or a rule with headers for, a Service that is no revision is theirs."""
    by_header = {"matches": [{"headers": [{"name": "a", "value": "b"}]}]}
    mirror = deepcopy(SHADOW)
    mirror["requestMirror"]["backendRef"]["name"] = name  # type: ignore[index]
    first: Obj = {"backendRefs": [{"name": "digits", "port": 80}], "filters": [mirror]}
    found: Obj = {
        "metadata": {},
        "spec": {"rules": [first, by_header | {"backendRefs": [{"name": name}]}]},
    }
    assert rules.read(found, 0, "digits") == STABLE_ONLY
    assert rules.changes(found, 0, "digits", STABLE_ONLY) == []


def test_a_named_rule_to_a_revision_is_the_users() -> None:
    """B14: where rules have names, one that is not ours by name is not ours, whatever it does."""
    found = route()
    preview = deepcopy(STRANGERS[1]) | {"name": "preview", "backendRefs": [{"name": SECOND}]}
    found["spec"]["rules"][2] = preview
    after = split(split(found, Split(SECOND, headers=(TESTER,))), STABLE_ONLY)
    assert after["spec"]["rules"][2] == preview
    assert rules.read(after, INDEX, "digits") == STABLE_ONLY


@pytest.mark.parametrize(
    ("weights", "seen"),
    [((999, 1), 1), ((199, 1), 1), ((1, 999), 99), ((2, 1), 33), ((0, 5), 100), ((5, 0), 0)],
)
def test_a_share_is_rounded_but_never_to_none_or_all(weights: tuple[int, int], seen: int) -> None:
    """B14: one request in a thousand is not at rest, and all but one is not everything."""
    refs = [{"name": "digits", "weight": weights[0]}, {"name": SECOND, "weight": weights[1]}]
    found: Obj = {"metadata": {}, "spec": {"rules": [{"backendRefs": refs}]}}
    assert rules.read(found, 0, "digits").weight_pct == seen


def meddled(change: Any) -> Obj:
    """Return a route in a split whose rule somebody changed."""
    found = split(route(), Split(SECOND, 50, 10, (TESTER,)))
    change(found["spec"]["rules"])
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found[INDEX]["backendRefs"].append({"name": "stranger", "weight": 0}),
        lambda found: found[INDEX]["backendRefs"].append(found[INDEX]["backendRefs"][0]),
        lambda found: found[INDEX]["filters"].append(found[INDEX]["filters"][-1]),
        lambda found: found[INDEX]["matches"].pop(0),
        lambda found: found.append(found[-1]),
        lambda found: found[-1]["backendRefs"][0].update(name=THIRD),
    ],
    ids=["third", "twice", "two-mirrors", "matches", "two-rules", "another-candidate"],
)
def test_b14_what_is_not_in_our_form_is_seen_and_put_right(change: Any) -> None:
    """B14: a third backend, a second mirror, a rule left behind: told, and mended by one write."""
    found = meddled(change)
    wanted = Split(SECOND, 50, 10, (TESTER,))
    assert not rules.tidy(found, INDEX, "digits")
    mended = split(found, wanted)
    assert rules.read(mended, INDEX, "digits") == wanted
    assert rules.tidy(mended, INDEX, "digits")
    assert len(mended["spec"]["rules"]) == 4
