"""How things stand, and the status of the ModelDeployment that follows from it."""

from dataclasses import dataclass

from rampway.api.conditions import (
    NO_EVIDENCE,
    Condition,
    ConditionType,
    Phase,
    Reason,
    RolloutPhase,
)
from rampway.api.deployment import ModelDeploymentStatus, RevisionStatus
from rampway.api.parse import ModelRollout
from rampway.core.conditions import conditions
from rampway.core.model import authors
from rampway.core.model.policies import Trouble
from rampway.core.model.verdict import Verdict
from rampway.core.observation import Observation, Revision
from rampway.core.pods import scale, scarce, sizes, zero
from rampway.core.rollout import automation, queueing, reactions, steps
from rampway.core.rollout.course import Course, Outcome
from rampway.core.traffic.conflicts import Claim

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"


@dataclass(frozen=True, slots=True)
class Standing:
    """One sentence about everything, and what the conditions make of it.

    Attributes:
        promoted: Status of the condition Promoted.
        candidate: Hash of the revision that is or was to replace stable.
        step: `2/4`, or empty.
        stalled: Without a change or a person nothing will move (kstatus).
        bad_query: What is wrong with a user's query, else empty (B21).
        bad_template: The API server's words about the pod template, else empty.
        conflict: Why the route cannot be used: it is another's, in use, or not there (B15, B16).
        beside: Hash of the revision that answers requests beside stable, else empty.
    """

    phase: Phase
    reason: Reason
    message: str
    promoted: str
    candidate: str = ""
    rollout: str = ""
    step: str = ""
    weight_pct: int = 0
    stalled: bool = False
    bad_query: str = ""
    bad_template: str = ""
    conflict: str = ""
    beside: str = ""

    @classmethod
    def refused(cls, reason: Reason, text: str) -> "Standing":
        """The spec cannot be acted upon."""
        return cls(Phase.REFUSED, reason, text, FALSE, stalled=True, conflict=text)

    @classmethod
    def pending(cls, reason: Reason, text: str, refusal: str = "") -> "Standing":
        """The first revision does not serve yet."""
        stalled = bool(refusal)
        return cls(Phase.PENDING, reason, text, UNKNOWN, stalled=stalled, bad_template=refusal)

    @classmethod
    def at_rest(cls, obs: Observation, stable: Revision) -> "Standing":
        """The spec's revision is stable."""
        if not obs.deployment.spec.replicas:
            return cls.scaled_to_zero(zero.WORDS, TRUE)
        if not stable.ready:
            words = f": {stable.trouble}" if stable.trouble else ""
            text = f"no pod of {stable.name} is ready{words}"
            return cls(Phase.DEGRADED, Reason.NO_READY_POD, text, TRUE)
        replicas = sizes.full(obs)
        text = f"{stable.ready} of {replicas} pods ready"
        words = stable.trouble if stable.ready < replicas else sizes.trouble(stable)
        text = f"{text}: {words}" if words else text
        return cls(Phase.HEALTHY, Reason.AT_REST, text, TRUE)

    @classmethod
    def scaled_to_zero(cls, text: str, promoted: str, candidate: str = "") -> "Standing":
        """Nothing is to serve."""
        return cls(Phase.SCALED_TO_ZERO, Reason.SCALED_TO_ZERO, text, promoted, candidate)

    @classmethod
    def rolled_back(cls, why: Verdict, candidate: str, name: str, stable: Revision) -> "Standing":
        """The spec's revision was refused by evidence; it is named until the spec changes (B26)."""
        text = (
            f"{name} was rolled back: {why.message}. {stable.name} serves. "
            "Not tried again until the spec changes"
        )
        phase = Phase.ROLLED_BACK
        return cls(phase, why.reason, text, FALSE, candidate, why.rollout, stalled=True)

    @classmethod
    def lost(cls, candidate: str, text: str) -> "Standing":
        """Stable is gone, and the spec's revision must not take its place."""
        return cls(Phase.DEGRADED, Reason.NO_READY_POD, text, FALSE, candidate, stalled=True)

    @classmethod
    def paused(cls, desired: str, text: str) -> "Standing":
        """A new revision waits for the pause to end."""
        return cls(Phase.PAUSED, Reason.PAUSED, text, UNKNOWN, desired)

    @classmethod
    def without_policy(cls, desired: str, stable: Revision, why: Trouble) -> "Standing":
        """A new revision waits for the policy that its rollout is to go by."""
        text = f"revision {desired} is recorded, {stable.name} serves: {why.message}"
        return cls(Phase.REFUSED, why.reason, text, FALSE, desired, stalled=True)

    @classmethod
    def starting(cls, active: ModelRollout, text: str, refusal: str = "") -> "Standing":
        """The candidate is being made."""
        return cls(
            Phase.PROGRESSING,
            Reason.BAD_POD_TEMPLATE if refusal else Reason.CANDIDATE_STARTING,
            text or "making the candidate",
            UNKNOWN,
            active.spec.candidate.revision,
            active.name,
            stalled=bool(refusal),
            bad_template=refusal,
        )

    @classmethod
    def promoting(cls, active: ModelRollout, text: str) -> "Standing":
        """The candidate is stable; the rest follows."""
        return cls(
            Phase.PROGRESSING,
            Reason.PROMOTING,
            text,
            UNKNOWN,
            active.spec.candidate.revision,
            active.name,
            weight_pct=100,
        )

    @classmethod
    def watching(cls, course: Course, outcome: Outcome) -> "Standing":
        """The candidate is stable, and its predecessor still warm."""
        total = len(course.stages)
        reason = Reason(outcome.status.reason)
        phase = Phase.WATCHING if course.candidate.ready else Phase.DEGRADED
        returning = reason not in _WATCHES
        return cls(
            Phase.ROLLING_BACK if returning else phase,
            reason,
            outcome.status.message,
            FALSE if returning else TRUE,
            rollout=course.rollout.name,
            step=f"{total}/{total}",
            weight_pct=100 - outcome.weight_pct,
            stalled=reason in reactions.ASKS,
            bad_query=course.judged.mistake,
            beside=course.stable.hash if outcome.split.answers else "",
        )

    @classmethod
    def rolling(cls, course: Course, outcome: Outcome) -> "Standing":
        """A rollout is under way, or just ended."""
        status = outcome.status
        if status.phase == RolloutPhase.ROLLED_BACK:  # the first words about it are the last
            why = Verdict(Reason(status.reason), course.rollout.name, status.message)
            return cls.rolled_back(why, course.candidate.hash, course.candidate.name, course.stable)
        total = len(course.stages)
        done = status.phase in {RolloutPhase.PROMOTING, RolloutPhase.PROMOTED}
        number = total if done else min(status.step.index + 1, total)
        started = status.phase != RolloutPhase.STARTING
        stalled = reactions.asks(status) or steps.stalled_for_want_of_evidence(course)
        return cls(
            _phase(course, outcome),
            Reason(status.reason or Reason.CANDIDATE_STARTING),
            status.message,
            FALSE if _failing(outcome) else UNKNOWN,
            course.candidate.hash,
            course.rollout.name,
            f"{number if started else 0}/{total}",
            outcome.weight_pct,
            stalled=stalled,
            bad_query=course.judged.mistake,
            beside=course.candidate.hash if scale.counts(course, outcome.split) else "",
        )


