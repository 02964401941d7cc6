"""Faults on the way to the API server in memory: errors, lost answers, kills (B29, B30)."""

import asyncio
from datetime import UTC, datetime

import pytest

from rampway.kube.base import Obj
from rampway.kube.errors import AlreadyExists, NotFound, Transient
from rampway.kube.kinds import CONFIG_MAP, LEASE
from rampway.sim.apiserver import Killed, MemoryApi, Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def api() -> MemoryApi:
    """Give an empty server in memory."""
    return MemoryApi(Store(lambda: NOW))


def config_map(name: str = "one") -> Obj:
    """Return a ConfigMap to create."""
    return {"metadata": {"name": name, "namespace": "default"}, "data": {"x": "1"}}


async def test_an_error_strikes_once(api: MemoryApi) -> None:
    """B30: the error comes instead of the effect, and the next try works."""
    api.fail_next(Transient("busy", 3))
    assert api.faults.pending == 1
    with pytest.raises(Transient, match="busy"):
        await api.create(CONFIG_MAP, config_map())
    assert api.store.list(CONFIG_MAP) == []
    assert api.faults.pending == 0
    await api.create(CONFIG_MAP, config_map())


async def test_a_lost_answer(api: MemoryApi) -> None:
    """B30: a write whose answer is lost has taken effect."""
    api.fail_next(Transient("timeout"), when="after")
    with pytest.raises(Transient):
        await api.create(CONFIG_MAP, config_map())
    with pytest.raises(AlreadyExists):
        await api.create(CONFIG_MAP, config_map())


async def test_a_lost_answer_hides_a_refusal(api: MemoryApi) -> None:
    """B30: when the answer is lost, so is the error in it."""
    api.fail_next(Transient("timeout"), when="after")
    with pytest.raises(Transient):
        await api.get(CONFIG_MAP, "default", "one")


async def test_an_error_after_some_calls_that_match(api: MemoryApi) -> None:
    """Faults pick their calls: after how many, how often, and which."""
    api.fail_next(
        Transient("busy"),
        after_calls=1,
        times=2,
        predicate=lambda call: call.verb == "create" and call.kind == CONFIG_MAP,
    )
    await api.create(LEASE, {"metadata": {"name": "l", "namespace": "default"}})
    await api.create(CONFIG_MAP, config_map("one"))
    for _ in range(2):
        await api.get(CONFIG_MAP, "default", "one")
        with pytest.raises(Transient):
            await api.create(CONFIG_MAP, config_map("two"))
    await api.create(CONFIG_MAP, config_map("two"))


@pytest.mark.parametrize(("when", "left"), [("before", ["one"]), ("after", ["one", "two"])])
async def test_a_kill_at_a_write(api: MemoryApi, when: str, left: list[str]) -> None:
    """B29: killed at the second write, before or after it; a dead process does nothing more."""
    api.crash_after(2, when="before" if when == "before" else "after")
    await api.create(CONFIG_MAP, config_map("one"))
    await api.list(CONFIG_MAP)
    await api.create(CONFIG_MAP, config_map("tried"), dry_run=True)
    with pytest.raises(Killed, match=f"killed {when} write 2"):
        await api.create(CONFIG_MAP, config_map("two"))
    with pytest.raises(Killed):
        await api.get(CONFIG_MAP, "default", "one")
    with pytest.raises(Killed):
        await api.delete(CONFIG_MAP, "default", "one")
    assert [one["metadata"]["name"] for one in api.store.list(CONFIG_MAP)] == left
    api.revive()
    await api.delete(CONFIG_MAP, "default", "one")


async def test_a_kill_passes_by_handlers_of_exceptions(api: MemoryApi) -> None:
    """B29: code that survives every Exception does not survive a kill."""
    api.crash_after(1, when="before")

    async def survivor() -> None:
        try:
            await api.create(CONFIG_MAP, config_map())
        except Exception:  # noqa: BLE001 - the point of the test
            pytest.fail("a kill was caught")

    with pytest.raises(Killed):
        await survivor()


async def test_a_new_process_forgets_the_old_ones_faults(api: MemoryApi) -> None:
    """B29: after a kill nothing is left that was planned for the dead process."""
    api.crash_after(1)
    api.fail_next(Transient("busy"), after_calls=5)
    with pytest.raises(Killed):
        await api.create(CONFIG_MAP, config_map())
    api.revive()
    assert api.faults.pending == 0
    for _ in range(7):
        await api.get(CONFIG_MAP, "default", "one")


async def test_faults_are_one_clients_own() -> None:
    """Two clients of one store: the other one lives on."""
    store = Store(lambda: NOW)
    killed, other = MemoryApi(store), MemoryApi(store)
    killed.crash_after(1)
    with pytest.raises(Killed):
        await killed.create(CONFIG_MAP, config_map())
    assert (await other.get(CONFIG_MAP, "default", "one"))["data"] == {"x": "1"}
    assert [call.verb for call in killed.calls] == ["create"]


async def test_calls_are_logged(api: MemoryApi) -> None:
    """The log holds every call as it came in, refused ones too."""
    patch: Obj = {"data": {"x": "2"}}
    await api.create(CONFIG_MAP, config_map())
    await api.patch(CONFIG_MAP, "default", "one", patch)
    patch["data"]["x"] = "changed later"
    with pytest.raises(NotFound):
        await api.patch(CONFIG_MAP, "default", "none", {})
    await api.delete(CONFIG_MAP, "default", "one", uid=None)
    assert api.counts == {
        ("create", "ConfigMap"): 1,
        ("patch", "ConfigMap"): 2,
        ("delete", "ConfigMap"): 1,
    }
    assert [(call.name, call.writes) for call in api.calls] == [
        ("one", True),
        ("one", True),
        ("none", True),
        ("one", True),
    ]
    assert api.calls[1].body == {"data": {"x": "2"}}


async def test_a_call_lets_others_in_between(api: MemoryApi) -> None:
    """B30: reading and writing back without a version loses updates, as on a real server."""
    await api.create(CONFIG_MAP, config_map())

    async def increment() -> None:
        seen = await api.get(CONFIG_MAP, "default", "one")
        more = str(int(seen["data"]["x"]) + 1)
        await api.patch(CONFIG_MAP, "default", "one", {"data": {"x": more}})

    await asyncio.gather(*(increment() for _ in range(5)))
    assert api.store.get(CONFIG_MAP, "default", "one")["data"]["x"] == "2"
