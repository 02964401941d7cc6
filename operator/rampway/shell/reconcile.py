"""One pass over one ModelDeployment: gather, decide, execute."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from rampway.api.conditions import RolloutPhase
from rampway.api.parse import ModelDeployment, ModelRollout, Unparseable, parse_deployment
from rampway.core.actions import Emit, SetSplit, WriteRollout, WriteStatus
from rampway.core.decide import decide
from rampway.core.observation import Observation
from rampway.core.rollout import adopting
from rampway.core.rollout.passes import Decision
from rampway.kube.base import KubeApi, Obj
from rampway.kube.errors import Conflict, Ending, NotFound
from rampway.kube.kinds import MODEL_DEPLOYMENT
from rampway.shell import telemetry
from rampway.shell.execute import Executor
from rampway.shell.fence import Fence
from rampway.shell.followers import Followers
from rampway.shell.gather import Gatherer
from rampway.shell.interest import interest_of
from rampway.shell.leaving import Leaver
from rampway.shell.looks import Key, Looks
from rampway.shell.memory import Memory, Name

log = structlog.get_logger("rampway.reconcile")
QUIET = (WriteRollout, WriteStatus, Emit)
"""What changes nothing that is acted upon, and is bound to what was read."""
FRESH_S = 10.0
"""What was read of a rollout under way stays good for so long, where no event says otherwise."""
REST_S = 50.0
"""The same of what is at rest: shorter than the time between two resyncs."""
CALLS_A_PASS = 12
READS_PER_S = 7.0
""""Nothing new?" costs all ModelDeployments together so many calls a second."""


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
    _changed: set[Key] = field(default_factory=set)
    followers: Followers = field(default_factory=Followers)
    _leaver: Leaver = field(init=False)

    def __post_init__(self) -> None:
        """Make what takes leave of those that are gone."""
        lister = self.gatherer.lister
        self._leaver = Leaver(self.api, lister, self.fence, self.followers, self.clock)

    async def reconcile(self, key: Key) -> float | None:
        """Do one pass; return after how many seconds to come again, None for on events only.

        Raises:
            KubeError: what could not be read or written; come again.
            Deposed: another operator leads.
        """
        namespace, name = key
        try:
            quiet = await self._glance(key)
            return await self._pass(key) if quiet is None else quiet.requeue_after_s
        except Ending as gone:
            self.looks.want(key, None)
            log.info("namespace is being deleted", namespace=namespace, name=name, why=str(gone))
        return None

    def touch(self, key: Key, kind: str, name: str, version: str) -> bool:
        """Note that an object of a ModelDeployment changed; return whether that is news to us."""
        known = self._memories.get(key)
        if known and known[1].versions.get(f"{kind}/{name}") == version:
            return False
        self._changed.add(key)
        return True

    def leaning_on(self, shared: Name) -> list[Key]:
        """Return the ModelDeployments that a change of a shared object concerns."""
        kind, space, _ = shared
        names = {shared, (kind, space, "")}
        return [key for key, (_, memory) in self._memories.items() if names & memory.leans_on]

    async def _glance(self, key: Key) -> Decision | None:
        """Decide on what was read before and a new look; None if the cluster has to be read.

        A look or a clock alone seldom changes anything, and reading costs ten calls. Whatever
        acts on the cluster is decided anew on a live read; only statuses, which are bound to the
        version that was read, are written from here.
        """
        memory = self._memories.get(key, ("", Memory()))[1]
        now_s = self.clock()
        if key in self._changed:
            return None
        if now_s < memory.idle_until_s:
            return Decision((), memory.idle_until_s - now_s)
        if memory.seen is None or now_s - memory.seen.now_s >= self._fresh_s(FRESH_S):
            return None
        look = self.looks.latest(key)
        obs = replace(memory.seen, now_s=now_s, look=look, evidence=memory.evidence)
        decision = decide(obs)
        if not all(isinstance(action, QUIET) for action in decision.actions):
            return None
        await self._carry_out(key, memory, obs, decision)
        return decision

    def _fresh_s(self, least_s: float) -> float:
        """Return how long a read stays good where no event tells of a change: a lost one costs it.

        All ModelDeployments together read in bounds.
        """
        return max(least_s, len(self._memories) * CALLS_A_PASS / READS_PER_S)

    async def _pass(self, key: Key) -> float | None:
        namespace, name = key
        self._changed.discard(key)  # what changes from here on may be too late for this pass
        try:
            raw = await self.api.get(MODEL_DEPLOYMENT, namespace, name)
        except NotFound:
            self._forget(key)
            return await self._leaver.leave(key)
        try:
            return await self._act(key, raw)
        except Unparseable as mistake:
            log.warning("not understood", namespace=namespace, name=name, why=str(mistake))
            self._forget(key)
            await self.executor.refuse(raw, str(mistake), self.clock())
            return None

    async def _act(self, key: Key, raw: Obj) -> float | None:
        namespace, name = key
        last = self._memories[key][1].last if key in self._memories else None
        deployment = parse_deployment(raw, last.deployment if last else None)
        memory = self._memory(key, deployment.uid)
        self.followers.note(deployment)
        memory.seen, memory.idle_until_s = None, 0.0
        if _sure_to_be_written(deployment) and not self.fence.holds(deployment):
            await self.fence.claim(deployment, self.gatherer.lister)
            return await self._pass(key)  # what is decided on is read after the stamp
        look = self.looks.latest(key)
        obs = await self.gatherer.observe(
            deployment, memory, look, self.clock(), self.looks.rollouts
        )
        decision = decide(obs)
        route = _users_route(obs)
        if not self.fence.holds(deployment, route) and (decision.actions or decision.active):
            await self.fence.claim(deployment, self.gatherer.lister, route)
            return await self._pass(key)
        if decision.actions:
            kinds = [type(action).__name__ for action in decision.actions]
            log.info("acting", namespace=namespace, name=name, actions=kinds)
        await self._carry_out(key, memory, obs, decision)
        return decision.requeue_after_s

    async def _carry_out(
        self, key: Key, memory: Memory, obs: Observation, decision: Decision
    ) -> None:
        """Do what was decided; what was read stays good if only statuses were written."""
        read_s = memory.seen.now_s if memory.seen else obs.now_s
        memory.seen, memory.last = None, obs
        self._remember(key, memory, obs, decision)
        try:
            written = await self.executor.execute(decision.actions, obs, memory)
        except Conflict:
            self.fence.drop(obs.deployment)
            raise
        # A look is taken in by now, and large; evidence there is newer: a pass builds on neither.
        rewritten = _rewritten(obs, memory, written)
        memory.last = after = replace(rewritten, look=None, evidence=None)
        if not memory.passed:
            memory.passed = True
            telemetry.RECONCILED.inc()
        if obs.look and any(isinstance(action, SetSplit) for action in decision.actions):
            telemetry.DECISION.observe(max(0.0, self.clock() - obs.look.at_s))
        if not decision.active:
            memory.last = None
            if not decision.actions:
                memory.idle_until_s = self._idle_until_s(decision)
        elif all(isinstance(action, QUIET) for action in decision.actions):
            memory.seen = replace(after, now_s=read_s)

    def _idle_until_s(self, decision: Decision) -> float:
        """Return until when nothing is to be done for what is at rest."""
        rest_s = self._fresh_s(REST_S)
        due_s = decision.requeue_after_s
        return self.clock() + (rest_s if due_s is None else min(rest_s, due_s))

    def _memory(self, key: Key, uid: str) -> Memory:
        known = self._memories.get(key)
        if known is None or known[0] != uid:
            self._forget(key)
            known = self._memories[key] = (uid, Memory())
        return known[1]

    def _forget(self, key: Key) -> None:
        known = self._memories.pop(key, None)
        self.followers.forget(key)
        telemetry.rollout(known[1].phase if known else "", "")
        if known and known[1].passed:
            telemetry.RECONCILED.dec()
        self.looks.want(key, None)

    def _remember(self, key: Key, memory: Memory, obs: Observation, decision: Decision) -> None:
        memory.rollout, memory.evidence = decision.active, decision.evidence
        active = next((r for r in obs.rollouts if r.name == decision.active), None)
        phase = (active.status.phase or RolloutPhase.STARTING) if active else ""
        telemetry.rollout(memory.phase, phase)
        memory.phase = phase
        self.looks.want(key, interest_of(obs, active, decision) if active else None)


def _sure_to_be_written(deployment: ModelDeployment) -> bool:
    """Whether a pass will write something of it, and not to a route of the user's.

    Of one that is being deleted nothing: a stamp would give the garbage collector back what
    `kubectl delete --cascade=orphan` took from it.
    """
    seen = deployment.status.observed_generation == deployment.generation
    return not (seen or deployment.deleting) and deployment.spec.traffic.route_ref is None


def _users_route(obs: Observation) -> str:
    """Return the name of the user's route that we may write, empty if there is none."""
    ref = obs.deployment.spec.traffic.route_ref
    theirs = obs.route.strangers and not adopting.applies(obs)
    usable = obs.route.exists and not (obs.route.problem or theirs or obs.conflict)
    return ref.name if ref and usable else ""


def _rewritten(
    obs: Observation, memory: Memory, written: Sequence[ModelDeployment | ModelRollout]
) -> Observation:
    """Return what was read with the statuses that were written since."""
    for obj in written:
        memory.note((obj.head,))
        if isinstance(obj, ModelDeployment):
            obs = replace(obs, deployment=obj)
        else:
            kept = tuple(obj if r.name == obj.name else r for r in obs.rollouts)
            obs = replace(obs, rollouts=kept)
    return obs
