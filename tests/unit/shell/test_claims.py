"""Who else claims the same requests (B15): read once for all, promised at once."""

import asyncio
from typing import Any

import pytest
from unit.shell.place import NAME, NOW_S, SPACE, Place, spec
from unit.shell.walked import Walked

from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.core.traffic.conflicts import Claim
from rampway.kube.base import Obj
from rampway.kube.errors import NotFound, Transient
from rampway.kube.kinds import HTTP_ROUTE, MODEL_DEPLOYMENT
from rampway.shell import claims
from rampway.shell.memory import Memory

SHARED = {"ownedRoute": {"parentRefs": [{"name": "eg", "namespace": "gw"}]}}


async def test_b15_the_host_is_asked_for_until_it_is_granted() -> None:
    """B15: an older one elsewhere has the host; once granted, nobody is listed any more."""
    place = Place()
    place.store.delete(MODEL_DEPLOYMENT, SPACE, NAME)
    place.put("a-first", "other", traffic=SHARED)
    place.put(NAME, traffic=SHARED)
    assert (await place.observe()).conflict == ""
    touch(place)
    place.store.patch(
        MODEL_DEPLOYMENT, "other", "a-first", {"status": accepted()}, subresource="status"
    )
    assert (await place.observe()).conflict == "other/a-first"
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"status": accepted()}, subresource="status")
    listed = place.api.counts["list", "ModelDeployment"]
    assert (await place.observe()).conflict == ""
    assert place.api.counts["list", "ModelDeployment"] == listed


async def test_b15_whoever_was_granted_a_place_asks_for_another_one_only() -> None:
    """B15: an undo does not wait until thousands of others have been read; a new path does."""
    place = Place()
    address = Claim.of(place.deployment).address
    status = {"status": accepted() | {"address": address}}
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, status, subresource="status")
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"spec": {"model": {"uri": "file:///undo"}}})
    assert (await place.observe()).conflict == ""
    assert place.api.counts["list", "ModelDeployment"] == 0
    place.put("other", traffic=SHARED)
    assert await asks(place, "other") == ""
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"spec": {"traffic": SHARED}})
    assert (await place.observe()).conflict == f"{SPACE}/other"


async def test_b15_those_who_ask_at_the_same_time_are_answered_by_one_list() -> None:
    """B15: of a thousand new versions of models not each lists all the others."""
    place = Place()
    await asyncio.gather(*(place.observe() for _ in range(20)))
    assert place.api.counts["list", "ModelDeployment"] == 2  # the first had begun already


async def test_a_claim_is_read_once_per_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands that come up together each asks all others: none is parsed again for it."""
    place, read = Place(), list[str]()

    def counted(obj: Obj) -> ModelDeployment:
        read.append(obj["metadata"]["name"])
        return parse_deployment(obj)

    monkeypatch.setattr(claims, "parse_deployment", counted)
    place.put("other")
    for _ in range(3):
        await place.observe()
    assert read.count("other") == 1
    place.store.patch(MODEL_DEPLOYMENT, SPACE, "other", {"spec": {"paused": True}})
    await place.observe()
    assert read.count("other") == 2
    place.store.delete(MODEL_DEPLOYMENT, SPACE, "other")
    await place.observe()
    mine = place.store.get(MODEL_DEPLOYMENT, SPACE, NAME)["metadata"]["uid"]
    assert set(place.gatherer.claims._known) == {mine}


async def test_only_a_page_of_all_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks all the others keeps nothing of them but what they claim."""
    place = Place()
    place.put("a-users", traffic={"type": "RouteRef", "routeRef": {"name": "shop"}})
    for number in range(5):
        place.put(f"other-{number}")
    walked = Walked(place.store)
    monkeypatch.setattr(place.api, "walk", walked.walk)
    await place.observe()
    assert (walked.told, walked.held) == (7, 0)


