"""What `status` shows of one ModelDeployment: frozen data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rampway.api.conditions import Reason, RolloutPhase
from rampway.api.parse import ModelDeployment, ModelRollout
from rampway.core.checks.judged import CheckState
from rampway.core.instants import from_wire
from rampway.core.rollout import hooks, stages
from rampway.core.rollout.stages import Stage
from rampway.core.traffic import podshare
from rampway.core.traffic.route import Route

ASKS = frozenset({Reason.APPROVAL, Reason.STOPPED_BY_CHECK, Reason.HOOK_FAILED})
"""Reasons for which a rollout waits until a person says something."""
PROMOTION = "the promotion: all pods, then all requests"
"""What follows the last step."""
_IN_A_STEP = frozenset({RolloutPhase.STEPPING, RolloutPhase.ROLLING_BACK})


class Role(StrEnum):
    """What a revision is to its ModelDeployment, in the order in which they are shown."""

    STABLE = "stable"
    FIRST = "first"  # nothing has been promoted yet
    PREVIOUS = "previous"  # was stable before; warm while the watch lasts
    CANDIDATE = "candidate"
    ROLLED_BACK = "rolled back"
    OLD = "old"


def stages_of(deployment: ModelDeployment, rollout: ModelRollout) -> tuple[Stage, ...]:
    """Return what a rollout's steps come to; where pods give the shares, as they can be given."""
    spec = deployment.spec
    return podshare.of(rollout.spec.policy, spec.traffic, spec.replicas, spec.replicas)


def full_size(deployment: ModelDeployment) -> int:
    """Return the pods of a revision that carries everything, as the status knows it."""
    return deployment.status.size or deployment.spec.replicas


@dataclass(frozen=True, slots=True)
class RevisionFacts:
    """One revision.

    Attributes:
        wanted: Pods asked for.
        set_pct: Share of the requests that the operator's status gives it, percent.
        observed_pct: Share that the route carries, percent; None where that is not known.
        set_mirror_pct: Share of the requests that the status gives it a copy of, percent.
        observed_mirror_pct: Likewise as the route has it.
        set_matched: Whether the status gives it requests chosen by what they bear.
        observed_matched: Likewise as the route has it.
        trouble: What keeps it from running, in the kubelet's or the server's words.
        automation: Degree of automation that its pods are told; empty where that is not known.
    """

    revision: str
    role: Role
    version: str
    ready: int
    wanted: int
    restarts: int
    set_pct: int
    observed_pct: int | None
    set_mirror_pct: int = 0
    observed_mirror_pct: int = 0
    set_matched: bool = False
    observed_matched: bool = False
    trouble: str = ""
    automation: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the running step is.

    Attributes:
        sentence: Which step it is, of how many, and what it does.
        held_s: Seconds for which its weight has been in force, time without evidence left out;
            None while it is not in force.
        requests: First attempts that the candidate answered in it; None if not known.
    """

    sentence: str
    step: Stage
    held_s: float | None
    requests: int | None

    @property
    def left_s(self) -> float | None:
        """Seconds of `hold` that are left, None while the weight is not in force."""
        return None if self.held_s is None else max(0.0, self.step.hold_s - self.held_s)


@dataclass(frozen=True, slots=True)
class Found:
    """The objects as they were read; None for what could not be read.

    Attributes:
        workloads: The revisions' Deployments.
        notes: What could not be read, and why.
    """

    deployment: ModelDeployment
    rollouts: Sequence[ModelRollout] = ()
    workloads: Sequence[Mapping[str, Any]] | None = ()
    pods: Sequence[Mapping[str, Any]] | None = ()
    route: Route | None = None
    notes: tuple[str, ...] = ()
    read_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is shown.

    Attributes:
        rollout: The rollout that runs, else the latest one.
        revisions: Those that have pods or a role; stable first.
        idle: Number of older revisions kept without pods.
        route: None if it could not be read.
        evidence_s: Until when the evidence had read the metrics, seconds since the epoch.
        step_requests: Requests of the running step by then.
        notes: What could not be read, and why.
    """

    deployment: ModelDeployment
    rollout: ModelRollout | None
    revisions: tuple[RevisionFacts, ...]
    idle: int
    route: Route | None
    evidence_s: float | None
    step_requests: int | None
    notes: tuple[str, ...]
    read_at_s: float

    @property
    def running(self) -> ModelRollout | None:
        """The rollout, if it has not ended."""
        return self.rollout if self.rollout and not ended(self.rollout) else None

    @property
    def answered_s(self) -> float | None:
        """When the checks answered, seconds since the epoch."""
        return from_wire(self.rollout.status.checked_at) if self.rollout else None

    @property
    def outdated(self) -> bool:
        """Whether the status is about an older spec than the one that is there."""
        return self.deployment.status.observed_generation < self.deployment.generation

    @property
    def asks_about(self) -> str:
        """The step that waits until a person agrees, empty if none does."""
        return asks_about(self.running) if self.running else ""

    @property
    def failed(self) -> RevisionFacts | None:
        """The revision whose failure somebody will want to understand, while it has pods."""
        checks = self.rollout.status.checks if self.rollout else ()
        fails = any(check.state == CheckState.FAIL for check in checks)
        for one in self.revisions:
            suspect = one.role is Role.CANDIDATE and (fails or one.trouble)
            if one.wanted and (suspect or one.role is Role.ROLLED_BACK):
                return one
        return None

    def progress(self, now_s: float) -> Progress | None:
        """Return where the running step is, None before the first step and after the last."""
        rollout = self.running
        if rollout is None or not rollout.status.step.total:
            return None
        at, steps = rollout.status.step, stages_of(self.deployment, rollout)
        if at.index >= len(steps) or rollout.status.phase not in _IN_A_STEP:
            return None
        text, held_s = stages.sentence(steps, at.index), held(rollout, now_s)
        return Progress(text, steps[at.index], held_s, self.step_requests)

    def watch_left_s(self, now_s: float) -> float | None:
        """Return the seconds that the watch after promotion still lasts; None without one."""
        rollout = self.running
        plan = rollout.spec.policy.watch if rollout else None
        since_s = from_wire(rollout.status.watched_since) if rollout else None
        if plan is None or since_s is None:
            return None
        return max(0.0, plan.hold_s - (now_s - since_s))


def ended(rollout: ModelRollout) -> bool:
    """Whether it can never act again; a phase that only a newer operator knows has not ended."""
    return rollout.status.phase in {phase for phase in RolloutPhase if phase.ended}


def asks_about(rollout: ModelRollout) -> str:
    """Return the step that waits until a person agrees, empty if none does."""
    status = rollout.status
    if ended(rollout) or status.phase == RolloutPhase.ROLLING_BACK or status.reason not in ASKS:
        return ""
    present = status.step.name or stages.of(rollout.spec.policy)[0].name
    if status.reason != Reason.HOOK_FAILED:
        return present
    # Of a hook before a step, that step is asked about: it is part of the key, after the name.
    failed = (run.key for run in reversed(status.hooks) if run.state == hooks.FAILED)
    return next(failed, "").partition(".")[2] or present


def held(rollout: ModelRollout, now_s: float) -> float | None:
    """Return the seconds that count towards the step's hold, as `core` reckons them.

    None while the step's weight is not in force.
    """
    status = rollout.status
    since_s = from_wire(status.step.in_force_since)
    if since_s is None:
        return None
    unknown_s = from_wire(status.unknown_since)
    lost_s = 0.0 if unknown_s is None else max(0.0, now_s - unknown_s)
    return max(0.0, status.step.held_s + now_s - since_s - status.step.not_counted_s - lost_s)
