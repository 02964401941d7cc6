"""Conditions, phases and reasons: everything that a status can say, in one file."""

from enum import StrEnum

from rampway.api.base import Message, StatusModel, Timestamp, Token


class ConditionType(StrEnum):
    """Conditions of a ModelDeployment."""

    ACCEPTED = "Accepted"  # the spec can be acted upon
    READY = "Ready"  # stable serves
    PROMOTED = "Promoted"  # the spec's revision is stable; Unknown while rolling out
    RECONCILING = "Reconciling"  # kstatus: work is going on
    STALLED = "Stalled"  # kstatus: no progress without a change or a person


class Phase(StrEnum):
    """Phase of a ModelDeployment, the first column of `kubectl get`."""

    PENDING = "Pending"  # first revision, not serving yet
    HEALTHY = "Healthy"  # the spec's revision is stable and serves
    PROGRESSING = "Progressing"  # a rollout is under way
    WATCHING = "Watching"  # the spec's revision is stable; the old one stays warm
    PAUSED = "Paused"  # spec.paused holds a rollout back
    HOLDING = "Holding"  # a rollout waits for evidence it cannot get, or for a person
    ROLLING_BACK = "RollingBack"  # traffic is on its way back
    ROLLED_BACK = "RolledBack"  # the spec's revision was refused by evidence
    DEGRADED = "Degraded"  # stable has no ready pod
    SCALED_TO_ZERO = "ScaledToZero"  # spec.replicas is 0: nothing serves
    REFUSED = "Refused"  # the spec cannot be acted upon; see Accepted


class RolloutPhase(StrEnum):
    """Phase of a ModelRollout."""

    STARTING = "Starting"  # the candidate is being brought up for the first step
    STEPPING = "Stepping"  # a step runs
    PROMOTING = "Promoting"  # all steps passed; the candidate takes everything
    WATCHING = "Watching"  # promoted; the old revision stays warm, and is compared
    ROLLING_BACK = "RollingBack"  # traffic returns to stable as stable can carry it
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"  # a newer revision took its place
    ABORTED = "Aborted"  # the spec went back to stable's content

    @property
    def ended(self) -> bool:
        """Whether the rollout can never act again."""
        return self in _ENDED


_ENDED = frozenset(
    {
        RolloutPhase.PROMOTED,
        RolloutPhase.ROLLED_BACK,
        RolloutPhase.SUPERSEDED,
        RolloutPhase.ABORTED,
    }
)


class Act(StrEnum):
    """What was done: in `status.decisions` of a ModelRollout, and as the action of an Event."""

    STARTED = "Started"  # a rollout began; an Event only
    QUEUED = "Queued"  # a newer revision waits for the rollout under way to end
    STEP_STARTED = "StepStarted"
    ASKED = "Asked"  # a person has to say something
    APPROVED = "Approved"  # a person said it
    NOTIFIED = "Notified"  # a check failed that only tells
    PROMOTING = "Promoting"
    PROMOTED = "Promoted"
    WATCH_ENDED = "WatchEnded"
    ROLLING_BACK = "RollingBack"
    SUPERSEDED = "Superseded"
    ABORTED = "Aborted"
    PAUSED = "Paused"  # a person paused it
    RESUMED = "Resumed"  # a person ended the pause