_FAILING = frozenset({RolloutPhase.ROLLING_BACK, RolloutPhase.ROLLED_BACK})
_STRUCK = {Reason.STABLE_CRASHES_TOO, Reason.ROUTE_CONTESTED, Reason.SHARE_CONTRADICTED}
_HOLDS = reactions.ASKS | NO_EVIDENCE | _STRUCK
_WATCHES = frozenset({Reason.WATCHING, Reason.PAUSED, Reason.NO_READY_POD, Reason.STOPPED_BY_CHECK})
"""Reasons of a watch in which the old revision does not take over."""


def _failing(outcome: Outcome) -> bool:
    """Whether this is a failed release; one that the spec no longer names has not failed."""
    return outcome.status.phase in _FAILING and outcome.status.reason not in queueing.UNWANTED


def _phase(course: Course, outcome: Outcome) -> Phase:
    phase, reason = outcome.status.phase, outcome.status.reason
    if phase == RolloutPhase.ROLLING_BACK:
        return Phase.ROLLING_BACK
    if phase == RolloutPhase.ROLLED_BACK:
        return Phase.ROLLED_BACK
    if reason == Reason.SCALED_TO_ZERO:
        return Phase.SCALED_TO_ZERO
    if course.paused:
        return Phase.PAUSED
    return Phase.HOLDING if reason in _HOLDS else Phase.PROGRESSING


