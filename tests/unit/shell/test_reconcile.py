"""One pass: gather, decide, execute; what it remembers and what it wants to look at."""

from dataclasses import replace

import pytest
from unit.shell.place import NAME, NOW_S, SPACE, Place, spec
from unit.shell.pods import Pods

from rampway.api.deployment import ModelDeploymentStatus
from rampway.core.checks.counters import Scrape
from rampway.core.checks.deltas import start_ledger
from rampway.core.checks.judged import EvidenceState, History
from rampway.core.checks.kinds.base import PairedState
from rampway.core.evidence import EProcess
from rampway.core.observation import Look
from rampway.kube.errors import Conflict, Ending
from rampway.kube.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, MODEL_ROLLOUT, SERVICE
from rampway.metrics.memory import MemorySource
from rampway.shell.fence import Deposed
from rampway.shell.looks import Looks
from rampway.shell.reconcile import CALLS_A_PASS, FRESH_S, READS_PER_S, REST_S, Reconciler

KEY = (SPACE, NAME)
HOVER = {"status": {"phase": "Hovering"}}


def reconciler(place: Place) -> Reconciler:
    """Return a reconciler of this place."""
    looks = Looks(MemorySource(), Pods(), lambda: NOW_S, lambda _: None)
    return Reconciler(place.api, place.gatherer, place.executor, looks, place.fence, lambda: NOW_S)


async def test_a_pass_makes_what_is_missing() -> None:
    """The first pass makes the first revision and asks to come again."""
    place = Place()
    one = reconciler(place)
    assert await one.reconcile(KEY) == 5
    assert place.get(DEPLOYMENT, f"{NAME}-{place.digest}")
    assert place.get(MODEL_DEPLOYMENT, NAME)["status"]["phase"] == "Pending"
    assert place.api.counts["list", "ModelDeployment"] == 1  # of thousands: once is enough


async def test_what_is_gone_is_forgotten() -> None:
    """A key without an object asks for nothing, and its memory goes."""
    place = Place()
    one = reconciler(place)
    await one.reconcile(KEY)
    assert KEY in one._memories
    place.store.delete(MODEL_DEPLOYMENT, SPACE, NAME)
    assert await one.reconcile(KEY) is None
    assert KEY not in one._memories
    assert await one.reconcile(("ml", "never")) is None


async def test_b34_what_is_being_deleted_is_not_stamped() -> None:
    """B34: owners that `kubectl delete --cascade=orphan` took away are not put back.

    The garbage collector would take the pods away with the ModelDeployment.
    """
    place = Place()
    name = place.workload()["metadata"]["name"]
    hold = {"metadata": {"finalizers": ["orphan"]}}
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, hold)
    place.store.delete(MODEL_DEPLOYMENT, SPACE, NAME)
    orphan = {"metadata": {"ownerReferences": None}}
    before = place.store.patch(DEPLOYMENT, SPACE, name, orphan)
    assert place.deployment.deleting
    assert await reconciler(place).reconcile(KEY) is None
    assert place.get(DEPLOYMENT, name) == before


async def test_b31_what_is_decided_on_is_read_after_the_stamp() -> None:
    """B31: what a leader before us wrote until we stamped is not decided past."""
    place = Place()
    place.workload()
    place.fence.term = 2
    await reconciler(place).reconcile(KEY)
    made = [f"{call.verb} {call.kind.kind}" for call in place.api.calls]
    assert "get ModelDeployment" in made[made.index("patch Deployment") :]


async def test_a_namesake_has_a_memory_of_its_own() -> None:
    """What was refused of the one before is not held against the next of that name."""
    place = Place()
    one = reconciler(place)
    await one.reconcile(KEY)
    one._memories[KEY][1].refusals["x"] = "quota"
    place.store.delete(MODEL_DEPLOYMENT, SPACE, NAME)
    place.put(NAME)
    await one.reconcile(KEY)
    assert one._memories[KEY][1].refusals == {}


