"""Leader election by a Lease: one operator acts, the others are warm (B31).

Whoever holds the Lease renews it every second. Another takes it when it has seen it unchanged for
its whole duration by a clock of its own, so that no two clocks have to agree. The number of
changes of hands is the leader's term. It is never earlier than the time in seconds: a Lease made
anew, after an uninstall, has terms later than all that are stamped on objects already.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from rampway.core.instants import from_wire, to_wire
from rampway.kube.base import KubeApi, Obj
from rampway.kube.errors import AlreadyExists, KubeError, NotFound
from rampway.kube.kinds import LEASE, POD

DURATION_S = 10.0
"""A Lease that was not renewed for so long may be taken."""
DEADLINE_S = 7.0
"""A leader that could not renew for so long stops acting: well before anybody can take over."""
RETRY_S = 1.0
SILENT_S = 2.0
"""After so long without a renewal the holder's pod is asked for: without a pod no holder."""
POD_NOTE = "rampway.dev/pod"
"""Annotation of the Lease: the pod of its holder."""
EPOCH_S = 1_577_836_800
"""2020-01-01: seconds since then are the least number of a term, within the field's 32 bits."""

log = structlog.get_logger("rampway.leader")


@dataclass(slots=True)
class Elector:
    """Holds one Lease, or waits for it.

    Attributes:
        identity: Who we are: unique among all that want the Lease, new at each start.
        pod: What every identity of our pod begins with; empty where two processes could share it.
            A process that ran in our pod before us has ended, so its Lease is ours to take.
        clock: Seconds, monotonic, going on while the process is frozen.
        wall: Seconds since the epoch; only for people to read.
        term: Number of the present term; 0 before the first.
    """

    api: KubeApi
    namespace: str
    name: str
    identity: str
    pod: str
    clock: Callable[[], float]
    wall: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    term: int = 0
    _renewed_s: float | None = None
    _seen: tuple[str, str, int] | None = None
    _seen_since_s: float = field(default=0.0)

    def leads(self) -> bool:
        """Whether we may act: our last renewal is so recent that nobody can have taken over."""
        return self._renewed_s is not None and self.clock() - self._renewed_s < DEADLINE_S

    async def campaign(self) -> int:
        """Wait until the Lease is ours; return the term."""
        while True:
            began_s = self.clock()
            if await self._try("taking the Lease", self._take):
                self._renewed_s = began_s
                log.info("leading", term=self.term, identity=self.identity)
                return self.term
            await self.sleep(RETRY_S)

    async def keep(self) -> None:
        """Renew until the Lease is lost, then return; acting after that is not allowed."""
        while self.leads():
            await self.sleep(RETRY_S)
            began_s = self.clock()
            if await self._try("renewing the Lease", self._renew):
                self._renewed_s = began_s
            elif self._seen is not None and self._seen[0] != self.identity:
                break
        self._renewed_s = None
        holder = self._seen[0] if self._seen else "nobody knows"
        log.error("the Lease is lost", term=self.term, holder=holder)

    async def release(self) -> None:
        """Give the Lease up, so that another need not wait; only after all work has ended."""
        if self._renewed_s is None:
            return
        self._renewed_s = None
        await self._try("releasing the Lease", self._give_up)

    async def _try(self, doing: str, step: Callable[[], Awaitable[bool]]) -> bool:
        """Take a step within the time that is left for it; what fails is tried again."""
        try:
            async with asyncio.timeout(DEADLINE_S - 2 * RETRY_S):
                return await step()
        except (KubeError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            log.warning("trying again", failed=doing, why=why)
            return False

    async def _take(self) -> bool:
        try:
            lease = await self.api.get(LEASE, self.namespace, self.name)
        except NotFound:
            return await self._make()
        found = self._note(lease)
        expired = self.clock() - self._seen_since_s >= DURATION_S
        former_self = bool(self.pod) and found[0].startswith(self.pod)
        if found[0] and not former_self and not expired and not await self._gone(lease):
            return False
        term = max(found[2] + 1, self._by_time())
        now = to_wire(self.wall())
        spec = {"holderIdentity": self.identity, "acquireTime": now, "leaseTransitions": term}
        await self._write(lease, spec, {POD_NOTE: self.pod or None})
        self.term = term
        return True

    async def _gone(self, lease: Obj) -> bool:
        """Whether the pod of a holder that has fallen silent is no more.

        A pod that was deleted by force may still run for a while: the terms keep it from writing.
        By what clock it fell silent decides only whether to ask.
        """
        pod = (lease["metadata"].get("annotations") or {}).get(POD_NOTE)
        renewed_s = from_wire(lease["spec"].get("renewTime") or "")
        if not pod or (renewed_s is not None and self.wall() - renewed_s < SILENT_S):
            return False
        try:
            await self.api.get(POD, self.namespace, pod)
        except NotFound:
            return True
        except KubeError:
            return False  # then the Lease has to expire
        return False

    async def _make(self) -> bool:
        now = to_wire(self.wall())
        term = max(1, self._by_time())
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(DURATION_S),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": term,
        }
        meta: Obj = {"name": self.name, "namespace": self.namespace}
        if self.pod:
            meta["annotations"] = {POD_NOTE: self.pod}
        try:
            await self.api.create(LEASE, {"metadata": meta, "spec": spec})
        except AlreadyExists:
            return False
        self.term = term
        return True

    def _by_time(self) -> int:
        return int(self.wall()) - EPOCH_S

    async def _renew(self) -> bool:
        lease = await self.api.get(LEASE, self.namespace, self.name)
        if self._note(lease)[0] != self.identity:
            return False
        await self._write(lease, {})
        return True

    async def _give_up(self) -> bool:
        lease = await self.api.get(LEASE, self.namespace, self.name)
        if self._note(lease)[0] == self.identity:
            await self._write(lease, {"holderIdentity": ""})
            log.info("the Lease is released", term=self.term)
        return True

    async def _write(self, lease: Obj, spec: Obj, notes: Obj | None = None) -> None:
        """Write over the very Lease that was read: of two that try, one gets a conflict."""
        known = {"leaseDurationSeconds": int(DURATION_S), "renewTime": to_wire(self.wall())}
        meta: Obj = {"resourceVersion": lease["metadata"]["resourceVersion"]}
        if notes:
            meta["annotations"] = notes
        patch = {"metadata": meta, "spec": known | spec}
        await self.api.patch(LEASE, self.namespace, self.name, patch)

    def _note(self, lease: Obj) -> tuple[str, str, int]:
        """Note holder, renewal and term of the Lease, and since when we have seen just these."""
        spec = lease.get("spec") or {}
        found = (
            spec.get("holderIdentity") or "",
            spec.get("renewTime") or "",
            int(spec.get("leaseTransitions") or 0),
        )
        if found != self._seen:
            self._seen, self._seen_since_s = found, self.clock()
        return found