class Reason(StrEnum):
    """Reasons of conditions, events and rollbacks."""

    # Accepted
    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"  # it, or a ModelRollout of it, cannot be understood
    ROUTE_CONFLICT = "RouteConflict"  # another ModelDeployment has this host and match
    ROUTE_NOT_FOUND = "RouteNotFound"  # the rule that routeRef names is not there, or not usable
    ROUTE_IN_USE = "RouteInUse"  # the rule sends requests to others than this model
    BAD_QUERY = "BadQuery"  # a check's query is wrong; it holds that check only
    BAD_POD_TEMPLATE = "BadPodTemplate"  # the API server refused the pod template
    POLICY_NOT_FOUND = "PolicyNotFound"  # there is no policy of the name in policyRef
    POLICY_INVALID = "PolicyInvalid"  # it is there, and cannot be understood
    POLICY_UNREADABLE = "PolicyUnreadable"  # the operator has no right to read it
    STEPS_NOT_POSSIBLE = "StepsNotPossible"  # the route, or pods, have no room for a step
    SOURCE_NOT_FOUND = "MetricSourceNotFound"  # there is no source of the name in sourceRef
    SOURCE_INVALID = "MetricSourceInvalid"  # it is there, and cannot be understood
    SOURCE_REFUSED = "MetricSourceRefused"  # the administrator's list does not allow it
    SOURCE_UNREADABLE = "MetricSourceUnreadable"  # it, or the list, cannot be read
    SEVERAL_DEFAULTS = "SeveralDefaults"  # more than one is marked as the cluster's default
    # Ready
    SERVING = "Serving"
    NO_READY_POD = "NoReadyPod"
    FIRST_REVISION = "FirstRevision"
    SCALED_TO_ZERO = "ScaledToZero"  # spec.replicas is 0; a rollout waits
    # progress
    AT_REST = "AtRest"
    CANDIDATE_STARTING = "CandidateStarting"
    CAPACITY = "WaitingForCapacity"
    ROUTE_PENDING = "RoutePending"
    ROUTE_CONTESTED = "RouteContested"  # another field manager writes the rule again and again
    SHARE_CONTRADICTED = "ShareContradicted"  # the candidate gets another share than asked for
    STEP = "StepRunning"
    EVIDENCE_WAITING = "EvidenceWaiting"
    EVIDENCE_UNKNOWN = "EvidenceUnknown"
    PROMOTING = "Promoting"
    QUEUED = "Queued"  # of Promoted: the spec's revision waits for the rollout under way to end
    PAUSED = "Paused"
    RESUMED = "Resumed"
    STABLE_CRASHES_TOO = "StableCrashesToo"
    APPROVAL = "WaitingForApproval"
    APPROVED = "Approved"
    STOPPED_BY_CHECK = "StoppedByCheck"  # a failed check that asks
    HOOK_RUNNING = "HookRunning"
    HOOK_FAILED = "HookFailed"
    WATCHING = "Watching"
    # ends
    PROMOTED = "Promoted"
    CHECK_FAILED = "CheckFailed"
    UNPAIRED_CHECK_FAILED = "UnpairedCheckFailed"
    CANDIDATE_NOT_READY = "CandidateNotReady"
    CANDIDATE_CRASHED = "CandidateCrashed"
    CANDIDATE_OOM = "CandidateOutOfMemory"
    DEADLINE = "ProgressDeadlineExceeded"
    UNKNOWN_TOO_LONG = "EvidenceUnknownTooLong"
    ABORTED = "AbortedByPerson"
    UNDONE = "Undone"  # back to the old revision within the watch
    NEW_REVISION = "NewRevision"
    BACK_TO_STABLE = "BackToStable"


NO_EVIDENCE = frozenset(
    {
        Reason.EVIDENCE_UNKNOWN,
        Reason.SOURCE_NOT_FOUND,
        Reason.SOURCE_INVALID,
        Reason.SOURCE_REFUSED,
        Reason.SOURCE_UNREADABLE,
        Reason.SEVERAL_DEFAULTS,
    }
)
"""Why a rollout holds that has no evidence: it cannot be read now, or not at all."""


class Condition(StatusModel):
    """A condition as Kubernetes knows it."""

    type: Token
    """Accepted (the spec can be acted upon), Ready (stable serves), Promoted (the spec's revision
    is stable), Reconciling (work is going on) or Stalled (no progress without you)."""
    status: Token
    """True, False or Unknown."""
    reason: Token
    """Why, in one word."""
    message: Message = ""
    """Why, in a sentence."""
    observed_generation: int = 0
    """The `metadata.generation` that this was found for."""
    last_transition_time: Timestamp = ""
    """When `status` last changed."""