async def test_a_spec_that_is_not_understood_is_told_once_and_left_alone() -> None:
    """What CRD validation let through all the same is told in the status, and waits for a change.

    Nothing else is written; a second pass has nothing new to say.
    """
    place = Place()
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"spec": {"replicas": -1}})
    before = len(place.api.calls)
    one = reconciler(place)
    for _ in range(2):
        assert await one.reconcile(KEY) is None
    assert [call.verb for call in place.api.calls[before:]] == ["get", "patch", "get"]
    obj = place.get(MODEL_DEPLOYMENT, NAME)
    status = obj["status"]
    assert (status["phase"], status["reason"]) == ("Refused", "InvalidSpec")
    assert "spec.replicas: expected 0 or more; seen: -1" in status["message"]
    assert status["observedGeneration"] == obj["metadata"]["generation"]
    said = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert said["Accepted"] == ("False", "InvalidSpec")
    assert said["Stalled"] == ("True", "InvalidSpec")


async def test_b31_only_who_leads_says_that_a_spec_is_not_understood() -> None:
    """B31: whose term is over writes no status either."""
    place = Place()
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"spec": {"replicas": -1}})
    place.fence.leads = lambda: False
    with pytest.raises(Deposed):
        await reconciler(place).reconcile(KEY)
    assert "status" not in place.get(MODEL_DEPLOYMENT, NAME)


async def test_a_rollout_that_cannot_be_read_is_left_alone() -> None:
    """A phase of a newer operator stops the pass before anything is written."""
    place = Place()
    under_way(place)
    one = reconciler(place)
    for _ in range(3):
        await one.reconcile(KEY)
    (rollout,) = place.store.list(MODEL_ROLLOUT, SPACE)
    name = rollout["metadata"]["name"]
    place.store.patch(MODEL_ROLLOUT, SPACE, name, HOVER, subresource="status")
    before = place.store.list(DEPLOYMENT, SPACE)
    assert await one.reconcile(KEY) is None
    assert place.store.list(DEPLOYMENT, SPACE) == before
    status = place.get(MODEL_DEPLOYMENT, NAME)["status"]
    assert status["reason"] == "InvalidSpec"
    assert status["message"].startswith(f"ModelRollout {name}: status.phase: expected one of ")
    assert "seen: 'Hovering'" in status["message"]


async def test_b34_a_namespace_that_ends_is_left_alone() -> None:
    """B34: what the API server refuses for that reason is not tried again."""
    place = Place()
    one = reconciler(place)
    gone = Ending("create Deployment: 403: is being terminated")
    place.api.fail_next(gone, predicate=lambda call: call.verb == "create")
    assert await one.reconcile(KEY) is None
    assert not place.store.list(DEPLOYMENT, SPACE)


def under_way(place: Place) -> str:
    """Bring a rollout of a second revision under way; return its name."""
    first: str = place.workload()["metadata"]["name"]
    note = {"metadata": {"annotations": {"rampway.dev/promoted-at": "2025-12-31T00:00:00Z"}}}
    place.store.patch(DEPLOYMENT, SPACE, first, note)
    query = {
        "query": 'x{r="{{ candidate }}",s="{{stable}}"} {{ name }} {{ namespace }}',
        "max": "1",
    }
    checks = [{"name": "revenue", "threshold": query}, {"name": "errors", "errorRate": {}}]
    changed = spec(model={"uri": "file:///m2"}, rollout={"policy": {"checks": checks}})
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"spec": changed})
    return first


async def test_an_active_rollout_is_looked_at() -> None:
    """Its revisions and its queries, filled in, are wanted for as long as it is active."""
    place = Place()
    first = under_way(place)
    one = reconciler(place)
    for _ in range(3):
        await one.reconcile(KEY)
    wanted = one.looks._interests[KEY]
    candidate = f"{NAME}-{place.digest}"
    assert wanted.revisions == (candidate, first)
    assert wanted.queries == {"revenue": f'x{{r="{candidate}",s="{first}"}} {NAME} {SPACE}'}
    assert wanted.seen_s is None
    (rollout,) = place.store.list(MODEL_ROLLOUT, SPACE)
    memory = one._memories[KEY][1]
    assert memory.rollout == rollout["metadata"]["name"]
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"spec": {"model": {"uri": "file:///m"}}})
    await one.reconcile(KEY)
    assert KEY not in one.looks._interests
    assert memory.rollout == ""


