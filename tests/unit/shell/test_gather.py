"""Gathering: what belongs to a ModelDeployment, and what is known of its rollout."""

import asyncio
from typing import Any

import pytest
from unit.shell.place import NAME, NOW_S, SPACE, Place
from unit.shell.walked import Walked

from rampway.api.parse import ModelDeployment, parse_deployment
from rampway.core.checks.checkpoint import to_text
from rampway.core.checks.deltas import start_ledger
from rampway.core.checks.judged import EvidenceState
from rampway.core.model import revision
from rampway.core.observation import Look
from rampway.kube.base import Obj
from rampway.kube.errors import NotFound, Transient
from rampway.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HTTP_ROUTE,
    MODEL_DEPLOYMENT,
    MODEL_ROLLOUT,
    POD,
)
from rampway.shell import claims

SEEN = EvidenceState(NOW_S, start_ledger(NOW_S), step_requests=7)


def pod(place: Place, name: str, *, ready: bool, digest: str = "") -> None:
    """Create a pod of the spec's revision."""
    meta = {
        "name": name,
        "namespace": SPACE,
        "labels": revision.selector(NAME, digest or place.digest),
    }
    made = {"metadata": meta, "spec": {"containers": [{"name": "server", "image": "i"}]}}
    place.store.create(POD, made)
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    place.store.patch(
        POD, SPACE, name, {"status": {"conditions": conditions}}, subresource="status"
    )


async def test_what_is_there_is_seen() -> None:
    """Revision, pods, Service, route and the Service in front come together."""
    place = Place()
    place.workload()
    own = f"{NAME}-{place.digest}"
    place.service(own)
    place.service(NAME)
    pod(place, "up", ready=True)
    pod(place, "down", ready=False)
    pod(place, "other", ready=True, digest="old")
    obs = await place.observe(Look(NOW_S))
    (mine,) = obs.revisions
    assert (mine.name, mine.ready, len(mine.pods), mine.has_service) == (own, 1, 2, True)
    assert obs.service.selects == place.digest
    assert obs.look == Look(NOW_S)
    assert not obs.route.exists
    assert obs.rollouts == ()


async def test_an_empty_place_is_seen_as_empty() -> None:
    """Before the first pass there is nothing."""
    obs = await Place().observe()
    assert (obs.revisions, obs.rollouts, obs.service.selects) == ((), (), "")
    assert (obs.stable, obs.active, obs.evidence) == (None, None, None)


async def test_what_belongs_to_a_namesake_is_not_ours() -> None:
    """B29: objects of an earlier ModelDeployment of this name are not taken for ours."""
    place = Place()
    place.workload()
    place.store.delete(MODEL_DEPLOYMENT, SPACE, NAME)
    place.put(NAME)
    assert (await place.observe()).revisions == ()


async def test_b03_a_ready_pod_is_asked_until_the_digest_is_pinned() -> None:
    """B3: one ready pod is asked for what it loaded; once that is pinned, none is."""
    place = Place()
    place.workload()
    pod(place, "down", ready=False)
    assert (await place.observe()).revisions[0].reported_sha256 == ""
    pod(place, "up", ready=True)
    assert (await place.observe()).revisions[0].reported_sha256 == "cd" * 32
    assert place.asked == [f"up {NAME}"]
    place.store.create(
        CONFIG_MAP, revision.digest_record(place.deployment, place.digest, "ef" * 32)
    )
    found = (await place.observe()).revisions[0]
    assert (found.recorded_sha256, found.reported_sha256) == ("ef" * 32, "")
    assert len(place.asked) == 1