def project(obs: Observation, standing: Standing) -> ModelDeploymentStatus:
    """Return the status: nothing in it is remembered, all of it follows from what is (B1)."""
    stable, info = obs.stable, obs.deployment.spec.info
    candidate = obs.revision(standing.candidate) if standing.candidate else None
    waits = queueing.waiting(obs) if standing.rollout else ""
    return ModelDeploymentStatus(
        observed_generation=obs.deployment.generation,
        phase=standing.phase,
        reason=standing.reason,
        message=standing.message,
        paused_by=obs.authors.paused,
        resumed_by=authors.stamped(obs.authors.resumed),
        changed_by=obs.authors.changed,
        stable=_revision(stable, ""),
        candidate=_revision(candidate, standing.candidate),
        queued=RevisionStatus(revision=waits, version=info.version or "") if waits else None,
        rollout=standing.rollout,
        step=standing.step,
        weight_pct=standing.weight_pct,
        replicas=scale.pods(obs),
        size=sizes.full(obs),
        fallback=scarce.told(obs),
        selector=scale.selector(obs, standing.beside),
        address="" if standing.conflict else Claim.of(obs.deployment, obs.route.place).address,
        conditions=_conditions(obs, standing, waits),
    )


def _revision(known: Revision | None, revision_hash: str) -> RevisionStatus | None:
    if known is None:
        return RevisionStatus(revision=revision_hash) if revision_hash else None
    return RevisionStatus(
        revision=known.hash,
        version=known.version,
        sha256=known.recorded_sha256,
        ready_replicas=known.ready,
        automation=automation.in_force(known),
    )


def _conditions(obs: Observation, standing: Standing, waits: str) -> tuple[Condition, ...]:
    stable = obs.stable
    if not obs.deployment.spec.replicas:
        ready = (FALSE, Reason.SCALED_TO_ZERO, zero.WORDS)
    elif stable is not None and stable.ready:
        ready = (TRUE, Reason.SERVING, f"stable {stable.name} serves")
    elif stable is not None:
        text = f"no pod of stable {stable.name} is ready"
        ready = (FALSE, Reason.NO_READY_POD, f"{text}: {stable.trouble}".rstrip(": "))
    elif obs.route.guests is not None and not standing.conflict:
        ready = (TRUE, Reason.SERVING, f"{' and '.join(obs.route.guests.names)} serve, as before")
    else:
        lost = standing.phase == Phase.DEGRADED
        why = Reason.NO_READY_POD if lost else Reason.FIRST_REVISION
        ready = (FALSE, why, standing.message)
    moving = standing.phase in {Phase.PENDING, Phase.PROGRESSING, Phase.ROLLING_BACK}
    about = (standing.reason, standing.message)
    stalled, promoted = standing.stalled, (standing.promoted, *about)
    if waits:  # how the rollout under way fares is not how the spec's release does
        ends = standing.phase in {Phase.WATCHING, Phase.ROLLED_BACK}
        moving |= ends and not obs.deployment.spec.paused
        stalled &= standing.phase is not Phase.ROLLED_BACK
        text = f"{queueing.sentence(obs, waits)}; now {standing.reason}: {standing.message}"
        promoted = (UNKNOWN, Reason.QUEUED, text)
    wanted = {
        ConditionType.ACCEPTED: _accepted(obs, standing),
        ConditionType.READY: ready,
        ConditionType.PROMOTED: promoted,
        ConditionType.RECONCILING: (TRUE if moving and not stalled else FALSE, *about),
        ConditionType.STALLED: (TRUE if stalled else FALSE, *about),
    }
    known = obs.deployment
    return conditions(known.status.conditions, wanted, known.generation, obs.now_s)


def _accepted(obs: Observation, standing: Standing) -> tuple[str, Reason, str]:
    if standing.conflict:
        return FALSE, standing.reason, standing.conflict
    if standing.bad_template:
        return FALSE, Reason.BAD_POD_TEMPLATE, standing.bad_template
    if standing.bad_query:
        return FALSE, Reason.BAD_QUERY, standing.bad_query
    if obs.trouble is not None:
        return FALSE, obs.trouble.reason, obs.trouble.message
    return TRUE, Reason.VALID, "the spec can be acted upon"
