"""Leader election by a Lease (B31), on a clock that the test moves."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from rampway.kube.errors import Conflict, KubeError, Transient
from rampway.kube.kinds import LEASE, POD
from rampway.shell.leader import (
    DEADLINE_S,
    DURATION_S,
    EPOCH_S,
    POD_NOTE,
    RETRY_S,
    SILENT_S,
    Elector,
)
from rampway.sim.apiserver import MemoryApi, Store

SPACE, NAME = "rampway-system", "rampway-operator"


@dataclass
class Stage:
    """A Lease, and a clock that goes on when somebody sleeps."""

    now_s: float = 1000.0
    ahead_s: float = 0.0
    store: Store = field(
        default_factory=lambda: Store(lambda: datetime(2026, 1, 1, tzinfo=UTC), namespaces=(SPACE,))
    )

    def elector(self, identity: str, pod: str = "") -> Elector:
        """Return an elector with a connection of its own."""
        return Elector(
            MemoryApi(self.store), SPACE, NAME, identity, pod,
            lambda: self.now_s, lambda: self.ahead_s + self.now_s, self.sleep,
        )  # fmt: skip

    async def sleep(self, seconds: float) -> None:
        """Let time go on."""
        self.now_s += seconds
        await asyncio.sleep(0)

    async def until(self, now_s: float) -> None:
        """Let others sleep until it is so late."""
        while self.now_s < now_s:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)

    @property
    def holder(self) -> str:
        """Who holds the Lease, as it is written."""
        found: str = self.store.get(LEASE, SPACE, NAME)["spec"]["holderIdentity"]
        return found


def server(elector: Elector) -> MemoryApi:
    """Return the connection of an elector."""
    assert isinstance(elector.api, MemoryApi)
    return elector.api


async def test_b31_the_first_leads_at_once() -> None:
    """B31: without a Lease the first makes it, and the term is 1."""
    stage = Stage()
    one = stage.elector("a")
    assert not one.leads()
    assert await one.campaign() == 1
    assert one.leads()
    assert stage.holder == "a"
    assert stage.now_s == 1000.0


async def test_b31_a_new_lease_begins_with_a_later_term() -> None:
    """B31, B35: after an uninstall objects bear terms of the old Lease; the new one's are later."""
    stage = Stage(ahead_s=EPOCH_S + 5000)
    first = await stage.elector("a").campaign()
    last = await stage.elector("b").campaign()
    assert last > first
    stage.ahead_s += 60
    stage.store.delete(LEASE, SPACE, NAME)
    assert await stage.elector("c").campaign() > last


async def test_b31_a_term_that_lags_behind_the_time_catches_up() -> None:
    """B31: a Lease that somebody restored with an old term does not depose its holder for ever."""
    stage = Stage()
    assert await stage.elector("a").campaign() == 1
    stage.ahead_s = EPOCH_S + 5000
    assert await stage.elector("b").campaign() >= 5000


async def test_b31_another_waits_its_duration_by_its_own_clock() -> None:
    """B31: a holder that is silent for 10 s is succeeded; the times it wrote do not matter."""
    stage = Stage()
    await stage.elector("a").campaign()
    stage.now_s += 500  # the newcomer has seen nothing of it
    began_s, two = stage.now_s, stage.elector("b")
    assert await two.campaign() == 2
    assert DURATION_S <= stage.now_s - began_s <= DURATION_S + RETRY_S
    assert stage.holder == "b"


async def test_b31_who_renews_is_not_succeeded() -> None:
    """B31: renewals are seen, so the waiting one waits on."""
    stage = Stage()
    one, two = stage.elector("a"), stage.elector("b")
    await one.campaign()
    keeping = asyncio.create_task(one.keep())
    waiting = asyncio.create_task(two.campaign())
    await stage.until(1200)
    assert (one.leads(), two.leads()) == (True, False)
    keeping.cancel()
    await asyncio.wait([keeping])
    assert await waiting == 2
    assert not one.leads()


async def test_b31_who_cannot_renew_stops_before_another_may_begin() -> None:
    """B31: silence of the API server ends leadership after 7 s, 3 s before a takeover."""
    stage = Stage()
    one = stage.elector("a")
    await one.campaign()
    began_s = stage.now_s
    server(one).fail_next(Transient("503"), times=1000)
    await one.keep()
    assert not one.leads()
    assert stage.now_s - began_s <= DEADLINE_S + RETRY_S < DURATION_S


async def test_b31_a_leader_that_was_frozen_knows() -> None:
    """B31: after a freeze nothing is done in the old term, before any call shows it."""
    stage = Stage()
    one = stage.elector("a")
    await one.campaign()
    stage.now_s += DEADLINE_S
    assert not one.leads()


