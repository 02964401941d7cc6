"""Carrying out decisions: in their order, again without harm, over what was read (B29)."""

from typing import Any

import pytest
from unit.shell.place import NAME, SPACE, Place

from rampway.api import labels
from rampway.api.deployment import ModelDeploymentStatus
from rampway.api.rollout import ModelRolloutStatus, StepStatus
from rampway.core.actions import (
    Annotate,
    Create,
    Delete,
    Emit,
    PointService,
    Scale,
    SetSplit,
    WriteRollout,
    WriteStatus,
)
from rampway.core.model import revision
from rampway.core.traffic.split import STABLE_ONLY
from rampway.kube.errors import Conflict, Forbidden, Invalid, KubeError, NotFound, Transient
from rampway.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    HTTP_ROUTE,
    MODEL_DEPLOYMENT,
    MODEL_ROLLOUT,
    SERVICE,
)
from rampway.shell.fence import Deposed


def status(**more: Any) -> ModelDeploymentStatus:
    """Return a status."""
    return ModelDeploymentStatus(phase="Healthy", observed_generation=1, **more)


async def test_actions_happen_in_their_order() -> None:
    """B23: the order is the decision's; here weight, scale, annotation, Service, Event, status."""
    place = Place()
    name = place.workload()["metadata"]["name"]
    made = await place.do(
        SetSplit(STABLE_ONLY),
        Scale(name, 5),
        Annotate(name, {"x/y": "z"}),
        PointService(place.digest),
        Emit("k", "Promoted", "Promoted", "it serves"),
        WriteStatus(status()),
    )
    verbs = [call.rsplit(" ", 1)[0] for call in made]
    assert verbs == [
        "get HTTPRoute",
        "create HTTPRoute",
        "patch Deployment",
        "patch Deployment",
        "patch Service",
        "create Service",
        "create Event",
        "patch ModelDeployment",
    ]
    workload = place.get(DEPLOYMENT, name)
    assert workload["spec"]["replicas"] == 5
    assert workload["metadata"]["annotations"]["x/y"] == "z"
    assert place.get(MODEL_DEPLOYMENT, NAME)["status"]["phase"] == "Healthy"
    assert place.get(HTTP_ROUTE, NAME)


async def test_the_first_that_fails_ends_the_pass() -> None:
    """B29: what follows a failure is left to the next pass."""
    place = Place()
    name = place.workload()["metadata"]["name"]
    obs = await place.observe()
    place.api.fail_next(Transient("503"))
    with pytest.raises(Transient):
        await place.do(Scale(name, 5), Scale(name, 6), obs=obs)
    assert place.get(DEPLOYMENT, name)["spec"]["replicas"] == 2


async def test_b29_made_once_by_name() -> None:
    """B29: what exists already is left as it is, and the pass goes on."""
    place = Place()
    known = place.workload()
    other = revision.workload(place.deployment, "server:9", 7)
    await place.do(Create("Deployment", other), SetSplit(STABLE_ONLY))
    assert place.get(DEPLOYMENT, known["metadata"]["name"]) == known
    assert place.get(HTTP_ROUTE, NAME)


@pytest.mark.parametrize("error", [Invalid("422: no such field"), Forbidden("403: quota")])
async def test_b28_a_refused_template_is_remembered(error: KubeError) -> None:
    """B28: the server's words about a revision's template reach the next observation."""
    place = Place()
    obs = await place.observe()
    place.api.fail_next(error)
    await place.do(Create("Deployment", revision.workload(place.deployment, "i", 1)), obs=obs)
    assert place.memory.refusal_of(place.digest) == str(error)
    assert (await place.observe()).refusal == str(error)
    assert place.memory.refusal_of("other") == ""


async def test_a_refusal_of_anything_else_is_an_error() -> None:
    """Only a template is the user's; a refused Service or a lost answer is not hidden."""
    place = Place()
    obs = await place.observe()
    wanted = revision.service(place.deployment, "x", place.digest)
    place.api.fail_next(Forbidden("403"))
    with pytest.raises(Forbidden):
        await place.do(Create("Service", wanted), obs=obs)
    place.api.fail_next(Transient("500"))
    with pytest.raises(Transient):
        await place.do(Create("Deployment", revision.workload(place.deployment, "i", 1)), obs=obs)
    assert place.memory.refusals == {}


async def test_the_service_is_pointed_or_made() -> None:
    """The Service `<name>` is made if it is missing, else only its selector changes."""
    place = Place()
    await place.do(PointService("one"))
    first = place.get(SERVICE, NAME)
    assert first["spec"]["selector"] == {labels.DEPLOYMENT: NAME, labels.REVISION: "one"}
    await place.do(PointService("two"))
    second = place.get(SERVICE, NAME)
    assert second["spec"]["selector"][labels.REVISION] == "two"
    assert second["spec"]["ports"] == first["spec"]["ports"]