async def test_stables_past_is_wanted_until_it_is_known() -> None:
    """It is asked for until it is learnt or the candidate has requests, and a suspicion hurries."""
    place = Place()
    first = under_way(place)
    one = reconciler(place)
    for _ in range(3):
        await one.reconcile(KEY)
    wanted = one.looks._interests[KEY]
    assert wanted.past is not None
    assert (wanted.past.namespace, wanted.past.revision) == (SPACE, first)
    assert not wanted.hurry
    memory = one._memories[KEY][1]
    failing = EProcess(lately=(2.0,) * 8)
    states = {"errors": PairedState((failing, EProcess()))}
    known = EvidenceState(NOW_S, start_ledger(NOW_S), states, history=History(120))
    memory.evidence = known
    await one.reconcile(KEY)
    wanted = one.looks._interests[KEY]
    assert wanted.past is None
    assert wanted.hurry
    memory.evidence = replace(known, history=None)
    (rollout,) = place.store.list(MODEL_ROLLOUT, SPACE)
    status = rollout["status"] | {"trafficSince": "2026-01-01T00:00:00Z"}
    place.store.patch(
        MODEL_ROLLOUT, SPACE, rollout["metadata"]["name"], {"status": status}, subresource="status"
    )
    one._changed.add(KEY)
    await one.reconcile(KEY)
    assert one.looks._interests[KEY].past is None


async def test_without_comparisons_no_counters_are_read() -> None:
    """A policy of thresholds alone asks for no revision's counters."""
    place = Place()
    under_way(place)
    place.store.patch(
        MODEL_DEPLOYMENT,
        SPACE,
        NAME,
        {"spec": {"rollout": {"policy": {"checks": [
            {"name": "revenue", "threshold": {"query": "x", "max": "1"}}]}}}},
    )  # fmt: skip
    one = reconciler(place)
    for _ in range(3):
        await one.reconcile(KEY)
    assert one.looks._interests[KEY].revisions == ()
    one._memories[KEY][1].evidence = EvidenceState(NOW_S, start_ledger(NOW_S))
    await one.reconcile(KEY)
    assert one.looks._interests[KEY].seen_s == NOW_S


def reads(place: Place) -> int:
    """Return how many calls only read."""
    return sum(not call.writes for call in place.api.calls)


async def settled(place: Place) -> Reconciler:
    """Return a reconciler that has a rollout under way and nothing to do."""
    under_way(place)
    one = reconciler(place)
    for _ in range(6):
        await one.reconcile(KEY)
    return one


async def test_a_look_alone_reads_nothing() -> None:
    """What was read stays good for a while: a new look is judged without a call."""
    place = Place()
    one = await settled(place)
    before = len(place.api.calls)
    assert await one.reconcile(KEY) == 5
    assert len(place.api.calls) == before


async def test_b30_a_change_or_age_makes_it_read_again() -> None:
    """B30: an event is read at once; a change that no event told of after ten seconds."""
    place = Place()
    one = await settled(place)
    before = reads(place)
    assert one.touch(KEY, "Pod", "digits-x", "77")
    await one.reconcile(KEY)
    assert reads(place) > before
    before = reads(place)
    one.clock = lambda: NOW_S + FRESH_S
    await one.reconcile(KEY)
    assert reads(place) > before


async def test_what_acts_is_decided_on_a_live_read() -> None:
    """A decision that would change the cluster reads it first: it may have changed."""
    place = Place()
    one = await settled(place)
    seen = one._memories[KEY][1].seen
    assert seen is not None
    shrunk = tuple(replace(known, replicas=7) for known in seen.revisions)
    one._memories[KEY][1].seen = replace(seen, revisions=shrunk)
    before = len(place.api.calls)
    await one.reconcile(KEY)
    made = place.api.calls[before:]
    assert made
    assert not any(call.writes for call in made)


async def test_a_look_that_was_taken_in_is_not_kept() -> None:
    """The scrapes of a thousand rollouts are no part of what is remembered of each."""
    place = Place()
    one = await settled(place)
    told = Scrape("ml", "digits-x", "digits-x-1", NOW_S, NOW_S, {"ok": 1})
    one.looks._latest[KEY] = Look(NOW_S, (told,), "Prometheus is slow", heard=True)
    one.touch(KEY, "Pod", "digits-x", "77")
    await one.reconcile(KEY)
    memory = one._memories[KEY][1]
    assert memory.evidence is not None
    assert memory.evidence.seen_s == NOW_S
    assert memory.last is not None
    assert (memory.last.look, memory.last.evidence) == (None, None)
    assert memory.seen is not None
    assert (memory.seen.look, memory.seen.evidence) == (None, None)
    assert one.looks.latest(KEY) == Look(NOW_S, (), "Prometheus is slow", heard=True)


