"""The fence between two leaders (B31): stamps, and writes bound to them."""

import pytest
from unit.shell.place import NAME, SPACE, Place

from rampway.api import labels
from rampway.api.capacity import Autoscaling
from rampway.core.actions import Action, Annotate, Autoscale, PointService, Scale
from rampway.core.pods.autoscaler import manifest
from rampway.kube.errors import Conflict, Transient
from rampway.kube.kinds import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    MODEL_ROLLOUT,
    SERVICE,
    Kind,
)
from rampway.shell.fence import Deposed, Fence


def term_of(place: Place, kind: Kind, name: str) -> str:
    """Return the stamp of an object, empty without one."""
    notes = place.get(kind, name)["metadata"].get("annotations") or {}
    return str(notes.get(labels.TERM, ""))


async def test_b31_everything_is_stamped_before_it_is_written() -> None:
    """B31: Deployments, Services and running rollouts bear the term; one that ended does not."""
    place = Place()
    name, service = place.workload()["metadata"]["name"], place.service(NAME)["metadata"]["name"]
    running = place.rollout()["metadata"]["name"]
    ended = place.rollout(2)["metadata"]["name"]
    over = {"status": {"endedAt": "2026-01-01T00:00:00Z"}}
    place.store.patch(MODEL_ROLLOUT, SPACE, ended, over, subresource="status")
    later = Fence(place.api, 5, lambda: True)
    assert not later.holds(place.deployment)
    await later.claim(place.deployment, place.api)
    assert later.holds(place.deployment)
    assert term_of(place, DEPLOYMENT, name) == "5"
    assert term_of(place, SERVICE, service) == "5"
    assert term_of(place, MODEL_ROLLOUT, running) == "5"
    assert term_of(place, MODEL_ROLLOUT, ended) == ""
    before = len(place.api.calls)
    await later.claim(place.deployment, place.api)
    assert not [call for call in place.api.calls[before:] if call.writes]


@pytest.mark.parametrize("late", [Scale, Autoscale, Annotate, PointService])
async def test_b31_a_late_write_of_an_earlier_term_fails(late: type) -> None:
    """B31: what a frozen leader had decided on before fails after the takeover."""
    place = Place()
    name = place.workload()["metadata"]["name"]
    place.service(NAME)
    plan = Autoscaling(max_replicas=5)
    scaler = manifest(place.deployment, plan, place.digest, 1, 5)
    place.store.create(HORIZONTAL_POD_AUTOSCALER, place.fence.stamped(scaler))
    actions: dict[type, Action] = {
        Autoscale: Autoscale(name, scaler),
        Scale: Scale(name, 9),
        Annotate: Annotate(name, {labels.PROMOTED_AT: "2026-01-01T00:00:00Z"}),
        PointService: PointService("another"),
    }
    obs = await place.observe()
    await Fence(place.api, 2, lambda: True).claim(place.deployment, place.api)
    revision = place.store.revision
    with pytest.raises(Conflict):
        await place.do(actions[late], obs=obs)
    assert place.store.revision == revision


async def test_b31_an_earlier_term_cannot_claim() -> None:
    """B31: whoever meets a later term's stamp is told that it is over."""
    place = Place()
    place.workload()
    await Fence(place.api, 2, lambda: True).claim(place.deployment, place.api)
    with pytest.raises(Deposed, match="term 2 has begun; ours was 1"):
        await place.fence.claim(place.deployment, place.api)


async def test_b31_nothing_is_written_once_the_lease_is_over() -> None:
    """B31: a process that was frozen past its deadline writes nothing, not even a first time."""
    place = Place()
    name = place.workload()["metadata"]["name"]
    place.fence.leads = lambda: False
    with pytest.raises(Deposed, match="not renewed in time"):
        await place.do(Scale(name, 9))
    with pytest.raises(Deposed):
        place.fence.holds(place.deployment)
    assert place.get(DEPLOYMENT, name)["spec"]["replicas"] == 2


async def test_b31_a_stamp_is_bound_to_what_was_read() -> None:
    """B31: who writes while we stamp is not overlooked, and the claim is not taken for granted."""
    place = Place()
    place.workload()
    later = Fence(place.api, 2, lambda: True)
    place.api.fail_next(Conflict("409"), predicate=lambda call: call.verb == "patch")
    with pytest.raises(Conflict):
        await later.claim(place.deployment, place.api)
    assert not later.holds(place.deployment)


async def test_b31_a_conflict_has_the_stamps_looked_at_again() -> None:
    """B31: dropped, a claim is made anew: a stamp that somebody removed is put back."""
    place = Place()
    name = place.workload()["metadata"]["name"]
    await place.fence.claim(place.deployment, place.api)
    gone = {"metadata": {"annotations": {labels.TERM: None}}}
    place.store.patch(DEPLOYMENT, SPACE, name, gone)
    with pytest.raises(Conflict):
        await place.do(Scale(name, 9))
    place.fence.drop(place.deployment)
    assert not place.fence.holds(place.deployment)
    await place.fence.claim(place.deployment, place.api)
    await place.do(Scale(name, 9))
    assert place.get(DEPLOYMENT, name)["spec"]["replicas"] == 9


async def test_b31_what_cannot_be_read_as_a_term_is_none() -> None:
    """A stamp that somebody wrote by hand does not stop the operator."""
    place = Place()
    name = place.workload()["metadata"]["name"]
    odd = {"metadata": {"annotations": {labels.TERM: "mine!"}}}
    place.store.patch(DEPLOYMENT, SPACE, name, odd)
    await place.fence.claim(place.deployment, place.api)
    assert term_of(place, DEPLOYMENT, name) == "1"


async def test_b31_what_went_meanwhile_needs_no_stamp() -> None:
    """An object that is deleted between list and stamp is no reason to fail."""
    place = Place()
    name = place.workload()["metadata"]["name"]

    def vanish(call: object) -> bool:
        if getattr(call, "verb", "") == "patch" and place.store.list(DEPLOYMENT, SPACE):
            place.store.delete(DEPLOYMENT, SPACE, name)
        return False

    place.api.fail_next(Transient("never"), predicate=vanish)
    later = Fence(place.api, 2, lambda: True)
    await later.claim(place.deployment, place.api)
    assert later.holds(place.deployment)


async def test_b31_b34_a_route_that_is_let_go_refuses_what_was_decided_before() -> None:
    """B31, B34: without the stamp a deposed one's late write fails as well, by its version."""
    place = Place()
    place.store.create(HTTP_ROUTE, {"metadata": {"name": "site", "namespace": SPACE}})
    mine = place.deployment
    await place.fence.claim(mine, place.api, "site")
    read = place.get(HTTP_ROUTE, "site")["metadata"]["resourceVersion"]
    later = Fence(place.api, 2, lambda: True)
    await later.claim(mine, place.api, "site")
    let_go = later.release(place.get(HTTP_ROUTE, "site"))
    await place.api.patch(HTTP_ROUTE, SPACE, "site", let_go)
    assert not term_of(place, HTTP_ROUTE, "site")
    assert later.release(place.get(HTTP_ROUTE, "site")) == []
    for version in (read, let_go[0]["value"]):
        late = [{"op": "test", "path": "/metadata/resourceVersion", "value": version},
                {"op": "add", "path": "/spec", "value": {"rules": []}}]  # fmt: skip
        with pytest.raises(Conflict):
            await place.api.patch(HTTP_ROUTE, SPACE, "site", late)
    assert not later.holds(mine, "site")  # whoever splits it again stamps it first
