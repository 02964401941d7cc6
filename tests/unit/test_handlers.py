"""kopf's part, and what we rely on in kopf: it watches, tells, and writes nothing (B34)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import kopf
import pytest
from kopf._core.engines.peering import Identity
from unit.kube_pages import Pages, pages

from rampway import handlers
from rampway.api import labels
from rampway.handlers import OWN_KINDS, Key, NoDiffBase, NoProgress, registry, settings
from rampway.kube.kinds import (
    CLUSTER_ROLLOUT_POLICY,
    HTTP_ROUTE,
    MODEL_DEPLOYMENT,
    POD,
    ROLLOUT_POLICY,
)
from rampway.shell.memory import Name
from rampway.shell.shared import KINDS as SHARED_KINDS

OURS = f"{labels.MANAGED_BY}={labels.MANAGER}"


def test_only_events_and_the_login_have_handlers() -> None:
    """B34: no handler of any other sort: none would keep a finalizer, an annotation or a task."""
    found = registry(lambda *_: None, lambda *_: None)
    assert [h.id for h in found._activities.get_all_handlers()] == ["login"]
    plurals = {h.selector.plural for h in found._watching.get_all_handlers() if h.selector}
    watched = (MODEL_DEPLOYMENT, *OWN_KINDS, *SHARED_KINDS)
    assert plurals == {kind.plural for kind in watched}
    for other in (found._changing, found._spawning, found._indexing, found._webhooks):
        assert list(other.get_all_handlers()) == []


def test_the_storages_keep_nothing() -> None:
    """Neither progress nor a last-seen state is ever read or written."""
    body, patch = kopf.Body({"metadata": {"name": "x"}, "spec": {"a": 1}}), kopf.Patch()
    progress, diff = NoProgress(), NoDiffBase()
    known: dict[str, Any] = {"key": "k", "body": body, "patch": patch}
    assert progress.fetch(key="k", body=body) is None  # type: ignore[func-returns-value]
    progress.store(record={}, **known)
    progress.purge(**known)
    progress.touch(body=body, patch=patch, value="now")
    assert diff.fetch(body=body) is None  # type: ignore[func-returns-value]
    diff.store(body=body, patch=patch, essence={})
    assert diff.build(body=body) == {}
    assert progress.clear(essence={"spec": 1}) == {"spec": 1}
    assert not patch


def test_settings_are_what_the_operator_relies_on() -> None:
    """No events posted, no scan for kinds, no kill at a cancel, our own storages."""
    found = settings()
    assert found.posting.enabled is False
    assert found.scanning.disabled is True
    assert found.process.ultimate_exiting_timeout is None
    assert isinstance(found.persistence.progress_storage, NoProgress)
    assert isinstance(found.persistence.diffbase_storage, NoDiffBase)
    assert (found.watching.server_timeout, found.watching.client_timeout) == (300, 310)


def test_b30_kopf_never_gives_up_on_an_api_server() -> None:
    """B30: by default it ends the process after 54 s; here it tries for a day, each 10 s."""
    waits_s = settings().networking.error_backoffs
    assert isinstance(waits_s, tuple)
    assert sum(waits_s) > 86_000
    assert max(waits_s) == 10


@dataclass
class Told:
    """The keys that came in."""

    keys: list[Key] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    shared: set[Name] = field(default_factory=set)

    def __call__(self, key: Key, kind: str, name: str, version: str) -> None:
        """Take a change."""
        assert kind
        assert name
        assert version
        self.keys.append(key)
        self.more.set()

    def of_shared(self, shared: Name, version: str) -> None:
        """Take a change of what several share."""
        assert version
        self.shared.add(shared)
        self.more.set()

    async def until(self, number: int) -> None:
        """Wait until so many came."""
        async with asyncio.timeout(20):
            while len(self.keys) < number:
                self.more.clear()
                await self.more.wait()


@asynccontextmanager
async def watching(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Pages, Told]]:
    """Run kopf with our registry and settings against a server's pages, then stop it."""
    async with pages() as server:

        def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(server=server.url)

        monkeypatch.setattr(handlers, "login", login)
        told, stop = Told(), asyncio.Event()
        task = asyncio.create_task(
            kopf.operator(
                registry=registry(told, told.of_shared),
                settings=settings(),
                clusterwide=True,
                standalone=True,
                identity=Identity("test"),
                stop_flag=stop,
            )
        )
        try:
            yield server, told
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)


async def test_b34_kopf_tells_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """B34: all that is listed or changes reaches the queue; no request of kopf's is a write."""
    async with watching(monkeypatch) as (server, told):
        await told.until(1 + len(OWN_KINDS))
        assert sorted(set(told.keys)) == [("ml", "digits"), ("ml", "first-modeldeployments")]
        told.keys.clear()
        server.tell(POD, "stray")
        server.tell(POD, "one", **{labels.DEPLOYMENT: "vision"})
        server.tell(MODEL_DEPLOYMENT, "iris")
        server.tell(HTTP_ROUTE, "site")  # a user's: whoever follows it is meant
        await told.until(3)
        assert sorted(told.keys) == [("ml", ""), ("ml", "iris"), ("ml", "vision")]
        server.tell(ROLLOUT_POLICY, "careful")
        server.tell(CLUSTER_ROLLOUT_POLICY, "strict")
        wanted = {
            ("RolloutPolicy", "ml", "careful"),
            ("ClusterRolloutPolicy", "", "strict"),
        }
        async with asyncio.timeout(20):
            while not wanted <= told.shared:
                told.more.clear()
                await told.more.wait()
    assert server.writes == []
    for kind in OWN_KINDS:  # asked for by our label, but for users' routes
        assert server.selectors[kind.plural] == {"" if kind is HTTP_ROUTE else OURS}
    assert server.selectors[MODEL_DEPLOYMENT.plural] == {""}
