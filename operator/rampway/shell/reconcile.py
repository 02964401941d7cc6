"""One pass over one ModelDeployment: gather, decide, execute."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from rampway.api.parse import ModelRollout, Unparseable, parse_deployment
from rampway.core.decide import decide
from rampway.core.observation import Observation
from rampway.core.passes import Decision
from rampway.core.queries import fill
from rampway.kube.base import KubeApi
from rampway.kube.errors import Conflict, Ending, NotFound
from rampway.kube.kinds import MODEL_DEPLOYMENT
from rampway.shell.execute import Executor
from rampway.shell.fence import Fence
from rampway.shell.gather import Gatherer
from rampway.shell.looks import Interest, Key, Looks
from rampway.shell.memory import Memory

log = structlog.get_logger("rampway.reconcile")


@dataclass(slots=True)
class Reconciler:
    """Brings ModelDeployments to where they should be, one pass at a time.

    Attributes:
        clock: Seconds since the epoch.
    """

    api: KubeApi
    gatherer: Gatherer
    executor: Executor
    looks: Looks
    fence: Fence
    clock: Callable[[], float]
    _memories: dict[Key, tuple[str, Memory]] = field(default_factory=dict)

    async def reconcile(self, key: Key) -> float | None:
        """Do one pass; return after how many seconds to come again, None for on events only.

        Raises:
            KubeError: what could not be read or written; come again.
        """
        namespace, name = key
        try:
            return await self._pass(key)
        except Unparseable as mistake:
            log.warning("cannot be read", namespace=namespace, name=name, why=str(mistake))
        except Ending as gone:
            self.looks.want(key, None)
            log.info("namespace is being deleted", namespace=namespace, name=name, why=str(gone))
        return None

    async def _pass(self, key: Key) -> float | None:
        namespace, name = key
        try:
            raw = await self.api.get(MODEL_DEPLOYMENT, namespace, name)
        except NotFound:
            self._forget(key)
            return None
        deployment = parse_deployment(raw)
        memory = self._memory(key, deployment.uid)
        look = self.looks.latest(key)
        obs = await self.gatherer.observe(
            deployment, memory, look, self.clock(), self.looks.rollouts
        )
        decision = decide(obs)
        self._remember(key, memory, obs, decision)
        if not self.fence.holds(deployment) and (decision.actions or decision.active):
            await self.fence.claim(deployment)
            return 0.0  # decide again, on what is read after the stamp
        if decision.actions:
            kinds = [type(action).__name__ for action in decision.actions]
            log.info("acting", namespace=namespace, name=name, actions=kinds)
        try:
            await self.executor.execute(decision.actions, obs, memory)
        except Conflict:
            self.fence.drop(deployment)
            raise
        return decision.requeue_after_s

    def _memory(self, key: Key, uid: str) -> Memory:
        known = self._memories.get(key)
        if known is None or known[0] != uid:
            known = self._memories[key] = (uid, Memory())
        return known[1]

    def _forget(self, key: Key) -> None:
        self._memories.pop(key, None)
        self.looks.want(key, None)

    def _remember(self, key: Key, memory: Memory, obs: Observation, decision: Decision) -> None:
        memory.rollout, memory.evidence = decision.active, decision.evidence
        active = next((r for r in obs.rollouts if r.name == decision.active), None)
        self.looks.want(key, _interest(active, decision) if active else None)


def _interest(active: ModelRollout, decision: Decision) -> Interest:
    """Return what the active rollout wants to know of the metrics."""
    spec = active.spec
    names = {
        "candidate": f"{spec.deployment}-{spec.candidate.revision}",
        "stable": f"{spec.deployment}-{spec.stable.revision}",
        "name": spec.deployment,
        "namespace": active.namespace,
    }
    paired = any(check.paired for check in spec.policy.checks)
    return Interest(
        namespace=active.namespace,
        revisions=(names["candidate"], names["stable"]) if paired else (),
        seen_s=decision.evidence.seen_s if decision.evidence else None,
        queries={
            check.name: fill(check.threshold.query, names)
            for check in spec.policy.checks
            if check.threshold
        },
    )
