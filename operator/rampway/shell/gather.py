"""Read everything that a decision about one ModelDeployment may see, live, never from a cache.

A cache lags behind what we wrote ourselves; a live read is what makes a pass safe to repeat.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from rampway.api import labels
from rampway.api.conditions import RolloutPhase
from rampway.api.parse import (
    ModelDeployment,
    ModelRollout,
    Unparseable,
    parse_rollout,
)
from rampway.core.checks.checkpoint import from_text
from rampway.core.checks.judged import EvidenceState
from rampway.core.model.revision import revision_hash
from rampway.core.observation import Defaults, HookRun, Look, Observation, Revision, has_ended
from rampway.core.rollout.hooks import RUNNING
from rampway.kube.base import Lister, Obj
from rampway.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    HORIZONTAL_POD_AUTOSCALER,
    JOB,
    MODEL_ROLLOUT,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
)
from rampway.kube.slices import ready_behind
from rampway.routers.base import Router
from rampway.shell import authors, hooks, reading
from rampway.shell.authors import Stamping
from rampway.shell.claims import Claims
from rampway.shell.fence import Fence
from rampway.shell.hooks import Calls
from rampway.shell.memory import Memory
from rampway.shell.shared import Shared

ProbeDigest = Callable[[str, Obj, str], Awaitable[str]]
"""Asks a pod (namespace, pod, model name) which digest it loaded; empty if it does not say."""


@dataclass(frozen=True, slots=True)
class _Owned:
    """What belongs to one ModelDeployment, as the API server has it; in the order of `_OWNED`."""

    deployments: list[Obj]
    pods: list[Obj]
    services: list[Obj]
    slices: list[Obj]
    pins: list[Obj]
    budgets: list[Obj]
    scalers: list[Obj]
    rollouts: list[Obj]

    def noted(self) -> tuple[Obj, ...]:
        """Return those whose versions a decision leans on."""
        return (*self.deployments, *self.pods, *self.services, *self.slices, *self.rollouts)


_OWNED = (
    DEPLOYMENT,
    POD,
    SERVICE,
    ENDPOINT_SLICE,
    CONFIG_MAP,
    POD_DISRUPTION_BUDGET,
    HORIZONTAL_POD_AUTOSCALER,
    MODEL_ROLLOUT,
)


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Gathers observations.

    Attributes:
        lister: What lists; it may join what passes at the same time ask for.
        probe_digest: How a pod is asked which bytes it loaded (B3).
    """

    lister: Lister
    router: Router
    defaults: Defaults
    probe_digest: ProbeDigest
    fence: Fence
    calls: Calls
    stamping: Stamping
    shared: Shared = field(default_factory=Shared)
    claims: Claims = field(default_factory=Claims)

    async def observe(
        self,
        deployment: ModelDeployment,
        memory: Memory,
        look: Look | None,
        now_s: float,
        rollouts_at_once: int = 0,
    ) -> Observation:
        """Return the observation of one ModelDeployment at this instant.

        Raises:
            Deposed: something of it bears the stamp of a later term.
        """
        owned = await self._owned(deployment)
        memory.versions.clear()
        memory.note((deployment.head, *owned.noted()))
        route = await self.router.observe(deployment)
        known = {r.uid: r for r in memory.last.rollouts} if memory.last else {}
        attempts = [_understood(o, known.get(o["metadata"]["uid"])) for o in owned.rollouts]
        attempts.sort(key=lambda r: r.spec.attempt)
        memory.leans_on = frozenset()
        idle = all(has_ended(attempt) for attempt in attempts)
        return Observation(
            now_s=now_s,
            deployment=deployment,
            defaults=self.defaults.shared_by(rollouts_at_once),
            revisions=await self._revisions(deployment, owned, memory),
            rollouts=tuple(attempts),
            route=route,
            service=reading.stable_service(owned.services, owned.slices, deployment.name),
            preview=reading.selected(owned.services, labels.preview_name(deployment.name)),
            look=look,
            evidence=_evidence(memory, attempts),
            conflict=await self.claims.conflict(self.lister, deployment, route.place),
            refusal=memory.refusal_of(revision_hash(deployment.spec)),
            hooks=await self._hooks(deployment, attempts),
            sources=await self.shared.sources(self.lister, deployment, memory),
            authors=authors.read(deployment, await self.stamping.since_s(), now_s),
            policies=await self.shared.policies(self.lister, deployment, memory) if idle else None,
        )

    async def _owned(self, deployment: ModelDeployment) -> _Owned:
        """Read all that belongs to it; of an earlier one of its name nothing counts."""
        ours = {labels.DEPLOYMENT: deployment.name}
        found = await asyncio.gather(
            *(self.lister.list(kind, deployment.namespace, ours) for kind in _OWNED)
        )
        owned = _Owned(*([o for o in objects if _is_ours(o, deployment)] for objects in found))
        for obj in (*owned.deployments, *owned.services, *owned.scalers, *owned.rollouts):
            self.fence.check(obj)
        return owned

    async def _revisions(
        self, deployment: ModelDeployment, owned: _Owned, memory: Memory
    ) -> tuple[Revision, ...]:
        budgets = {b["metadata"]["name"] for b in owned.budgets}
        found = [await self._revision(deployment, d, owned) for d in owned.deployments]
        return tuple(
            replace(
                one,
                reachable=ready_behind(owned.slices, one.name),
                has_budget=one.name in budgets,
                autoscaler=reading.autoscaler(owned.scalers, one.name, memory.refusal_of(one.name)),
            )
            for one in found
        )

    async def _revision(self, deployment: ModelDeployment, obj: Obj, owned: _Owned) -> Revision:
        digest = obj["metadata"]["labels"][labels.REVISION]
        mine = [p for p in owned.pods if p["metadata"]["labels"].get(labels.REVISION) == digest]
        pins = {p["metadata"]["name"]: p.get("data") or {} for p in owned.pins}
        digests = {name: data.get(labels.DIGEST_KEY, "") for name, data in pins.items()}
        known = reading.known_sha256(obj, digests)
        reported = "" if known else await self._reported(deployment, mine)
        return reading.revision(
            obj,
            mine,
            services=frozenset(s["metadata"]["name"] for s in owned.services),
            digests=digests,
            told=pins.get(labels.automation_name(obj["metadata"]["name"]), {}),
            reported_sha256=reported,
        )

    async def _reported(self, deployment: ModelDeployment, pods: list[Obj]) -> str:
        """Ask the first ready pod which bytes it loaded (B3)."""
        for pod in sorted(pods, key=lambda p: p["metadata"].get("creationTimestamp", "")):
            if reading.pod(pod).ready:
                return await self.probe_digest(deployment.namespace, pod, deployment.name)
        return ""

    async def _hooks(
        self, deployment: ModelDeployment, attempts: list[ModelRollout]
    ) -> dict[str, HookRun]:
        """Return what is known of hooks, of those rollouts that have one which runs."""
        having = [a for a in attempts if any(run.state == RUNNING for run in a.status.hooks)]
        if not having:
            return {}
        ours = {labels.DEPLOYMENT: deployment.name}
        found = hooks.read_jobs(await self.lister.list(JOB, deployment.namespace, ours))
        for one in having:
            found |= self.calls.runs(one.name)
        return found