async def test_b03_no_pod_is_asked_where_the_digest_is_given() -> None:
    """B3: a digest that the user gives is the one that counts, and nothing has to be recorded."""
    place = Place()
    deployment = place.workload()
    server = {"name": "server", "env": [{"name": "RAMPWAY_MODEL_SHA256", "value": "ab" * 32}]}
    template = {"spec": {"containers": [{"name": "other"}, server]}}
    place.store.patch(
        DEPLOYMENT, SPACE, deployment["metadata"]["name"], {"spec": {"template": template}}
    )
    pod(place, "up", ready=True)
    found = (await place.observe()).revisions[0]
    assert (found.recorded_sha256, found.reported_sha256, place.asked) == ("ab" * 32, "", [])


def checkpoint(place: Place, name: str, phase: str = "Stepping") -> None:
    """Write the evidence into a rollout's status."""
    found = {"phase": phase, "evidence": to_text(SEEN)}
    place.store.patch(MODEL_ROLLOUT, SPACE, name, {"status": found}, subresource="status")


async def test_b32_evidence_survives_a_restart() -> None:
    """B19, B32: without memory the checkpoint counts; with it, what is newer does."""
    place = Place()
    name = place.rollout()["metadata"]["name"]
    checkpoint(place, name)
    assert (await place.observe()).evidence == SEEN
    newer = EvidenceState(NOW_S + 5, start_ledger(NOW_S))
    place.memory.rollout, place.memory.evidence = name, newer
    assert (await place.observe()).evidence is newer


async def test_evidence_belongs_to_one_rollout() -> None:
    """What is remembered of another rollout, or written in one that ended, is not evidence."""
    place = Place()
    first = place.rollout(1)["metadata"]["name"]
    checkpoint(place, first, "Superseded")
    place.memory.rollout, place.memory.evidence = first, SEEN
    assert (await place.observe()).evidence is None
    place.rollout(2)
    obs = await place.observe()
    assert obs.evidence is None
    assert [r.spec.attempt for r in obs.rollouts] == [1, 2]


async def test_b15_the_host_is_asked_for_until_it_is_granted() -> None:
    """B15: an older one elsewhere has the host; once granted, nobody is listed any more."""
    place = Place()
    shared = {"ownedRoute": {"parentRefs": [{"name": "eg", "namespace": "gw"}]}}
    place.store.delete(MODEL_DEPLOYMENT, SPACE, NAME)
    place.put("a-first", "other", traffic=shared)
    place.put(NAME, traffic=shared)
    assert (await place.observe()).conflict == ""
    place.store.patch(
        MODEL_DEPLOYMENT, "other", "a-first", {"status": accepted()}, subresource="status"
    )
    assert (await place.observe()).conflict == "other/a-first"
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"status": accepted()}, subresource="status")
    listed = place.api.counts["list", "ModelDeployment"]
    assert (await place.observe()).conflict == ""
    assert place.api.counts["list", "ModelDeployment"] == listed


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
    assert (await place.observe()).conflict == f"{SPACE}/a-users"
    absent = NotFound("the server could not find the requested resource")
    place.api.fail_next(absent, predicate=lambda call: call.kind == HTTP_ROUTE and not call.name)
    assert (await place.observe()).conflict == ""


def accepted() -> dict[str, Any]:
    """Return the status of one that was granted its host."""
    known = {"type": "Accepted", "status": "True", "reason": "Valid", "observedGeneration": 1}
    return {"observedGeneration": 1, "conditions": [known]}


async def test_b15_what_cannot_be_read_claims_nothing() -> None:
    """B15: a neighbour whose spec cannot be read has no route and takes no host."""
    place = Place()
    shared = {"ownedRoute": {"parentRefs": [{"name": "eg", "namespace": "gw"}]}}
    place.store.delete(MODEL_DEPLOYMENT, SPACE, NAME)
    place.put("a-first", "other", traffic=shared)
    place.put(NAME, traffic=shared)
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


async def test_b30_what_cannot_be_read_ends_the_pass() -> None:
    """B30: half an observation is none."""
    place = Place()
    place.api.fail_next(Transient("503"), predicate=lambda call: call.kind == DEPLOYMENT)
    with pytest.raises(Transient):
        await place.observe()