async def test_a_status_names_what_is_gone() -> None:
    """A merge patch keeps what it does not name, so fields that are gone are nulled."""
    place = Place()
    before = {"phase": "Old", "rollout": "r", "fromALaterVersion": 1}
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"status": before}, subresource="status")
    obs = await place.observe()
    await place.do(WriteStatus(status()), obs=obs)
    patch = place.api.calls[-1].body
    assert patch["metadata"] == {
        "resourceVersion": obs.deployment.resource_version,
        "uid": obs.deployment.uid,
    }
    assert patch["status"]["fromALaterVersion"] is None
    assert place.api.calls[-1].subresource == "status"
    after = place.get(MODEL_DEPLOYMENT, NAME)["status"]
    assert (after["phase"], after["rollout"]) == ("Healthy", "")
    assert "fromALaterVersion" not in after


async def test_b29_a_status_is_written_over_what_was_read() -> None:
    """B29, B31: written by anybody since, or another object of that name, it is a conflict."""
    place = Place()
    obs = await place.observe()
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"spec": {"replicas": 3}})
    with pytest.raises(Conflict):
        await place.do(WriteStatus(status()), obs=obs)
    fresh = await place.observe()
    place.store.delete(MODEL_DEPLOYMENT, SPACE, NAME)
    place.put(NAME)
    with pytest.raises(Conflict):
        await place.do(WriteStatus(status()), obs=fresh)
    assert not place.get(MODEL_DEPLOYMENT, NAME).get("status")


async def test_a_rollouts_status_is_written_likewise() -> None:
    """A rollout's status goes to its own object, over the version read; an unknown one is left."""
    place = Place()
    name = place.rollout()["metadata"]["name"]
    obs = await place.observe()
    wrote = WriteRollout(name, ModelRolloutStatus(phase="Stepping", step=StepStatus(index=1)))
    assert await place.do(wrote, WriteRollout("other", wrote.status), obs=obs) == [
        f"patch ModelRollout {name}"
    ]
    assert place.get(MODEL_ROLLOUT, name)["status"]["step"]["index"] == 1
    with pytest.raises(Conflict):
        await place.do(wrote, obs=obs)


async def test_deleting_is_of_this_very_object() -> None:
    """B29: by uid where it is known; what is gone already is fine."""
    place = Place()
    made = place.workload()["metadata"]
    with pytest.raises(Conflict):
        await place.do(Delete("Deployment", made["name"], "another"))
    await place.do(Delete("Deployment", made["name"], made["uid"]))
    with pytest.raises(NotFound):
        place.get(DEPLOYMENT, made["name"])
    assert await place.do(Delete("ConfigMap", "gone", "")) == ["get ConfigMap gone"]
    assert not place.api.counts["delete", CONFIG_MAP.kind]


async def test_b31_deleting_is_of_what_was_read() -> None:
    """B31: an object that a later term had, or that changes in between, is not deleted."""
    place = Place()
    name = place.workload()["metadata"]["name"]
    gone = Delete("Deployment", name, "")

    def meddle(_call: Any) -> bool:
        more = place.get(DEPLOYMENT, name)["spec"]["replicas"] + 1
        place.store.patch(DEPLOYMENT, SPACE, name, {"spec": {"replicas": more}})
        return False

    place.api.fail_next(Transient("never"), predicate=meddle)
    with pytest.raises(Conflict):
        await place.do(gone)
    place = Place()
    name = place.workload()["metadata"]["name"]
    theirs = {"metadata": {"annotations": {"rampway.dev/term": "2"}}}
    place.store.patch(DEPLOYMENT, SPACE, name, theirs)
    with pytest.raises(Deposed, match="term 2 has begun; ours was 1"):
        await place.do(gone)
    assert place.get(DEPLOYMENT, name)


def events(place: Place) -> list[dict[str, Any]]:
    """Return all Events."""
    return place.store.list(EVENT, SPACE)


async def test_an_event_is_recorded_once() -> None:
    """One cause is one Event, also for a restarted operator, which has forgotten it."""
    place = Place()
    news = Emit("digits-x-1-RollingBack-0", "RollingBack", "CheckFailed", "w" * 2000, warning=True)
    assert await place.do(news, news) == [f"create Event {events(place)[0]['metadata']['name']}"]
    place.memory.emitted.clear()
    await place.do(news)
    (event,) = events(place)
    assert (event["type"], event["reason"], len(event["note"])) == ("Warning", "CheckFailed", 1024)
    assert event["regarding"]["uid"] == place.deployment.uid
    await place.do(Emit("another", "Promoted", "Promoted", "it serves"))
    assert {e["type"] for e in events(place)} == {"Warning", "Normal"}


async def test_an_event_that_cannot_be_written_holds_nothing_up() -> None:
    """B23: a lost Event is tried again the next time, and stops no pass."""
    place = Place()
    obs = await place.observe()
    place.api.fail_next(Transient("500"))
    await place.do(Emit("k", "Promoted", "Promoted", "x"), SetSplit(STABLE_ONLY), obs=obs)
    assert events(place) == []
    assert place.get(HTTP_ROUTE, NAME)
    await place.do(Emit("k", "Promoted", "Promoted", "x"))
    assert len(events(place)) == 1
