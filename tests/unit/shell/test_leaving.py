"""Taking leave of many that split one route of the user's (B34)."""

import asyncio
from typing import Any

from unit.shell.place import NOW_S, SPACE, Place

from rampway.api import labels
from rampway.kube.kinds import HTTP_ROUTE, MODEL_DEPLOYMENT, SERVICE
from rampway.shell.followers import Followers
from rampway.shell.leaving import Leaver

NAMES = [f"gone-{number}" for number in range(20)]


def left_behind() -> Place:
    """Return a place where many split the user's route, and one still does."""
    place = Place()
    site: dict[str, Any] = {"spec": {"parentRefs": [{"name": "eg"}], "rules": [{"name": "all"}]}}
    stamp = {labels.TERM: "1"}
    meta = {"name": "site", "namespace": SPACE, "annotations": stamp}
    place.store.create(HTTP_ROUTE, {"metadata": meta} | site)
    place.put("stays", traffic={"type": "RouteRef", "routeRef": {"name": "site", "rule": "all"}})
    for name in NAMES:
        notes = {labels.ROUTE_REF: "site/all"}
        meta = {"name": name, "namespace": SPACE, "annotations": notes}
        place.store.create(SERVICE, {"metadata": meta | {"labels": {labels.DEPLOYMENT: name}}})
    return place


def leaver(place: Place) -> Leaver:
    """Return what takes leave there."""
    return Leaver(place.api, place.api, place.fence, Followers(), lambda: NOW_S)


async def test_b34_many_that_leave_one_route_ask_together_who_still_splits_it() -> None:
    """B34: of a hundred models that are deleted not each lists all that are left."""
    place = left_behind()
    one = leaver(place)
    await asyncio.gather(*(one.leave((SPACE, name)) for name in NAMES))
    assert place.api.counts["list", "ModelDeployment"] == 2  # the first had begun already
    assert labels.TERM in place.get(HTTP_ROUTE, "site")["metadata"]["annotations"]


async def test_b34_nobody_is_asked_about_a_route_without_a_stamp() -> None:
    """B34: once the stamp is gone there is nothing to give up, however long the pods are kept."""
    place = left_behind()
    place.store.delete(MODEL_DEPLOYMENT, SPACE, "stays")
    one = leaver(place)
    await one.leave((SPACE, NAMES[0]))
    assert not place.get(HTTP_ROUTE, "site")["metadata"].get("annotations")
    asked = place.api.counts["list", "ModelDeployment"]
    await one.leave((SPACE, NAMES[0]))
    assert place.api.counts["list", "ModelDeployment"] == asked == 1