async def test_b31_a_lost_lease_is_noticed_at_the_next_renewal() -> None:
    """B31: whoever reads another's name in the Lease stops at once."""
    stage = Stage()
    one = stage.elector("a")
    await one.campaign()
    stage.store.patch(LEASE, SPACE, NAME, {"spec": {"holderIdentity": "b"}})
    began_s = stage.now_s
    await one.keep()
    assert stage.now_s - began_s <= RETRY_S
    assert not one.leads()


@pytest.mark.parametrize("error", [Transient("500"), Conflict("409")])
async def test_b30_a_failed_renewal_is_tried_again(error: KubeError) -> None:
    """B30: one error costs a second, not the Lease."""
    stage = Stage()
    one = stage.elector("a")
    await one.campaign()
    server(one).fail_next(error, times=3)
    keeping = asyncio.create_task(one.keep())
    await stage.until(1060)
    assert one.leads()
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_b31_of_two_that_try_one_leads() -> None:
    """B31: the write is bound to what was read, so an expired Lease goes to one of two."""
    stage = Stage()
    await stage.elector("a").campaign()
    two, three = stage.elector("b"), stage.elector("c")
    waiting = [asyncio.create_task(two.campaign()), asyncio.create_task(three.campaign())]
    done, still = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(still)) == (1, 1)
    assert two.leads() != three.leads()
    assert stage.holder == ("b" if two.leads() else "c")
    for task in still:
        task.cancel()
    await asyncio.wait(still)


async def test_b31_a_release_lets_the_next_lead_at_once() -> None:
    """B31: an orderly end gives the Lease up; the next term is another one."""
    stage = Stage()
    one = stage.elector("a")
    await one.campaign()
    await one.release()
    assert (stage.holder, one.leads()) == ("", False)
    began_s = stage.now_s
    assert await stage.elector("b").campaign() == 2
    assert stage.now_s == began_s
    await one.release()  # what is not ours is not given up
    assert stage.holder == "b"


async def test_b31_a_process_succeeds_its_former_self_at_once() -> None:
    """B31: in one pod the former process has ended, so a crash costs no 10 s; the term rises."""
    stage = Stage()
    pod(stage, "operator-1")
    await stage.elector("operator-1-aa", pod="operator-1").campaign()
    began_s = stage.now_s
    assert await stage.elector("operator-1-bb", pod="operator-1").campaign() == 2
    assert stage.now_s == began_s
    await stage.elector("host-cc").campaign()
    assert stage.now_s - began_s >= DURATION_S


def pod(stage: Stage, name: str) -> None:
    """Let a pod be there."""
    container = {"name": "operator", "image": "x"}
    made = {"metadata": {"name": name, "namespace": SPACE}, "spec": {"containers": [container]}}
    stage.store.create(POD, made)


async def test_b31_a_holder_whose_pod_is_gone_is_succeeded_soon() -> None:
    """B31: a new pod need not wait for the Lease of one that the API server no longer has."""
    stage = Stage()
    pod(stage, "operator-1")
    await stage.elector("operator-1-aa", pod="operator-1").campaign()
    stage.store.delete(POD, SPACE, "operator-1")
    began_s = stage.now_s
    assert await stage.elector("operator-2-bb", pod="operator-2").campaign() == 2
    assert SILENT_S <= stage.now_s - began_s <= SILENT_S + RETRY_S


async def test_b31_a_silent_holder_whose_pod_is_there_has_its_time() -> None:
    """B31: its node may be slow, so the Lease has to expire."""
    stage = Stage()
    pod(stage, "operator-1")
    await stage.elector("operator-1-aa", pod="operator-1").campaign()
    began_s = stage.now_s
    await stage.elector("operator-2-bb", pod="operator-2").campaign()
    assert stage.now_s - began_s >= DURATION_S


async def test_b31_the_lease_names_its_holders_pod() -> None:
    """B31: each holder writes its own pod, and one without a pod takes the former's away."""
    stage = Stage()
    await stage.elector("operator-1-aa", pod="operator-1").campaign()
    for identity, name in (("operator-2-bb", "operator-2"), ("host-cc", "")):
        await stage.elector(identity, pod=name).campaign()
        notes = stage.store.get(LEASE, SPACE, NAME)["metadata"].get("annotations") or {}
        assert notes.get(POD_NOTE, "") == name


async def test_b30_a_server_that_hangs_does_not_hang_the_elector() -> None:
    """B30: an answer that never comes ends with the time that is left, and is tried again."""
    stage = Stage()
    one = stage.elector("a")
    await one.campaign()
    tries = list[float]()

    async def hang() -> bool:
        tries.append(stage.now_s)
        raise TimeoutError

    assert not await one._try("hanging", hang)
    assert tries