async def test_b15_users_routes_are_read_only_where_another_names_one() -> None:
    """B15: whoever asks reads the routes that others name; where nobody names one, none."""
    place = Place()
    place.put("a-first", "other")
    await place.observe()
    assert ("list", "HTTPRoute") not in place.api.counts
    place.put("a-users", traffic={"type": "RouteRef", "routeRef": {"name": "shop"}})
    assert (await place.observe()).conflict == ""
    assert place.api.counts["list", "HTTPRoute"] == 1
    route: Obj = {"spec": {"parentRefs": [{"name": "eg"}], "rules": [{}]}}
    place.store.create(HTTP_ROUTE, {"metadata": {"name": "shop", "namespace": SPACE}} | route)
    touch(place)
    assert (await place.observe()).conflict == f"{SPACE}/a-users"
    absent = NotFound("the server could not find the requested resource")
    place.api.fail_next(absent, predicate=lambda call: call.kind == HTTP_ROUTE and not call.name)
    assert (await place.observe()).conflict == ""


def touch(place: Place) -> None:
    """Give the ModelDeployment another version: nothing is promised to it any more."""
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"metadata": {"labels": {"a": "b"}}})


def accepted() -> dict[str, Any]:
    """Return the status of one that was granted its host."""
    known = {"type": "Accepted", "status": "True", "reason": "Valid", "observedGeneration": 1}
    return {"observedGeneration": 1, "conditions": [known]}


async def test_b15_what_cannot_be_read_claims_nothing() -> None:
    """B15: a neighbour whose spec cannot be read has no route and takes no host."""
    place = Place()
    place.store.delete(MODEL_DEPLOYMENT, SPACE, NAME)
    place.put("a-first", "other", traffic=SHARED)
    place.put(NAME, traffic=SHARED)
    place.store.patch(
        MODEL_DEPLOYMENT, "other", "a-first", {"status": accepted()}, subresource="status"
    )
    assert (await place.observe()).conflict == "other/a-first"
    place.store.patch(MODEL_DEPLOYMENT, "other", "a-first", {"spec": {"model": None}})
    assert (await place.observe()).conflict == ""


async def test_b15_a_broken_neighbour_is_left_out() -> None:
    """B15: it neither takes the host nor breaks the pass of others."""
    place = Place()
    broken = {"metadata": {"name": "a-broken", "namespace": SPACE}, "spec": {"model": {}}}
    place.store.create(MODEL_DEPLOYMENT, broken)
    assert (await place.observe()).conflict == ""


async def asks(place: Place, name: str, space: str = SPACE) -> str:
    """Return who has its place already, as a pass of that ModelDeployment is told."""
    deployment = parse_deployment(place.store.get(MODEL_DEPLOYMENT, space, name))
    return (await place.gatherer.observe(deployment, Memory(), None, NOW_S)).conflict


async def test_b15_whoever_is_answered_is_promised_the_place() -> None:
    """B15: until its status is written no reading shows the grant: an older one hears of it too."""
    place = Place()
    place.put("late", "other", traffic=SHARED)
    assert await asks(place, "late", "other") == ""
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"spec": {"traffic": SHARED}})
    assert await asks(place, NAME) == "other/late"
    assert await asks(place, "late", "other") == ""


@pytest.mark.parametrize("goes", [True, False])
async def test_b15_a_promise_ends_with_the_version_that_it_was_made_to(goes: bool) -> None:
    """B15: whoever was promised a place and wants another one, or is gone, keeps nobody off."""
    place = Place()
    place.put("other-one", traffic=SHARED)
    assert await asks(place, "other-one") == ""
    if goes:
        place.store.delete(MODEL_DEPLOYMENT, SPACE, "other-one")
    else:
        place.store.patch(MODEL_DEPLOYMENT, SPACE, "other-one", {"spec": spec()})
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"spec": {"traffic": SHARED}})
    assert await asks(place, NAME) == ""
    assert len(place.gatherer.claims._promised) == 1


async def test_b30_a_reading_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """B30: an API server that answers slowly does not keep all workers waiting for its pages."""
    place = Place()
    told = Walked(place.store)

    async def slow(*args: Any) -> Any:
        async for obj in told.walk(*args):
            yield obj
            await asyncio.sleep(0.5)

    monkeypatch.setattr(place.api, "walk", slow)
    monkeypatch.setattr(claims, "READ_S", 0.01)
    found = await asyncio.gather(*(place.observe() for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [Transient] * 3
    assert "could not be read within 0.01 s" in str(found[0])
    monkeypatch.undo()
    assert (await place.observe()).conflict == ""