def _understood(obj: Obj, known: ModelRollout | None) -> ModelRollout:
    """Return a rollout whose phase we know: on one of a newer operator nobody acts by guessing."""
    try:
        found = parse_rollout(obj, known)
    except Unparseable as mistake:
        raise Unparseable(f"ModelRollout {obj['metadata']['name']}: {mistake}") from mistake
    if found.status.phase and found.status.phase not in set(RolloutPhase):
        phases = ", ".join(RolloutPhase)
        seen = f"expected one of {phases}; seen: {found.status.phase!r}"
        raise Unparseable(f"ModelRollout {found.name}: status.phase: {seen}")
    return found


def _evidence(memory: Memory, rollouts: list[ModelRollout]) -> EvidenceState | None:
    """Return what is known of the active rollout: from memory, else its checkpoint (B32).

    Beginning anew would also begin the budget of false rollbacks anew (B19).
    """
    active = next((r for r in reversed(rollouts) if not has_ended(r)), None)
    if active is None:
        return None
    return memory.evidence if memory.rollout == active.name else from_text(active.status.evidence)


def _is_ours(obj: Obj, deployment: ModelDeployment) -> bool:
    """Whether an object belongs to this very ModelDeployment, not to an earlier one of its name.

    Pods and EndpointSlices are made by controllers from our templates; their owners are ours.
    """
    owners = obj["metadata"].get("ownerReferences") or []
    direct = [o for o in owners if o.get("kind") == "ModelDeployment"]
    return not direct or any(o.get("uid") == deployment.uid for o in direct)