async def test_our_own_status_is_no_news() -> None:
    """The event of our own write of a status makes nobody read; another one's does."""
    place = Place()
    one = await settled(place)
    (rollout,) = place.store.list(MODEL_ROLLOUT, SPACE)
    meta = rollout["metadata"]
    assert not one.touch(KEY, "ModelRollout", meta["name"], meta["resourceVersion"])
    assert one._memories[KEY][1].seen is not None
    assert one.touch(KEY, "ModelRollout", meta["name"], "later")
    assert one.touch(("ml", "unknown"), "Pod", "x", "1")


async def test_b31_a_status_is_written_over_what_was_read_only() -> None:
    """B31: somebody else's write in between is a conflict, and the next pass reads."""
    place = Place()
    one = await settled(place)
    place.store.patch(MODEL_DEPLOYMENT, SPACE, NAME, {"metadata": {"labels": {"a": "b"}}})
    one.clock = lambda: NOW_S + 9
    memory = one._memories[KEY][1]
    assert memory.seen is not None
    blank = replace(memory.seen.deployment, status=ModelDeploymentStatus())
    memory.seen = replace(memory.seen, deployment=blank)
    with pytest.raises(Conflict):
        await one.reconcile(KEY)
    assert memory.seen is None


async def test_what_is_read_already_is_no_news() -> None:
    """An event of a version that a pass has read is no news; that something is gone always is."""
    place = Place()
    one = await settled(place)
    for kind in (MODEL_DEPLOYMENT, DEPLOYMENT, SERVICE):
        for obj in place.store.list(kind, SPACE):
            meta = obj["metadata"]
            assert not one.touch(KEY, kind.kind, meta["name"], meta["resourceVersion"])
            assert one.touch(KEY, kind.kind, meta["name"], "")


async def test_b30_a_change_in_the_middle_of_a_pass_is_read_by_the_next() -> None:
    """B30: what was read before an event does not stand for what is after it."""
    place = Place()
    one = await settled(place)
    one.touch(KEY, "Pod", "digits-x", "1")

    def meanwhile(_: object) -> None:
        one.touch(KEY, "Pod", "digits-x", "2")

    place.api.listeners.append(meanwhile)
    await one.reconcile(KEY)
    place.api.listeners.clear()
    before = reads(place)
    await one.reconcile(KEY)
    assert reads(place) > before


async def at_rest(place: Place) -> Reconciler:
    """Return a reconciler whose one ModelDeployment has nothing to do."""
    one = reconciler(place)
    for _ in range(6):
        await one.reconcile(KEY)
    return one


async def test_what_is_at_rest_is_not_read() -> None:
    """A resync alone costs no read; an event does, and time does."""
    place = Place()
    one = await at_rest(place)
    before = reads(place)
    await one.reconcile(KEY)
    assert reads(place) == before
    assert one.touch(KEY, "Pod", "digits-x", "1")
    await one.reconcile(KEY)
    assert reads(place) > before
    before = reads(place)
    one.clock = lambda: NOW_S + REST_S
    await one.reconcile(KEY)
    assert reads(place) > before


async def test_what_is_at_rest_takes_no_memory() -> None:
    """Of thousands that are at rest no objects are kept."""
    place = Place()
    one = await at_rest(place)
    memory = one._memories[KEY][1]
    assert (memory.seen, memory.last) == (None, None)


async def test_many_read_seldom() -> None:
    """All ModelDeployments together ask "nothing new?" at most ten times a second."""
    one = await at_rest(Place())
    assert one._fresh_s(FRESH_S) == FRESH_S
    for number in range(999):
        one._memories["ml", str(number)] = one._memories[KEY]
    assert one._fresh_s(FRESH_S) == pytest.approx(1000 * CALLS_A_PASS / READS_PER_S)
