"""Everything that a decision may see: plain frozen data, time included."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from rampway.api.conditions import Reason, RolloutPhase
from rampway.api.parse import ModelDeployment, ModelRollout
from rampway.api.policy import Policy
from rampway.core.checks import sources as metric_sources
from rampway.core.checks.answers import Answer
from rampway.core.checks.counters import Scrape
from rampway.core.checks.judged import EvidenceState
from rampway.core.checks.sources import Source, Sources
from rampway.core.model import policies as shared
from rampway.core.model.authors import NOBODY, Authors
from rampway.core.model.policies import Chosen, Policies, Trouble
from rampway.core.pods import capacity
from rampway.core.pods.autoscaler import Autoscaler
from rampway.core.rollout import stages
from rampway.core.traffic import podshare
from rampway.core.traffic.route import NO_ROUTE, Route


@dataclass(frozen=True, slots=True)
class Crash:
    """One container that ended with an error."""

    container_id: str
    reason: str
    exit_code: int
    finished_at_s: float

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel killed it for its memory."""
        return self.reason == "OOMKilled"


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a revision.

    Attributes:
        leaving: Being deleted, drained, evicted, or on a lost node: not the model's fault.
        unschedulable: The scheduler's words while no node takes it, else empty.
        trouble: What keeps it from running, in the kubelet's or the server's words (B28).
        address: Its IP address, empty while it has none.
        ready_since_s: Since when it has been ready, or not ready.
    """

    name: str
    created_s: float = 0.0
    ready: bool = False
    leaving: bool = False
    unschedulable: str = ""
    trouble: str = ""
    crashes: tuple[Crash, ...] = ()
    address: str = ""
    ready_since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision: its Deployment, pods and Service.

    Attributes:
        replicas: Pods asked for.
        promoted_at_s: When it became stable; the revision with the latest time is stable.
        has_budget: Whether its PodDisruptionBudget exists.
        failure: Why pods cannot be made at all (quota, admission), in the server's words.
        recorded_sha256: Digest that later pods must load (B3); empty if not recorded yet.
        reachable: Names of the pods that the data plane can send requests to by its Service.
        reported_sha256: Digest that a running pod says it loaded; empty if none was asked.
        automation: Degree of automation that its pods are told; empty if they are told none.
        lineage: Where its model comes from, as its pods are told, JSON; empty if they are not.
        autoscaler: Its autoscaler, made by us.
    """

    hash: str
    name: str
    uid: str
    created_s: float
    replicas: int
    promoted_at_s: float | None = None
    verdict: str = ""
    version: str = ""
    pods: tuple[Pod, ...] = ()
    failure: str = ""
    has_service: bool = False
    has_budget: bool = False
    reachable: frozenset[str] = frozenset()
    recorded_sha256: str = ""
    reported_sha256: str = ""
    automation: str = ""
    lineage: str = ""
    autoscaler: Autoscaler | None = None

    @property
    def ready(self) -> int:
        """Pods that are ready."""
        return sum(pod.ready for pod in self.pods)

    @property
    def serving(self) -> int:
        """Pods that are ready and reached by the revision's own Service: a weight counts on them.

        Endpoints follow readiness with a delay; a weight given before meets nobody.
        """
        return sum(pod.ready and pod.name in self.reachable for pod in self.pods)

    @property
    def trouble(self) -> str:
        """What keeps the revision from running, the first words found, else empty (B28)."""
        words = [pod.trouble or pod.unschedulable for pod in self.pods if not pod.ready]
        return next((w for w in [self.failure, *words] if w), "")


@dataclass(frozen=True, slots=True)
class StableService:
    """The Service `<name>` that always selects stable.

    Attributes:
        selects: Hash of the revision that it selects, empty if it does not exist.
        ready_pods: Names of the pods that the data plane sends its requests to.
    """

    selects: str = ""
    ready_pods: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the metrics brought.

    Attributes:
        at_s: When it was taken.
        scrapes: All scrapes since the look before; after a direct look also those of the pods.
        problem: Why Prometheus could not be read, else empty.
        answers: Answers to the queries of threshold checks, by check.
        heard: Whether Prometheus has answered at all since the operator began to look.
        past: Scrapes of stable's pods from before the rollout; None where none were asked for, or
            Prometheus gave no answer.
        timed_every_s: Prometheus is asked for durations by turns, at least so often; 0: each time.
        foresees: Whether the answers tell how many requests are missing, which takes longer than to
            judge; a trial (sim/trial.py) asks only whether any are.
        unread: Why users' counters could not be read, else empty.
    """

    at_s: float
    scrapes: tuple[Scrape, ...] = ()
    problem: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    heard: bool = True
    past: tuple[Scrape, ...] | None = None
    timed_every_s: float = 0.0
    foresees: bool = True
    unread: str = ""


@dataclass(frozen=True, slots=True)
class HookRun:
    """What is known of one run of a hook.

    Attributes:
        state: Running, Succeeded or Failed.
    """

    state: str
    message: str = ""


CHECKPOINTS_PER_S = 4.0
"""All rollouts together write no more checkpoints than this; a call each, of twenty (B32)."""
ACTIVE_REQUEUE_S = 5.0
"""An active rollout is looked at again at least so often; looks and pod events come sooner."""
REQUEUES_PER_S = 40.0
"""And all of them together so often, less often than looks come: of more, each waits for those."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the operator's administrator configured, as far as decisions need it."""

    server_image: str
    checkpoint_interval_s: float = 30.0
    requeue_s: float = ACTIVE_REQUEUE_S

    def shared_by(self, rollouts: int) -> "Defaults":
        """Return the defaults where so many rollouts run: together they stay in bounds (B32)."""
        return replace(
            self,
            checkpoint_interval_s=max(self.checkpoint_interval_s, rollouts / CHECKPOINTS_PER_S),
            requeue_s=max(self.requeue_s, rollouts / REQUEUES_PER_S),
        )


