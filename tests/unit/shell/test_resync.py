"""Listing everything now and then (B30)."""

import asyncio
from datetime import UTC, datetime

import pytest
from unit.shell.walked import Walked

from rampway.api import labels
from rampway.kube.errors import Transient
from rampway.kube.kinds import MODEL_DEPLOYMENT, SERVICE
from rampway.shell import resync as module
from rampway.shell.looks import Key
from rampway.shell.resync import keep_resyncing, resync
from rampway.sim.apiserver import MemoryApi, Store


def api(*names: str) -> MemoryApi:
    """Return an API server that has these ModelDeployments, in two namespaces."""
    store = Store(lambda: datetime(2026, 1, 1, tzinfo=UTC), namespaces=("default", "ml"))
    for name in names:
        for space in ("default", "ml"):
            spec = {
                "model": {"uri": "file:///m"},
                "traffic": {"ownedRoute": {"parentRefs": [{"name": "eg"}]}},
            }
            meta = {"name": name, "namespace": space}
            store.create(MODEL_DEPLOYMENT, {"metadata": meta, "spec": spec})
    return MemoryApi(store)


async def test_b30_every_one_is_enqueued() -> None:
    """B30: all ModelDeployments of all namespaces come into the queue."""
    seen: list[Key] = []
    assert await resync(api("a", "b"), lambda key, _: seen.append(key))
    assert set(seen) == {("default", "a"), ("default", "b"), ("ml", "a"), ("ml", "b")}


async def test_b30_the_version_is_told() -> None:
    """B30: with the version a lost event is found out without a read of each."""
    server, seen = api("a"), dict[Key, str]()
    await resync(server, seen.__setitem__)
    stored = server.store.get(MODEL_DEPLOYMENT, "ml", "a")
    assert seen["ml", "a"] == stored["metadata"]["resourceVersion"]


async def test_only_a_page_of_all_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of ModelDeployments nothing is kept but where they are and how they fare."""
    server, seen = api("a", "b", "c"), dict[Key, str]()
    walked = Walked(server.store)
    monkeypatch.setattr(server, "walk", walked.walk)
    assert await resync(server, seen.__setitem__)
    assert (len(seen), walked.told, walked.held) == (6, 6, 0)


async def test_b34_what_is_left_of_one_that_is_gone_is_told() -> None:
    """B34: a Service that outlived its ModelDeployment is found at every list, also by a leader."""
    server, seen = api("a"), dict[Key, str]()
    for name in ("a", "gone"):
        marks = {labels.DEPLOYMENT: name, labels.ON_DELETION: labels.DRAIN}
        meta = {"name": name, "namespace": "ml", "labels": marks}
        server.store.create(SERVICE, {"metadata": meta, "spec": {}})
    assert await resync(server, seen.__setitem__)
    assert seen.get(("ml", "gone")) == ""
    assert seen.get(("ml", "a"))
    assert len(seen) == 3


async def test_b31_the_endangered_ones_come_first() -> None:
    """B31: who takes over looks first where a candidate has traffic, then at other rollouts."""
    server, seen = api("a", "b", "c"), list[Key]()
    busy = {"status": {"candidate": {"revision": "x"}}}
    risky = {"status": {"candidate": {"revision": "x"}, "weightPct": 5}}
    server.store.patch(MODEL_DEPLOYMENT, "ml", "b", busy, subresource="status")
    server.store.patch(MODEL_DEPLOYMENT, "ml", "c", risky, subresource="status")
    await resync(server, lambda key, _: seen.append(key))
    assert seen[:2] == [("ml", "c"), ("ml", "b")]
    assert len(seen) == 6


async def test_b30_a_list_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """B30: an API server that is away delays the list, and only a whole one counts."""
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    server, seen, done = api("a"), list[Key](), list[int]()
    server.fail_next(Transient("503"), times=2)
    twice = asyncio.Event()

    def note() -> None:
        done.append(len(server.calls))
        if len(done) == 2:
            twice.set()

    task = asyncio.create_task(keep_resyncing(server, lambda key, _: seen.append(key), 0.01, note))
    await asyncio.wait_for(twice.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert done == [4, 6]  # two lists each, the first two failed at once
    assert len(seen) == 4
