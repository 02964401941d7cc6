"""Gathering: what belongs to a ModelDeployment, and what is known of its rollout."""

import pytest
from unit.shell.place import NAME, NOW_S, SPACE, Place

from rampway.core.checks.checkpoint import to_text
from rampway.core.checks.deltas import start_ledger
from rampway.core.checks.judged import EvidenceState
from rampway.core.model import revision
from rampway.core.observation import Look
from rampway.kube.errors import Transient
from rampway.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    MODEL_ROLLOUT,
    POD,
)

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


async def test_b30_what_cannot_be_read_ends_the_pass() -> None:
    """B30: half an observation is none."""
    place = Place()
    place.api.fail_next(Transient("503"), predicate=lambda call: call.kind == DEPLOYMENT)
    with pytest.raises(Transient):
        await place.observe()