def has_ended(rollout: ModelRollout) -> bool:
    """Whether a rollout can never act again; one whose phase was never written has just begun."""
    return bool(rollout.status.phase) and RolloutPhase(rollout.status.phase).ended


@dataclass(frozen=True)
class Observation:
    """One look at everything that concerns one ModelDeployment.

    Attributes:
        rollouts: All its rollouts, oldest attempt first.
        look: The latest look at the metrics, None if there was none since the operator started.
        evidence: Evidence so far, of the active rollout, from memory or its checkpoint.
        conflict: Name of the ModelDeployment that already has this host and match (B15).
        refusal: The API server's words where it refused the pod template.
        hooks: Runs of hooks that are known of, by `rollout/key`.
        sources: Metric sources.
        preview: Hash of the revision that the Service `<name>-preview` selects, empty without it.
        policies: Shared policies; None while a rollout is under way, which has its copy.
        authors: Who paused, resumed and changed it.
    """

    now_s: float
    deployment: ModelDeployment
    defaults: Defaults
    revisions: tuple[Revision, ...] = ()
    rollouts: tuple[ModelRollout, ...] = ()
    route: Route = NO_ROUTE
    service: StableService = StableService()
    preview: str = ""
    look: Look | None = None
    evidence: EvidenceState | None = None
    conflict: str = ""
    refusal: str = ""
    hooks: Mapping[str, HookRun] = field(default_factory=dict)
    policies: Policies | None = None
    sources: Sources = metric_sources.NONE
    authors: Authors = NOBODY

    def revision(self, revision_hash: str) -> Revision | None:
        """Return the revision with this hash, if it exists."""
        return next((r for r in self.revisions if r.hash == revision_hash), None)

    @cached_property
    def stable(self) -> Revision | None:
        """The revision promoted last (B1: written on the Deployments, so it outlives status)."""
        promoted = [r for r in self.revisions if r.promoted_at_s is not None]
        return max(promoted, key=lambda r: r.promoted_at_s or 0.0, default=None)

    @cached_property
    def active(self) -> ModelRollout | None:
        """The rollout that has not ended, the latest if a crash left two."""
        return next((r for r in reversed(self.rollouts) if not has_ended(r)), None)

    @cached_property
    def policy(self) -> Chosen | Trouble:
        """The policy for a rollout that would begin now, or why there is none."""
        spec = self.deployment.spec
        found = shared.choose(spec.rollout, self.policies or Policies())
        if isinstance(found, Trouble):
            return found
        if podshare.applies(spec.traffic):
            words = podshare.objection(found.policy, spec.replicas)
        else:
            words = next(filter(None, map(self.route.objection, stages.of(found.policy))), "")
        words = words or capacity.objection(found.policy, spec.replicas, spec.capacity.surge)
        return Trouble(Reason.STEPS_NOT_POSSIBLE, words) if words else found

    @cached_property
    def source(self) -> Source | Trouble:
        """Where evidence is read, or why it cannot be."""
        deployment, policy = self.deployment, self.policy_in_force
        asks = policy is not None and any(check.threshold for check in policy.checks)
        ref = deployment.spec.metrics.source_ref
        return metric_sources.choose(ref, deployment.namespace, self.sources, asks=asks)

    @property
    def policy_in_force(self) -> Policy | None:
        """The policy of the rollout under way, else the one that the next would go by."""
        if self.active is not None:
            return self.active.spec.policy
        return self.policy.policy if isinstance(self.policy, Chosen) else None

    @property
    def trouble(self) -> Trouble | None:
        """What the spec refers to and cannot be used."""
        policy = self.policy if self.policies is not None else None
        return next((t for t in (policy, self.source) if isinstance(t, Trouble)), None)

    @property
    def last(self) -> ModelRollout | None:
        """The latest rollout, ended or not."""
        return self.rollouts[-1] if self.rollouts else None
