"""The contract of a router (B13, B14); every router passes it."""

import asyncio
from collections.abc import Callable

import pytest
from contract.router_place import (
    NOW_S,
    RouterPlace,
    in_memory,
    over_gateway_api,
    over_replicas,
    over_route_ref,
    reach,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from rampway.api.steps import HeaderMatch, MatchType
from rampway.core.traffic.route import Route
from rampway.core.traffic.split import STABLE_ONLY, Split
from rampway.kube.errors import Conflict

PLACES = {
    "memory": in_memory,
    "gateway api": over_gateway_api,
    "route ref": over_route_ref,
    "replicas": over_replicas,
}


@pytest.fixture(params=list(PLACES.values()), ids=list(PLACES))
def place(request: pytest.FixtureRequest) -> RouterPlace:
    """Return a place with each router in turn."""
    make: Callable[[], RouterPlace] = request.param
    return make()


async def test_before_the_first_write_there_is_nothing(place: RouterPlace) -> None:
    """No route is no route: nothing is accepted, nobody but stable gets anything."""
    found = await place.router.observe(place.deployment)
    assert not found.accepted
    assert found.split == STABLE_ONLY
    assert found.exists == (place.deployment.spec.traffic.route_ref is not None)
    assert found.exists or found == Route()


async def test_b14_at_rest_there_is_one_backend(place: RouterPlace) -> None:
    """B14: a weight of 0 leaves stable's Service alone, at first and after a rollout."""
    for weight_pct in (0, 30, 0):
        await place.router.set_split(place.deployment, Split("digits-2", weight_pct), NOW_S)
    found = await place.router.observe(place.deployment)
    assert (found.exists, found.in_shape, found.at_rest) == (True, True, True)
    assert found.split == STABLE_ONLY


@pytest.mark.parametrize("weight_pct", [1, 50, 99, 100])
async def test_a_weight_is_seen_as_it_was_set(place: RouterPlace, weight_pct: int) -> None:
    """The candidate and its share are what was written, from nothing and from any other."""
    for before in (weight_pct, 7, weight_pct):
        await place.router.set_split(place.deployment, Split("digits-2", before), NOW_S)
    found = await place.router.observe(place.deployment)
    assert (found.split.candidate, found.split.weight_pct) == ("digits-2", weight_pct)
    assert not found.at_rest


async def test_a_candidate_takes_the_place_of_another(place: RouterPlace) -> None:
    """B7: there is never more than one candidate on the route."""
    await place.router.set_split(place.deployment, Split("digits-2", 30), NOW_S)
    await place.router.set_split(place.deployment, Split("digits-3", 10), NOW_S)
    found = await place.router.observe(place.deployment)
    assert (found.split.candidate, found.split.weight_pct) == ("digits-3", 10)


async def test_setting_what_is_set_changes_nothing(place: RouterPlace) -> None:
    """Idempotent: the same weight again is no change, and stays accepted."""
    await place.router.set_split(place.deployment, Split("digits-2", 30), NOW_S)
    place.answer("")
    before = place.writes()
    await place.router.set_split(place.deployment, Split("digits-2", 30), NOW_S)
    assert place.writes() == before
    assert (await place.router.observe(place.deployment)).accepted


async def test_b14_of_two_writes_at_once_one_is_a_conflict(place: RouterPlace) -> None:
    """B14, B31: a write is bound to what was read, so the slower one fails and loses nothing."""
    await place.router.set_split(place.deployment, STABLE_ONLY, NOW_S)
    weights = (100, 10)
    results = await asyncio.gather(
        *(place.router.set_split(place.deployment, Split("digits-2", w), NOW_S) for w in weights),
        return_exceptions=True,
    )
    assert [r for r in results if r is not None and not isinstance(r, Conflict)] == []
    (won,) = [w for w, r in zip(weights, results, strict=True) if r is None]
    found = await place.router.observe(place.deployment)
    assert found.split.weight_pct == won


async def test_b13_a_weight_counts_once_it_was_accepted(place: RouterPlace) -> None:
    """B13: each change has to be accepted anew; objections come in the gateway's words."""
    for weight_pct in (10, 20):
        await place.router.set_split(place.deployment, Split("digits-2", weight_pct), NOW_S)
        pending = await place.router.observe(place.deployment)
        assert not pending.accepted
        assert pending.message
        place.answer(place.objection)
        refused = await place.router.observe(place.deployment)
        assert not refused.accepted
        assert place.objection in refused.message
        place.answer("")
        found = await place.router.observe(place.deployment)
        assert (found.accepted, found.message) == (True, "")


async def test_deployments_do_not_touch_each_other(place: RouterPlace) -> None:
    """One ModelDeployment's split is its own."""
    await place.router.set_split(place.deployment, Split("digits-2", 30), NOW_S)
    other = place.make("iris")
    assert (await place.router.observe(other)).split == STABLE_ONLY
    await place.router.set_split(other, STABLE_ONLY, NOW_S)
    assert (await place.router.observe(place.deployment)).split.weight_pct == 30


SECOND, THIRD = "digits-00000000a2", "digits-00000000a3"
TESTER = (HeaderMatch(name="x-tester", value="yes"),)
COOKIE = (*TESTER, HeaderMatch(name="cookie", value="a=b", type=MatchType.REGULAR_EXPRESSION))
SPLITS = {
    "a copy": Split(SECOND, mirror_pct=20),
    "all copied": Split(SECOND, mirror_pct=100),
    "headers": Split(SECOND, headers=TESTER),
    "other headers": Split(THIRD, headers=COOKIE),
    "headers and a share": Split(SECOND, 30, headers=TESTER),
    "a share": Split(THIRD, 1),
    "all": Split(SECOND, 100),
    "rest": STABLE_ONLY,
}


def possible(place: RouterPlace) -> list[str]:
    """Return the splits that a router can set."""
    return [n for n, s in SPLITS.items() if place.chooses or not (s.mirror_pct or s.headers)]


PAIRS = [
    pytest.param(make, before, after, id=f"{name}-{before}-{after}")
    for name, make in PLACES.items()
    for before in possible(make())
    for after in possible(make())
]


@pytest.mark.parametrize(("make", "before", "after"), PAIRS)
async def test_b14_every_split_follows_every_other(
    make: Callable[[], RouterPlace], before: str, after: str
) -> None:
    """B14: shares, copies and headers are read back as set, and nothing of the one before stays."""
    place = make()
    for name in (before, after):
        found = await reach(place, SPLITS[name])
        assert found.split == SPLITS[name]
        assert (found.in_shape, found.at_rest) == (True, name == "rest")
    writes = place.writes()
    await place.router.set_split(place.deployment, SPLITS[after], NOW_S)
    assert place.writes() == writes


WRITES = st.lists(st.tuples(st.sampled_from(["digits-2", "digits-3"]), st.integers(0, 100)))


@pytest.mark.parametrize("make", PLACES.values(), ids=PLACES.keys())
@settings(deadline=None, max_examples=30)
@given(writes=WRITES)
async def test_the_last_write_is_what_is_seen(
    make: Callable[[], RouterPlace], writes: list[tuple[str, int]]
) -> None:
    """Whatever was set before, observing gives what was set last."""
    place = make()
    for candidate, weight_pct in writes:
        await place.router.set_split(place.deployment, Split(candidate, weight_pct), NOW_S)
        found = await place.router.observe(place.deployment)
        seen = (found.split.candidate, found.split.weight_pct)
        assert seen == ((candidate, weight_pct) if weight_pct else ("", 0))
        assert found.at_rest == (weight_pct == 0)
